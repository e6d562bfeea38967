/**
 * FRR's bgpd; with zebra where the kernel takes part. Its delays are set to zero where there is a setting: by default
 * it waits before the first send to a group of peers, the longer the more peers there are.
 */
import type { Speaker } from './speaker.js';

const DIRECTORIES = ['/usr/lib/frr', '/usr/libexec/frr'];

export const frr: Speaker = {
  name: 'frr',
  programs: [DIRECTORIES.map((path) => `${path}/bgpd`), DIRECTORIES.map((path) => `${path}/zebra`)],
  package: 'frr',
  version: ([bgpd]) => [bgpd!, '--version'],
  hasKernel: true,
  command: ({ folder, address, asn, peers, reflector, kernel, write }, [bgpd, zebra]) => {
    const file = write(
      'bgpd.conf',
      [
        'frr defaults traditional',
        'hostname bench',
        `log file ${folder}/bgpd.log warnings`,
        `router bgp ${asn}`,
        ` bgp router-id ${address}`,
        ' no bgp ebgp-requires-policy',
        ' no bgp network import-check',
        ' coalesce-time 100',
        ...(reflector ? [` bgp cluster-id ${address}`] : []),
        ' neighbor bench peer-group',
        ...(reflector ? [` neighbor bench remote-as ${asn}`] : []),
        ' neighbor bench passive',
        ' neighbor bench timers 30 90',
        ' neighbor bench advertisement-interval 0',
        // Without zebra bgpd knows of no interface.
        ...(reflector || kernel ? [] : [' neighbor bench disable-connected-check']),
        ...peers.flatMap((peer) => [
          ...(reflector ? [] : [` neighbor ${peer.address} remote-as ${peer.asn}`]),
          ` neighbor ${peer.address} peer-group bench`,
        ]),
        ' address-family ipv4 unicast',
        '  neighbor bench activate',
        ...(reflector ? ['  neighbor bench route-reflector-client'] : []),
        ' exit-address-family',
        'exit',
        '',
      ].join('\n'),
    );
    const options = `-S -P 0 -l ${address} -f ${file} -i ${folder}/bgpd.pid`;
    if (!kernel) return `mkdir -p /run/frr && exec ${bgpd} ${options} -n -Z`;
    const zebraFile = write('zebra.conf', `hostname bench\nlog file ${folder}/zebra.log warnings\n`);
    return [
      `mkdir -p /run/frr && chown -R frr:frr /run/frr ${folder}`,
      `${zebra} -P 0 -f ${zebraFile} -i ${folder}/zebra.pid & while [ ! -S /run/frr/zserv.api ]; do sleep 0.02; done`,
      `exec ${bgpd} ${options}`,
    ].join('\n');
  },
};
