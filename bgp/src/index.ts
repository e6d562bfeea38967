export * from './ip.js';
export * from './family.js';
export * from './errors.js';
