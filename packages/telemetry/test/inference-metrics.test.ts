import { createInferenceMetrics } from '@polymode/telemetry';
import { expect, it } from 'vitest';

it('figures of an inference server come in Prometheus’ text format, the load as it is when they are asked for', async () => {
  const load = { running: 0, waiting: 0, models: 0, modelBytes: 0, cacheBytes: 0, budgetBytes: 1e9 };
  const metrics = createInferenceMetrics(() => load);
  metrics.request('tiny', 'completed', 12);
  metrics.firstToken('tiny', 0.03);
  metrics.completion('tiny', 11, 0.5); // ten tokens after the first: 20 a second
  metrics.completion('tiny', 1, 0); // no rate: nothing came after its first
  metrics.request('tiny', 'cancelled', 0);
  metrics.loaded('tiny', 2);
  Object.assign(load, { running: 3, waiting: 2, models: 1, modelBytes: 1234, cacheBytes: 567 });
  const lines = (await metrics.text()).split('\n');
  expect(metrics.contentType).toMatch(/^text\/plain/);
  for (const line of [
    'polymode_inference_time_to_first_token_seconds_bucket{le="0.025",base_model="tiny"} 0',
    'polymode_inference_time_to_first_token_seconds_bucket{le="0.05",base_model="tiny"} 1',
    'polymode_inference_tokens_per_second_sum{base_model="tiny"} 20',
    'polymode_inference_tokens_per_second_count{base_model="tiny"} 1',
    'polymode_inference_tokens_total{base_model="tiny",kind="completion"} 12',
    'polymode_inference_tokens_total{base_model="tiny",kind="prompt"} 12',
    'polymode_inference_requests_total{base_model="tiny",outcome="completed"} 1',
    'polymode_inference_requests_total{base_model="tiny",outcome="cancelled"} 1',
    'polymode_inference_model_load_seconds_sum{base_model="tiny"} 2',
    'polymode_inference_rows{state="running"} 3',
    'polymode_inference_rows{state="waiting"} 2',
    'polymode_inference_models 1',
    'polymode_inference_model_bytes 1234',
    'polymode_inference_cache_bytes 567',
    'polymode_inference_budget_bytes 1000000000',
  ]) {
    expect(lines).toContain(line);
  }
});
