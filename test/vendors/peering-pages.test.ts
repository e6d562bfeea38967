/** The configurations on the pages of docs/peering load, and name the address and AS that the router's stanza names. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { parseConfig } from '../../src/config/load.js';

const folder = fileURLToPath(new URL('../../../docs/peering', import.meta.url));
const pages = readdirSync(folder).filter((name) => name.endsWith('.md') && name !== 'README.md');

t.test('there is a page for every make', (t) => {
  t.same(pages.sort(), ['arista-eos.md', 'cisco-ios-xe.md', 'cisco-nx-os.md', 'juniper-junos.md', 'nokia-sr-os.md']);
  const index = readFileSync(join(folder, 'README.md'), 'utf8');
  for (const page of pages) t.match(index, `(${page})`);
  t.end();
});

for (const page of pages) {
  t.test(page, async (t) => {
    const text = readFileSync(join(folder, page), 'utf8');
    const blocks = [...text.matchAll(/^```yaml\n([^]*?)^```$/gm)].map((match) => match[1]!);
    t.equal(blocks.length, 2, 'one external, one internal');
    const [external, internal] = await Promise.all(
      blocks.map((block, index) => parseConfig(block, `${page} ${index}`)),
    );
    const [outside, inside] = [external!.peers[0]!, internal!.peers[0]!];
    t.match(text, `${external!.asn}`, 'our AS is on the page');
    t.equal(outside.asn, 65001);
    t.equal(outside.ttlSecurityHops, 1);
    t.ok(outside.password && outside.bfd && outside.prefixLimit && outside.gracefulRestart);
    t.equal(internal!.asn, 65001);
    t.ok(inside.password && inside.bfd);
    // The other side names us, too, in both stanzas.
    const stanzas = [...text.matchAll(/^```text\n([^]*?)^```$/gm)].map((match) => match[1]!);
    for (const stanza of stanzas.slice(0, 2)) {
      t.match(stanza, '192.0.2.10');
      t.match(stanza, 'change-me');
    }
    t.match(stanzas[0], `${external!.asn}`);
    t.match(stanzas[2], /^show /m);
  });
}
