/**
 * How long graders take for a group of 64 answers, and how long they keep the event loop from other things.
 *
 *     node packages/verifiers/bench/graders.mjs [--rounds 20] [--only string_check]
 *
 * `ms` is a group's wall-clock time, `cpu` what this process computed for it (both medians), `turn` the most that it
 * computed in one turn of the event loop. Python and JavaScript run in processes of their own: there only `ms` tells. So it is
 * with molecules, in a thread of their own, whose work `cpu` and `turn` count too. The last line is JSON: { grader: { ms, cpu_ms, turn_ms, per_second } }.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { compileGrader, GraderConfigError, gradeAll, openGraderServices, sampleOf, tasks } from '@polymode/verifiers';

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '20' }, only: { type: 'string', default: '' } },
});
const rounds = Number(options.rounds);
const GROUP = 64;

const words =
  'the quick brown foxes were jumping over a lazy dog, which “slept” in 1,024 naïve states – nations relate'.split(' ');
const proseOf = (seed, length) =>
  Array.from({ length }, (_, i) => words[(i * 7 + seed * 13 + (i % (seed + 3))) % words.length]).join(' ');
const prose = Array.from({ length: GROUP }, (_, i) => proseOf(i, 100));
const jsonAnswers = prose.map((text, i) => JSON.stringify({ answer: { value: i % 4 }, reason: text }));
const answer = '{{sample.output_text}}';

const check = (operation) => ({
  type: 'string_check',
  name: 'same',
  input: answer,
  reference: '{{item.reference}}',
  operation,
});
const similarity = (evaluation_metric) => ({
  ...{ type: 'text_similarity', name: 'alike', input: answer, reference: '{{item.reference}}' },
  evaluation_metric,
});
const item = { reference: proseOf(99, 100), value: 3 };

const cases = [
  ['string_check eq', check('eq'), prose, item],
  ['string_check ilike', check('ilike'), prose, item],
  [
    'string_check of JSON',
    { ...check('eq'), input: '{{sample.output_json.answer.value}}', reference: '{{item.value}}' },
    jsonAnswers,
    item,
  ],
  ...['fuzzy_match', 'bleu', 'gleu', 'meteor', 'rouge_2', 'rouge_l'].map((metric) => [
    ...[`text_similarity ${metric}`, similarity(metric), prose, item],
  ]),
  [
    'multi of three',
    {
      ...{ type: 'multi', name: 'all', calculate_output: 'min(1, 0.5 * same + 0.3 * bleu + 0.2 * near ^ 2)' },
      graders: { same: check('eq'), bleu: similarity('bleu'), near: similarity('fuzzy_match') },
    },
    ...[prose, item],
  ],
  ...Object.entries(tasks).flatMap(([name, task]) => taskCase(name, task)),
  ['task molecules/amide-lite, unseen', { type: 'task', task: 'molecules/amide-lite' }, unseenMolecules, {}],
  [
    'python',
    {
      type: 'python',
      name: 'p',
      source: 'def grade(sample, item):\n    return float(len(sample["output_text"]) % 7 == item["value"])\n',
    },
    ...[prose, item],
  ],
  [
    'javascript',
    {
      type: 'javascript',
      name: 'j',
      source:
        'export function grade({ sample, item }) { return sample.output_text.length % 7 === item.value ? 1 : 0; }',
    },
    ...[prose, item],
  ],
];

const services = openGraderServices({ endpointAllow: [] });
const results = {};
console.log(
  `${'grader'.padEnd(32)}${'ms'.padStart(9)}${'cpu'.padStart(9)}${'turn'.padStart(9)}${'per second'.padStart(13)}`,
);
for (const [name, definition, texts, row] of cases) {
  if (!name.includes(options.only)) continue;
  const grader = compiled(name, definition);
  if (grader === null) continue;
  const answers = (list) => list.map((text) => ({ sample: sampleOf(text), item: row }));
  const rewritten = typeof texts === 'function' ? texts : () => texts;
  const figures = await measured((round) => gradeAll(answers(rewritten(round)), { grader }));
  results[name] = { ...figures, per_second: Math.round((GROUP * 1000) / figures.ms) };
  const columns = [figures.ms, figures.cpu_ms, figures.turn_ms].map((x) => x.toFixed(2).padStart(9)).join('');
  console.log(`${name.padEnd(32)}${columns}${String(results[name].per_second).padStart(13)}`);
}
services.close();
console.log(JSON.stringify(results));

function compiled(name, definition) {
  try {
    return compileGrader(definition, services);
  } catch (error) {
    if (!(error instanceof GraderConfigError)) throw error;
    console.log(`${name}: ${error.message}`);
    return null;
  }
}

/** Right and wrong answers to one instance of a task. */
function taskCase(name, task) {
  const [row] = task.generate({ count: 1, seed: 1 });
  const instance = task.readInstance(row);
  const right = task.admissibleSet(instance).slice(0, GROUP / 2);
  const texts = prose.map((text, i) => (i % 2 === 0 ? task.render(right[(i / 2) % right.length], instance) : text));
  const { messages: _, ...fields } = row;
  return [[`task ${name}`, { type: 'task', task: name }, texts, fields]];
}

/** The same molecules, all right, written in another way each round: what was asked before is remembered. */
function unseenMolecules(round) {
  const task = tasks['molecules/amide-lite'];
  const instance = task.readInstance(task.generate({ count: 1, seed: 2, acids: 5 })[0]);
  const members = task.admissibleSet(instance).slice(0, GROUP);
  return members.map((key) => task.render(key, instance).replaceAll('1', `%${20 + (round % 80)}`));
}

async function measured(grade) {
  const [walls, cpus] = [[], []];
  let turn = 0;
  for (let round = -3; round < rounds; round++) {
    const watch = watchTurns();
    const [begin, cpu] = [performance.now(), process.cpuUsage()];
    for (const result of await grade(round)) if (!result.ok) throw new Error(result.failure.message);
    const { user, system } = process.cpuUsage(cpu);
    walls.push(performance.now() - begin);
    cpus.push((user + system) / 1000);
    const longest = await watch();
    // The first rounds compile.
    if (round >= 0) turn = Math.max(turn, longest);
  }
  return { ms: median(walls.slice(3)), cpu_ms: median(cpus.slice(3)), turn_ms: turn };
}

/** @returns stops, and tells the most milliseconds of computing between two turns */
function watchTurns() {
  let [on, longest, last] = [true, 0, process.cpuUsage()];
  const loop = (async () => {
    while (on) {
      await nextTurn();
      const { user, system } = process.cpuUsage(last);
      longest = Math.max(longest, (user + system) / 1000);
      last = process.cpuUsage();
    }
  })();
  return async () => {
    on = false;
    await loop;
    return longest;
  };
}

function median(list) {
  return [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
}
