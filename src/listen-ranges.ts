/**
 * Listen ranges: which one an unknown address falls into, and how many peers each has. A range that is full refuses who
 * comes, counts it, and says so in the log now and then and in `bgpctl show summary` for as long as it is full.
 */
import { formatAddress, parsePrefix, prefixContains } from 'bgp-parse';
import type { Prefix } from 'bgp-parse';
import type { ListenRangeSettings } from './config/settings.js';
import type { Clock } from './support/clock.js';
import type { Log } from './support/log.js';

/** At most one line in the log per this time and range. */
const REFUSAL_LOG_INTERVAL_MS = 10_000;

interface Range {
  readonly settings: ListenRangeSettings;
  readonly prefix: Prefix;
  peers: number;
  refused: number;
  refusedSinceLog: number;
  lastLogMs: number;
}

export class ListenRanges {
  readonly #clock: Clock;
  readonly #log: Log;
  /** Longest prefix first. */
  #ranges: Range[] = [];
  /** Dynamic peers by session key. */
  readonly #peers = new Map<string, { readonly address: Uint8Array; range: Range | undefined }>();

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Other ranges or limits: the peers that are there are counted anew, and stay. */
  set(ranges: readonly ListenRangeSettings[]): void {
    const refusedBefore = new Map(this.#ranges.map(({ settings, refused }) => [settings.prefix, refused]));
    this.#ranges = ranges
      .map((settings) => ({
        settings,
        prefix: parsePrefix(settings.prefix)!,
        peers: 0,
        refused: refusedBefore.get(settings.prefix) ?? 0,
        refusedSinceLog: 0,
        lastLogMs: -Infinity,
      }))
      .sort((a, b) => b.prefix.length - a.prefix.length);
    for (const peer of this.#peers.values()) {
      peer.range = this.#find(peer.address);
      if (peer.range) peer.range.peers++;
    }
  }

  /** The range with the longest prefix that covers the address. */
  find(address: Uint8Array): ListenRangeSettings | undefined {
    return this.#find(address)?.settings;
  }

  /** Counts a new peer in; false = its range is full, and that has been counted and logged. */
  admit(key: string, address: Uint8Array): boolean {
    const range = this.#find(address);
    if (!range || this.#peers.has(key)) return true;
    if (range.peers >= range.settings.maxPeers) {
      this.#refuse(range, address);
      return false;
    }
    range.peers++;
    this.#peers.set(key, { address, range });
    return true;
  }

  /** The peer has gone. */
  forget(key: string): void {
    const range = this.#peers.get(key)?.range;
    if (range) range.peers--;
    this.#peers.delete(key);
  }

  forgetAll(): void {
    this.#peers.clear();
    for (const range of this.#ranges) range.peers = 0;
  }

  /** One line for each range that is full and has refused somebody. */
  get warnings(): string[] {
    return this.#ranges
      .filter(({ settings, peers, refused }) => refused > 0 && peers >= settings.maxPeers)
      .map(
        ({ settings, peers, refused }) =>
          `listen range ${settings.prefix} is full: ${peers} peers (maxPeers ${settings.maxPeers}), ${refused} connections refused so far`,
      );
  }

  #find(address: Uint8Array): Range | undefined {
    return this.#ranges.find(({ prefix }) => prefixContains(prefix, address));
  }

  #refuse(range: Range, address: Uint8Array): void {
    range.refused++;
    range.refusedSinceLog++;
    const nowMs = this.#clock.nowMs();
    if (nowMs - range.lastLogMs < REFUSAL_LOG_INTERVAL_MS) return;
    const { prefix, maxPeers } = range.settings;
    this.#log.warn(
      { address: formatAddress(address), range: prefix, maxPeers, refused: range.refusedSinceLog },
      `connection refused: listen range ${prefix} has ${range.peers} peers, maxPeers is ${maxPeers}`,
    );
    range.lastLogMs = nowMs;
    range.refusedSinceLog = 0;
  }
}
