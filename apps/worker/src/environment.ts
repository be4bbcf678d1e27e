/** The environment does not make a configuration; the message names the variable and what to set. */
export class ConfigError extends Error {
  override name = 'ConfigError';
}

/** @throws ConfigError */
export function numberFrom(env: NodeJS.ProcessEnv, name: string, fallback: number, least: number): number {
  const text = env[name];
  if (!text) return fallback;
  const value = Number(text);
  if (!Number.isFinite(value) || value < least) {
    throw new ConfigError(`${name} is '${text}'. Set a number of at least ${least}.`);
  }
  return value;
}
