/**
 * NOTIFICATION (RFC 4271 §4.5): | code 1 | subcode 1 | data … |, and the shutdown text of RFC 9003.
 *
 * Data is always a copy of exactly the octets that were there.
 */
import {
  CeaseSubcode,
  HEADER_LENGTH,
  MAX_MESSAGE_LENGTH,
  MessageType,
  NotificationCode,
  notificationText,
} from '../constants.js';
import { BgpError } from '../errors.js';
import { decodeUtf8, encodeUtf8 } from '../utf8.js';
import { buildMessage } from './header.js';

export interface NotificationMessage {
  readonly code: number;
  readonly subcode: number;
  readonly data: Uint8Array;
}

/** RFC 9003 §2: the length octet allows 255. */
const MAX_SHUTDOWN_TEXT = 255;
/** RFC 4271 §4.5, and small enough for any peer (RFC 8654 §4 has no larger NOTIFICATION to a peer that may not know it). */
const MAX_DATA = MAX_MESSAGE_LENGTH - HEADER_LENGTH - 2;

/** Decodes the body bytes[start, end). Any codes and any data are valid; throws BgpError (1/2) below two octets. */
export function decodeNotification(bytes: Uint8Array, start: number, end: number): NotificationMessage {
  if (end - start < 2) {
    const length = HEADER_LENGTH + end - start;
    throw new BgpError('NOTIFICATION: too short', NotificationCode.messageHeader, 2, Uint8Array.of(0, length));
  }
  return { code: bytes[start]!, subcode: bytes[start + 1]!, data: bytes.slice(start + 2, end) };
}

/** The whole message, header included; takes a BgpError as well. Data is cut where 4096 octets end. */
export function encodeNotification(notification: NotificationMessage): Uint8Array {
  const data = notification.data.subarray(0, MAX_DATA);
  return buildMessage(MessageType.notification, [notification.code, notification.subcode, ...data]);
}

/** Data of Cease/Administrative Shutdown or Reset with a text for the peer's operator; cut to 255 octets (RFC 9003 §2). */
export function shutdownData(text: string): Uint8Array {
  let used = encodeUtf8(text);
  if (used.length > MAX_SHUTDOWN_TEXT) {
    let cut = MAX_SHUTDOWN_TEXT;
    // Not within a character: back to one that begins.
    while ((used[cut]! & 0xc0) === 0x80) cut--;
    used = used.slice(0, cut);
  }
  const out = new Uint8Array(1 + used.length);
  out[0] = used.length;
  out.set(used, 1);
  return out;
}

/**
 * The text in such data, control characters replaced; undefined when there is none, the length lies or it is not UTF-8
 * (RFC 9003 §4: the NOTIFICATION counts all the same).
 */
export function shutdownText(data: Uint8Array): string | undefined {
  const length = data[0] ?? 0;
  if (length === 0 || 1 + length > data.length) return undefined;
  // Controls, and what turns the direction of writing or ends a line: must not reach a terminal.
  return decodeUtf8(data.subarray(1, 1 + length))?.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\ufffd');
}

/** One line for people: "Cease/Administrative Shutdown: maintenance", "Cease/Hard Reset (Cease/Peer De-configured)". */
export function describeNotification({ code, subcode, data }: NotificationMessage): string {
  const name = notificationText(code, subcode);
  if (code !== NotificationCode.cease) return name;
  if (subcode === CeaseSubcode.administrativeShutdown || subcode === CeaseSubcode.administrativeReset) {
    const text = shutdownText(data);
    return text === undefined ? name : `${name}: ${text}`;
  }
  // RFC 8538 §3: a hard reset carries the NOTIFICATION it stands for.
  if (subcode === CeaseSubcode.hardReset && data.length >= 2 && data[1] !== CeaseSubcode.hardReset) {
    return `${name} (${describeNotification({ code: data[0]!, subcode: data[1]!, data: data.subarray(2) })})`;
  }
  return name;
}
