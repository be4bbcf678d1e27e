import { createLogger, jobLogger, loggerOptions } from '@polymode/telemetry';
import { describe, expect, it } from 'vitest';

function capture(level?: string) {
  const lines: string[] = [];
  const logger = createLogger({ name: 'api', level, destination: { write: (line) => void lines.push(line) } });
  return { logger, lines, last: () => JSON.parse(lines.at(-1) ?? '{}') as Record<string, unknown> };
}

describe('createLogger', () => {
  it('writes one JSON object a line: fields, level by name, time as ISO 8601', () => {
    const { logger, lines, last } = capture();
    logger.info({ requestId: 'r1' }, 'hello');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/}\n$/);
    expect(last()).toMatchObject({ level: 'info', name: 'api', requestId: 'r1', msg: 'hello' });
    expect(new Date(String(last().time)).toISOString()).toBe(last().time);
  });

  it('follows the level, and says which levels there are', () => {
    const { logger, lines } = capture('WARN');
    logger.info('no');
    logger.warn('yes');
    expect(lines).toHaveLength(1);
    expect(capture('').logger.level).toBe('info');
    expect(() => loggerOptions({ name: 'api', level: 'loud' })).toThrow(
      "LOG_LEVEL is 'loud'. Set it to one of: trace, debug, info, warn, error, fatal, silent.",
    );
    const silent = capture('silent');
    silent.logger.fatal('x');
    expect(silent.lines).toEqual([]);
  });

  it('adds the job id to all lines of a job', () => {
    const { logger, last } = capture();
    jobLogger(logger, 'ftjob-1').info({ step: 3 }, 'stepped');
    expect(last()).toMatchObject({ jobId: 'ftjob-1', step: 3 });
  });

  it.each([
    [{ headers: { authorization: 'Bearer the-secret' } }],
    [{ req: { headers: { authorization: 'Bearer the-secret', cookie: 'the-secret' } } }],
    [{ headers: { 'x-api-key': 'the-secret' } }],
    [{ apiKey: 'the-secret' }],
    [{ config: { apiKey: 'the-secret', databaseUrl: 'the-secret' } }],
    [{ password: 'the-secret' }],
    [{ text: 'sent pmk-the-secretAAAAAA to it' }],
    [{ err: new Error('401 for key sk-proj-the-secretAAAA') }],
    [{ url: 'postgres://polymode:the-secret@127.0.0.1:5432/polymode' }],
    [{ url: 'redis://:the-secret@cache:6379' }],
  ])('keeps the secret of %j', (fields) => {
    const { logger, lines, last } = capture();
    logger.info(fields, 'message');
    expect(lines[0]).not.toContain('the-secret');
    expect(lines[0]).toContain('[redacted]');
    expect(last().msg).toBe('message');
  });

  it('keeps secrets out of messages and child fields too, and leaves the rest alone', () => {
    const { logger, lines, last } = capture();
    logger.child({ authorization: 'Bearer the-secret' }).info('with pmk-the-secretAAAAAA');
    expect(lines[0]).not.toContain('the-secret');
    logger.info({ url: 'postgres://polymode@127.0.0.1/db', model: 'ft:a:b:task-based-8' }, 'ask-anything-long');
    expect(last()).toMatchObject({ url: 'postgres://polymode@127.0.0.1/db', msg: 'ask-anything-long' });
  });
});
