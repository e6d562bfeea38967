/** `bgpctl` in this process, with no daemon to ask: its exit code, and what it has said. */
import { runCli } from '../../src/cli/program.js';

export async function cli(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const code = await runCli(args, {
    out: (text) => Promise.resolve(void (out += text)),
    err: (text) => void (err += text),
    columns: 80,
    socket: undefined,
    version: '0',
  });
  return { code, out, err };
}
