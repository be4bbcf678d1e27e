import type { NewEvent } from '@polymode/db';
import type { ExportReport, StepReport } from '@polymode/trainer';

/** What a job's readers are told, in the wording that OpenAI's service uses. Keys make a replayed step say it once. */

export function startedEvent(): NewEvent {
  return { dedupeKey: 'started', message: 'Fine-tuning job started' };
}

export function checkpointEvent(step: number, model: string): NewEvent {
  return { dedupeKey: `checkpoint:${step}`, message: `Checkpoint created at step ${step} with Snapshot ID: ${model}` };
}

export function succeededEvents(model: string): NewEvent[] {
  return [
    { dedupeKey: 'model', message: `New fine-tuned model created: ${model}` },
    { dedupeKey: 'succeeded', message: 'The job has successfully completed' },
  ];
}

export function failedEvent(message: string): NewEvent {
  return { dedupeKey: 'failed', level: 'error', message: `The job failed: ${message}` };
}

/** What readers of a checkpoint's formats should know; said once for a job, as it holds for all of its checkpoints. */
export function exportWarnings(exports: readonly ExportReport[]): NewEvent[] {
  return exports.flatMap(({ format, warnings }) =>
    warnings.map(
      (warning, i): NewEvent => ({
        dedupeKey: `format:${format}:${i}`,
        level: 'warn',
        message: `Checkpoints as ${format}: ${warning}`,
      }),
    ),
  );
}

/** What a step warns of. */
export function warningEvents({ step, warnings }: StepReport): NewEvent[] {
  return warnings.map((message, i) => ({ dedupeKey: `warning:${step}:${i}`, level: 'warn', message }));
}
