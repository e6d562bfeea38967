/**
 * Where a run takes place. Normally two network namespaces joined by a veth pair, which only root can make. For the smoke
 * test without root: loopback addresses, and a port of our own.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { Namespaces, type Namespace } from '../interop/fixtures/namespace.js';
import { run } from '../interop/fixtures/process.js';
import type { Session } from './load/plan.js';
import type { Scenario } from './scenarios.js';

const SPEAKER_ASN = 65_000;
/** External sessions have this AS number and those after it. */
const FIRST_ASN = 100_000;
const FIRST_IDENTIFIER = 0x0a610101; // 10.97.1.1
const NETWORK_LENGTH = 16;
/** Of the first sender when it has a link of its own: the network after that of the others. */
const OWN_LINK = 'eth1';
const OWN_LINK_STEP = 0x10000;
const OWN_LINK_TABLE = '98';
/**
 * Unlike that of the other end: then the kernel tells of a lost carrier at once, else (as of network cards) within a
 * second of the last such event of any link of the machine.
 */
const OWN_LINK_INDEX = '100';

/** Both ends, ready for processes. */
export interface Line {
  readonly speaker: { readonly address: string; readonly port: number; readonly asn: number };
  readonly sessions: readonly Session[];
  /** Command lines for a process at the speaker's and at the generator's end. */
  ours(...command: string[]): string[];
  theirs(...command: string[]): string[];
  /** Shell commands, each followed by `&&`, before the speaker's own. */
  readonly preparation: string;
}

export interface Place {
  open(scenario: Scenario): Promise<Line>;
  /** Removes what `open` made. */
  close(): void;
}

export class NamespacePlace implements Place {
  /** Also ends the process, by way of its exit handlers, at SIGINT, SIGTERM and SIGHUP. */
  readonly #namespaces = new Namespaces('tb');

  async open(scenario: Scenario): Promise<Line> {
    const { ours, theirs } = await this.#join();
    const sessions = sessionsOf(scenario, '10');
    const speaker = { address: '10.97.0.1', port: 179, asn: SPEAKER_ASN };
    await ours.addAddress(speaker.address, NETWORK_LENGTH);
    const onOwnLink = scenario.ownLink ? sessions.slice(0, 1) : [];
    const lines = sessions
      .slice(onOwnLink.length)
      .map(({ address }) => `addr add ${address}/${NETWORK_LENGTH} dev eth0`)
      .join('\n');
    await theirs.run('sh', '-c', `ip -batch - <<'END'\n${lines}\nEND`);
    for (const { address } of onOwnLink) await this.#addOwnLink(ours, theirs, address, speaker.address);
    // Hundreds of neighbours on one link are more than the kernel keeps by default.
    const thresholds = ['gc_thresh2=4096', 'gc_thresh3=8192'].map((text) => `net.ipv4.neigh.default.${text}`);
    await ours.run('sh', '-c', `sysctl -qw ${thresholds.join(' ')} 2>/dev/null || true`);
    return {
      speaker,
      sessions,
      ours: (...command) => ours.command(...command),
      theirs: (...command) => theirs.command(...command),
      preparation: 'mount -t tmpfs none /run && cd / && ',
    };
  }

  close(): void {
    this.#namespaces.close();
  }

  /** Whether namespaces can be made at all; rejects with what `ip` said. */
  async probe(): Promise<void> {
    try {
      await this.#join();
    } finally {
      this.close();
    }
  }

  /** A second veth pair; from its address the speaker is reached by it alone. */
  async #addOwnLink(ours: Namespace, theirs: Namespace, address: string, speaker: string): Promise<void> {
    const pair = ['type', 'veth', 'peer', 'name', OWN_LINK, 'netns', theirs.name];
    await ours.ip('link', 'add', OWN_LINK, 'index', OWN_LINK_INDEX, ...pair);
    await ours.ip('link', 'set', OWN_LINK, 'up');
    await theirs.ip('link', 'set', OWN_LINK, 'up');
    await ours.addAddress(speaker.replace(/\.\d+\.0\.1$/, '.98.0.1'), NETWORK_LENGTH, OWN_LINK);
    await theirs.addAddress(address, NETWORK_LENGTH, OWN_LINK);
    await theirs.ip('rule', 'add', 'from', address, 'lookup', OWN_LINK_TABLE);
    await theirs.ip('route', 'add', speaker, 'dev', OWN_LINK, 'src', address, 'table', OWN_LINK_TABLE);
  }

  /** Two namespaces and a veth pair, `eth0` to `eth0`. */
  async #join(): Promise<{ ours: Namespace; theirs: Namespace }> {
    const ours = await this.#namespaces.create();
    const theirs = await this.#namespaces.create();
    await ours.ip('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', theirs.name);
    await ours.ip('link', 'set', 'eth0', 'up');
    await theirs.ip('link', 'set', 'eth0', 'up');
    return { ours, theirs };
  }
}

/** For Tortie alone, and without the kernel. */
export class LoopbackPlace implements Place {
  async open(scenario: Scenario): Promise<Line> {
    const address = '127.97.0.1';
    const server = createServer().listen(0, address);
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    return {
      speaker: { address, port, asn: SPEAKER_ASN },
      sessions: sessionsOf(scenario, '127'),
      ours: (...command) => command,
      theirs: (...command) => command,
      preparation: '',
    };
  }

  close(): void {}
}

/** `network`: the first octet. */
function sessionsOf({ senders, receivers, reflector, ownLink }: Scenario, network: string): Session[] {
  return Array.from({ length: senders + receivers }, (_, i) => {
    const identifier = FIRST_IDENTIFIER + i + (ownLink && i === 0 ? OWN_LINK_STEP : 0);
    return {
      address: `${network}.${(identifier >>> 16) & 255}.${(identifier >>> 8) & 255}.${identifier & 255}`,
      asn: reflector ? SPEAKER_ASN : FIRST_ASN + i,
      identifier,
    };
  });
}

/** Why no bench is possible here, and what to do; undefined when it is. */
export async function whyNot(place: NamespacePlace): Promise<string | undefined> {
  if (process.getuid?.() !== 0) {
    return 'The bench makes network namespaces, which only root may: run it as root (sudo npm run bench).';
  }
  try {
    await run('ip', ['-V']);
  } catch {
    return 'There is no program `ip` in PATH: install iproute2 (on Debian and Ubuntu: apt install iproute2).';
  }
  try {
    await place.probe();
    return undefined;
  } catch (error) {
    return (
      `This machine does not permit network namespaces with veth pairs:\n${(error as Error).message.trim()}\n` +
      'In a container, start it with --privileged or with the capabilities SYS_ADMIN and NET_ADMIN.'
    );
  }
}
