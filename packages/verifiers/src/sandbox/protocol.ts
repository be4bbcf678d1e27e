/** What a sandbox process is asked; one at a time. */
export interface SandboxRequest {
  /** `check` loads the source and looks at it; `grade` calls it with the input. */
  readonly kind: 'check' | 'grade';
  readonly source: string;
  /** plain JSON; absent for `check` */
  readonly input?: { readonly sample: unknown; readonly item: unknown };
  /** a process that is still busy this long after its cap ends by itself, should nobody be left to end it */
  readonly timeoutMs: number;
}

/** A request on its way. */
export interface SandboxCall {
  /** a process is quicker with the source that it had last */
  readonly source: string;
  readonly timeoutMs: number;
  /** frame of a SandboxRequest */
  readonly request: Uint8Array;
}

/** What came of it. */
export type SandboxAnswer =
  | { readonly ok: true; readonly reward: number; readonly outcome?: string | undefined }
  | { readonly ok: false; readonly failure: SandboxFailure };

export interface SandboxFailure {
  /**
   * `definition`: the source cannot be used, whatever the answer is; `runtime`: it raised or returned something that is
   * no reward; `timeout`, `memory`: over its cap; `crash`: the interpreter died; `unavailable`: no sandbox could start.
   */
  readonly kind: 'definition' | 'runtime' | 'timeout' | 'memory' | 'crash' | 'unavailable';
  /** one sentence or the exception's own words */
  readonly message: string;
  /** traceback, and what the code printed, trimmed */
  readonly details?: string | undefined;
}

/** A reply as a process sends it. */
export interface SandboxReply {
  readonly answer: SandboxAnswer;
  /** the process asks to be replaced: its memory has grown or its interpreter is not whole any more */
  readonly retire?: boolean | undefined;
}

/** @returns null for what is no reply: a process is not trusted to send one */
export function readReply(text: string): SandboxReply | null {
  try {
    const reply: unknown = JSON.parse(text);
    if (!isRecord(reply) || !isRecord(reply.answer)) return null;
    const { answer } = reply;
    const retire = reply.retire === true;
    if (answer.ok === true && typeof answer.reward === 'number' && isOptionalString(answer.outcome)) {
      return { answer: { ok: true, reward: answer.reward, outcome: answer.outcome }, retire };
    }
    const { failure } = answer;
    if (answer.ok !== false || !isRecord(failure)) return null;
    const { kind, message, details } = failure;
    if (typeof message !== 'string' || !isOptionalString(details)) return null;
    if (kind !== 'definition' && kind !== 'runtime' && kind !== 'memory' && kind !== 'crash' && kind !== 'timeout') {
      return null;
    }
    return { answer: { ok: false, failure: { kind, message, details } }, retire };
  } catch {
    return null;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isOptionalString(value: unknown): value is string | undefined {
  return value === undefined || typeof value === 'string';
}
