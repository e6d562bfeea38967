/** Refusals of the control API: an HTTP status, a stable code for programs and a text for people. */

export type ControlErrorCode =
  | 'bad-request'
  | 'unknown-route'
  | 'unknown-peer'
  | 'method-not-allowed'
  | 'read-only'
  | 'unauthorized'
  | 'refused'
  | 'bad-configuration'
  | 'too-large'
  | 'too-many'
  | 'starting'
  | 'internal';

const STATUS: { readonly [Code in ControlErrorCode]: number } = {
  'bad-request': 400,
  'unknown-route': 404,
  'unknown-peer': 404,
  'method-not-allowed': 405,
  'read-only': 403,
  unauthorized: 401,
  refused: 409,
  'bad-configuration': 422,
  'too-large': 413,
  'too-many': 503,
  starting: 503,
  internal: 500,
};

export class ControlError extends Error {
  readonly code: ControlErrorCode;

  constructor(code: ControlErrorCode, message: string) {
    super(message);
    this.name = 'ControlError';
    this.code = code;
  }

  get status(): number {
    return STATUS[this.code];
  }

  /** The body of the response: `{"error": {"code": …, "message": …}}`. */
  toJson(): string {
    return `${JSON.stringify({ error: { code: this.code, message: this.message } })}\n`;
  }
}
