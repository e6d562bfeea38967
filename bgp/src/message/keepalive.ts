/** KEEPALIVE (RFC 4271 §4.4): a header and nothing else. */
import { MessageType } from '../constants.js';
import { buildMessage } from './header.js';

/** The one KEEPALIVE message there is: shared, never to be written to. */
export const keepaliveMessage: Uint8Array = buildMessage(MessageType.keepalive, []);
