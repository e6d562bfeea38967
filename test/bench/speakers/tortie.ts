/** Tortie itself, the built daemon beside this file: plain, and with policies on import and export. */
import { fileURLToPath } from 'node:url';
import type { Speaker, SpeakerSetup } from './speaker.js';

const DAEMON = fileURLToPath(new URL('../../../src/daemon.js', import.meta.url));

/**
 * What a careful operator has towards everybody: nothing that is no global prefix, nothing that is marked, nothing absurd;
 * what has a certain mark is preferred. Nothing of it hits what the bench sends, so that all arrives, but all is asked.
 */
const POLICY_KEYS = {
  prefixLists: {
    bogons: [
      '0.0.0.0/8 le 32',
      '127.0.0.0/8 le 32',
      '169.254.0.0/16 le 32',
      '192.0.2.0/24 le 32',
      '198.51.100.0/24 le 32',
      '203.0.113.0/24 le 32',
      '224.0.0.0/3 le 32',
    ],
  },
  policies: {
    careful: {
      statements: [
        { match: { prefix: 'bogons' }, then: 'reject' },
        { match: { asPathLength: '50..' }, then: 'reject' },
        { match: { community: ['64999:1', '64999:2'] }, set: { localPref: 200 } },
      ],
      default: 'accept',
    },
  },
} as const;

export const tortie: Speaker = {
  name: 'tortie',
  programs: [],
  package: 'tortie',
  version: () => [process.execPath, DAEMON, '--version'],
  hasKernel: true,
  command: (setup) => start(setup, { import: 'accept', export: 'accept' }, {}),
};

export const tortieWithPolicy: Speaker = {
  ...tortie,
  name: 'tortie-policy',
  command: (setup) => start(setup, { import: 'careful', export: 'careful' }, POLICY_KEYS),
};

/** It may set `net.ipv4.nexthop_compat_mode`, which tells how fast a nexthop object is replaced. */
export const tortieWithSysctls: Speaker = {
  ...tortie,
  name: 'tortie-sysctls',
  command: (setup) => start(setup, { import: 'accept', export: 'accept' }, {}, { setSysctls: true }),
};

function start(
  { folder, address, port, asn, peers, reflector, kernel, profileFolder, write }: SpeakerSetup,
  policies: object,
  keys: object,
  fib: object = {},
): string {
  const shared = { ...(reflector && { routeReflectorClient: true }), ...policies };
  const file = write(
    'tortie.yaml',
    JSON.stringify({
      asn,
      routerId: address,
      listen: [address],
      port,
      peers: peers.map((peer) => ({ address: peer.address, asn: peer.asn, passive: true, holdTime: 90, ...shared })),
      fib: { enabled: kernel, ...fib },
      control: { socket: `${folder}/control.sock` },
      log: { level: 'warn' },
      ...keys,
    }),
  );
  const profile = profileFolder === undefined ? '' : `--cpu-prof --cpu-prof-dir=${profileFolder} `;
  return `exec ${process.execPath} ${profile}${DAEMON} --config ${file}`;
}
