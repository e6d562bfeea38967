/**
 * A network made of network namespaces: hosts on an L2 segment, bridges on the hosts, containers behind the bridges.
 *
 * Owns everything it makes: the namespaces (all named `tortie-<pid>-<n>-<name>`), every process inside them and one
 * directory `tortie-<pid>-<n>` for configurations, sockets and logs. `close()` removes all of it, whatever state it is
 * in. Several networks may exist at once, in one process or in many. Only `ip` (iproute2) and `sh` are needed.
 */
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ipBatch, runCommand } from './command.js';
import { InterruptedError } from './until.js';
import { ownerRecord, removeNamespaces } from './leftovers.js';

export interface NetworkOptions {
  /** Process id of the program that owns the network: its death makes the network a leftover. */
  readonly ownerPid: number;
  /** Aborted = build nothing more. Removing still works. */
  readonly signal?: AbortSignal | undefined;
  /** Daemons run as an ordinary user with these capabilities (see unprivileged.ts); default: as root. */
  readonly capabilities?: readonly string[] | undefined;
}

/** An Ethernet segment: a bridge in a namespace of its own. */
export interface Segment {
  readonly namespace: string;
  readonly bridge: string;
}

export interface HostOptions {
  /** At most 15 characters; also the name of its port on the segment's bridge. */
  readonly name: string;
  readonly segment: Segment;
  readonly interface: string;
  /** With prefix lengths, both families. */
  readonly addresses: readonly string[];
  /** Whether the host forwards packets (it is a router). */
  readonly forwarding: boolean;
  /** Its default gateways. */
  readonly gateways?: readonly string[];
}

export interface Host {
  readonly name: string;
  readonly namespace: string;
  readonly interface: string;
}

export interface ContainerOptions {
  readonly name: string;
  readonly bridge: string;
  readonly addresses: readonly string[];
  /** Default gateways, one for each family: the bridge's own addresses. */
  readonly gateways: readonly string[];
}

export interface Container {
  readonly name: string;
  readonly namespace: string;
}

/**
 * What a new namespace has depends on the machine (it inherits some of its settings), so everything that matters is
 * written: IPv6 on, and no duplicate address detection, which would keep every address unusable for a second or two.
 */
const IPV6_ON =
  'for f in all default lo; do d=/proc/sys/net/ipv6/conf/$f; [ ! -d $d ] || echo 0 > $d/disable_ipv6; done';
const NO_DAD = 'for f in all default; do d=/proc/sys/net/ipv6/conf/$f; [ ! -d $d ] || echo 0 > $d/accept_dad; done';
/** A router whose ways in and out are the same interface would tell everybody to go around it. */
const NO_REDIRECTS = 'for f in all default; do echo 0 > /proc/sys/net/ipv4/conf/$f/send_redirects; done';

function settings(forwarding: boolean): string {
  const value = forwarding ? 1 : 0;
  const forward =
    `echo ${value} > /proc/sys/net/ipv4/ip_forward; ` +
    `f=/proc/sys/net/ipv6/conf/all/forwarding; [ ! -e $f ] || echo ${value} > $f`;
  // `set -e`: the first that cannot be written ends it and is told.
  return ['set -e', IPV6_ON, NO_DAD, forward, NO_REDIRECTS].join('; ');
}

export class Network {
  /** `tortie-<pid>-<n>`. */
  readonly id: string;
  readonly directory: string;
  readonly capabilities: readonly string[] | undefined;
  readonly #namespaces: string[] = [];
  readonly #signal: AbortSignal | undefined;

  private constructor(id: string, directory: string, options: NetworkOptions) {
    this.id = id;
    this.directory = directory;
    this.capabilities = options.capabilities;
    this.#signal = options.signal;
  }

  /** Makes the directory; nothing of the network yet. */
  static async create(options: NetworkOptions): Promise<Network> {
    const record = await ownerRecord(options.ownerPid);
    for (let n = 1; ; n++) {
      const id = `tortie-${options.ownerPid}-${n}`;
      const directory = join(tmpdir(), id);
      // The directory appears together with its owner's record, so nobody ever sees one that looks abandoned.
      const draft = await mkdtemp(join(tmpdir(), 'tortie-draft-'));
      await writeFile(join(draft, 'owner.json'), JSON.stringify(record));
      try {
        await rename(draft, directory);
        return new Network(id, directory, options);
      } catch (error) {
        await rm(draft, { recursive: true, force: true });
        const code = (error as NodeJS.ErrnoException).code;
        if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
      }
    }
  }

  /** A bare namespace with its loopback up. Rejects with a `CommandError` where namespaces are not permitted. */
  async addNamespace(name: string, options: { readonly forwarding?: boolean } = {}): Promise<string> {
    this.#check();
    const namespace = `${this.id}-${name}`;
    this.#namespaces.push(namespace);
    await ipBatch([`netns add ${namespace}`]);
    // The loopback first: where we lack the permission, `ip` says so more clearly than `sh`.
    await ipBatch(['link set lo up'], namespace);
    await this.sh(namespace, settings(options.forwarding ?? false));
    return namespace;
  }

  async addSegment(name: string): Promise<Segment> {
    const namespace = await this.addNamespace(name);
    // Multicast snooping without a querier may swallow neighbour solicitations.
    await ipBatch(['link add lan0 type bridge mcast_snooping 0', 'link set lan0 up'], namespace);
    return { namespace, bridge: 'lan0' };
  }

  async addHost(options: HostOptions): Promise<Host> {
    const { name, segment } = options;
    const namespace = await this.addNamespace(name, options);
    await ipBatch(
      [
        `link add ${options.interface} type veth peer name ${name} netns ${segment.namespace}`,
        ...options.addresses.map((address) => addAddress(address, options.interface)),
        `link set ${options.interface} up`,
      ],
      namespace,
    );
    await ipBatch([`link set ${name} master ${segment.bridge}`, `link set ${name} up`], segment.namespace);
    const gateways = (options.gateways ?? []).map((gateway) => `route add default via ${gateway}`);
    await ipBatch(gateways, namespace);
    return { name, namespace, interface: options.interface };
  }

  /** A plain router between two segments, with these addresses on them. */
  async addRouter(name: string, ports: readonly { segment: Segment; addresses: readonly string[] }[]): Promise<string> {
    const namespace = await this.addNamespace(name, { forwarding: true });
    for (const [index, { segment, addresses }] of ports.entries()) {
      const port = `lan${index + 1}`;
      await ipBatch(
        [
          `link add ${port} type veth peer name ${name} netns ${segment.namespace}`,
          ...addresses.map((address) => addAddress(address, port)),
          `link set ${port} up`,
        ],
        namespace,
      );
      await ipBatch([`link set ${name} master ${segment.bridge}`, `link set ${name} up`], segment.namespace);
    }
    return namespace;
  }

  /** A bridge for containers; its addresses are the containers' gateways. */
  async addBridge(host: Host, bridge: string, addresses: readonly string[]): Promise<void> {
    this.#check();
    await ipBatch(
      [
        `link add ${bridge} type bridge mcast_snooping 0`,
        ...addresses.map((address) => addAddress(address, bridge)),
        `link set ${bridge} up`,
      ],
      host.namespace,
    );
  }

  async addContainer(host: Host, options: ContainerOptions): Promise<Container> {
    const namespace = await this.addNamespace(options.name);
    const port = `veth-${options.name}`.slice(0, 15);
    await ipBatch(
      [
        `link add ${port} type veth peer name eth0 netns ${namespace}`,
        `link set ${port} master ${options.bridge}`,
        `link set ${port} up`,
      ],
      host.namespace,
    );
    await ipBatch(
      [
        ...options.addresses.map((address) => addAddress(address, 'eth0')),
        'link set eth0 up',
        ...options.gateways.map((gateway) => `route add default via ${gateway}`),
      ],
      namespace,
    );
    return { name: options.name, namespace };
  }

  /** `ip` inside a namespace; resolves with what it prints. */
  async ip(namespace: string, ...argv: string[]): Promise<string> {
    return (await runCommand(['ip', '-n', namespace, ...argv])).stdout;
  }

  /** A shell line inside a namespace. */
  async sh(namespace: string, script: string): Promise<string> {
    return (await runCommand(['ip', 'netns', 'exec', namespace, 'sh', '-c', script])).stdout;
  }

  /** A file's path in the network's own directory. */
  async path(...parts: string[]): Promise<string> {
    const path = join(this.directory, ...parts);
    await mkdir(join(path, '..'), { recursive: true });
    return path;
  }

  /** Kills what runs in the namespaces and removes everything. May be called at any time and more than once. */
  async close(): Promise<void> {
    await removeNamespaces(this.#namespaces);
    await rm(this.directory, { recursive: true, force: true });
  }

  #check(): void {
    if (this.#signal?.aborted) throw new InterruptedError();
  }
}

function addAddress(address: string, device: string): string {
  return `addr add ${address} dev ${device}${address.includes(':') ? ' nodad' : ''}`;
}
