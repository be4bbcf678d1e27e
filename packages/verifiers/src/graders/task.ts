import { type Grader, GraderRuntimeError } from '../grader.js';
import { UNPARSEABLE } from '../outcome.js';
import type { GradableTask } from '../task.js';
import { type TaskName, tasks } from '../tasks/index.js';
import type { Definition } from './definition.js';

/**
 * What the answer earns for the instance that the row carries: 0 unless it is in the admissible set. The outcome is the task's
 * canonical key. Answers that cannot be read earn 0 and share one outcome.
 */
export function task(definition: Definition): Grader {
  definition.onlyFields(['type', 'name', 'task']);
  const taskName = definition.oneOf('task', Object.keys(tasks) as TaskName[]);
  const config = {
    type: 'task' as const,
    name: definition.name(taskName),
    task: taskName,
  };
  const verifier: GradableTask = tasks[taskName];
  return {
    config,
    name: config.name,
    type: config.type,
    defaultOutcome: { type: 'grader' },
    checkItem: (item) => verifier.checkItem(item),
    grade: async (sample, item) => {
      const [problem] = verifier.checkItem(item);
      if (problem !== undefined) {
        throw new GraderRuntimeError(`${problem.path}: ${problem.message}`, 'invalid_variable_error');
      }
      await verifier.prepare?.(sample.output_text, item);
      const { key, reward } = verifier.assess(sample.output_text, item);
      return { reward, outcome: key ?? UNPARSEABLE };
    },
  };
}
