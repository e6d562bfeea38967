/** OpenBGPD, the portable version: without routes in the Linux kernel. */
import type { Speaker } from './speaker.js';

export const openbgpd: Speaker = {
  name: 'openbgpd',
  programs: [['/usr/sbin/bgpd', '/usr/local/sbin/bgpd']],
  package: 'openbgpd',
  version: ([program]) => [program!, '-V'],
  hasKernel: false,
  command: ({ address, asn, peers, reflector, write }, [program]) => {
    const file = write(
      'bgpd.conf',
      [
        `AS ${asn}`,
        `router-id ${address}`,
        'fib-update no',
        `listen on ${address} port 179`,
        'socket "/run/openbgpd/control"',
        'holdtime 90',
        'nexthop qualify via default',
        'group "bench" {',
        '  passive',
        '  announce IPv4 unicast',
        ...(reflector ? [`  remote-as ${asn}`, '  route-reflector'] : []),
        ...peers.map(
          (peer) => `  neighbor ${peer.address} { ${reflector ? `descr "${peer.address}"` : `remote-as ${peer.asn}`} }`,
        ),
        '}',
        'allow from any',
        'allow to any',
        '',
      ].join('\n'),
    );
    return `mkdir -p /run/openbgpd && exec ${program} -d -f ${file}`;
  },
};
