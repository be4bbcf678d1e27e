import type { Item } from '../grader.js';
import { equalRewards, type GenerateOptions, rightOrWrong, type Task, UNREAD } from '../task.js';

/** What a task has to say itself. The rest follows from it, unless it says that too. */
export type TaskDefinition<Instance extends object, Hypothesis, Options extends GenerateOptions> = Pick<
  Task<Instance, Hypothesis, Options>,
  'name' | 'checkItem' | 'prompt' | 'parse' | 'verify' | 'key' | 'render' | 'admissibleSet'
> &
  Partial<Pick<Task<Instance, Hypothesis, Options>, 'assess' | 'admissibleCount' | 'rewards' | 'ownMetrics'>> & {
    /** @param item one that `checkItem` accepts @returns the instance's fields alone, with defaults filled in */
    asInstance(item: Item): Instance;
    instances(options: Options): Instance[];
  };

/**
 * A whole task. Unless the definition says otherwise, every right answer earns 1, every answer that was read counts for
 * uniqueness, and the admissible set is counted by listing it.
 */
export function defineTask<Instance extends object, Hypothesis, Options extends GenerateOptions>(
  definition: TaskDefinition<Instance, Hypothesis, Options>,
): Task<Instance, Hypothesis, Options> {
  const { asInstance, instances, ...own } = definition;
  // A generator's options all have defaults.
  const list = (options?: Options): Instance[] => instances(options ?? ({} as Options));
  return {
    assess(text, item) {
      const instance = asInstance(item);
      const hypothesis = own.parse(text, instance);
      return hypothesis === null ? UNREAD : rightOrWrong(own.key(hypothesis), own.verify(hypothesis, instance));
    },
    admissibleCount: (instance) => own.admissibleSet(instance).length,
    rewards: (instance) => equalRewards(own.admissibleSet(instance)),
    ...own,
    readInstance(item) {
      const [problem] = own.checkItem(item);
      if (problem !== undefined) throw new TypeError(`${problem.path}: ${problem.message}`);
      return asInstance(item);
    },
    instances: list,
    generate: (options) =>
      list(options).map((instance) => ({
        messages: [{ role: 'user', content: own.prompt(instance, options?.style ?? 'compact') }],
        ...instance,
      })),
  };
}
