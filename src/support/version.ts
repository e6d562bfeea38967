/** The version of the package, as its `package.json` says. */
import { existsSync, readFileSync } from 'node:fs';

export function packageVersion(): string {
  // Two folders or more above: compiled modules and the packed program lie at different depths.
  let file = new URL('../../package.json', import.meta.url);
  while (!existsSync(file) && file.pathname !== '/package.json') file = new URL('../package.json', file);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
