/**
 * The pages of docs/peering: our configurations load, the router's stanza names their addresses and AS numbers, and both
 * have what such a session should have, for both families.
 */
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

/** What the router's stanza must have, in the words of its make, for each family or once for the router. */
const STANZAS: Readonly<Record<string, readonly RegExp[]>> = {
  'cisco-ios-xe.md': [
    /neighbor ADDRESS remote-as 64601/,
    /neighbor ADDRESS password change-me/,
    /neighbor ADDRESS ttl-security hops 1/,
    /neighbor ADDRESS fall-over bfd/,
    /neighbor ADDRESS ha-mode graceful-restart/,
    /neighbor ADDRESS activate/,
    /neighbor ADDRESS prefix-list CONTAINERS6? in/,
    /neighbor ADDRESS maximum-prefix \d+/,
    /maximum-paths \d+/,
  ],
  'cisco-nx-os.md': [
    /neighbor ADDRESS\n {4}remote-as 64601/,
    /password 0 change-me/,
    /ttl-security hops 1/,
    /^ {4}bfd$/m,
    /graceful-restart restart-time/,
    /address-family ipv[46] unicast/,
    /route-map FROM-HOSTS6? in/,
    /maximum-prefix \d+/,
    /maximum-paths \d+/,
  ],
  'arista-eos.md': [
    /neighbor ADDRESS remote-as 64601/,
    /neighbor HOSTS6? password 0 change-me/,
    /neighbor HOSTS6? ttl maximum-hops 1/,
    /neighbor HOSTS6? bfd$/m,
    /graceful-restart restart-time/,
    /neighbor HOSTS6? activate/,
    /neighbor HOSTS6? route-map FROM-HOSTS6? in/,
    /neighbor HOSTS6? maximum-routes \d+/,
    /maximum-paths \d+/,
  ],
  'juniper-junos.md': [
    /neighbor ADDRESS peer-as 64601/,
    /group HOSTS6? authentication-key change-me/,
    /group HOSTS6? ttl 255/,
    /(?:ttl|hop-limit)-except 255/,
    /group HOSTS6? bfd-liveness-detection minimum-interval/,
    /group HOSTS6? graceful-restart restart-time/,
    /group HOSTS6? import FROM-HOSTS6?$/m,
    /family inet6? unicast prefix-limit maximum \d+/,
    /group HOSTS6? multipath multiple-as/,
  ],
  'nokia-sr-os.md': [
    /neighbor "ADDRESS" peer-as 64601/,
    /group "HOSTS6?" authentication-key "change-me"/,
    /group "HOSTS6?" ttl-security 255/,
    /group "HOSTS6?" bfd-liveness true/,
    /ipv[46] bfd admin-state enable/,
    /group "HOSTS6?" graceful-restart restart-time/,
    /group "HOSTS6?" family ipv[46] true/,
    /group "HOSTS6?" import policy \["FROM-HOSTS6?"\]/,
    /group "HOSTS6?" prefix-limit ipv[46] maximum \d+/,
    /multipath max-paths \d+/,
  ],
};

for (const page of pages) {
  t.test(page, async (t) => {
    const text = readFileSync(join(folder, page), 'utf8');
    const blocks = [...text.matchAll(/^```yaml\n([^]*?)^```$/gm)].map((match) => match[1]!);
    t.equal(blocks.length, 2, 'one external, one internal');
    const [external, internal] = await Promise.all(
      blocks.map((block, index) => parseConfig(block, `${page} ${index}`)),
    );
    t.same(
      external!.peers.map(({ address }) => address),
      ['192.0.2.1', '2001:db8::1'],
    );
    t.ok(external!.multipath.ebgp > 1, 'ECMP');
    for (const outside of external!.peers) {
      t.equal(outside.asn, 65001);
      t.equal(outside.ttlSecurityHops, 1);
      t.ok(outside.password && outside.bfd && outside.prefixLimit && outside.gracefulRestart);
      t.same(outside.families, [outside.address!.includes(':') ? 'ipv6-unicast' : 'ipv4-unicast']);
    }
    const inside = internal!.peers[0]!;
    t.equal(internal!.asn, 65001);
    t.ok(inside.password && inside.bfd);
    const stanzas = [...text.matchAll(/^```text\n([^]*?)^```$/gm)].map((match) => match[1]!);
    // What the stanza says, it says for both families.
    const router = stanzas[0]!.replaceAll(/192\.0\.2\.10\b|2001:db8::10\b/gi, 'ADDRESS');
    for (const line of STANZAS[page]!) {
      const found = [...router.matchAll(new RegExp(line, `g${line.flags}`))];
      const perRouter = found.length === 1;
      t.ok(found.length > 0, `${line}`);
      if (perRouter) t.match(line.source, /paths|graceful/, `${line}: once for the router`);
    }
    // Only container networks are taken, in both families.
    t.match(stanzas[0], '172.16.0.0/12');
    t.match(stanzas[0], /fd00:172::\/32/i);
    // The other side names us, too, in both stanzas.
    for (const stanza of stanzas.slice(0, 2)) {
      t.match(stanza, '192.0.2.10');
      t.match(stanza, 'change-me');
    }
    t.match(stanzas[0], `${external!.asn}`);
    t.match(stanzas[2], /^show /m);
  });
}
