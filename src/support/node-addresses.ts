/** The node's own addresses, read when a session comes up or a router id is needed; never followed. */
import { networkInterfaces } from 'node:os';
import { equalBytes, maskAddress, parseAddress } from 'bgp-parse';

export interface NodeAddress {
  readonly interfaceName: string;
  readonly bytes: Uint8Array;
  readonly prefixLength: number;
  readonly loopback: boolean;
  /** fe80::/10 */
  readonly linkLocal: boolean;
}

export function readNodeAddresses(): NodeAddress[] {
  const out: NodeAddress[] = [];
  for (const [interfaceName, entries] of Object.entries(networkInterfaces())) {
    for (const entry of entries ?? []) {
      const bytes = parseAddress(entry.address);
      if (!bytes) continue;
      out.push({
        interfaceName,
        bytes,
        prefixLength: entry.cidr ? Number(entry.cidr.split('/')[1]) : bytes.length * 8,
        loopback: entry.internal,
        linkLocal: isLinkLocal(bytes),
      });
    }
  }
  return out;
}

export function isLinkLocal(bytes: Uint8Array): boolean {
  return bytes.length === 16 && bytes[0] === 0xfe && (bytes[1]! & 0xc0) === 0x80;
}

/** Whether `address` lies in the subnet of one of ours. */
export function isOnSubnet(own: NodeAddress, address: Uint8Array): boolean {
  if (own.bytes.length !== address.length) return false;
  return equalBytes(maskAddress(own.bytes, own.prefixLength), maskAddress(address, own.prefixLength));
}

/**
 * A router id for a node that was not given one: the IPv4 address on the subnet of the first peer that has one, since
 * bridge addresses are often the same on every host; else the numerically highest that is not a loopback's.
 */
export function deriveRouterId(addresses: readonly NodeAddress[], peers: readonly Uint8Array[]): number | undefined {
  const candidates = addresses.filter((own) => own.bytes.length === 4 && !own.loopback);
  for (const peer of peers) {
    const near = candidates.find((own) => isOnSubnet(own, peer));
    if (near) return toNumber(near.bytes);
  }
  return candidates.length > 0 ? Math.max(...candidates.map((own) => toNumber(own.bytes))) : undefined;
}

export interface OwnNextHops {
  /** 4 octets. */
  readonly ipv4: Uint8Array | undefined;
  /** 16 octets. */
  readonly ipv6: Uint8Array | undefined;
}

/**
 * What "next hop self" is on a session whose own end is `local`: that address, and its interface's of the other family.
 * `linkOnly`: a peer that is known by its link-local address alone need not have a route to any other of ours.
 */
export function ownNextHops(
  addresses: readonly NodeAddress[],
  local: Uint8Array,
  interfaceName: string | undefined,
  linkOnly: boolean,
): OwnNextHops {
  // The same link-local address may be on several interfaces.
  const here = addresses.find(
    (own) => equalBytes(own.bytes, local) && (interfaceName === undefined || own.interfaceName === interfaceName),
  );
  const onInterface = addresses.filter((own) => own.interfaceName === here?.interfaceName);
  const global6 = onInterface.find((own) => own.bytes.length === 16 && !own.linkLocal);
  const linkLocal6 = onInterface.find((own) => own.linkLocal);
  const ipv4 = onInterface.find((own) => own.bytes.length === 4);
  return {
    ipv4: local.length === 4 ? local : ipv4?.bytes,
    ipv6: local.length === 16 && (linkOnly || !isLinkLocal(local)) ? local : (global6?.bytes ?? linkLocal6?.bytes),
  };
}

function toNumber(bytes: Uint8Array): number {
  return ((bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!) >>> 0;
}
