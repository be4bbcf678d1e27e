import { describe, expect, it } from 'vitest';
import { readGraderSettings } from './settings.js';

describe('settings of graders', () => {
  it('are read from the environment', () => {
    expect(readGraderSettings({ POLYMODE_JUDGE_BASE_URL: '', POLYMODE_ENDPOINT_ALLOW: '' })).toEqual({
      endpointAllow: [],
    });
    expect(
      readGraderSettings({
        POLYMODE_JUDGE_BASE_URL: 'http://localhost:8001/v1',
        POLYMODE_JUDGE_API_KEY: 'k',
        POLYMODE_JUDGE_MODELS: 'gpt-4.1=a/b, o4-mini = c=d ,',
        POLYMODE_ENDPOINT_ALLOW: 'localhost, 10.0.0.5',
      }),
    ).toEqual({
      judge: {
        baseUrl: 'http://localhost:8001/v1',
        own: false,
        apiKey: 'k',
        models: { 'gpt-4.1': 'a/b', 'o4-mini': 'c=d' },
      },
      endpointAllow: ['localhost', '10.0.0.5'],
    });
  });

  it('have the models that our own API serves as judges, unless another server is named, which is not told our key', () => {
    const own = { POLYMODE_API_URL: 'http://api:8000/v1', POLYMODE_API_KEY: 'own' };
    expect(readGraderSettings(own).judge).toEqual({
      baseUrl: 'http://api:8000/v1',
      own: true,
      apiKey: 'own',
    });
    expect(readGraderSettings({ ...own, POLYMODE_JUDGE_API_KEY: 'k' }).judge).toMatchObject({ apiKey: 'k' });
    expect(readGraderSettings({ ...own, POLYMODE_JUDGE_BASE_URL: 'https://host/v1' }).judge).toEqual({
      baseUrl: 'https://host/v1',
      own: false,
      apiKey: undefined,
    });
    expect(() => readGraderSettings({ POLYMODE_API_URL: 'api:8000' })).toThrow("POLYMODE_API_URL is 'api:8000'. Set ");
  });

  it.each([
    ['POLYMODE_JUDGE_BASE_URL', 'localhost:8001', 'https://host/v1'],
    ['POLYMODE_JUDGE_BASE_URL', 'judge', 'https://host/v1'],
    ['POLYMODE_JUDGE_MODELS', 'gpt-4.1', 'gpt-4.1=my-model'],
  ])('name the variable: %s=%s', (name, value, advice) => {
    const environment = { POLYMODE_JUDGE_BASE_URL: 'https://host/v1', [name]: value };
    expect(() => readGraderSettings(environment)).toThrow(`${name} is '${value}'. Set `);
    expect(() => readGraderSettings(environment)).toThrow(advice);
  });
});
