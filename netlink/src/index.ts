/**
 * netlink: sockets and rtnetlink messages of Linux for Node, and the socket options that `node:net` has no word for.
 */
export * from './icmp.js';
export { SystemError, errnoName, interfaceIndex } from './libc.js';
export * from './sockopt.js';
