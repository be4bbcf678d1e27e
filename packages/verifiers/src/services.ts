import type { Sandboxes } from './sandbox/index.js';

/** What graders need from the application around them. A grader whose service is absent is refused when it is compiled. */
export interface GraderServices {
  /** judges of `score_model` and `label_model` */
  readonly judge?: JudgeSettings | undefined;
  /** where `python` and `javascript` run */
  readonly sandboxes?: Sandboxes | undefined;
  /** host names and addresses that `endpoint` may reach although they are private */
  readonly endpointAllow?: readonly string[] | undefined;
}

/** An OpenAI-compatible server of chat completions. */
export interface JudgeSettings {
  /** with its version, as in `https://host/v1` */
  readonly baseUrl: string;
  readonly apiKey?: string | undefined;
  /** whether the server is our own API, whose models belong to projects @defaultValue false */
  readonly own?: boolean | undefined;
  /** that the server is asked in, as `OpenAI-Project`; an admin key may act in any */
  readonly project?: string | undefined;
  /** the server's name of a model, by the name in grader definitions; other names go to the server as they are */
  readonly models?: Readonly<Record<string, string>> | undefined;
  /** milliseconds that one request may take @defaultValue 60000 */
  readonly timeoutMs?: number | undefined;
  /** milliseconds before a failed request is sent again, the first time; twice as long each time after @defaultValue 500 */
  readonly retryDelayMs?: number | undefined;
  /** requests of one grader under way at once @defaultValue 16 */
  readonly concurrency?: number | undefined;
}

/** The services as graders of one of our projects see them: its own models are their judges. */
export function inProject(services: GraderServices, project: string): GraderServices {
  const { judge } = services;
  return judge?.own ? { ...services, judge: { ...judge, project } } : services;
}
