/**
 * `fib.masquerade`: what containers send to anywhere outside the pools leaves with the node's own address; between
 * containers nothing is translated. One nftables table, ours alone, made and remade in one transaction; no other table is
 * looked at.
 *
 * Level-triggered like routes: when somebody has touched the table it is read, compared and, if it differs, replaced. Who
 * keeps changing it is answered at growing intervals, so two owners cannot spin.
 */
import { parsePrefix } from 'bgp-parse';
import {
  type NftHeard,
  type NftInterval,
  type NftRule,
  type NftSet,
  type NftTable,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
  NF_INET_POST_ROUTING,
  NF_IP_PRI_NAT_SRC,
  describeNftTable,
  nftAddressInSet,
  nftCounter,
  nftIsFamily,
  nftMasquerade,
} from 'netlink';

/** The name of our table in the family `inet`. */
export const NFT_TABLE_NAME = 'tortie';

/** Repairs in a row are this far apart, and after `PATIENCE` of them twice as far each time. */
const FIRST_PAUSE_MS = 20;
const LAST_PAUSE_MS = 30_000;
const PATIENCE = 10;
/** A row ends when nobody has changed anything for so many pauses, and this long. */
const QUIET_PAUSES = 20;
const QUIET_MS = 2000;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 60_000;

/** One table of the kernel (`NftablesSocket`). */
export interface NftPort {
  replace(table: NftTable): void;
  remove(): void;
  read(): string | undefined;
  hear(): NftHeard;
  /** Readable when `hear` may have something. */
  readonly monitorFd: number;
  close(): void;
}

export interface MasqueradeEvents {
  log(level: 'debug' | 'info' | 'warn', fields: object, message: string): void;
}

export interface MasqueradeState {
  /** Times that somebody's change was put right. */
  readonly repaired: number;
  /** Why the kernel does not masquerade; undefined = it does, or is not to. */
  readonly error: string | undefined;
}

export class Masquerade implements MasqueradeState {
  repaired = 0;
  error: string | undefined;
  readonly #open: () => NftPort;
  readonly #events: MasqueradeEvents;
  readonly #nowMs: () => number;
  #port: NftPort | undefined;
  #pools: readonly string[] | undefined;
  #table: NftTable | undefined;
  /** What `read` gives while all is well; undefined = there is to be no table. */
  #good: string | undefined;
  #installed = false;
  /** When to look; Infinity = when something is heard. */
  #dueMs = 0;
  #by: string | undefined;
  #lastRepairMs = -Infinity;
  #pauseMs = FIRST_PAUSE_MS;
  #inRow = 0;
  #retryMs = FIRST_RETRY_MS;

  /** `open` is called when the kernel is needed, and again when that has failed. */
  constructor(open: () => NftPort, events: MasqueradeEvents, nowMs: () => number) {
    this.#open = open;
    this.#events = events;
    this.#nowMs = nowMs;
  }

  /** To be waited for besides the time that `step` names. */
  get fds(): readonly number[] {
    return this.#port ? [this.#port.monitorFd] : [];
  }

  /** Takes the pools, texts of prefixes of both families; none = no table, also none that a previous run left. */
  setPools(pools: readonly string[]): void {
    if (this.#pools !== undefined && this.#pools.join() === pools.join()) return;
    this.#pools = pools;
    this.#table = pools.length > 0 ? masqueradeTable(pools) : undefined;
    this.#good = this.#table && describeNftTable(this.#table);
    this.#installed = false;
    this.error = undefined;
    this.#dueMs = this.#nowMs();
  }

  /** Hears, and puts right what is not as it should be; milliseconds until it wants to be called again. */
  step(): number {
    const heard = this.#port?.hear();
    const nowMs = this.#nowMs();
    if (heard && heard.result !== 'nothing') {
      if (heard.result === 'changed') this.#by = heard.by ?? this.#by;
      this.#dueMs = Math.min(this.#dueMs, Math.max(nowMs, this.#notBeforeMs));
    }
    if (nowMs >= this.#dueMs) {
      this.#dueMs = Infinity;
      try {
        this.#makeRight();
        this.error = undefined;
        this.#retryMs = FIRST_RETRY_MS;
      } catch (error) {
        this.#failed(error instanceof Error ? error.message : String(error));
      }
    }
    return Math.max(0, this.#dueMs - this.#nowMs());
  }

  /** Takes the table away, or leaves it to the next run. */
  stop(keep: boolean): void {
    try {
      if (!keep && this.#table) this.#port?.remove();
    } catch (error) {
      this.#say('warn', `the rules stay behind: ${String(error)}`);
    }
    this.#port?.close();
    this.#port = undefined;
  }

  get #notBeforeMs(): number {
    return this.#lastRepairMs + this.#pauseMs;
  }

  #makeRight(): void {
    const port = (this.#port ??= this.#open());
    const found = port.read();
    if (found === this.#good) {
      if (!this.#installed && this.#table) this.#say('info', 'adopted the rules of a previous run');
      this.#installed = true;
      return;
    }
    if (!this.#table) {
      port.remove();
      this.#say('info', 'removed the rules of a previous run');
      return;
    }
    port.replace(this.#table);
    this.#learn(port);
    if (this.#installed) this.#countRepair(found === undefined);
    else this.#say('info', found === undefined ? 'rules installed' : 'rules of a previous run replaced');
    this.#installed = true;
  }

  /** A kernel may describe our rules in other words than we do: what it says of them right after us is good. */
  #learn(port: NftPort): void {
    const found = port.read();
    if (found === this.#good) return;
    // Unless somebody was in between.
    if (found === undefined || port.hear().result !== 'nothing') this.#dueMs = this.#nowMs() + FIRST_PAUSE_MS;
    else this.#good = found;
  }

  #countRepair(wasGone: boolean): void {
    const nowMs = this.#nowMs();
    const quiet = nowMs - this.#lastRepairMs > Math.max(this.#pauseMs * QUIET_PAUSES, QUIET_MS);
    this.#inRow = quiet ? 1 : this.#inRow + 1;
    if (quiet) this.#pauseMs = FIRST_PAUSE_MS;
    else if (this.#inRow > PATIENCE) this.#pauseMs = Math.min(this.#pauseMs * 2, LAST_PAUSE_MS);
    this.#lastRepairMs = nowMs;
    this.repaired++;
    const what = wasGone ? 'removed' : 'changed';
    this.#say('warn', `put the rules back that ${this.#by ?? 'somebody'} had ${what}`, { total: this.repaired });
    this.#by = undefined;
  }

  #failed(message: string): void {
    // A kernel without nftables has no rules of ours either.
    if (!this.#table) return;
    const text = `${message}; masquerading needs CAP_NET_ADMIN and a kernel with nf_tables, nft_masq and nft_nat`;
    if (this.error !== text) this.#say('warn', text);
    this.error = text;
    this.#dueMs = this.#nowMs() + this.#retryMs;
    this.#retryMs = Math.min(this.#retryMs * 2, LAST_RETRY_MS);
  }

  #say(level: 'info' | 'warn', text: string, fields: object = {}): void {
    this.#events.log(level, { table: `inet ${NFT_TABLE_NAME}`, ...fields }, `masquerading: ${text}`);
  }
}

/** The table for these pools. Pools may overlap. */
export function masqueradeTable(pools: readonly string[]): NftTable {
  const sets: NftSet[] = [];
  const rules: NftRule[] = [];
  for (const family of [4, 6] as const) {
    const intervals = poolIntervals(pools, family);
    if (intervals.length === 0) continue;
    const name = `pools${family}`;
    sets.push({ name, family, intervals });
    rules.push({
      comment: `IPv${family}, from a pool to outside all pools`,
      expressions: [
        ...nftIsFamily(family === 4 ? NFPROTO_IPV4 : NFPROTO_IPV6),
        ...nftAddressInSet(family, 'source', name, true),
        ...nftAddressInSet(family, 'destination', name, false),
        nftCounter,
        nftMasquerade,
      ],
    });
  }
  const chain = { name: 'postrouting', type: 'nat', hook: NF_INET_POST_ROUTING, priority: NF_IP_PRI_NAT_SRC, rules };
  return { name: NFT_TABLE_NAME, comment: 'tortied: fib.masquerade', sets, chains: [chain] };
}

/** Prefixes of one family as intervals that neither overlap nor touch. */
export function poolIntervals(pools: readonly string[], family: 4 | 6): NftInterval[] {
  const octets = family === 4 ? 4 : 16;
  const ranges = pools
    .map((pool) => parsePrefix(pool))
    .filter((prefix) => prefix !== undefined && prefix.bytes.length === octets)
    .map((prefix) => {
      const from = toNumber(prefix!.bytes);
      return { from, end: from + (1n << BigInt(octets * 8 - prefix!.length)) };
    })
    .sort((a, b) => (a.from < b.from ? -1 : a.from > b.from ? 1 : 0));
  const merged: { from: bigint; end: bigint }[] = [];
  for (const range of ranges) {
    const last = merged.at(-1);
    if (last && range.from <= last.end) last.end = range.end > last.end ? range.end : last.end;
    else merged.push(range);
  }
  const beyond = 1n << BigInt(octets * 8);
  return merged.map(({ from, end }) => ({
    from: toOctets(from, octets),
    end: end === beyond ? undefined : toOctets(end, octets),
  }));
}

function toNumber(bytes: Uint8Array): bigint {
  return bytes.reduce((value, octet) => (value << 8n) | BigInt(octet), 0n);
}

function toOctets(value: bigint, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => Number((value >> BigInt(8 * (length - 1 - i))) & 0xffn));
}
