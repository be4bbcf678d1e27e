import type { Assessment, Task } from '../../task.js';
import { UNREAD } from '../../task.js';
import { findSmiles, renderSmiles } from './answer.js';
import { type AmideOptions, blockChoices } from './choices.js';
import { type AmideInstance, asInstance, checkItem } from './item.js';
import { Laboratory } from './laboratory.js';
import { canBeMade, type Molecule } from './molecule.js';
import { compactPrompt, fullPrompt } from './prompts.js';

/** From here on a molecule counts as a hit. */
const HIT_REWARD = 0.85;

const laboratory = new Laboratory();

/** A molecule, and what it counts as in an instance. */
export interface AmideAnswer {
  readonly molecule: Molecule;
  readonly key: string;
}

/**
 * Molecules that can be made of given blocks by amide couplings, the more drug-like the better.
 *
 * An answer is valid if it is an acid, at most one linker and an amine of the instance, joined by amide bonds, and has at most 3
 * hydrogen bond donors. It earns qed7. Text that is no molecule, or one of several fragments, with radicals or dummy atoms, is
 * not read at all.
 *
 * RDKit works in a thread of its own. Members that need it wait for it where `prepare` has not asked it before: `parse`,
 * `assess`, `render` of keys, `admissibleSet`, `admissibleCount`, `rewards`, `ownMetrics`.
 */
export const amideTask: Task<AmideInstance, AmideAnswer, AmideOptions> = {
  name: 'molecules/amide-lite',
  checkItem,
  readInstance(item) {
    const [problem] = checkItem(item);
    if (problem !== undefined) throw new TypeError(`${problem.path}: ${problem.message}`);
    return asInstance(item);
  },
  async prepare(text) {
    const smiles = findSmiles(text);
    if (smiles !== null) await laboratory.examine(smiles);
  },
  assess(text, item): Assessment {
    const instance = asInstance(item);
    const found = parse(text, instance);
    if (found === null) return UNREAD;
    const { molecule, key } = found;
    const reward = earned(molecule, instance);
    return { key, valid: reward > 0, reward, countsForUniqueness: true, answer: molecule.smiles };
  },
  instances: (options = {}) => blockChoices(options),
  generate: (options = {}) =>
    blockChoices(options).map((instance) => ({
      messages: [{ role: 'user', content: amideTask.prompt(instance, options.style ?? 'compact') }],
      ...instance,
    })),
  prompt: (instance, style) => (style === 'full' ? fullPrompt(instance) : compactPrompt(instance)),
  parse,
  verify: ({ molecule }, instance) => earned(molecule, instance) > 0,
  key: ({ key }) => key,
  render(answer, instance) {
    if (typeof answer !== 'string') return renderSmiles(answer.molecule.smiles);
    const best = bestOf(instance).get(answer);
    if (best === undefined) {
      throw new RangeError(`'${answer}' is not the key of a ${instance.outcome} that can be made of these blocks.`);
    }
    return renderSmiles(best.smiles);
  },
  admissibleSet: (instance) => [...bestOf(instance).keys()],
  admissibleCount: (instance) => bestOf(instance).size,
  rewards: (instance) => new Map([...bestOf(instance)].map(([key, { reward }]) => [key, reward])),
  ownMetrics(answers) {
    const right = answers.filter(({ valid }) => valid);
    const hits = right.filter(({ reward }) => reward >= HIT_REWARD);
    const scaffold = ({ answer }: Assessment): string | undefined => laboratory.examineNow(answer!)?.scaffold;
    return {
      yield: new Set(hits.map(({ answer }) => answer)).size,
      distinct_molecules: new Set(right.map(({ answer }) => answer)).size,
      distinct_scaffolds: new Set(right.map(scaffold)).size,
    };
  },
};

function parse(text: string, instance: AmideInstance): AmideAnswer | null {
  const smiles = findSmiles(text);
  const molecule = smiles === null ? null : laboratory.examineNow(smiles);
  return molecule === null ? null : { molecule, key: keyOf(molecule, instance) };
}

function earned(molecule: Molecule, instance: AmideInstance): number {
  return canBeMade(molecule, instance) ? molecule.reward : 0;
}

function keyOf(molecule: Molecule, { outcome }: AmideInstance): string {
  return outcome === 'scaffold' ? molecule.scaffold : molecule.smiles;
}

/**
 * For each key that earns something, in code unit order, the molecule that earns most: of several with one scaffold, a policy is
 * left with the best, since dividing by how often the scaffold was given does not tell them apart.
 */
function bestOf(instance: AmideInstance): Map<string, Molecule> {
  const best = new Map<string, Molecule>();
  for (const molecule of laboratory.spaceNow(instance)) {
    const key = keyOf(molecule, instance);
    if (molecule.reward > (best.get(key)?.reward ?? 0)) best.set(key, molecule);
  }
  return new Map([...best].sort(([a], [b]) => (a < b ? -1 : 1)));
}
