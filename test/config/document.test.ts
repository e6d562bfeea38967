/** The generated documentation in `docs/` is what the schema says today. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { configurationJsonSchema, configurationMarkdown } from '../../src/config/document.js';
import { PEER_OPTION_KEYS, ROOT_KEYS } from '../../src/config/schema.js';

const committed = (name: string): string => readFileSync(new URL(`../../../docs/${name}`, import.meta.url), 'utf8');

t.equal(committed('configuration.md'), configurationMarkdown(), 'docs/configuration.md; if not: npm run docs');
t.equal(committed('configuration.schema.json'), configurationJsonSchema(), 'the JSON schema; if not: npm run docs');

for (const name of [...Object.keys(ROOT_KEYS), ...Object.keys(PEER_OPTION_KEYS)]) {
  t.match(configurationMarkdown(), `| \`${name}\` |`, `${name} is documented`);
}
