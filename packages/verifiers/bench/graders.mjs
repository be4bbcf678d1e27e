/**
 * How long graders take for a group of 64 answers, and how long they keep the event loop from other things.
 *
 *     node packages/verifiers/bench/graders.mjs [--rounds 20] [--only string_check]
 *
 * `ms` is a group's wall-clock time, `cpu` what this process computed for it (both medians), `turn` the most that its main
 * thread computed in one turn of the event loop, `delay` the longest that a timer waited, which is more where other programs
 * want the cores. Python and JavaScript run in processes of their own: there only `ms` tells. So it is with molecules, in a
 * thread of their own, whose work `cpu` and `turn` count too. Answers have 100 words, those of
 * the last cases 100 kB or a megabyte, of which a group is 4. The last line is JSON:
 * { grader: { ms, cpu_ms, turn_ms, delay_ms, per_second } }.
 */
import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
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

/** As JSON, a text and a row to compare it with; the longer the text, the fewer metrics whose time grows with its square. */
const longCases = [100_000, 1_000_000].flatMap((length) => {
  const size = length === 100_000 ? '100 kB' : '1 MB';
  const texts = Array.from({ length: 4 }, (_, i) => proseOf(i, Math.ceil(length / 5)).slice(0, length));
  const row = { reference: proseOf(99, Math.ceil(length / 5)).slice(0, length), value: 3 };
  const numbers = JSON.stringify({ answer: { value: 3 }, list: Array.from({ length: length / 4 }, (_, i) => i % 100) });
  return [
    ...['eq', 'ilike'].map((operation) => [`string_check ${operation}, ${size}`, check(operation), texts, row]),
    [
      `string_check of JSON, ${size}`,
      { ...check('eq'), input: '{{sample.output_json.answer.value}}', reference: '{{item.value}}' },
      ...[texts.map(() => numbers), row],
    ],
    ...['bleu', 'gleu', 'meteor', 'rouge_2', ...(length > 100_000 ? [] : ['fuzzy_match', 'rouge_l'])].map((metric) => [
      ...[`text_similarity ${metric}, ${size}`, similarity(metric), texts, row],
    ]),
    ...cases
      .filter(([name]) => /^(task|python|javascript)/.test(name))
      .map(([name, definition, , item]) => [...[`${name}, ${size}`, definition, texts, item]]),
  ];
});

const services = openGraderServices({ endpointAllow: [] });
const WIDTH = 38;
const results = {};
console.log(
  `${'grader'.padEnd(WIDTH)}${['ms', 'cpu', 'turn', 'delay'].map((x) => x.padStart(9)).join('')}${'per second'.padStart(13)}`,
);
for (const [name, definition, texts, row] of [...cases, ...longCases]) {
  if (!name.includes(options.only)) continue;
  const grader = compiled(name, definition);
  if (grader === null) continue;
  // Rows are not looked at again, nor answers read, because they were seen before.
  const rewritten = typeof texts === 'function' ? texts : () => texts;
  const grade = (round) =>
    gradeAll(
      rewritten(round).map((text) => ({ sample: sampleOf(text), item: { ...row } })),
      { grader },
    );
  const size = rewritten(0).length;
  const few = size < GROUP;
  const figures = await measured(grade, few ? Math.min(rounds, 3) : rounds, few ? 1 : 3);
  results[name] = { ...figures, per_second: Number(((size * 1000) / figures.ms).toPrecision(3)) };
  const { ms, cpu_ms, turn_ms, delay_ms, per_second } = results[name];
  const columns = [ms, cpu_ms, turn_ms, delay_ms].map((x) => x.toFixed(2).padStart(9)).join('');
  console.log(`${name.padEnd(WIDTH)}${columns}${String(per_second).padStart(13)}`);
}
services.close();
const named = (of) =>
  Object.keys(results)
    .filter((name) => of(name, results[name]))
    .join(', ') || 'none';
const builtIn = (name) => !/^(python|javascript)|, (100 kB|1 MB)$/.test(name);
console.log(
  `\nGroups of 64 of built-in types that took over 50 ms: ${named((name, { ms }) => builtIn(name) && ms > 50)}.`,
);
console.log(`Turns of over 20 ms: ${named((_, { turn_ms }) => turn_ms > 20)}.`);
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

async function measured(grade, rounds, practice) {
  const [walls, cpus] = [[], []];
  let [turn, delay] = [0, 0];
  for (let round = -practice; round < rounds; round++) {
    const delays = monitorEventLoopDelay({ resolution: 1 });
    delays.enable();
    const watch = watchTurns();
    const [begin, cpu] = [performance.now(), process.cpuUsage()];
    for (const result of await grade(round)) if (!result.ok) throw new Error(result.failure.message);
    const { user, system } = process.cpuUsage(cpu);
    walls.push(performance.now() - begin);
    cpus.push((user + system) / 1000);
    const longest = await watch();
    delays.disable();
    // The first rounds compile.
    if (round < 0) continue;
    turn = Math.max(turn, longest);
    delay = Math.max(delay, delays.max / 1e6);
  }
  return { ms: median(walls.slice(practice)), cpu_ms: median(cpus.slice(practice)), turn_ms: turn, delay_ms: delay };
}

/** @returns stops, and tells the most milliseconds of computing between two turns */
function watchTurns() {
  let [on, longest, last] = [true, 0, threadMs()];
  const loop = (async () => {
    while (on) {
      await nextTurn();
      const now = threadMs();
      longest = Math.max(longest, now - last);
      last = now;
    }
  })();
  return async () => {
    on = false;
    await loop;
    return longest;
  };
}

/** Milliseconds that this thread has computed; elsewhere than on Linux that all threads have. */
function threadMs() {
  if (process.platform === 'linux') {
    return Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]) / 1e6;
  }
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function median(list) {
  return [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
}
