import type { ResolvedMethod } from '@polymode/contracts';
import type { NewEvent, NewSample } from '@polymode/db';
import type { StepReport } from '@polymode/trainer';
import { preferenceReport, supervisedReport } from './imitation-report.js';
import { reinforcementReport } from './reinforcement-report.js';

/** How the steps of one method are told of. */
export interface MethodReport {
  /** what follows "Step 3/10" */
  message(report: StepReport): string;
  /** the data of a step's metrics event; the same object is the step's metrics row */
  data(report: StepReport): Record<string, unknown>;
  /** figures of a checkpoint at that step */
  checkpointMetrics(report: StepReport): Record<string, number>;
  /** columns of the result file after `step`, from that data; nothing where it was not measured */
  readonly columns: Readonly<Record<string, (data: Readonly<Record<string, unknown>>) => unknown>>;
}

export function reportOf(method: ResolvedMethod): MethodReport {
  switch (method.type) {
    case 'reinforcement':
      return reinforcementReport(method.reinforcement.grader);
    case 'supervised':
      return supervisedReport;
    case 'dpo':
      return preferenceReport;
  }
}

/** What a step sampled, one prompt after the other; nothing for methods that sample nothing. */
export function samplesOf({ groups }: StepReport): NewSample[] {
  return groups.flatMap(({ row, completions }) =>
    completions.map(({ text, tokens, finishReason, reward, outcome, advantage }) => ({
      row,
      text,
      reward,
      outcome,
      advantage,
      tokens,
      finish: finishReason,
    })),
  );
}

/** The metrics event of one step, in the wording that OpenAI's service uses for the method. */
export function stepEvent(report: StepReport, { message, data }: MethodReport): NewEvent {
  const { step, totalSteps } = report;
  const said = message(report);
  return {
    dedupeKey: `step:${step}`,
    type: 'metrics',
    // OpenAI's reinforcement messages have a blank and a comma here, its supervised ones a colon.
    message: said.startsWith(' ') ? `Step ${step}/${totalSteps} ,${said}` : `Step ${step}/${totalSteps}: ${said}`,
    data: data(report),
  };
}
