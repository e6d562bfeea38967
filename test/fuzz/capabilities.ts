/** Capabilities of an OPEN as octets, straight from the RFCs, each with what it says. */
import { u32 } from '../malformed/fixtures/compose.js';
import type { Random } from './random.js';

export interface DrawnCapability {
  readonly octets: readonly number[];
  /** As `decodeOpen` is to have it. */
  readonly means: { readonly kind: string; readonly [part: string]: unknown };
}

const capability = (code: number, value: readonly number[], means: DrawnCapability['means']): DrawnCapability => ({
  octets: [code, value.length, ...value],
  means,
});

export function randomCapability(random: Random): DrawnCapability {
  const some = <T>(draw: () => T): T[] => Array.from({ length: random.below(4) }, draw);
  const family = (): { afi: number; safi: number } => ({ afi: random.pick([1, 2, 25, 16388]), safi: random.pick([1, 2, 128]) }); // prettier-ignore
  const afi = (value: number): number[] => [value >> 8, value & 255];
  switch (random.below(10)) {
    case 0: {
      const one = family();
      return capability(1, [...afi(one.afi), random.below(256), one.safi], { kind: 'multiprotocol', ...one });
    }
    case 1: {
      const [code, kind] = random.pick([
        [2, 'routeRefresh'],
        [128, 'routeRefreshCisco'],
        [70, 'enhancedRouteRefresh'],
        [6, 'extendedMessage'],
      ] as const);
      return capability(code, [], { kind });
    }
    case 2: {
      const asn = random.u32();
      return capability(65, u32(asn), { kind: 'fourOctetAs', asn });
    }
    case 3: {
      // RFC 7911 §4: AFI, SAFI, 1 = receive, 2 = send, 3 = both.
      const entries = some(() => ({ ...family(), mode: 1 + random.below(3) }));
      const octets = entries.flatMap((one) => [...afi(one.afi), one.safi, one.mode]);
      return capability(69, octets, { kind: 'addPath', entries });
    }
    case 4: {
      // RFC 4724 §3: R bit, N bit (RFC 8538), 12 bits of time; F bit of each family.
      const [restarting, notification] = [random.chance(50), random.chance(50)];
      const restartTimeSeconds = random.below(4096);
      const families = some(() => ({ ...family(), forwardingPreserved: random.chance(50) }));
      const octets = [
        (restarting ? 0x80 : 0) | (notification ? 0x40 : 0) | (random.below(4) << 4) | (restartTimeSeconds >> 8),
        restartTimeSeconds & 255,
        ...families.flatMap((one) => [...afi(one.afi), one.safi, one.forwardingPreserved ? 0x80 : 0]),
      ];
      return capability(64, octets, {
        kind: 'gracefulRestart',
        restarting,
        notification,
        restartTimeSeconds,
        families,
      });
    }
    case 5: {
      // RFC 9494 §3: AFI, SAFI, F bit, 24 bits of time.
      const families = some(() => ({
        ...family(),
        forwardingPreserved: random.chance(50),
        staleTimeSeconds: random.below(1 << 24),
      }));
      const octets = families.flatMap((one) => [...afi(one.afi), one.safi, one.forwardingPreserved ? 0x80 : 0, ...u32(one.staleTimeSeconds).slice(1)]); // prettier-ignore
      return capability(71, octets, { kind: 'longLivedGracefulRestart', families });
    }
    case 6: {
      const role = random.below(256);
      return capability(9, [role], { kind: 'role', role });
    }
    case 7: {
      // RFC 8950 §4: AFI, SAFI of 2 octets, AFI of the next hop.
      const entries = some(() => ({ ...family(), nextHopAfi: random.pick([1, 2]) }));
      const octets = entries.flatMap((one) => [...afi(one.afi), 0, one.safi, ...afi(one.nextHopAfi)]);
      return capability(5, octets, { kind: 'extendedNextHop', entries });
    }
    case 8: {
      const [hostname, domain] = [random.pick(['', 'hi', 'tortie']), random.pick(['', 'example'])];
      const octets = [hostname.length, ...Buffer.from(hostname), domain.length, ...Buffer.from(domain)];
      return capability(73, octets, { kind: 'fqdn', hostname, domain });
    }
    default: {
      const value = random.bytes(random.below(6));
      const code = random.pick([3, 8, 67, 74, 185, 200, 255]);
      return capability(code, value, { kind: 'unknown', code, value: Uint8Array.from(value) });
    }
  }
}
