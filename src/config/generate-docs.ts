/** `npm run docs`: writes the reference of the configuration into `docs/` of the checkout. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { configurationJsonSchema, configurationMarkdown } from './document.js';

const folder = new URL('../../../docs/', import.meta.url);
mkdirSync(folder, { recursive: true });
writeFileSync(new URL('configuration.md', folder), configurationMarkdown());
writeFileSync(new URL('configuration.schema.json', folder), configurationJsonSchema());
