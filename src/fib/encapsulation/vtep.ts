/**
 * What follows from an address alone, so that hosts need nothing but BGP to find each other's tunnel ends: the
 * link-layer address of a VXLAN tunnel end (VTEP, RFC 7348), names of devices, and octets that a tunnel adds. Pure.
 */
import type { EncapsulationSettings } from '../../config/settings.js';
import type { TunnelKind } from 'netlink';

/** Octets in front of every packet: outer IP header; UDP, VXLAN and inner Ethernet header for VXLAN. */
const OVERHEAD = { ipip: { 4: 20, 6: 40 }, vxlan: { 4: 20 + 8 + 8 + 14, 6: 40 + 8 + 8 + 14 } } as const;

export type TunnelFamily = 4 | 6;

/**
 * Link-layer address of the tunnel end at `address`, locally administered (bit 1 of the first octet). An IPv4 address
 * is contained in it: `02:74:` and its four octets. Of an IPv6 address it is `06:` and 40 bits of FNV-1a: for two of
 * 10,000 hosts to share one has a probability of 1 in 20,000.
 */
export function tunnelMac(address: Uint8Array): Uint8Array {
  if (address.length === 4) return Uint8Array.of(0x02, 0x74, ...address);
  let hash = 0xcbf29ce484222325n;
  for (const octet of address) hash = BigInt.asUintN(64, (hash ^ BigInt(octet)) * 0x100000001b3n);
  const mac = Uint8Array.of(0x06, 0, 0, 0, 0, 0);
  for (let i = 5; i > 0; i--, hash >>= 8n) mac[i] = Number(hash & 0xffn);
  return mac;
}

export function tunnelKind(mode: EncapsulationSettings['mode'], family: TunnelFamily): TunnelKind {
  if (mode === 'vxlan') return 'vxlan';
  return family === 4 ? 'ipip' : 'ip6tnl';
}

/** One device for each family of the outer packets: the second one's name has a 6 behind. */
export function deviceName(settings: EncapsulationSettings, family: TunnelFamily): string {
  return family === 4 ? settings.interface : `${settings.interface}6`;
}

/** Largest packet inside the tunnel: as configured, or what the underlay takes less what is added. */
export function tunnelMtu(settings: EncapsulationSettings, family: TunnelFamily, underlayMtu: number): number {
  return settings.mtu ?? Math.max(1280, underlayMtu - OVERHEAD[settings.mode][family]);
}
