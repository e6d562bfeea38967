export * from './ip.js';
export * from './family.js';
