/** The pipeline without sockets: turns happen when the test says so, and what each peer was sent is there after it. */
import { parseAddress, parseIpv4Number } from 'bgp-parse';
import type { Family } from 'bgp-parse';
import type { Member } from '../../src/export/member.js';
import { Pipeline } from '../../src/pipeline.js';
import type { RibPeer } from '../../src/rib/rib-peers.js';
import type { SessionSink } from '../../src/session/types.js';
import type { Clock } from '../../src/support/clock.js';
import { Heard } from './heard.js';

const STILL: Clock = {
  nowMs: () => 0,
  wallMs: () => 0,
  after: () => () => undefined,
  every: () => () => undefined,
  soon: () => undefined,
};
const FAMILIES: readonly Family[] = ['ipv4-unicast', 'ipv6-unicast'];

export class Client implements SessionSink {
  readonly heard = new Heard();
  backlogBytes = 0;
  /** What was written and not read yet, while it does not read. */
  frozen = false;
  readonly rib: RibPeer;
  readonly members: Member[];
  readonly #pipeline: Pipeline;
  #unread: Uint8Array[] = [];

  constructor(pipeline: Pipeline, number: number) {
    this.#pipeline = pipeline;
    const session = {
      address: parseAddress(`192.0.2.${number}`)!,
      asn: 64512,
      external: false,
      routeReflectorClient: true,
      identifier: parseIpv4Number(`10.0.1.${number}`)!,
      fourOctetAs: true,
      families: FAMILIES,
      addPathReceive: [],
      extendedNextHop: false,
      importAccept: true,
      interfaceName: undefined,
    };
    this.rib = pipeline.rib.addPeer(session)!;
    pipeline.rib.establish(this.rib, session, []);
    this.members = FAMILIES.map((family, index) =>
      pipeline.exporter.join(this.rib.id, this, {
        family,
        familyIndex: index as 0 | 1,
        external: false,
        client: true,
        clientToClient: true,
        accept: true,
        fourOctetAs: true,
        extendedNextHop: false,
        addPathLimit: 0,
        maxMessageLength: 4096,
        nextHopSelf: false,
        nextHop: undefined,
      }),
    );
  }

  write(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.frozen) {
      // A copy, also of a Buffer: the memory may be used again.
      this.#unread.push(Uint8Array.from(bytes.subarray(start, end)));
      this.backlogBytes += end - start;
    } else this.heard.push(bytes, start, end);
    return false;
  }

  thaw(): void {
    this.frozen = false;
    for (const bytes of this.#unread.splice(0)) this.heard.push(bytes);
    this.backlogBytes = 0;
  }

  /** The peer's messages, with their headers. */
  says(...messages: Uint8Array[]): void {
    for (const bytes of messages) {
      for (let at = 0; at < bytes.length;) {
        const length = (bytes[at + 16]! << 8) | bytes[at + 17]!;
        const error = this.#pipeline.rib.receive(this.rib, bytes, at + 19, at + length);
        if (error) throw error;
        at += length;
      }
    }
  }
}

export function reflectingPipeline(): Pipeline {
  const id = parseIpv4Number('10.0.0.1')!;
  return new Pipeline({
    identity: { asn: 64512, routerId: id, clusterId: id },
    clock: STILL,
    seed: 1,
    fib: undefined,
    onEndOfRib: () => undefined,
  });
}
