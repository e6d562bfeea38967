/**
 * netlink: sockets and rtnetlink messages of Linux for Node, and the socket options that `node:net` has no word for.
 */
export * from './address.js';
export * from './constants.js';
export { encodeEcho, internetChecksum, ping, type PingOptions, type PingReply } from './icmp.js';
export * from './datagram.js';
export {
  AF_INET,
  AF_INET6,
  AF_UNSPEC,
  Errno,
  SystemError,
  errnoName,
  interfaceIndex,
  pollReadable,
  pollWritable,
} from './libc.js';
export * from './link.js';
export { MessageReader, MessageWriter, NetlinkFormatError } from './message.js';
export * from './neighbour.js';
export * from './nexthop.js';
export * from './nftables.js';
export * from './nftables-socket.js';
export * from './poller.js';
export * from './route.js';
export * from './router-discovery.js';
export * from './rule.js';
export * from './scheduling.js';
export * from './socket.js';
export * from './sockopt.js';
export * from './tunnel.js';
export * from './wakeup.js';
