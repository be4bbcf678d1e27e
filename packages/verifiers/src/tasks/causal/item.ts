import type { Item, ItemProblem } from '../../grader.js';
import { NO_EDGES_WORDS } from './answer.js';

/** Bits of a mask of nodes, with room to spare. */
const MOST_NODES = 26;

/** What keeps a row's fields from being an instance; [] when they are one. */
export function checkItem({ nodes, max_edges, observations }: Item): ItemProblem[] {
  const problems: ItemProblem[] = [];
  const names = areNames(nodes) ? nodes : null;
  if (names === null) {
    problems.push({
      path: 'item.nodes',
      message: `must be a list of 1 to ${MOST_NODES} different names such as ["A", "B"], of letters, digits and _.`,
    });
  }
  const limited = max_edges !== undefined && max_edges !== null;
  if (limited && !(Number.isSafeInteger(max_edges) && Number(max_edges) >= 0)) {
    problems.push({ path: 'item.max_edges', message: 'must be an integer of at least 0, or null for no limit.' });
  }
  return [...problems, ...checkObservations(observations, names ?? [])];
}

function areNames(value: unknown): value is string[] {
  return (
    Array.isArray(value) &&
    value.length >= 1 &&
    value.length <= MOST_NODES &&
    value.every((v: unknown) => typeof v === 'string' && /^[A-Za-z0-9_]+$/.test(v) && !NO_EDGES_WORDS.test(v)) &&
    new Set(value).size === value.length
  );
}

function checkObservations(observations: unknown, names: readonly string[]): ItemProblem[] {
  if (!Array.isArray(observations) || observations.length === 0) {
    return [{ path: 'item.observations', message: 'must be a list of {perturbed, effects}, at least one.' }];
  }
  const problems: ItemProblem[] = [];
  observations.forEach((observation: unknown, i) => {
    const path = `item.observations[${i}]`;
    if (!isObject(observation)) {
      problems.push({ path, message: 'must be an object with perturbed and effects.' });
      return;
    }
    const { perturbed, effects } = observation;
    if (names.length > 0 && !names.some((name) => name === perturbed)) {
      problems.push({ path: `${path}.perturbed`, message: `must be one of ${names.join(', ')}.` });
    }
    const isBit = (name: string, bits: Record<string, unknown>): boolean =>
      Object.hasOwn(bits, name) && (bits[name] === 0 || bits[name] === 1);
    if (!isObject(effects) || !names.every((name) => isBit(name, effects))) {
      problems.push({ path: `${path}.effects`, message: `must give 0 or 1 for each of ${names.join(', ')}.` });
    }
  });
  return problems;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
