/**
 * Golden files: `fixtures/NAME.yaml` with either `NAME.errors` (the exact messages) or `NAME.json` (the exact settings).
 * TORTIE_UPDATE_GOLDEN=1 writes the expectations anew; read the difference before keeping it.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { parseConfig } from '../../src/config/load.js';
import { ConfigError } from '../../src/config/problems.js';

// The sources are not copied beside the compiled tests.
const folder = fileURLToPath(new URL('../../../test/config/fixtures/', import.meta.url));
const update = process.env.TORTIE_UPDATE_GOLDEN === '1';

async function outcome(file: string, text: string): Promise<{ suffix: 'errors' | 'json'; text: string }> {
  try {
    return { suffix: 'json', text: `${JSON.stringify(await parseConfig(text, file), null, 2)}\n` };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { suffix: 'errors', text: `${error.message}\n` };
  }
}

const files = readdirSync(folder).filter((name) => name.endsWith('.yaml'));
t.ok(files.length > 10, 'the fixtures are found');
for (const file of files) {
  t.test(file, async (t) => {
    const { suffix, text } = await outcome(file, readFileSync(folder + file, 'utf8'));
    const expected = `${folder}${file.replace(/yaml$/, suffix)}`;
    if (update) writeFileSync(expected, text);
    t.ok(existsSync(expected), `is expected to give ${suffix}`);
    t.equal(text, readFileSync(expected, 'utf8'));
    t.notMatch(text, /s3cr3t/, 'no secret is shown');
  });
}
