/** What "auto" derives from what; the same for every method that has them. */
const DERIVED: Readonly<Record<string, readonly string[]>> = {
  training_file: ['max_steps'],
  n_epochs: ['max_steps'],
  batch_size: ['max_steps'],
  max_steps: ['warmup_steps', 'eval_interval'],
  learning_rate_multiplier: ['learning_rate'],
  compute_multiplier: ['group_size'],
  group_size: ['ips'],
};

/**
 * Resolved hyperparameters with some of them changed. What was derived from those is "auto" again, unless it is given too.
 *
 * @param changes names that are no hyperparameters stay, for the schema to refuse; `training_file` stands for other data
 */
export function changedHyperparameters(
  resolved: Readonly<Record<string, unknown>>,
  changes: Readonly<Record<string, unknown>>,
  otherData = false,
): Record<string, unknown> {
  const result: Record<string, unknown> = { ...resolved, ...changes };
  const derive = (from: string): void => {
    for (const name of DERIVED[from] ?? []) {
      if (name in changes) continue;
      delete result[name];
      derive(name);
    }
  };
  for (const name of Object.keys(changes)) derive(name);
  if (otherData) derive('training_file');
  return result;
}
