/** Single values as people read them. */
import type { AsPathSegmentDto, RouteDto } from '../../control/dto.js';

/** `64512 {1 2} (65001 65002)`: sets in braces, confederation sequences in parentheses and sets in brackets. */
export function formatAsPath(path: readonly AsPathSegmentDto[]): string {
  return path.map(formatSegment).join(' ');
}

function formatSegment(segment: AsPathSegmentDto): string {
  if (typeof segment === 'number') return String(segment);
  if (Array.isArray(segment)) return `{${segment.join(' ')}}`;
  if ('confedSequence' in segment) return `(${segment.confedSequence.join(' ')})`;
  return `[${segment.confedSet.join(' ')}]`;
}

/** The path with the origin as routers write it: `65001 65002 i`. */
export function formatPathAndOrigin(route: RouteDto): string {
  const origin = { igp: 'i', egp: 'e', incomplete: '?' }[route.origin];
  return route.asPath.length === 0 ? origin : `${formatAsPath(route.asPath)} ${origin}`;
}

/** `00:12:33`, `3d04h`, `2y13d`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  const days = Math.floor(whole / 86400);
  if (days >= 365) return `${Math.floor(days / 365)}y${days % 365}d`;
  if (days > 0) return `${days}d${two((whole % 86400) / 3600)}h`;
  return `${two(whole / 3600)}:${two((whole % 3600) / 60)}:${two(whole % 60)}`;
}

export function formatBytes(octets: number): string {
  if (octets < 1024) return `${octets} B`;
  if (octets < 1024 * 1024) return `${(octets / 1024).toFixed(1)} KB`;
  return `${(octets / 1024 / 1024).toFixed(1)} MB`;
}
