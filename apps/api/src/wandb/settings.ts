/** What an operator sets for Weights & Biases. */
export interface WandbSettings {
  /** Without a slash at its end. */
  readonly baseUrl: string;
  readonly apiKey: string;
  /** Team or user of runs that name none; null: that of the key. */
  readonly entity: string | null;
}

/**
 * Reads WANDB_API_KEY, WANDB_BASE_URL and WANDB_ENTITY, which the wandb package reads too.
 *
 * @returns null without a key
 * @throws Error that names the variable and what to set, without what it holds
 */
export function readWandbSettings(environment: Readonly<Record<string, string | undefined>>): WandbSettings | null {
  const { WANDB_API_KEY: apiKey, WANDB_BASE_URL: baseUrl, WANDB_ENTITY: entity } = environment;
  if (!apiKey) return null;
  return { baseUrl: urlOf(baseUrl || 'https://api.wandb.ai'), apiKey, entity: entity || null };
}

function urlOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url && /^https?:$/.test(url.protocol) && url.username + url.password + url.search + url.hash === '') {
    return url.href.replace(/\/+$/, '');
  }
  throw new Error('WANDB_BASE_URL is no address of a server. Set a URL such as https://api.wandb.ai.');
}

/** Where people look at the runs of a server: Weights & Biases has its API on a host of its own, and most others do not. */
export function runUrl(baseUrl: string, { entity, project }: { entity: string; project: string }, id: string): string {
  const app = baseUrl.replace(/:\/\/api\.wandb\./, '://wandb.').replace(/:\/\/api\./, '://app.');
  return `${app}/${encodeURIComponent(entity)}/${encodeURIComponent(project)}/runs/${id}`;
}
