/** BIRD 2 or 3, whichever is installed. */
import type { Speaker } from './speaker.js';

export const bird: Speaker = {
  name: 'bird',
  programs: [['bird', '/usr/sbin/bird']],
  package: 'bird2',
  version: ([program]) => [program!, '--version'],
  hasKernel: true,
  command: ({ folder, address, asn, peers, reflector, kernel, write }, [program]) => {
    const file = write(
      'bird.conf',
      [
        `log "${folder}/bird.log" { warning, error, fatal, bug };`,
        `router id ${address};`,
        'protocol device { scan time 60; }',
        // Next hops are looked up in a small table of connected networks instead of the full one.
        'ipv4 table connected4;',
        'protocol direct { ipv4 { table connected4; }; }',
        ...(kernel
          ? ['protocol kernel { scan time 3600; ipv4 { import none; export where source = RTS_BGP; }; }']
          : []),
        'template bgp bench {',
        `  local ${address} port 179 as ${asn};`,
        '  passive yes;',
        '  hold time 90;',
        ...(reflector ? ['  rr client;', `  rr cluster id ${address};`] : []),
        '  ipv4 { igp table connected4; import all; export all; };',
        '}',
        ...peers.map((peer, i) => `protocol bgp peer${i} from bench { neighbor ${peer.address} as ${peer.asn}; }`),
        '',
      ].join('\n'),
    );
    return `exec ${program} -f -c ${file} -s ${folder}/bird.ctl`;
  },
};
