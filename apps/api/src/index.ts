export { buildApp } from './app.js';
export { type ApiConfig, parseConfig } from './config.js';
export type { ApiDependencies, BaseModel } from './dependencies.js';
export { type ApiServer, startServer } from './start.js';
