/**
 * Capabilities of the OPEN message (RFC 5492 §4): | code 1 | length 1 | value … |
 *
 * A discriminated union on `kind`. Codes without a form here are kept as `unknown` with their octets. A capability whose
 * value cannot be what its RFC says is an error of the OPEN (2/0) with the capability as data; only where an RFC says
 * "ignore", it is kept as `unknown`.
 */
import { CapabilityCode, NotificationCode, OpenSubcode } from './constants.js';
import { BgpError } from './errors.js';
import { decodeUtf8, encodeUtf8 } from './utf8.js';

export interface AfiSafi {
  readonly afi: number;
  readonly safi: number;
}

/** RFC 7911 §4: 1 = able to receive several paths, 2 = able to send them, 3 = both. */
export const AddPathMode = { receive: 1, send: 2, both: 3 } as const;

/** RFC 9234 §4.1. */
export const Role = { provider: 0, routeServer: 1, routeServerClient: 2, customer: 3, peer: 4 } as const;

export type Capability =
  /** RFC 4760 §8 */
  | { readonly kind: 'multiprotocol'; readonly afi: number; readonly safi: number }
  /** RFC 2918 §2 */
  | { readonly kind: 'routeRefresh' }
  /** Code 128, as RFC 2918 was before it had a number. */
  | { readonly kind: 'routeRefreshCisco' }
  /** RFC 8950 §4 */
  | { readonly kind: 'extendedNextHop'; readonly entries: readonly (AfiSafi & { readonly nextHopAfi: number })[] }
  /** RFC 8654 §3 */
  | { readonly kind: 'extendedMessage' }
  /** RFC 9234 §4.1; one of Role, or a number without a name. */
  | { readonly kind: 'role'; readonly role: number }
  /** RFC 4724 §3, RFC 8538 §2 (`notification`: the N bit) */
  | {
      readonly kind: 'gracefulRestart';
      readonly restarting: boolean;
      readonly notification: boolean;
      /** 0..4095 */
      readonly restartTimeSeconds: number;
      readonly families: readonly (AfiSafi & { readonly forwardingPreserved: boolean })[];
    }
  /** RFC 6793 §3 */
  | { readonly kind: 'fourOctetAs'; readonly asn: number }
  /** RFC 7911 §4; mode is one of AddPathMode. */
  | { readonly kind: 'addPath'; readonly entries: readonly (AfiSafi & { readonly mode: number })[] }
  /** RFC 7313 §3.1 */
  | { readonly kind: 'enhancedRouteRefresh' }
  /** RFC 9494 §3; staleTimeSeconds 0..16777215 */
  | {
      readonly kind: 'longLivedGracefulRestart';
      readonly families: readonly (AfiSafi & {
        readonly forwardingPreserved: boolean;
        readonly staleTimeSeconds: number;
      })[];
    }
  /** Code 73: host and domain name, for people. */
  | { readonly kind: 'fqdn'; readonly hostname: string; readonly domain: string }
  | { readonly kind: 'unknown'; readonly code: number; readonly value: Uint8Array };

/** The value of a capability's own kind, undefined when the OPEN has none of it. The first of several wins. */
export function findCapability<K extends Capability['kind']>(
  capabilities: readonly Capability[],
  kind: K,
): Extract<Capability, { kind: K }> | undefined {
  return capabilities.find((capability) => capability.kind === kind) as Extract<Capability, { kind: K }> | undefined;
}

/** Decodes the capabilities in bytes[start, end). Throws BgpError (2/0) when they do not fit or hold nonsense. */
export function decodeCapabilities(bytes: Uint8Array, start: number, end: number): Capability[] {
  const out: Capability[] = [];
  let at = start;
  while (at < end) {
    const next = at + 2 + (end - at > 1 ? bytes[at + 1]! : 0);
    if (end - at < 2 || next > end) throw malformed('capability overruns its parameter', bytes.slice(at, end));
    const code = bytes[at]!;
    const value = bytes.slice(at + 2, next);
    const capability = decodeValue(code, value);
    if (!capability) throw malformed(`capability ${code}: length ${value.length}`, bytes.slice(at, next));
    out.push(capability);
    at = next;
  }
  return out;
}

/** Octets of one capability. Throws RangeError when it does not fit in 255 octets. */
export function encodeCapability(capability: Capability): Uint8Array {
  const [code, value] = encodeValue(capability);
  if (value.length > 255)
    throw new RangeError(`capability ${capability.kind}: ${value.length} octets, at most 255 fit`);
  const out = new Uint8Array(2 + value.length);
  out[0] = code;
  out[1] = value.length;
  out.set(value, 2);
  return out;
}

/** undefined = malformed. */
function decodeValue(code: number, value: Uint8Array): Capability | undefined {
  const length = value.length;
  switch (code) {
    case CapabilityCode.multiprotocol:
      return length === 4 ? { kind: 'multiprotocol', ...afiSafi(value, 0, 3) } : undefined;
    case CapabilityCode.routeRefresh:
      return length === 0 ? { kind: 'routeRefresh' } : undefined;
    case CapabilityCode.routeRefreshCisco:
      return length === 0 ? { kind: 'routeRefreshCisco' } : undefined;
    case CapabilityCode.extendedMessage:
      return length === 0 ? { kind: 'extendedMessage' } : undefined;
    case CapabilityCode.enhancedRouteRefresh:
      return length === 0 ? { kind: 'enhancedRouteRefresh' } : undefined;
    case CapabilityCode.extendedNextHop: {
      // | AFI 2 | SAFI 2 | next-hop AFI 2 |
      const entries = repeat(value, 0, 6, (at) => ({
        afi: u16(value, at),
        safi: u16(value, at + 2),
        nextHopAfi: u16(value, at + 4),
      }));
      return entries && { kind: 'extendedNextHop', entries };
    }
    case CapabilityCode.role:
      return length === 1 ? { kind: 'role', role: value[0]! } : undefined;
    case CapabilityCode.gracefulRestart: {
      // | flags 4 bits | restart time 12 bits |, then per family | AFI 2 | SAFI 1 | flags 1 |
      if (length < 2) return undefined;
      const families = repeat(value, 2, 4, (at) => ({
        ...afiSafi(value, at, at + 2),
        forwardingPreserved: (value[at + 3]! & 0x80) !== 0,
      }));
      const restarting = (value[0]! & 0x80) !== 0;
      const notification = (value[0]! & 0x40) !== 0;
      const restartTimeSeconds = u16(value, 0) & 0x0fff;
      return families && { kind: 'gracefulRestart', restarting, notification, restartTimeSeconds, families };
    }
    case CapabilityCode.fourOctetAs:
      return length === 4 ? { kind: 'fourOctetAs', asn: u16(value, 0) * 0x10000 + u16(value, 2) } : undefined;
    case CapabilityCode.addPath: {
      const entries = repeat(value, 0, 4, (at) => ({ ...afiSafi(value, at, at + 2), mode: value[at + 3]! }));
      // RFC 7911 §4: "if any other value is received, then the capability SHOULD be treated as not understood".
      if (entries?.some(({ mode }) => mode < AddPathMode.receive || mode > AddPathMode.both)) break;
      return entries && { kind: 'addPath', entries };
    }
    case CapabilityCode.longLivedGracefulRestart: {
      // | AFI 2 | SAFI 1 | flags 1 | stale time 3 |
      const families = repeat(value, 0, 7, (at) => ({
        ...afiSafi(value, at, at + 2),
        forwardingPreserved: (value[at + 3]! & 0x80) !== 0,
        staleTimeSeconds: (value[at + 4]! << 16) | u16(value, at + 5),
      }));
      return families && { kind: 'longLivedGracefulRestart', families };
    }
    case CapabilityCode.fqdn: {
      // Only names for people: what cannot be read is no reason to refuse a session.
      const fqdn = decodeFqdn(value);
      if (fqdn) return fqdn;
      break;
    }
  }
  return { kind: 'unknown', code, value };
}

function encodeValue(capability: Capability): [code: number, value: Uint8Array] {
  switch (capability.kind) {
    case 'multiprotocol':
      return [CapabilityCode.multiprotocol, Uint8Array.of(...be16(capability.afi), 0, capability.safi)];
    case 'routeRefresh':
      return [CapabilityCode.routeRefresh, new Uint8Array(0)];
    case 'routeRefreshCisco':
      return [CapabilityCode.routeRefreshCisco, new Uint8Array(0)];
    case 'extendedMessage':
      return [CapabilityCode.extendedMessage, new Uint8Array(0)];
    case 'enhancedRouteRefresh':
      return [CapabilityCode.enhancedRouteRefresh, new Uint8Array(0)];
    case 'extendedNextHop':
      return [
        CapabilityCode.extendedNextHop,
        Uint8Array.from(capability.entries.flatMap((e) => [...be16(e.afi), ...be16(e.safi), ...be16(e.nextHopAfi)])),
      ];
    case 'role':
      return [CapabilityCode.role, Uint8Array.of(capability.role)];
    case 'gracefulRestart': {
      const time = Math.min(capability.restartTimeSeconds, 0x0fff);
      const flags = (capability.restarting ? 0x8000 : 0) | (capability.notification ? 0x4000 : 0);
      const families = capability.families.flatMap((f) => [...be16(f.afi), f.safi, f.forwardingPreserved ? 0x80 : 0]);
      return [CapabilityCode.gracefulRestart, Uint8Array.of(...be16(flags | time), ...families)];
    }
    case 'fourOctetAs':
      return [
        CapabilityCode.fourOctetAs,
        Uint8Array.of(...be16(capability.asn >>> 16), ...be16(capability.asn & 0xffff)),
      ];
    case 'addPath':
      return [
        CapabilityCode.addPath,
        Uint8Array.from(capability.entries.flatMap((e) => [...be16(e.afi), e.safi, e.mode])),
      ];
    case 'longLivedGracefulRestart': {
      const families = capability.families.flatMap((f) => {
        const time = Math.min(f.staleTimeSeconds, 0xffffff);
        return [...be16(f.afi), f.safi, f.forwardingPreserved ? 0x80 : 0, time >> 16, ...be16(time & 0xffff)];
      });
      return [CapabilityCode.longLivedGracefulRestart, Uint8Array.from(families)];
    }
    case 'fqdn': {
      const names = [capability.hostname, capability.domain].map((name) => encodeUtf8(name));
      return [CapabilityCode.fqdn, Uint8Array.from(names.flatMap((name) => [name.length, ...name]))];
    }
    case 'unknown':
      return [capability.code, capability.value];
  }
}

/** | hostname length 1 | hostname | domain length 1 | domain | */
function decodeFqdn(value: Uint8Array): Capability | undefined {
  const hostnameEnd = 1 + (value[0] ?? 255);
  if (hostnameEnd >= value.length || hostnameEnd + 1 + value[hostnameEnd]! !== value.length) return undefined;
  const hostname = decodeUtf8(value.subarray(1, hostnameEnd));
  const domain = decodeUtf8(value.subarray(hostnameEnd + 1));
  return hostname === undefined || domain === undefined ? undefined : { kind: 'fqdn', hostname, domain };
}

/** One item per `size` octets from `start`; undefined when octets are left over. */
function repeat<T>(value: Uint8Array, start: number, size: number, read: (at: number) => T): T[] | undefined {
  if ((value.length - start) % size !== 0) return undefined;
  const out: T[] = [];
  for (let at = start; at < value.length; at += size) out.push(read(at));
  return out;
}

function afiSafi(value: Uint8Array, afiAt: number, safiAt: number): AfiSafi {
  return { afi: u16(value, afiAt), safi: value[safiAt]! };
}

function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

function be16(value: number): [number, number] {
  return [(value >> 8) & 255, value & 255];
}

function malformed(text: string, data: Uint8Array): BgpError {
  return new BgpError(`OPEN: ${text}`, NotificationCode.open, OpenSubcode.unspecific, data);
}
