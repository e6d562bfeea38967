/** A speaker as the control server sees it: two peers, some routes or a million, and a list of the commands it got. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type {
  FibDifferenceDto,
  FibRowDto,
  MonitorEventDto,
  PeerDto,
  RouteDto,
  SummaryDto,
} from '../../src/control/dto.js';
import type { PeerCommand, PeerCommandOptions, Queries, RouteFilter } from '../../src/control/queries.js';

export function route(fields: Partial<RouteDto> = {}): RouteDto {
  return {
    prefix: '172.18.0.0/24',
    family: 'ipv4-unicast',
    best: true,
    multipath: false,
    backup: false,
    installed: true,
    peer: '192.168.245.172',
    peerAsn: 64512,
    nextHop: '192.168.245.172',
    asPath: [],
    origin: 'igp',
    localPref: 100,
    med: null,
    communities: null,
    largeCommunities: null,
    extendedCommunities: null,
    originatorId: null,
    clusterList: null,
    pathId: null,
    stale: false,
    reason: 'only path',
    ageSeconds: 12,
    ...fields,
  };
}

export function peer(fields: Partial<PeerDto> = {}): PeerDto {
  return {
    address: '192.168.245.172',
    asn: 64512,
    state: 'Established',
    description: null,
    group: null,
    uptimeSeconds: 753,
    lastError: null,
    notes: [],
    routerId: '192.168.245.172',
    families: ['ipv4-unicast', 'ipv6-unicast'],
    type: 'internal',
    dynamic: false,
    localAddress: '192.168.245.168',
    holdTimeSeconds: 90,
    keepaliveTimeSeconds: 30,
    capabilities: ['multiprotocol ipv4-unicast', 'route refresh', '4-octet AS'],
    import: 'accept',
    export: 'accept',
    received: 3,
    accepted: 3,
    advertised: 1,
    messagesIn: 40,
    messagesOut: 41,
    updatesIn: 3,
    updatesOut: 1,
    sessionsEstablished: 1,
    sendBacklogBytes: 0,
    malformedUpdates: 0,
    bfd: null,
    ...fields,
  };
}

export class FakeQueries implements Queries {
  peerList: PeerDto[] = [
    peer(),
    peer({
      address: 'fd00:245::172',
      asn: 4200000001,
      state: 'Active',
      uptimeSeconds: null,
      lastError: 'connection refused',
      notes: ['external peer without import and export policy: no routes pass (RFC 8212); set import and export'],
      received: 0,
      accepted: 0,
      advertised: 0,
    }),
  ];
  routeSource: () => Iterable<RouteDto> = () => [
    route(),
    route({ prefix: 'fd00:18::/64', family: 'ipv6-unicast', nextHop: 'fd00:245::172' }),
  ];
  fibRows: FibRowDto[] = [];
  fibError: Error | undefined;
  differences: FibDifferenceDto[] = [];
  refusal: string | undefined;
  readonly filters: RouteFilter[] = [];
  readonly drained: boolean[] = [];
  readonly commands: [string, PeerCommand, ...(string | undefined)[]][] = [];
  readonly listeners = new Set<(event: MonitorEventDto) => void>();

  summary(): SummaryDto {
    return {
      version: '0.1.0',
      asn: 64512,
      routerId: '192.168.245.168',
      clusterId: null,
      uptimeSeconds: 100_000,
      peers: { configured: 2, dynamic: 0, established: 1 },
      families: [{ family: 'ipv4-unicast', prefixes: 3, paths: 4, best: 3 }],
      attributeSets: 2,
      connections: { refused: { unknown: 3, listenRange: 0, pending: 0, guard: 1 }, pending: 2 },
      tcpMd5: { wrong: 7, unsigned: 0, unexpected: 1 },
      fib: { enabled: true, installed: 3, pending: 0, failed: 0, repaired: 0 },
      memoryBytes: 64 * 1024 * 1024,
      masquerade: null,
      loopDelayMs: { p50: 0.1, p99: 1.25, p999: 12.5, max: 40 },
      warnings: [],
    };
  }
  eachPeer(): PeerDto[] {
    return this.peerList;
  }
  peer(address: string): PeerDto | undefined {
    return this.peerList.find((known) => known.address === address);
  }
  routes(filter: RouteFilter): Iterable<RouteDto> | undefined {
    this.filters.push(filter);
    if (filter.peer && !this.peer(filter.peer.address)) return undefined;
    return this.routeSource();
  }
  fibDiff(): Promise<Iterable<FibDifferenceDto>> {
    return this.fibError ? Promise.reject(this.fibError) : Promise.resolve(this.differences);
  }

  async *fib(): AsyncIterable<FibRowDto> {
    for (const row of this.fibRows) yield await Promise.resolve(row);
    if (this.fibError) throw this.fibError;
  }
  command(address: string, command: PeerCommand, options: PeerCommandOptions = {}): string | undefined {
    this.commands.push([address, command, options.text, ...(options.hard ? ['hard'] : [])]);
    return this.refusal;
  }
  drain(draining: boolean): string | undefined {
    this.drained.push(draining);
    return this.refusal;
  }
  subscribe(listener: (event: MonitorEventDto) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
  emit(event: MonitorEventDto): void {
    for (const listener of this.listeners) listener(event);
  }
}

/** `count` routes made as they are asked for; `onRow` sees how far the reader is. */
export function* manyRoutes(count: number, onRow?: (index: number) => void): Generator<RouteDto> {
  for (let index = 0; index < count; index++) {
    onRow?.(index);
    const prefix = `${10 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}.0/24`;
    yield route({ prefix, asPath: [65001, 65000 + (index % 100)], communities: ['64512:1', '64512:2'] });
  }
}

/** A directory of this process, removed by the returned function. */
export function temporaryDirectory(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), `tortie-control-${process.pid}-`));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
