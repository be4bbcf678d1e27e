import { type Grader, GraderRuntimeError } from '../grader.js';
import type { GraderServices } from '../services.js';
import type { Definition } from './definition.js';
import { modelGrader } from './model-grader.js';

/** 1 when the label that a model chooses is one of `passing_labels`, else 0. */
export function labelModel(definition: Definition, services: GraderServices): Grader {
  definition.onlyFields(['type', 'name', 'model', 'input', 'labels', 'passing_labels', 'sampling_params']);
  const labels = readLabels(definition, 'labels');
  const passing = readLabels(definition, 'passing_labels');
  const stranger = passing.find((label) => !labels.includes(label));
  if (stranger !== undefined) {
    definition.refuse('passing_labels', `'${stranger}' is not among the labels: ${labels.join(', ')}.`);
  }
  return modelGrader('label_model', definition, services, {
    config: { labels, passing_labels: passing },
    schema: { type: 'string', enum: labels },
    words: `one of ${labels.map((label) => JSON.stringify(label)).join(', ')}`,
    reward(result) {
      const label = labelOf(result, labels);
      if (label === undefined) {
        throw new GraderRuntimeError(
          `The judge's result is ${JSON.stringify(result)}, not one of ${labels.join(', ')}.`,
          'model_grader_parse_error',
        );
      }
      return passing.includes(label) ? 1 : 0;
    },
  });
}

/** The label itself, or the only one that differs from it in letter case. */
function labelOf(result: unknown, labels: readonly string[]): string | undefined {
  if (typeof result !== 'string') return undefined;
  const written = result.trim();
  if (labels.includes(written)) return written;
  const alike = labels.filter((label) => label.toLowerCase() === written.toLowerCase());
  return alike.length === 1 ? alike[0] : undefined;
}

function readLabels(definition: Definition, field: string): string[] {
  const labels = definition.value(field);
  if (
    Array.isArray(labels) &&
    labels.length > 0 &&
    labels.every((label) => typeof label === 'string' && label.trim() !== '') &&
    new Set(labels).size === labels.length
  ) {
    return labels as string[];
  }
  return definition.refuse(field, `'${field}' must be an array of at least one label, each once.`);
}
