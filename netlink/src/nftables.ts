/**
 * nftables messages (nfnetlink subsystem NFTABLES): a whole table with its sets, chains and rules, replaced in one
 * transaction, and a description of it as text that is the same whether it comes from us or from the kernel's dump.
 *
 * Numbers of <linux/netfilter/nf_tables.h>. Integers of attributes are in network order.
 */
import { NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REQUEST } from './constants.js';
import { littleEndian } from './libc.js';
import type { MessageReader, MessageWriter } from './message.js';

export const NFNLGRP_NFTABLES = 7;
export const NFPROTO_INET = 1;
export const NFPROTO_IPV4 = 2;
export const NFPROTO_IPV6 = 10;
export const NF_INET_POST_ROUTING = 4;
/** Where source addresses are translated: nft calls it `srcnat`. */
export const NF_IP_PRI_NAT_SRC = 100;

const SUBSYSTEM = 10;
const BATCH_BEGIN = 0x10;
const BATCH_END = 0x11;
const NFGENMSG_LENGTH = 4;
const NLA_F_NESTED = 0x8000;
const NF_ACCEPT = 1;

const Message = {
  newTable: 0,
  getTable: 1,
  delTable: 2,
  newChain: 3,
  getChain: 4,
  newRule: 6,
  getRule: 7,
  newSet: 9,
  getSet: 10,
  newElement: 12,
  getElement: 13,
  newGeneration: 15,
} as const;

const TABLE = { name: 1, userdata: 6 } as const;
const CHAIN = { table: 1, name: 3, hook: 4, policy: 5, type: 7 } as const;
const HOOK = { number: 1, priority: 2 } as const;
const RULE = { table: 1, chain: 2, expressions: 4, userdata: 7 } as const;
const SET = { table: 1, name: 2, flags: 3, keyType: 4, keyLength: 5, id: 10, userdata: 13 } as const;
const ELEMENTS = { table: 1, set: 2, list: 3 } as const;
const ELEMENT = { key: 1, flags: 3 } as const;
const GENERATION = { processName: 3 } as const;
const LIST_ELEMENT = 1;
const DATA_VALUE = 1;
const EXPRESSION = { name: 1, data: 2 } as const;
const SET_FLAG_INTERVAL = 4;
const ELEMENT_INTERVAL_END = 1;
const MAX_ELEMENTS_PER_MESSAGE = 256;

/** Types of set keys as `nft` numbers them, and the userdata by which it knows their byte order. */
const KEY_TYPE = { 4: 7, 6: 8 } as const;
const BIG_ENDIAN_KEYS = 2;

/** From an address on, up to but not including `end`; undefined = up to the last address. */
export interface NftInterval {
  readonly from: Uint8Array;
  readonly end: Uint8Array | undefined;
}

export interface NftSet {
  readonly name: string;
  readonly family: 4 | 6;
  /** Neither overlapping nor touching each other. */
  readonly intervals: readonly NftInterval[];
}

/** One expression: its name and its attributes by number; numbers are 32 bits. */
export interface NftExpression {
  readonly name: string;
  readonly attributes: readonly (readonly [type: number, value: number | string | NftValue])[];
}

/** A constant to compare with (NFTA_DATA_VALUE). */
export interface NftValue {
  readonly octets: Uint8Array;
}

export interface NftRule {
  readonly comment: string;
  readonly expressions: readonly NftExpression[];
}

export interface NftChain {
  readonly name: string;
  /** `nat` or `filter`. */
  readonly type: string;
  readonly hook: number;
  readonly priority: number;
  readonly rules: readonly NftRule[];
}

/** A table of the family `inet`. */
export interface NftTable {
  readonly name: string;
  readonly comment: string;
  readonly sets: readonly NftSet[];
  readonly chains: readonly NftChain[];
}

/** The packet's family is `family` (NFPROTO_*): what `nft` leaves unsaid before `ip saddr` or `ip6 saddr`. */
export function nftIsFamily(family: number): readonly NftExpression[] {
  return [
    {
      name: 'meta',
      attributes: [
        [1, 1],
        [2, 15],
      ],
    },
    {
      name: 'cmp',
      attributes: [
        [1, 1],
        [2, 0],
        [3, { octets: Uint8Array.of(family) }],
      ],
    },
  ];
}

/** The source or destination address is in the set, or is not. */
export function nftAddressInSet(family: 4 | 6, end: 'source' | 'destination', set: string, isIn: boolean) {
  const length = family === 4 ? 4 : 16;
  const source = family === 4 ? 12 : 8;
  const offset = end === 'source' ? source : source + length;
  const NETWORK_HEADER = 1;
  return [
    {
      name: 'payload',
      attributes: [
        [1, 1],
        [2, NETWORK_HEADER],
        [3, offset],
        [4, length],
      ],
    },
    {
      name: 'lookup',
      attributes: [
        [1, set],
        [2, 1],
        [5, isIn ? 0 : 1],
      ],
    },
  ] as const satisfies readonly NftExpression[];
}

export const nftCounter: NftExpression = { name: 'counter', attributes: [] };
export const nftMasquerade: NftExpression = { name: 'masq', attributes: [] };

/** First and last sequence number of a transaction; the kernel acknowledges the last. */
export interface NftTransaction {
  readonly first: number;
  readonly last: number;
}

/** One transaction: the table as it is goes, whatever is in it, and `table` comes. */
export function encodeNftReplacement(writer: MessageWriter, next: () => number, table: NftTable): NftTransaction {
  return transaction(writer, next, (begin) => {
    // Deleting wants it to be there, and adding what is there does nothing.
    for (const type of [Message.newTable, Message.delTable] as const) {
      begin(type);
      writer.attributeText(TABLE.name, table.name);
      writer.end();
    }
    encodeTable(writer, begin, table);
  });
}

/** One transaction: the table goes, there or not. */
export function encodeNftRemoval(writer: MessageWriter, next: () => number, name: string): NftTransaction {
  return transaction(writer, next, (begin) => {
    for (const type of [Message.newTable, Message.delTable] as const) {
      begin(type);
      writer.attributeText(TABLE.name, name);
      writer.end();
    }
  });
}

type Begin = (type: number) => void;

function transaction(writer: MessageWriter, next: () => number, body: (begin: Begin) => void): NftTransaction {
  const first = next();
  const bracket = (type: number, sequence: number): void => {
    writer.begin(type, NLM_F_REQUEST, sequence);
    writer.u8(0);
    writer.u8(0);
    writer.u8(SUBSYSTEM >> 8);
    writer.u8(SUBSYSTEM);
    writer.end();
  };
  bracket(BATCH_BEGIN, first);
  let last = first;
  body((type) => {
    last = next();
    writer.begin((SUBSYSTEM << 8) | type, NLM_F_REQUEST | NLM_F_CREATE, last);
    header(writer, NFPROTO_INET);
  });
  writer.addFlags(NLM_F_ACK);
  bracket(BATCH_END, next());
  return { first, last };
}

/** struct nfgenmsg */
function header(writer: MessageWriter, family: number): void {
  writer.u8(family);
  writer.u8(0);
  writer.u16(0);
}

function encodeTable(writer: MessageWriter, begin: Begin, table: NftTable): void {
  begin(Message.newTable);
  writer.attributeText(TABLE.name, table.name);
  writer.attribute(TABLE.userdata, comment(table.comment));
  writer.end();
  table.sets.forEach((set, index) => encodeSet(writer, begin, table.name, set, index + 1));
  for (const chain of table.chains) {
    begin(Message.newChain);
    writer.attributeText(CHAIN.table, table.name);
    writer.attributeText(CHAIN.name, chain.name);
    const hook = writer.beginNested(CHAIN.hook | NLA_F_NESTED);
    writer.attribute(HOOK.number, be32(chain.hook));
    writer.attribute(HOOK.priority, be32(chain.priority));
    writer.endNested(hook);
    writer.attribute(CHAIN.policy, be32(NF_ACCEPT));
    writer.attributeText(CHAIN.type, chain.type);
    writer.end();
    for (const rule of chain.rules) encodeRule(writer, begin, table.name, chain.name, rule);
  }
}

function encodeSet(writer: MessageWriter, begin: Begin, table: string, set: NftSet, id: number): void {
  begin(Message.newSet);
  writer.attributeText(SET.table, table);
  writer.attributeText(SET.name, set.name);
  writer.attribute(SET.flags, be32(SET_FLAG_INTERVAL));
  writer.attribute(SET.keyType, be32(KEY_TYPE[set.family]));
  writer.attribute(SET.keyLength, be32(set.family === 4 ? 4 : 16));
  writer.attribute(SET.id, be32(id));
  const byteOrder = new Uint8Array(6);
  byteOrder[1] = 4;
  new DataView(byteOrder.buffer).setUint32(2, BIG_ENDIAN_KEYS, littleEndian);
  writer.attribute(SET.userdata, byteOrder);
  writer.end();
  for (let at = 0; at < set.intervals.length; at += MAX_ELEMENTS_PER_MESSAGE) {
    begin(Message.newElement);
    writer.attributeText(ELEMENTS.table, table);
    writer.attributeText(ELEMENTS.set, set.name);
    const list = writer.beginNested(ELEMENTS.list | NLA_F_NESTED);
    for (const { from, end } of set.intervals.slice(at, at + MAX_ELEMENTS_PER_MESSAGE)) {
      encodeElement(writer, from, 0);
      if (end) encodeElement(writer, end, ELEMENT_INTERVAL_END);
    }
    writer.endNested(list);
    writer.end();
  }
}

function encodeElement(writer: MessageWriter, key: Uint8Array, flags: number): void {
  const element = writer.beginNested(LIST_ELEMENT | NLA_F_NESTED);
  const value = writer.beginNested(ELEMENT.key | NLA_F_NESTED);
  writer.attribute(DATA_VALUE, key);
  writer.endNested(value);
  if (flags) writer.attribute(ELEMENT.flags, be32(flags));
  writer.endNested(element);
}

function encodeRule(writer: MessageWriter, begin: Begin, table: string, chain: string, rule: NftRule): void {
  begin(Message.newRule);
  // Behind the rules that are there: the order is ours.
  writer.addFlags(0x800);
  writer.attributeText(RULE.table, table);
  writer.attributeText(RULE.chain, chain);
  const list = writer.beginNested(RULE.expressions | NLA_F_NESTED);
  for (const { name, attributes } of rule.expressions) {
    const element = writer.beginNested(LIST_ELEMENT | NLA_F_NESTED);
    writer.attributeText(EXPRESSION.name, name);
    const data = writer.beginNested(EXPRESSION.data | NLA_F_NESTED);
    for (const [type, value] of attributes) {
      if (typeof value === 'number') writer.attribute(type, be32(value));
      else if (typeof value === 'string') writer.attributeText(type, value);
      else {
        const constant = writer.beginNested(type | NLA_F_NESTED);
        writer.attribute(DATA_VALUE, value.octets);
        writer.endNested(constant);
      }
    }
    writer.endNested(data);
    writer.endNested(element);
  }
  writer.endNested(list);
  writer.attribute(RULE.userdata, comment(rule.comment));
  writer.end();
}

/** Userdata of type 0: what `nft list` shows as the comment. */
function comment(text: string): Uint8Array {
  const octets = new TextEncoder().encode(`${text}\0`);
  return Uint8Array.of(0, octets.length, ...octets);
}

function be32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

/** Dump requests for what a table may hold. */
export const encodeNftDump = {
  tables: (writer: MessageWriter, sequence: number): void => dump(writer, sequence, Message.getTable, []),
  chains: (writer: MessageWriter, sequence: number): void => dump(writer, sequence, Message.getChain, []),
  rules: (writer: MessageWriter, sequence: number, table: string): void =>
    dump(writer, sequence, Message.getRule, [[RULE.table, table]]),
  sets: (writer: MessageWriter, sequence: number, table: string): void =>
    dump(writer, sequence, Message.getSet, [[SET.table, table]]),
  elements: (writer: MessageWriter, sequence: number, table: string, set: string): void =>
    dump(writer, sequence, Message.getElement, [
      [ELEMENTS.table, table],
      [ELEMENTS.set, set],
    ]),
} as const;

function dump(
  writer: MessageWriter,
  sequence: number,
  type: number,
  texts: readonly (readonly [number, string])[],
): void {
  writer.begin((SUBSYSTEM << 8) | type, NLM_F_REQUEST | NLM_F_DUMP, sequence);
  header(writer, NFPROTO_INET);
  for (const [attribute, text] of texts) writer.attributeText(attribute, text);
  writer.end();
}

/** Name of the `inet` table that a notification or an answer speaks of; undefined = of none. */
export function nftTableOf(reader: MessageReader): string | undefined {
  if (reader.type >> 8 !== SUBSYSTEM || (reader.type & 0xff) === Message.newGeneration) return undefined;
  if (reader.bytes[reader.header(NFGENMSG_LENGTH)] !== NFPROTO_INET) return undefined;
  // The same number in every message.
  while (reader.nextAttribute()) if (reader.attributeType === TABLE.name) return reader.valueText();
  return undefined;
}

/** Who made the changes told before (the end of a transaction); undefined = another message. */
export function nftProcessName(reader: MessageReader): string | undefined {
  if (reader.type !== ((SUBSYSTEM << 8) | Message.newGeneration)) return undefined;
  reader.header(NFGENMSG_LENGTH);
  while (reader.nextAttribute()) if (reader.attributeType === GENERATION.processName) return reader.valueText();
  return undefined;
}

/** Appends what the message says of its table, one line for each thing; counters, handles and the like are left out. */
export function describeNft(reader: MessageReader, lines: string[]): void {
  if (reader.type >> 8 !== SUBSYSTEM) return;
  reader.header(NFGENMSG_LENGTH);
  switch (reader.type & 0xff) {
    case Message.newTable:
      lines.push(`table ${describeAttributes(reader, [TABLE.name, 2])}`);
      break;
    case Message.newChain:
      lines.push(`chain ${describeAttributes(reader, Object.values(CHAIN))}`);
      break;
    case Message.newSet:
      lines.push(`set ${describeAttributes(reader, [SET.name, SET.flags, SET.keyType, SET.keyLength])}`);
      break;
    case Message.newRule:
      describeRule(reader, lines);
      break;
    case Message.newElement:
      describeElements(reader, lines);
      break;
  }
}

/** Attributes of the types named, by type; what is zero says nothing. Comments are for people and do not count. */
function describeAttributes(reader: MessageReader, types: readonly number[]): string {
  const out: string[] = [];
  while (reader.nextAttribute()) {
    const value = reader.valueBytes();
    if (types.includes(reader.attributeType) && value.some((octet) => octet !== 0)) {
      out.push(`${reader.attributeType}=${hex(value)}`);
    }
  }
  return out.sort().join(' ');
}

function describeRule(reader: MessageReader, lines: string[]): void {
  let chain = '';
  const expressions: string[] = [];
  while (reader.nextAttribute()) {
    if (reader.attributeType === RULE.chain) chain = reader.valueText();
    else if (reader.attributeType === RULE.expressions) {
      nested(reader, () => {
        while (reader.nextAttribute()) nested(reader, () => void expressions.push(describeExpression(reader)));
      });
    }
  }
  lines.push(`rule ${chain}: ${expressions.join('; ')}`);
}

function describeExpression(reader: MessageReader): string {
  let name = '';
  let data = '';
  while (reader.nextAttribute()) {
    if (reader.attributeType === EXPRESSION.name) name = reader.valueText();
    else if (reader.attributeType === EXPRESSION.data) {
      nested(reader, () => (data = describeAttributes(reader, [1, 2, 3, 4, 5, 6, 7])));
    }
  }
  return name === 'counter' ? name : `${name} ${data}`;
}

function describeElements(reader: MessageReader, lines: string[]): void {
  let set = '';
  const elements: string[] = [];
  while (reader.nextAttribute()) {
    if (reader.attributeType === ELEMENTS.set) set = reader.valueText();
    else if (reader.attributeType === ELEMENTS.list) {
      nested(reader, () => {
        while (reader.nextAttribute()) {
          nested(reader, () => void elements.push(describeAttributes(reader, [ELEMENT.key, ELEMENT.flags])));
        }
      });
    }
  }
  for (const element of elements) lines.push(`element ${set} ${element}`);
}

/** Walks the attributes within the one stood on. */
function nested(reader: MessageReader, walk: () => void): void {
  const rest = reader.attributesRest;
  reader.within(reader.valueStart, reader.valueStart + reader.valueLength);
  walk();
  reader.within(rest.start, rest.end);
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (octet) => octet.toString(16).padStart(2, '0')).join('');
}
