/** Tortie itself: the built daemon beside this file. */
import { fileURLToPath } from 'node:url';
import type { Speaker } from './speaker.js';

const DAEMON = fileURLToPath(new URL('../../../src/daemon.js', import.meta.url));

export const tortie: Speaker = {
  name: 'tortie',
  programs: [],
  package: 'tortie',
  version: () => [process.execPath, DAEMON, '--version'],
  hasKernel: true,
  command: ({ folder, address, port, asn, peers, reflector, kernel, profileFolder, write }) => {
    const shared = reflector ? { routeReflectorClient: true } : { import: 'accept', export: 'accept' };
    const file = write(
      'tortie.yaml',
      JSON.stringify({
        asn,
        routerId: address,
        listen: [address],
        port,
        peers: peers.map((peer) => ({ address: peer.address, asn: peer.asn, passive: true, holdTime: 90, ...shared })),
        fib: { enabled: kernel },
        control: { socket: `${folder}/control.sock` },
        log: { level: 'warn' },
      }),
    );
    const profile = profileFolder === undefined ? '' : `--cpu-prof --cpu-prof-dir=${profileFolder} `;
    return `exec ${process.execPath} ${profile}${DAEMON} --config ${file}`;
  },
};
