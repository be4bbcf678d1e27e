import { DETAILS_LIMIT, MESSAGE_LIMIT, OUTCOME_LIMIT } from '../limits.js';

/**
 * Runs first in each context, before code of users can change anything, and keeps what it needs to itself. Its value is
 * a function from the one function of the host, which takes printed text, to the functions that the host calls.
 */
export const PRELUDE = `(print) => {
  const { parse, stringify } = JSON;
  const { isFinite } = Number;
  const P = Promise;
  const S = String;
  const call = Function.prototype.call;
  const slice = call.bind(S.prototype.slice);
  const map = call.bind(Array.prototype.map);
  const join = call.bind(Array.prototype.join);
  const cut = (text, limit) => (text.length <= limit ? text : slice(text, 0, limit / 2) + ' [...] ' + slice(text, -limit / 2));
  const show = (value) => {
    try {
      const text = typeof value === 'object' && value !== null ? stringify(value) : S(value);
      return cut(text ?? S(value), ${MESSAGE_LIMIT});
    } catch {
      return 'a value that cannot be shown';
    }
  };
  const log = (...values) => print(join(map(values, (value) => show(value)), ' '));
  globalThis.console = { log, info: log, warn: log, error: log, debug: log };
  const kindOf = (value) => (value === null ? 'null' : value === undefined ? 'undefined' : 'a ' + typeof value);
  return {
    parse,
    /** A promise of the value, whether or not it is one. */
    settle: (value) => new P((resolve) => resolve(value)),
    /** -> { reward, outcome }, or the problem */
    read(value) {
      let reward = value;
      let outcome;
      if (typeof value === 'object' && value !== null) {
        reward = value.reward;
        outcome = value.outcome;
        if (typeof reward !== 'number') return 'grade returned an object whose reward is ' + kindOf(reward) + ', not a number.';
      }
      if (typeof reward !== 'number') {
        const hint = value === undefined ? ' Write return before the value.' : typeof value === 'boolean' ? ' Write Number(...) around it.' : '';
        return 'grade returned ' + kindOf(value) + ', not a number or { reward, outcome }.' + hint;
      }
      if (!isFinite(reward)) return 'grade returned ' + S(reward) + ', not a finite number.';
      if (typeof outcome === 'number' || typeof outcome === 'boolean') outcome = S(outcome);
      if (outcome !== undefined && outcome !== null && typeof outcome !== 'string') return "The outcome is " + kindOf(outcome) + ', not a string.';
      if (typeof outcome === 'string' && outcome.length > ${OUTCOME_LIMIT}) return 'The outcome has ' + outcome.length + ' characters; at most ${OUTCOME_LIMIT} are taken.';
      return outcome === null || outcome === undefined ? { reward } : { reward, outcome };
    },
    /** -> [message, stack] of what was thrown */
    describe(thrown) {
      try {
        if (typeof thrown !== 'object' || thrown === null) return ['The grader threw ' + show(thrown) + '.', ''];
        const { name, message, stack } = thrown;
        const text = typeof message === 'string' ? (typeof name === 'string' ? name + ': ' : '') + message : 'The grader threw ' + show(thrown) + '.';
        return [cut(text, ${MESSAGE_LIMIT}), typeof stack === 'string' ? cut(stack, ${DETAILS_LIMIT}) : ''];
      } catch {
        return ['The grader threw something that cannot be shown.', ''];
      }
    },
  };
}`;
