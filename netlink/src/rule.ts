/** RTM_NEWRULE and RTM_DELRULE (struct fib_rule_hdr): policy routing rules. */
import * as C from './constants.js';
import type { MessageReader, MessageWriter } from './message.js';

const FIB_RULE_HDR_LENGTH = 12;

export interface RuleMessage {
  readonly family: number;
  readonly table: number;
  /** FR_ACT_*; 1 = look up the table. */
  readonly action: number;
  readonly priority: number;
  readonly source: { readonly address: Uint8Array; readonly length: number } | undefined;
  readonly destination: { readonly address: Uint8Array; readonly length: number } | undefined;
  readonly inputInterface: string | undefined;
  readonly outputInterface: string | undefined;
  readonly mark: { readonly value: number; readonly mask: number } | undefined;
}

export function decodeRule(reader: MessageReader): RuleMessage {
  const at = reader.header(FIB_RULE_HDR_LENGTH);
  const rule = { family: reader.u8(at), table: reader.u8(at + 4), action: reader.u8(at + 7), priority: 0 };
  const destinationLength = reader.u8(at + 1);
  const sourceLength = reader.u8(at + 2);
  let source: Uint8Array | undefined;
  let destination: Uint8Array | undefined;
  let inputInterface: string | undefined;
  let outputInterface: string | undefined;
  let mark: number | undefined;
  let mask = 0xffffffff;
  while (reader.nextAttribute()) {
    if (reader.attributeType === C.FRA_PRIORITY) rule.priority = reader.valueU32();
    else if (reader.attributeType === C.FRA_TABLE) rule.table = reader.valueU32();
    else if (reader.attributeType === C.FRA_SRC) source = reader.valueBytes();
    else if (reader.attributeType === C.FRA_DST) destination = reader.valueBytes();
    else if (reader.attributeType === C.FRA_IIFNAME) inputInterface = reader.valueText();
    else if (reader.attributeType === C.FRA_OIFNAME) outputInterface = reader.valueText();
    else if (reader.attributeType === C.FRA_FWMARK) mark = reader.valueU32();
    else if (reader.attributeType === C.FRA_FWMASK) mask = reader.valueU32();
  }
  return {
    ...rule,
    source: source && { address: source, length: sourceLength },
    destination: destination && { address: destination, length: destinationLength },
    inputInterface,
    outputInterface,
    mark: mark === undefined ? undefined : { value: mark, mask },
  };
}

export function encodeRule(
  writer: MessageWriter,
  type: number,
  flags: number,
  sequence: number,
  rule: RuleMessage,
): void {
  writer.begin(type, flags | C.NLM_F_REQUEST, sequence);
  writer.u8(rule.family);
  writer.u8(rule.destination?.length ?? 0);
  writer.u8(rule.source?.length ?? 0);
  writer.u8(0);
  writer.u8(rule.table < 256 ? rule.table : C.RT_TABLE_COMPAT);
  writer.u16(0);
  writer.u8(rule.action);
  writer.u32(0);
  writer.attributeU32(C.FRA_PRIORITY, rule.priority);
  writer.attributeU32(C.FRA_TABLE, rule.table);
  if (rule.source) writer.attribute(C.FRA_SRC, rule.source.address);
  if (rule.destination) writer.attribute(C.FRA_DST, rule.destination.address);
  if (rule.inputInterface !== undefined) writer.attributeText(C.FRA_IIFNAME, rule.inputInterface);
  if (rule.outputInterface !== undefined) writer.attributeText(C.FRA_OIFNAME, rule.outputInterface);
  if (rule.mark) {
    writer.attributeU32(C.FRA_FWMARK, rule.mark.value);
    writer.attributeU32(C.FRA_FWMASK, rule.mark.mask);
  }
  writer.end();
}

export function encodeRuleDump(writer: MessageWriter, sequence: number, family: number): void {
  writer.begin(C.RTM_GETRULE, C.NLM_F_REQUEST | C.NLM_F_DUMP, sequence);
  writer.u8(family);
  for (let i = 1; i < FIB_RULE_HDR_LENGTH; i++) writer.u8(0);
  writer.end();
}
