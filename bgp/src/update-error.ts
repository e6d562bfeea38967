/**
 * A BgpError of what scanAttributes found: for the NOTIFICATION of a session reset and for the log.
 */
import { type AttributeScan } from './attribute-scan.js';
import { NotificationCode, UpdateSubcode, attributeName, notificationText } from './constants.js';
import { BgpError, Disposition } from './errors.js';

/**
 * The strongest error of a scan of `bytes`; undefined when there is none. The data is what RFC 4271 §6.3 asks for: the
 * attribute code for a missing attribute, nothing for a malformed list or AS_PATH, the erroneous attribute otherwise.
 * `disposition` replaces that of the scan (RFC 7606 §5.2 raises treatAsWithdraw to sessionReset).
 */
export function scanError(
  scan: AttributeScan,
  bytes: Uint8Array,
  disposition: Disposition = scan.disposition,
): BgpError | undefined {
  if (scan.disposition === Disposition.none) return undefined;
  const subcode = scan.errorSubcode;
  const name = scan.errorAttribute < 0 ? 'path attributes' : attributeName(scan.errorAttribute);
  const text = `${name}: ${notificationText(NotificationCode.update, subcode)}`;
  let data = new Uint8Array(0);
  if (subcode === UpdateSubcode.missingWellKnown) data = Uint8Array.of(scan.errorAttribute);
  else if (subcode !== UpdateSubcode.malformedAttributeList && subcode !== UpdateSubcode.malformedAsPath) {
    data = bytes.slice(scan.errorStart, scan.errorEnd);
  }
  return new BgpError(text, NotificationCode.update, subcode, data, disposition);
}
