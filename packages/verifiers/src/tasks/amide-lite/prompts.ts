import { type BlockKind, blockSmiles } from './blocks.js';
import type { AmideInstance } from './item.js';

function listOf(kind: BlockKind, names: readonly string[], separator: string): string {
  return names.map((name) => blockSmiles(kind, name)).join(separator);
}

export function compactPrompt({ acids, linkers, amines, outcome }: AmideInstance): string {
  return [
    ...(outcome === 'scaffold' ? ['Outcome: scaffold'] : []),
    `Acids: ${listOf('acids', acids, ' ')}`,
    ...(linkers.length === 0 ? [] : [`Linkers: ${listOf('linkers', linkers, ' ')}`]),
    `Amines: ${listOf('amines', amines, ' ')}`,
  ]
    .map((line) => `${line}\n`)
    .join('');
}

export function fullPrompt({ acids, linkers, amines, outcome }: AmideInstance): string {
  const withLinkers = linkers.length > 0;
  const same =
    outcome === 'scaffold'
      ? 'Two molecules with the same Bemis-Murcko scaffold count as the same answer.'
      : 'Two ways of writing one molecule count as the same answer.';
  return `Design a drug-like molecule that can be made of the building blocks below by amide couplings.

Acids:
${listOf('acids', acids, '\n')}
${withLinkers ? `\nLinkers (amino acids):\n${listOf('linkers', linkers, '\n')}\n` : ''}
Amines:
${listOf('amines', amines, '\n')}

Molecules given so far:
None

Task: give one molecule. ${same}

Rules:
1. An amide coupling joins the acid group C(=O)O of one block to an amine N of another: the OH and one H are lost, C(=O)N stays.
2. The molecule is an acid joined to an amine${withLinkers ? ', or an acid joined to one linker that is joined to an amine' : ''}.
3. Nothing is added and nothing else is changed: no charges, no stereochemistry, no second fragment.
4. It has at most 3 hydrogen bond donors.
5. The better its molecular weight, lipophilicity, polarity, flexibility and rings suit an oral drug, the more it earns.

Answer with exactly one line, the molecule as SMILES:
SMILES: <molecule>

For example, acetic acid CC(=O)O and methylamine CN would give:
SMILES: CC(=O)NC
`;
}
