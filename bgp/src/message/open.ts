/**
 * OPEN (RFC 4271 §4.2) with the extended optional parameters of RFC 9072.
 *
 *   | version 1 | my AS 2 | hold time 2 | BGP identifier 4 | parameters length 1 | parameters … |
 *   parameter            | type 1 | length 1 | value … |            type 2 = capabilities (RFC 5492 §4)
 *   RFC 9072: length 255, then | type 255 | length 2 |, and each parameter has a two-octet length.
 *
 * What the numbers *mean* (peer AS, identifier, hold time) is the session's to judge; only the version is checked here.
 */
import { type Capability, decodeCapabilities, encodeCapability } from '../capability.js';
import { HEADER_LENGTH, MAX_MESSAGE_LENGTH, MessageType, NotificationCode, OpenSubcode } from '../constants.js';
import { BgpError } from '../errors.js';
import { buildMessage } from './header.js';

export interface OpenMessage {
  /** 4 */
  readonly version: number;
  /** The two-octet field: AS_TRANS where the AS number does not fit; the real one is then in `fourOctetAs`. */
  readonly asn: number;
  readonly holdTimeSeconds: number;
  /** BGP identifier, unsigned 32-bit. */
  readonly identifier: number;
  readonly capabilities: readonly Capability[];
}

export interface EncodeOpenOptions {
  /** One optional parameter per capability instead of one for all. RFC 5492 §4 allows both. */
  readonly parameterPerCapability?: boolean;
  /** RFC 9072 form also where 255 octets are enough (default: only where they are not). */
  readonly extendedParameters?: boolean;
}

const VERSION = 4;
const CAPABILITIES = 2;
const EXTENDED = 255;
/** Octets before the optional parameters. */
const FIXED_LENGTH = 10;

/** Decodes the OPEN body bytes[start, end) (no header). Throws BgpError 2/x. */
export function decodeOpen(bytes: Uint8Array, start: number, end: number): OpenMessage {
  if (end - start < FIXED_LENGTH) throw openError('shorter than its fixed part');
  const version = bytes[start]!;
  if (version !== VERSION) {
    // RFC 4271 §6.2: the data is the largest version we know, two octets.
    const data = Uint8Array.of(0, VERSION);
    throw new BgpError(`OPEN: version ${version}`, NotificationCode.open, OpenSubcode.unsupportedVersion, data);
  }
  const asn = (bytes[start + 1]! << 8) | bytes[start + 2]!;
  const holdTimeSeconds = (bytes[start + 3]! << 8) | bytes[start + 4]!;
  const identifier =
    ((bytes[start + 5]! << 24) | (bytes[start + 6]! << 16) | (bytes[start + 7]! << 8) | bytes[start + 8]!) >>> 0;

  let at = start + FIXED_LENGTH;
  let length = bytes[start + 9]!;
  // RFC 9072 §2: the type tells; the one-octet length is then ignored, but it is never 0.
  const extended = length !== 0 && end - at >= 3 && bytes[at] === EXTENDED;
  if (extended) {
    length = (bytes[at + 1]! << 8) | bytes[at + 2]!;
    at += 3;
  }
  if (end - at !== length) throw openError(`optional parameters length ${length}, ${end - at} octets follow`);

  const capabilities: Capability[] = [];
  const headerLength = extended ? 3 : 2;
  while (at < end) {
    if (end - at < headerLength) throw openError('optional parameter cut off');
    const type = bytes[at]!;
    const valueLength = extended ? (bytes[at + 1]! << 8) | bytes[at + 2]! : bytes[at + 1]!;
    const value = at + headerLength;
    if (value + valueLength > end) throw openError(`optional parameter ${type} overruns the message`);
    if (type !== CAPABILITIES) {
      const text = `OPEN: optional parameter ${type} is not supported`;
      throw new BgpError(text, NotificationCode.open, OpenSubcode.unsupportedOptionalParameter);
    }
    capabilities.push(...decodeCapabilities(bytes, value, value + valueLength));
    at = value + valueLength;
  }
  return { version, asn, holdTimeSeconds, identifier, capabilities };
}

/** The whole OPEN message, header included. Throws RangeError when it does not fit in 4096 octets (RFC 8654 §4). */
export function encodeOpen(open: OpenMessage, options: EncodeOpenOptions = {}): Uint8Array {
  const encoded = open.capabilities.map((capability) => encodeCapability(capability));
  let values: number[][] = encoded.map((capability) => [...capability]);
  if (!options.parameterPerCapability && values.length > 0) values = [values.flat()];
  const plainLength = values.reduce((sum, value) => sum + 2 + value.length, 0);
  const extended = options.extendedParameters === true || plainLength > 255;
  const parameters = values.flatMap((value) =>
    extended ? [CAPABILITIES, value.length >> 8, value.length & 255, ...value] : [CAPABILITIES, value.length, ...value],
  );
  const { identifier } = open;
  const body = [
    open.version,
    (open.asn >> 8) & 255,
    open.asn & 255,
    (open.holdTimeSeconds >> 8) & 255,
    open.holdTimeSeconds & 255,
    identifier >>> 24,
    (identifier >>> 16) & 255,
    (identifier >>> 8) & 255,
    identifier & 255,
    ...(extended ? [255, EXTENDED, parameters.length >> 8, parameters.length & 255] : [parameters.length]),
    ...parameters,
  ];
  const length = HEADER_LENGTH + body.length;
  if (length > MAX_MESSAGE_LENGTH) throw new RangeError(`OPEN: ${length} octets, at most ${MAX_MESSAGE_LENGTH} fit`);
  return buildMessage(MessageType.open, body);
}

/** RFC 4271 §6.2: malformed, with no subcode of its own: Unspecific. */
function openError(text: string): BgpError {
  return new BgpError(`OPEN: ${text}`, NotificationCode.open, OpenSubcode.unspecific);
}
