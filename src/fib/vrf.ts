/** The table of a VRF device, or why there is none. */
import * as nl from 'netlink';

/** Throws with what to do when `name` is no VRF device of this namespace. */
export function vrfTable(name: string): number {
  const socket = nl.NetlinkSocket.open();
  try {
    let found: nl.LinkMessage | undefined;
    socket.dump('reading links', nl.encodeLinkDump, (reader) => {
      const link = nl.decodeLink(reader);
      if (link.family === nl.AF_UNSPEC && link.name === name) found = link;
    });
    return tableOf(name, found);
  } finally {
    socket.close();
  }
}

/** Pure. */
export function tableOf(name: string, link: Pick<nl.LinkMessage, 'kind' | 'vrfTable'> | undefined): number {
  if (!link) {
    throw new Error(
      `fib.vrf: there is no device ${name}; make it before (ip link add ${name} type vrf table N), ` +
        'which needs a kernel with VRF support (CONFIG_NET_VRF), or use fib.table',
    );
  }
  if (link.kind !== 'vrf' || link.vrfTable === undefined) {
    throw new Error(`fib.vrf: ${name} is ${link.kind ? `a ${link.kind} device` : 'a plain device'}, not a VRF`);
  }
  return link.vrfTable;
}
