/** GoBGP. It has no way into the kernel without zebra. */
import type { Speaker } from './speaker.js';

export const gobgp: Speaker = {
  name: 'gobgp',
  programs: [['gobgpd', '/usr/bin/gobgpd']],
  package: 'gobgpd',
  version: ([program]) => [program!, '--version'],
  hasKernel: false,
  command: ({ address, asn, peers, reflector, write }, [program]) => {
    const file = write(
      'gobgpd.json',
      JSON.stringify({
        global: { config: { as: asn, 'router-id': address, port: 179, 'local-address-list': [address] } },
        neighbors: peers.map((peer) => ({
          config: { 'neighbor-address': peer.address, 'peer-as': peer.asn },
          transport: { config: { 'passive-mode': true } },
          timers: { config: { 'hold-time': 90 } },
          ...(reflector
            ? {
                'route-reflector': {
                  config: { 'route-reflector-client': true, 'route-reflector-cluster-id': address },
                },
              }
            : {}),
        })),
      }),
    );
    return `exec ${program} -f ${file} -t json --api-hosts 127.0.0.1:50051 --pprof-disable -l warn`;
  },
};
