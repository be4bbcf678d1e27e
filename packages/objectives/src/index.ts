export * from './advantages.js';
export * from './surrogate.js';
