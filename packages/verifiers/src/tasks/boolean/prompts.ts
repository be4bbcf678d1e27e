import { OPERATORS, type Operator } from './expression.js';
import type { BooleanInstance, Observation } from './space.js';

/** The depth that the compact prompt leaves out. */
const USUAL_DEPTH = 2;

const GLOSSES: Readonly<Record<Operator, string>> = {
  AND: 'AND (1 if all operands are 1)',
  OR: 'OR (1 if any operand is 1)',
  NOT: 'NOT (the opposite)',
  NOR: 'NOR (1 if no operand is 1)',
};

export function compactPrompt({ variables, operators, max_depth, observations }: BooleanInstance): string {
  const depth = max_depth === USUAL_DEPTH ? [] : [`Max depth: ${max_depth}`];
  return [
    `Operators: ${ordered(operators).join(' ')}`,
    ...depth,
    ...observations.map((observation) => observationText(observation, variables)),
  ]
    .map((line) => `${line}\n`)
    .join('');
}

export function fullPrompt({ variables, operators, max_depth, observations }: BooleanInstance): string {
  const names = variables.join(', ');
  const [a, b = a] = variables;
  const allowed = ordered(operators);
  const depth = `${max_depth} ${max_depth === 1 ? 'level' : 'levels'}`;
  return `A Boolean function of ${names} has been observed for some of its inputs.

Allowed operators: ${allowed.map((operator) => GLOSSES[operator]).join(', ')}

Observations (inputs -> output):
${observations.map((observation) => observationText(observation, variables)).join('\n')}

Expressions given so far:
None

Task: write one Boolean expression that agrees with every observation.

Requirements:
1. The only variables are: ${names}
2. The only operators are: ${allowed.join(', ')}
3. The expression gives the observed output for each observed input.
4. Two expressions count as the same when these rules turn one into the other:
   - the order of operands does not matter: ${a} AND ${b} is ${b} AND ${a}
   - repeated operands of AND and OR count once: ${a} OR ${a} is ${a}
   - nested uses of one operator are one: (${a} AND ${b}) AND ${a} is ${a} AND ${b}
   - NOT (${a} OR ${b}) is NOR(${a}, ${b})
   Nothing else makes them the same: not De Morgan, distribution, absorption or double negation.
5. Operators are nested at most ${depth} deep.
6. No constants such as True, False, 0 or 1.

Output format:
- one line, starting with "Expression: "
- plain text
- operators in capitals, variables in lower case
- parentheses where they are needed

Examples of the format:
Expression: y OR x
Expression: x OR (NOT x AND y)
Expression: NOT (y AND x)
Expression: NOR(y, x)

Do not write it like this:
- \\(x \\lor y\\) (LaTeX)
- \`x OR y\` (markdown)
- x ∨ y (mathematical symbols)
`;
}

/** `(x=0, y=1) -> 1` */
function observationText({ inputs, output }: Observation, variables: readonly string[]): string {
  return `(${variables.map((name) => `${name}=${inputs[name]}`).join(', ')}) -> ${output}`;
}

function ordered(operators: readonly Operator[]): Operator[] {
  return OPERATORS.filter((operator) => operators.includes(operator));
}
