import { openSandboxes } from './sandbox/index.js';
import type { GraderServices, JudgeSettings } from './services.js';

/** What an operator sets for graders. */
export interface GraderSettings {
  /** absent: graders that ask a model are refused */
  readonly judge?: JudgeSettings | undefined;
  readonly endpointAllow: readonly string[];
}

/**
 * Reads POLYMODE_JUDGE_BASE_URL, POLYMODE_JUDGE_API_KEY, POLYMODE_JUDGE_MODELS (`theirs=served,…`) and
 * POLYMODE_ENDPOINT_ALLOW (`host,…`); the API and the workers need the same. Where no judge's URL is set but POLYMODE_API_URL
 * is, that of our own API, judges are the models that it serves, asked with POLYMODE_JUDGE_API_KEY or else POLYMODE_API_KEY.
 *
 * @throws Error that names the variable and what to set
 */
export function readGraderSettings(environment: Readonly<Record<string, string | undefined>>): GraderSettings {
  const {
    POLYMODE_API_URL: ownUrl,
    POLYMODE_API_KEY: ownKey,
    POLYMODE_JUDGE_BASE_URL: givenUrl,
    POLYMODE_JUDGE_API_KEY: givenKey,
    POLYMODE_JUDGE_MODELS: models,
    POLYMODE_ENDPOINT_ALLOW: allow,
  } = environment;
  const endpointAllow = listed(allow);
  const baseUrl = givenUrl || ownUrl;
  if (!baseUrl) return { endpointAllow };
  if (!URL.canParse(baseUrl) || !/^https?:$/.test(new URL(baseUrl).protocol)) {
    const name = givenUrl ? 'POLYMODE_JUDGE_BASE_URL' : 'POLYMODE_API_URL';
    throw new Error(`${name} is '${baseUrl}'. Set a URL such as https://host/v1.`);
  }
  // Our own key is for our own API: no other server gets to see it.
  const apiKey = givenKey || (givenUrl ? undefined : ownKey);
  return {
    endpointAllow,
    judge: {
      baseUrl,
      own: !givenUrl,
      apiKey: apiKey || undefined,
      ...(models && { models: readModelNames('POLYMODE_JUDGE_MODELS', models) }),
    },
  };
}

/**
 * Models by the names that stand for them, of a variable's `name=model,…`.
 *
 * @throws Error that names the variable and what to set
 */
export function readModelNames(variable: string, text: string | undefined): Record<string, string> {
  return Object.fromEntries(
    listed(text).map((pair): [string, string] => {
      const at = pair.indexOf('=');
      if (at > 0 && at < pair.length - 1) return [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
      throw new Error(`${variable} is '${text}'. Set pairs such as gpt-4.1=my-model,o4-mini=my-model.`);
    }),
  );
}

function listed(text: string | undefined): string[] {
  return (text ?? '')
    .split(',')
    .map((one) => one.trim())
    .filter(Boolean);
}

/** Services as they were set, and sandboxes whose processes start when they are first needed. */
export function openGraderServices({ judge, endpointAllow }: GraderSettings): GraderServices & { close(): void } {
  const sandboxes = openSandboxes();
  return { judge, endpointAllow, sandboxes, close: () => sandboxes.close() };
}
