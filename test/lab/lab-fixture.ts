/** What the lab's tests share: when they cannot run, and a network that is removed whatever happens. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import type { PeerDto } from '../../src/control/dto.js';
import { Network, type Segment } from '../../src/lab/network.js';
import type { LabNode } from '../../src/lab/node.js';

// tap would load its process tracer into every daemon and program of the lab; they run here as they do in production.
delete process.env['NODE_OPTIONS'];

/** For tap's `skip`: the reason why network namespaces cannot be used here, false when they can. */
export function cannotRunLab(): string | false {
  if (process.env['TORTIE_NO_SKIP'] === '1') return false;
  if (process.getuid?.() !== 0) return 'needs root';
  if (spawnSync('ip', ['-V']).error) return 'needs ip (iproute2)';
  // A mount namespace of one's own takes the same permission, and leaves nothing behind.
  if (spawnSync('unshare', ['--net', 'true']).status !== 0) return 'needs permission to make network namespaces';
  return false;
}

interface Test {
  teardown(remove: () => Promise<void>): void;
  comment(text: string): void;
  passing(): boolean;
}

/** A network of the test's own; the daemons' logs are shown when the test has failed. */
export async function testNetwork(t: Test): Promise<{ network: Network; segment: Segment; watch: LabNode[] }> {
  const network = await Network.create({ ownerPid: process.pid });
  const watch: LabNode[] = [];
  t.teardown(async () => {
    if (!t.passing()) for (const node of watch) t.comment(`${node.host.name}:\n${await node.logTail(40)}`);
    await network.close();
  });
  return { network, segment: await network.addSegment('lan'), watch };
}

/** Directories and namespaces of a network (`tortie-<pid>-<n>`) or of all networks of a process (`tortie-<pid>`). */
export function tracesOf(id: string): string[] {
  const names = (directory: string) => {
    try {
      return readdirSync(directory);
    } catch {
      return [];
    }
  };
  return [...names(tmpdir()), ...names('/run/netns')].filter((name) => name === id || name.startsWith(`${id}-`));
}

/** Waits until `bgpctl show peer` says Established; resolves with what it says. */
export async function untilEstablished(node: LabNode, address: string, timeoutMs: number): Promise<PeerDto> {
  const { value } = await node.until(`${node.host.name}'s session with ${address}`, timeoutMs, async () => {
    const peer = await node.query<PeerDto>('show', 'peer', address);
    return peer.state === 'Established' ? peer : undefined;
  });
  return value;
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}
