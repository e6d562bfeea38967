/**
 * One nftables table, owned: replaced and removed in transactions, read back as text, and watched for changes that
 * others make. Two sockets, so that our own transactions are not heard.
 */
import { NETLINK_NETFILTER } from './constants.js';
import { Errno } from './libc.js';
import { MessageReader, MessageWriter } from './message.js';
import {
  NFNLGRP_NFTABLES,
  describeNft,
  encodeNftDump,
  encodeNftRemoval,
  encodeNftReplacement,
  nftProcessName,
  nftTableOf,
  type NftTable,
} from './nftables.js';
import { NetlinkError, NetlinkSocket } from './socket.js';

/** What has been heard of the table since the last look; `by` names the program when the kernel said so. */
export type NftHeard =
  | { readonly result: 'nothing' }
  | { readonly result: 'changed'; readonly by: string | undefined }
  /** Notifications were lost. */
  | { readonly result: 'overrun' };

export class NftablesSocket {
  /** Readable when `hear` may have something. */
  readonly monitorFd: number;
  readonly #name: string;
  readonly #requests: NetlinkSocket;
  readonly #monitor: NetlinkSocket;
  readonly #writer = new MessageWriter();

  /** Throws `SystemError` when the kernel has no nfnetlink. */
  constructor(name: string) {
    this.#name = name;
    this.#requests = NetlinkSocket.open({ protocol: NETLINK_NETFILTER });
    try {
      this.#monitor = NetlinkSocket.open({
        protocol: NETLINK_NETFILTER,
        groups: [NFNLGRP_NFTABLES],
        ignorePortId: this.#requests.portId,
        receiveBuffer: 1024 * 1024,
      });
    } catch (error) {
      this.#requests.close();
      throw error;
    }
    this.monitorFd = this.#monitor.fd;
  }

  /** Makes the table be `table` and nothing else, in one transaction. */
  replace(table: NftTable): void {
    this.#writer.clear();
    const { first, last } = encodeNftReplacement(this.#writer, () => this.#requests.nextSequence(), table);
    this.#requests.transaction('replacing the nftables table', this.#writer.bytes, first, last);
  }

  /** Removes the table; that there is none is no error. */
  remove(): void {
    this.#writer.clear();
    const { first, last } = encodeNftRemoval(this.#writer, () => this.#requests.nextSequence(), this.#name);
    this.#requests.transaction('removing the nftables table', this.#writer.bytes, first, last);
  }

  /** What the kernel has of the table, to compare with `describeNftTable`; undefined = it has none. */
  read(): string | undefined {
    const name = this.#name;
    const lines: string[] = [];
    const sets: string[] = [];
    const keep = (reader: MessageReader): void => {
      if (nftTableOf(reader) === name) describeNft(reader, lines);
    };
    const dump = (write: (writer: MessageWriter, sequence: number) => void, onMessage = keep): void => {
      const before = lines.length;
      this.#requests.dump('reading nftables', write, onMessage, () => (lines.length = before));
    };
    dump(encodeNftDump.tables);
    if (lines.length === 0) return undefined;
    try {
      dump(encodeNftDump.chains);
      dump((writer, sequence) => encodeNftDump.rules(writer, sequence, name));
      dump(
        (writer, sequence) => encodeNftDump.sets(writer, sequence, name),
        (reader) => {
          if (nftTableOf(reader) !== name) return;
          describeNft(reader, lines);
          reader.header(4);
          while (reader.nextAttribute()) if (reader.attributeType === 2) sets.push(reader.valueText());
        },
      );
      for (const set of new Set(sets)) {
        dump((writer, sequence) => encodeNftDump.elements(writer, sequence, name, set));
      }
    } catch (error) {
      // It goes while it is read.
      if (!(error instanceof NetlinkError && error.errno === Errno.ENOENT)) throw error;
    }
    return normal(lines);
  }

  /** What others have done to the table since the last call. Never waits. */
  hear(): NftHeard {
    let changed = false;
    let by: string | undefined;
    for (;;) {
      const result = this.#monitor.receive((reader) => {
        if (nftTableOf(reader) === this.#name) changed = true;
        else if (changed) by ??= nftProcessName(reader);
      });
      if (result === 'overrun') return { result };
      if (result === 'empty') return changed ? { result: 'changed', by } : { result: 'nothing' };
    }
  }

  close(): void {
    this.#requests.close();
    this.#monitor.close();
  }
}

/** The text that `read` gives once the kernel has the table. */
export function describeNftTable(table: NftTable): string {
  const writer = new MessageWriter();
  let sequence = 0;
  encodeNftReplacement(writer, () => ++sequence, { ...table });
  const reader = new MessageReader(writer.bytes);
  const lines: string[] = [];
  while (reader.nextMessage()) describeNft(reader, lines);
  return normal(lines);
}

/** Only the order of rules means something. */
function normal(lines: readonly string[]): string {
  const rules = lines.filter((line) => line.startsWith('rule '));
  const others = lines.filter((line) => !line.startsWith('rule '));
  return [...new Set(others)].sort().concat(rules).join('\n');
}
