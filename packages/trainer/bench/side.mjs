import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/**
 * One side of a comparison in a process of its own, so that its memory is its own too. It loads and warms up, then waits:
 * each `round` lets it measure once, and between rounds it does nothing.
 */
export class Side {
  /** @param {string} program @param {readonly string[]} args those of the scripts in ours/ and peers/, but --paced */
  constructor(program, args, env = {}) {
    this.what = args[0];
    this.process = spawn(program, [...args, '--paced'], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.errors = '';
    this.process.stderr.on('data', (chunk) => {
      this.errors = (this.errors + chunk).slice(-4000);
    });
    // A side that died is told apart by its missing answer.
    this.process.stdin.on('error', () => {});
    this.answers = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  /** Loaded and warm. */
  async ready() {
    await this.next();
  }

  /** @returns {Promise<Record<string, number>>} `seconds` and the side's own figures of one round */
  async round() {
    this.process.stdin.write('\n');
    return this.next();
  }

  /** Ends the side. @returns its last line: medians, peak_rss_bytes, facts */
  async finish() {
    this.process.stdin.end();
    return this.next();
  }

  stop() {
    this.process.kill('SIGKILL');
  }

  async next() {
    const { value, done } = await this.answers.next();
    if (done) throw new Error(`${this.what} ended before it answered:\n${this.errors}`);
    return JSON.parse(value);
  }
}
