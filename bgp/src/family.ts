/** Address families (AFI/SAFI pairs, RFC 4760) that this codec reads and writes. Others are never negotiated. */

export const FAMILIES = ['ipv4-unicast', 'ipv6-unicast'] as const;
export type Family = (typeof FAMILIES)[number];

export const Afi = { ipv4: 1, ipv6: 2 } as const;
export const Safi = { unicast: 1 } as const;

export function familyOf(afi: number, safi: number): Family | undefined {
  if (safi !== Safi.unicast) return undefined;
  return afi === Afi.ipv4 ? 'ipv4-unicast' : afi === Afi.ipv6 ? 'ipv6-unicast' : undefined;
}

export function afiOf(family: Family): number {
  return family === 'ipv4-unicast' ? Afi.ipv4 : Afi.ipv6;
}
