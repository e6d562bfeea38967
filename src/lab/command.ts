/**
 * Runs one program to its end and collects what it says. Used for `ip` and for the lab's own children.
 *
 * Children get a session of their own (`detached`): a Ctrl-C at the terminal reaches the lab alone, which then removes
 * what it built in its own order instead of losing the `ip` it is doing that with.
 */
import { spawn } from 'node:child_process';

export interface CommandResult {
  readonly stdout: string;
  readonly stderr: string;
}

/** A program that could not be run or did not exit with 0. */
export class CommandError extends Error {
  readonly program: string;
  /** null = ended by a signal or never started. */
  readonly exitCode: number | null;
  readonly stderr: string;
  readonly stdout: string;
  /** True when there is no such program in PATH. */
  readonly notFound: boolean;

  constructor(argv: readonly string[], exitCode: number | null, stderr: string, notFound = false, stdout = '') {
    const said = stderr.trim();
    super(notFound ? `${argv[0]}: not found` : `${argv.join(' ')}: ${said || `exit code ${exitCode}`}`);
    this.name = 'CommandError';
    this.program = argv[0] ?? '';
    this.exitCode = exitCode;
    this.stderr = said;
    this.stdout = stdout;
    this.notFound = notFound;
  }
}

/** Resolves when the program exits with 0, rejects with a `CommandError` otherwise. `stdin` is its whole input. */
export function runCommand(argv: readonly string[], stdin?: string): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(argv[0]!, argv.slice(1), { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    // A program that ends without reading its input breaks the pipe; its exit code says what happened.
    child.stdin.on('error', () => undefined);
    child.stdin.end(stdin ?? '');
    child.on('error', (error: NodeJS.ErrnoException) =>
      reject(new CommandError(argv, null, error.message, error.code === 'ENOENT')),
    );
    child.on('close', (exitCode) => {
      if (exitCode === 0) resolve({ stdout, stderr });
      else reject(new CommandError(argv, exitCode, stderr, false, stdout));
    });
  });
}

/** Many `ip` commands in one process, stopping at the first that fails; inside `namespace` when one is given. */
export async function ipBatch(lines: readonly string[], namespace?: string): Promise<void> {
  if (lines.length === 0) return;
  const where = namespace === undefined ? [] : ['-n', namespace];
  try {
    await runCommand(['ip', ...where, '-batch', '-'], lines.join('\n') + '\n');
  } catch (error) {
    // iproute2 names the line that failed by its number ("Command failed -:3").
    const failed = error instanceof CommandError ? /Command failed -:(\d+)/.exec(error.stderr) : null;
    if (!(error instanceof CommandError) || !failed) throw error;
    const line = lines[Number(failed[1]) - 1] ?? '';
    throw new CommandError(['ip', ...where, line], error.exitCode, error.stderr.replace(/\s*Command failed -:\d+/, ''));
  }
}
