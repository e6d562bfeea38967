/**
 * Text in columns that never cuts anything. A cell is wrapped at spaces inside its column; a word that is wider than its
 * column (an IPv6 prefix, mostly) is written whole, and the rest of the row goes on below it.
 */

export interface Column {
  readonly title: string;
  /** Bounds of its width. */
  readonly least: number;
  readonly most: number;
  readonly align?: 'right';
}

const GAP = 2;
const SPACE = ' '.repeat(GAP);

/** Widths for rows like these: the wish of every column if it fits, else less, down to `least`, from the last one on. */
export function planWidths(columns: readonly Column[], rows: readonly (readonly string[])[], total: number): number[] {
  const widths = columns.map((column, index) => {
    let widest = column.title.length;
    for (const row of rows) widest = Math.max(widest, ...row[index]!.split('\n').map((line) => line.length));
    return Math.max(column.least, Math.min(widest, column.most));
  });
  let excess = widths.reduce((sum, width) => sum + width + GAP, -GAP) - total;
  for (let index = widths.length - 1; index >= 0 && excess > 0; index--) {
    const cut = Math.min(excess, widths[index]! - columns[index]!.least);
    widths[index]! -= cut;
    excess -= cut;
  }
  return widths;
}

/** One row as one or more lines, each with its newline. */
export function layoutRow(columns: readonly Column[], widths: readonly number[], row: readonly string[]): string {
  if (row.every((cell, index) => cell.length <= widths[index]! && !cell.includes('\n'))) {
    const cells = row.map((cell, index) => pad(cell, widths[index]!, columns[index]!));
    return `${cells.join(SPACE).trimEnd()}\n`;
  }
  return layoutWrapped(columns, widths, row);
}

function pad(cell: string, width: number, column: Column): string {
  return column.align === 'right' ? cell.padStart(width) : cell.padEnd(width);
}

function layoutWrapped(columns: readonly Column[], widths: readonly number[], row: readonly string[]): string {
  const lines: string[] = [];
  let top = 0;
  let offset = 0;
  for (const [index, cell] of row.entries()) {
    const width = widths[index]!;
    const parts = wrap(cell, width);
    for (const [depth, part] of parts.entries()) {
      const line = lines[top + depth] ?? '';
      lines[top + depth] = part === '' ? line : line.padEnd(offset) + pad(part, width, columns[index]!);
    }
    // What follows would run into a word that is too wide: it begins on the next line.
    const next = offset + width + GAP;
    if (index < row.length - 1) {
      const blocked = parts.reduce((deepest, part, depth) => (part.length > width ? depth : deepest), -1);
      top += blocked + 1;
    }
    offset = next;
  }
  return lines.map((line) => `${line.trimEnd()}\n`).join('');
}

/** Breaks at spaces, and always at newlines; a longer word stays whole. */
export function wrap(text: string, width: number): string[] {
  return text.split('\n').flatMap((paragraph) => wrapParagraph(paragraph, width));
}

function wrapParagraph(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line === '') line = word;
    else if (line.length + 1 + word.length <= width) line += ` ${word}`;
    else {
      lines.push(line);
      line = word;
    }
  }
  lines.push(line);
  return lines;
}

/** A paragraph below a row: wrapped, indented. */
export function indented(text: string, indent: number, total: number): string {
  return wrap(text, Math.max(20, total - indent))
    .map((line) => `${' '.repeat(indent)}${line}\n`)
    .join('');
}

/** `Name        value`, the values in one column and wrapped inside of it. */
export function layoutPairs(pairs: readonly (readonly [string, string])[], total: number): string {
  const column = Math.max(...pairs.map(([name]) => name.length)) + GAP;
  let out = '';
  for (const [name, value] of pairs) {
    const lines = wrap(value, Math.max(20, total - column));
    out += lines.map((line, index) => `${(index === 0 ? name : '').padEnd(column)}${line}`.trimEnd() + '\n').join('');
  }
  return out;
}
