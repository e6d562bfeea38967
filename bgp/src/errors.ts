/**
 * Errors of the protocol. Each carries what the NOTIFICATION needs and how far the damage reaches (RFC 7606 §2).
 */

/** RFC 7606 §2, ordered by strength: the strongest verdict of a message wins. */
export const Disposition = {
  none: 0,
  attributeDiscard: 1,
  treatAsWithdraw: 2,
  afiSafiDisable: 3,
  sessionReset: 4,
} as const;
export type Disposition = (typeof Disposition)[keyof typeof Disposition];

export class BgpError extends Error {
  /** NOTIFICATION error code (RFC 4271 §4.5). */
  readonly code: number;
  readonly subcode: number;
  /** NOTIFICATION data field. */
  readonly data: Uint8Array;
  readonly disposition: Disposition;

  constructor(
    message: string,
    code: number,
    subcode: number,
    data: Uint8Array = new Uint8Array(0),
    disposition: Disposition = Disposition.sessionReset,
  ) {
    super(message);
    this.name = 'BgpError';
    this.code = code;
    this.subcode = subcode;
    this.data = data;
    this.disposition = disposition;
  }
}
