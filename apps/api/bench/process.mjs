import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** Starts a server script and waits for the line of its log that has its `url`. Its output is read and dropped after that. */
export async function startProcess(script, env) {
  const options = process.env.POLYMODE_BENCH_PROFILE
    ? ['--cpu-prof', `--cpu-prof-dir=${process.env.POLYMODE_BENCH_PROFILE}`]
    : [];
  const child = spawn(process.execPath, [...options, script], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const url = await new Promise((resolve, reject) => {
    const lines = createInterface({ input: child.stdout });
    const look = (line) => {
      const found = /"url":"(http:[^"]+)"/.exec(line)?.[1];
      if (!found) return;
      lines.close();
      child.stdout.resume();
      resolve(found);
    };
    lines.on('line', look);
    void ended.then((code) => reject(new Error(`${script} ended with ${code}`)));
  });
  return {
    url,
    pid: child.pid,
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}
