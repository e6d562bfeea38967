/** What the lab's tests share: when they cannot run, and a network that is removed whatever happens. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { PeerDto } from '../../src/control/dto.js';
import { Network, type Segment } from '../../src/lab/network.js';
import type { LabNode } from '../../src/lab/node.js';
import { scenario, type Transport } from '../../src/lab/scenarios.js';
import { addSite, untilRouted, type Site } from '../../src/lab/site.js';
import { lastAct } from '../fixtures/last-act.js';

export const BGPCTL = fileURLToPath(new URL('../../src/bgpctl.js', import.meta.url));
const ROUTES_TIMEOUT_MS = 20_000;

// tap would load its process tracer into every daemon and program of the lab; they run here as they do in production.
delete process.env['NODE_OPTIONS'];

/** For tap's `skip`: the reason why network namespaces cannot be used here, false when they can. */
export function cannotRunLab(): string | false {
  // The first that is missing; a namespace of its own, which `unshare` makes, leaves nothing behind.
  return (
    skipUnless(process.getuid?.() === 0, 'needs root') ||
    skipUnless(!spawnSync('ip', ['-V']).error, 'needs ip (iproute2)') ||
    skipUnless(spawnSync('unshare', ['--net', 'true']).status === 0, 'needs permission to make network namespaces')
  );
}

/** For tap's `skip`: `reason` where `here` is false, unless nothing may be skipped. */
export function skipUnless(here: boolean, reason: string): string | false {
  return here || process.env['TORTIE_NO_SKIP'] === '1' ? false : reason;
}

interface Test {
  teardown(remove: () => Promise<void>): void;
  comment(text: string): void;
  passing(): boolean;
}

/** A network of the test's own; the daemons' logs are shown when the test has failed. */
export async function testNetwork(
  t: Test,
  // TORTIE_LAB_CAPABILITIES=net_admin,net_bind_service: the same tests with daemons that have no more than these.
  capabilities: readonly string[] | undefined = process.env['TORTIE_LAB_CAPABILITIES']?.split(','),
): Promise<{ network: Network; segment: Segment; watch: LabNode[] }> {
  const network = await Network.create({ ownerPid: process.pid, capabilities });
  const watch: LabNode[] = [];
  const dismiss = lastAct('sleep 1; exec "$1" "$2" lab --clean "$3"', process.execPath, BGPCTL, network.id);
  t.teardown(async () => {
    if (!t.passing()) for (const node of watch) t.comment(`${node.host.name}:\n${await node.logTail(40)}`);
    await network.close();
    dismiss();
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

/** Waits until the daemon answers questions: its control socket is there before. */
export async function untilReady(node: LabNode, timeoutMs: number): Promise<void> {
  const answers = (): Promise<true | undefined> =>
    node.query('show', 'summary').then(
      () => true,
      () => undefined,
    );
  await node.until(`${node.host.name} to be ready`, timeoutMs, answers);
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

export interface Pair {
  readonly network: Network;
  readonly segment: { readonly namespace: string };
  readonly one: Site;
  readonly two: Site;
}

/** Both hosts running, with each other's routes. `peerKeys` are added to the peer's configuration on both. */
export async function twoHosts(
  t: Test,
  options: { transport?: Transport; versions?: readonly (4 | 6)[]; peerKeys?: object; keys?: object } = {},
): Promise<Pair> {
  const { transport = 4, versions = [4], peerKeys = {}, keys = {} } = options;
  const { network, segment, watch } = await testNetwork(t);
  const plan = scenario('two-hosts', transport);
  const [one, two] = (await Promise.all(
    plan.hosts.map(async (site) => {
      const peers = (site.config['peers'] as object[]).map((peer) => ({ ...peer, ...peerKeys }));
      const built = await addSite(network, segment, site, { versions, config: { ...site.config, ...keys, peers } });
      watch.push(built.node);
      return built;
    }),
  )) as [Site, Site];
  await Promise.all([one.node.start(), two.node.start()]);
  await untilRouted(plan, [one, two], versions, ROUTES_TIMEOUT_MS);
  return { network, segment, one, two };
}
