import {
  archiveProject,
  createApiKey,
  createProject,
  ensureDefaultProject,
  findSharedCheckpoint,
  grantPermissions,
  recordStep,
  succeedJob,
} from '@polymode/db';
import { toFile } from 'openai';
import { jobBody, leaveCheckpoint, type TestApi, uploadRows, voxelRow } from '../harness.js';

/** Things that are there before the requests come, by the name under which a path or body names their ids. */
export interface World {
  readonly api: TestApi;
  /** Ids by the names of path parameters, query parameters and body fields. */
  readonly ids: Record<string, string[]>;
  /** In place of those, for the operation that ends a project: what others need stays. */
  readonly expendable: Record<string, string[]>;
  /** A request that succeeds, for each operation; made anew each time, for those that use something up. */
  readonly examples: Record<string, () => Promise<Example> | Example>;
}

export interface Example {
  readonly params?: Record<string, string>;
  readonly query?: string;
  readonly body?: unknown;
  readonly form?: Form;
}

export interface Form {
  readonly fields: [string, string][];
  readonly files: { field: string; filename: string; data: Uint8Array }[];
}

const grader = {
  type: 'string_check',
  name: 'n',
  operation: 'eq',
  input: '{{sample.output_text}}',
  reference: '{{item.a}}',
};

const wandb = { type: 'wandb', wandb: { project: 'p', name: 'n', entity: 'e', tags: ['t'] } };

const toolCall = { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{}' } };

const weights = { 'manifest.json': Buffer.from('{}'), 'merged/model.safetensors': Buffer.from('weights') };

export async function makeWorld(api: TestApi): Promise<World> {
  const { client, db, projectId } = api;
  const messages = voxelRow('1010').messages;
  const answer = [{ role: 'assistant', content: '5' }];
  const ten = <Row>(row: Row): Row[] => Array.from({ length: 10 }, () => row);
  const reinforcement = await uploadRows(client, voxelRow('1010'), voxelRow('0110'), voxelRow('1111'));
  const supervised = await uploadRows(client, ...ten({ messages: [...messages, ...answer] }));
  const preferences = await uploadRows(
    client,
    ...ten({ input: { messages }, preferred_output: answer, non_preferred_output: answer }),
  );
  const rows = Buffer.from('{"a":1}\n');
  const other = await client.files.create({ file: await toFile(rows, 'b.jsonl'), purpose: 'batch' });
  const newFile = async (): Promise<string> =>
    (await client.files.create({ file: await toFile(rows, 'c.jsonl'), purpose: 'user_data' })).id;

  const newJob = async (): Promise<string> =>
    (await client.fineTuning.jobs.create(jobBody(reinforcement, { metadata: { made: 'before' } }))).id;
  const succeeded = async (): Promise<{ id: string; model: string; checkpoint: string }> => {
    const id = await newJob();
    const checkpoint = await leaveCheckpoint(api, id, 1, weights);
    for (const step of [1, 2]) {
      await recordStep(db, {
        jobId: id,
        owner: 'test-worker',
        step,
        metrics: { step, scores: { train_reward_mean: 0.5 } },
        events: [{ dedupeKey: `step:${step}`, message: `Step ${step}`, type: 'metrics', data: { step } }],
        samples: [{ row: 0, text: 'a', reward: 1, outcome: 'a', advantage: 0, tokens: 2, finish: 'stop' }],
      });
    }
    const model = `ft:polymode-tiny:acme:demo:${id.slice(-8)}`;
    const result = { fineTunedModel: model, trainedTokens: 10, resultFiles: [other.id] };
    await succeedJob(db, id, 'test-worker', result, [{ dedupeKey: 'end', message: 'done' }]);
    return { id, model, checkpoint };
  };
  const done = await succeeded();
  const running = await newJob();
  await leaveCheckpoint(api, running, 1, weights);
  const queued = await newJob();
  const paused = async (): Promise<string> => (await client.fineTuning.jobs.pause(await newJob())).id;
  const cancelled = (await client.fineTuning.jobs.cancel(await newJob())).id;

  const newUpload = async (): Promise<string> =>
    (
      await client.uploads.create({
        bytes: rows.length,
        filename: 'u.jsonl',
        mime_type: 'text/jsonl',
        purpose: 'fine-tune',
      })
    ).id;
  const newPart = async (upload: string): Promise<string> =>
    (await client.uploads.parts.create(upload, { data: await toFile(rows, 'part') })).id;
  const pending = await newUpload();
  const part = await newPart(pending);
  const cancelledUpload = (await client.uploads.cancel(await newUpload())).id;

  const newProject = async (name: string): Promise<string> => (await createProject(db, 'acme', name, 'cli')).id;
  const second = await newProject('second');
  const archived = await newProject('archived');
  await archiveProject(db, 'acme', archived, 'cli');
  const newKey = async (): Promise<string> =>
    (await createApiKey(db, { projectId: second, name: 'spare', scope: 'read' }, 'cli')).record.id;
  const key = await newKey();

  const checkpointName = `ft:polymode-tiny:acme:demo:${done.id.slice(-8)}:ckpt-step-1`;
  const own = { projectId: (await ensureDefaultProject(db, 'acme')).id, organizationId: 'acme' };
  const shared = await findSharedCheckpoint(db, own, checkpointName);
  if (!shared) throw new Error('the world has no checkpoint to share');
  const permit = async (): Promise<string> => {
    const [granted] = await grantPermissions(db, shared, [await newProject('friend')], 'cli');
    return granted!.id;
  };
  const permission = await permit();
  const newEndpoint = async (): Promise<string> => {
    const response = await fetch(`${api.url}/v1/webhook_endpoints`, {
      method: 'POST',
      headers: { authorization: `Bearer ${api.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ url: 'https://example.com/hook' }),
    });
    return ((await response.json()) as { id: string }).id;
  };
  const endpoint = await newEndpoint();
  const [event] = (await client.fineTuning.jobs.listEvents(done.id)).data;

  // The one that has everything comes most often.
  const jobs = [done.id, done.id, done.id, queued, running, cancelled, await paused()];
  const files = [reinforcement, supervised, preferences, other.id];
  const models = ['polymode-tiny', 'Qwen/Qwen3-0.6B', done.model, checkpointName];
  // The project that asks, and the key that it asks with, stay: without them there is nothing more to see.
  const projects = [second, archived];
  const expendable = { project_id: [await newProject('expendable'), archived] };
  const ofJob = (id = done.id) => ({ params: { fine_tuning_job_id: id } });
  const ofCheckpoint = { fine_tuning_job_id: done.id, checkpoint_id: done.checkpoint };
  const shares = { fine_tuned_model_checkpoint: checkpointName };
  const form = (field: string, fields: [string, string][]): Form => ({
    fields,
    files: [{ field, filename: 'rows.jsonl', data: rows }],
  });

  return {
    api,
    ids: {
      file_id: files,
      training_file: files,
      validation_file: files,
      fine_tuning_job_id: jobs,
      checkpoint_id: [done.checkpoint],
      checkpoint: [done.checkpoint, checkpointName],
      fine_tuned_model_checkpoint: [checkpointName],
      permission_id: [permission],
      model: models,
      path: Object.keys(weights),
      upload_id: [pending, cancelledUpload],
      part_ids: [part],
      project_id: projects,
      project_ids: projects,
      api_key_id: [key],
      webhook_endpoint_id: [endpoint],
      after: [...jobs, ...files, event!.id, done.checkpoint, '1', '1-0', key, endpoint, second, permission],
      'event_types[]': ['api_key.created', 'project.created'],
      'project_ids[]': projects,
    },
    expendable,
    examples: {
      createFile: () => ({
        form: form('file', [
          ['purpose', 'fine-tune'],
          ['expires_after[anchor]', 'created_at'],
          ['expires_after[seconds]', '3600'],
        ]),
      }),
      listFiles: () => ({ query: 'limit=2&order=asc&purpose=fine-tune' }),
      retrieveFile: () => ({ params: { file_id: reinforcement } }),
      deleteFile: async () => ({ params: { file_id: await newFile() } }),
      retrieveFileContent: () => ({ params: { file_id: reinforcement } }),
      createUpload: () => ({
        body: {
          bytes: 8,
          filename: 'u.jsonl',
          mime_type: 'text/jsonl',
          purpose: 'fine-tune',
          expires_after: { anchor: 'created_at', seconds: 3600 },
        },
      }),
      createUploadPart: async () => ({ params: { upload_id: await newUpload() }, form: form('data', []) }),
      completeUpload: async () => {
        const upload = await newUpload();
        return { params: { upload_id: upload }, body: { part_ids: [await newPart(upload)] } };
      },
      cancelUpload: async () => ({ params: { upload_id: await newUpload() } }),
      createFineTuningJob: () => ({
        body: jobBody(
          reinforcement,
          { suffix: 's', seed: 1, metadata: { a: 'b' }, validation_file: reinforcement, integrations: [wandb] },
          { group_size: 4, lora: { rank: 4 }, ips: { exponent: 1 }, max_steps: 2 },
        ),
      }),
      listFineTuningJobs: () => ({ query: 'limit=2&metadata[made]=before' }),
      retrieveFineTuningJob: () => ofJob(),
      cancelFineTuningJob: async () => ofJob(await newJob()),
      pauseFineTuningJob: async () => ofJob(await newJob()),
      resumeFineTuningJob: async () => ofJob(await paused()),
      forkFineTuningJob: () => ({
        ...ofJob(),
        body: { checkpoint: 1, hyperparameters: { max_steps: 3 }, suffix: 'f', integrations: [wandb] },
      }),
      listFineTuningEvents: () => ({ ...ofJob(), query: 'limit=2' }),
      listFineTuningMetrics: () => ({ ...ofJob(), query: 'limit=1&every_nth_step=1' }),
      listFineTuningSamples: () => ({ ...ofJob(), query: 'limit=1&step=1' }),
      listFineTuningCheckpoints: () => ofJob(),
      listCheckpointFiles: () => ({ params: ofCheckpoint }),
      retrieveCheckpointFile: () => ({ params: { ...ofCheckpoint, path: 'merged/model.safetensors' } }),
      downloadCheckpoint: () => ({ params: ofCheckpoint }),
      listCheckpointPermissions: () => ({ params: shares, query: 'order=ascending&limit=1' }),
      createCheckpointPermissions: async () => ({
        params: shares,
        body: { project_ids: [await newProject('another')] },
      }),
      deleteCheckpointPermission: async () => ({ params: { ...shares, permission_id: await permit() } }),
      runGrader: () => ({
        body: {
          grader: { type: 'multi', name: 'm', graders: { a: grader }, calculate_output: 'a * 2' },
          model_sample: 'x',
          item: { a: 'x' },
        },
      }),
      validateGrader: () => ({ body: { grader } }),
      createChatCompletion: () => ({
        body: {
          model: checkpointName,
          messages: [
            { role: 'developer', content: [{ type: 'text', text: 'Be brief.' }], name: 'd' },
            { role: 'user', content: 'Hi' },
            { role: 'assistant', content: null, tool_calls: [toolCall] },
            { role: 'tool', content: '5', tool_call_id: 'call_1' },
          ],
          n: 2,
          seed: 1,
          stop: ['a'],
          logprobs: true,
          top_logprobs: 1,
          logit_bias: { 5: 1 },
          tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }],
          tool_choice: 'auto',
          response_format: { type: 'json_schema', json_schema: { name: 's', schema: { type: 'object' } } },
        },
      }),
      createCompletion: () => ({
        body: { model: 'polymode-tiny', prompt: ['a', 'b'], n: 2, best_of: 3, echo: true, logprobs: 1, max_tokens: 2 },
      }),
      listModels: () => ({}),
      retrieveModel: () => ({ params: { model: done.model } }),
      deleteModel: async () => ({ params: { model: (await succeeded()).model } }),
      createProject: () => ({ body: { name: 'third' } }),
      listProjects: () => ({ query: 'limit=1&include_archived=true' }),
      retrieveProject: () => ({ params: { project_id: second } }),
      updateProject: () => ({ params: { project_id: second }, body: { name: 'second again' } }),
      archiveProject: async () => ({ params: { project_id: await newProject('short-lived') } }),
      createApiKey: () => ({
        params: { project_id: second },
        body: { name: 'k', scope: 'read', requests_per_minute: 5, tokens_per_minute: 1000 },
      }),
      listApiKeys: () => ({ params: { project_id: second } }),
      retrieveApiKey: () => ({ params: { project_id: second, api_key_id: key } }),
      deleteApiKey: async () => ({ params: { project_id: second, api_key_id: await newKey() } }),
      listAuditLogs: () => ({ query: `event_types[]=api_key.created&project_ids[]=${projectId}&effective_at[gte]=1` }),
      createWebhookEndpoint: () => ({ body: { url: 'https://example.com/a', events: ['fine_tuning.job.failed'] } }),
      listWebhookEndpoints: () => ({ query: 'limit=1' }),
      retrieveWebhookEndpoint: () => ({ params: { webhook_endpoint_id: endpoint } }),
      deleteWebhookEndpoint: async () => ({ params: { webhook_endpoint_id: await newEndpoint() } }),
    },
  };
}
