/**
 * Files that hold one secret each (`passwordFile`, `control.tokenFile`), read whenever the configuration is. What stands
 * in them is never part of a message.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Path } from './problems.js';
import type { RawConfig } from './schema.js';
import { quoted } from './shown.js';

type Report = (path: Path, message: string) => void;

/** More is no password, and no token. */
const MOST_OCTETS = 4096;

interface Rule {
  /** What to call it. */
  readonly noun: string;
  readonly least: number;
  readonly most: number;
  /** Judges characters. */
  readonly good: RegExp;
  readonly characters: string;
}

const PASSWORD: Rule = {
  noun: 'password',
  least: 1,
  most: 80,
  good: /^\P{Cc}*$/u,
  characters: 'control characters, or a second line',
};
const TOKEN: Rule = {
  noun: 'token',
  least: 16,
  most: 255,
  good: /^[\x21-\x7e]*$/,
  characters: 'spaces, other than ASCII characters, or a second line',
};

/** What stands in the named files, by name as the configuration has it. What is wrong with one is reported at its key. */
export function readSecrets(raw: RawConfig, directory: string, report: Report): Map<string, string> {
  const secrets = new Map<string, string>();
  const read = (name: string | undefined, path: Path, rule: Rule): void => {
    if (name === undefined) return;
    const secret = readSecret(resolve(directory, name), rule);
    if ('problem' in secret) report(path, `the file ${quoted(name)} ${secret.problem}`);
    else secrets.set(name, secret.text);
  };
  raw.peers?.forEach((peer, index) => read(peer.passwordFile, ['peers', index, 'passwordFile'], PASSWORD));
  raw.listenRanges?.forEach((range, index) =>
    read(range.passwordFile, ['listenRanges', index, 'passwordFile'], PASSWORD),
  );
  for (const [name, group] of Object.entries(raw.groups ?? {}))
    read(group.passwordFile, ['groups', name, 'passwordFile'], PASSWORD);
  read(raw.control?.tokenFile, ['control', 'tokenFile'], TOKEN);
  return secrets;
}

function readSecret(path: string, rule: Rule): { readonly text: string } | { readonly problem: string } {
  let bytes: Buffer;
  try {
    // Not blocking: a pipe that nobody writes to would hold the daemon.
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const status = fstatSync(fd);
      if (!status.isFile()) return { problem: 'is not a plain file' };
      bytes = Buffer.alloc(MOST_OCTETS);
      bytes = bytes.subarray(0, readSync(fd, bytes));
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    return { problem: explain(error) };
  }
  const text = bytes.toString('utf8').replace(/\r?\n$/, '');
  const length = Buffer.byteLength(text);
  if (length < rule.least)
    return { problem: length === 0 ? 'is empty' : `holds a ${rule.noun} of less than ${rule.least} characters` };
  // A replacement character stands for octets that are not UTF-8: the password would be another one than meant.
  if (text.includes('\ufffd')) return { problem: 'is not text (UTF-8)' };
  if (!rule.good.test(text)) return { problem: `holds ${rule.characters}: it must be one line with the ${rule.noun}` };
  if (length > rule.most) return { problem: `holds a ${rule.noun} of more than ${rule.most} octets` };
  return { text };
}

function explain(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT') return 'does not exist';
  if (code === 'EACCES') return 'may not be read by this user';
  return `cannot be read (${code ?? 'unknown error'})`;
}
