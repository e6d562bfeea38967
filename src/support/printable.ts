/**
 * Text that somebody else has written (a file, a peer, a name in the kernel) on its way to a terminal. What would move the
 * cursor, set colours, turn the direction of writing or not be seen at all is spelled out: `\u001b`, `\u202e`.
 */

/** Controls, formats (direction, zero width), separators of lines and paragraphs, halves of surrogate pairs. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
/** All of them but the newline. */
const HIDDEN_IN_LINES = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** One line. */
export function printable(text: string): string {
  return text.replace(HIDDEN, spelledOut);
}

/** Lines that end with `\n`. */
export function printableLines(text: string): string {
  return text.replace(HIDDEN_IN_LINES, spelledOut);
}

function spelledOut(character: string): string {
  const digits = character.codePointAt(0)!.toString(16).padStart(4, '0');
  return digits.length > 4 ? `\\u{${digits}}` : `\\u${digits}`;
}
