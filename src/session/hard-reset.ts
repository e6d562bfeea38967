/**
 * RFC 8538: which of our NOTIFICATIONs end graceful restart, and the Hard Reset that says so. Pure.
 *
 * Between speakers that both set the N bit, a NOTIFICATION is like the loss of the connection: routes are kept. What is
 * meant for good is wrapped into Cease/Hard Reset. Hard are (§4 leaves it to us):
 *
 *   Cease/Maximum Number of Prefixes Reached   the peer's routes are what is wrong
 *   Cease/Administrative Shutdown              the session does not come back by itself
 *   Cease/Peer De-configured                   nor does this one
 *   Cease/BFD Down                             nothing is forwarded there
 *   whatever an operator asks to be            `bgpctl peer A reset --hard`
 */
import { CeaseSubcode, NotificationCode } from 'bgp-parse';
import type { NotificationFields } from './fsm.js';

const HARD_CEASES: ReadonlySet<number> = new Set([
  CeaseSubcode.maximumPrefixesReached,
  CeaseSubcode.administrativeShutdown,
  CeaseSubcode.peerDeconfigured,
  CeaseSubcode.hardReset,
  CeaseSubcode.bfdDown,
]);

/** Whether a NOTIFICATION, sent or received, ends graceful restart between speakers with the N bit. */
export function isHard({ code, subcode, hard }: NotificationFields, sent: boolean): boolean {
  if (code !== NotificationCode.cease) return false;
  // What the peer sends says so itself.
  return sent ? hard === true || HARD_CEASES.has(subcode) : subcode === CeaseSubcode.hardReset;
}

/** RFC 8538 §3: Cease/Hard Reset, whose data is the code, subcode and data it stands for. */
export function hardReset({ code, subcode, data }: NotificationFields): NotificationFields {
  if (code === NotificationCode.cease && subcode === CeaseSubcode.hardReset) return { code, subcode, data };
  const wrapped = new Uint8Array(2 + data.length);
  wrapped[0] = code;
  wrapped[1] = subcode;
  wrapped.set(data, 2);
  return { code: NotificationCode.cease, subcode: CeaseSubcode.hardReset, data: wrapped };
}
