import type * as Ours from '@polymode/contracts';
import type {
  CheckpointFileList,
  CreateChatCompletionRequest,
  CreateCompletionRequest,
  ErrorEnvelope,
} from '@polymode/contracts';
import type OpenAI from 'openai';
import { expectTypeOf, it } from 'vitest';
import type { z } from 'zod';

type Sdk = OpenAI.FineTuning.FineTuningJob;
type Reinforcement = Extract<Ours.ResolvedMethod, { type: 'reinforcement' }>;

// Compiled by `npm run typecheck`: an answer of ours that the SDK's types do not take is an error there.
// The service that this API is of pauses jobs too, and its SDK has no word for it.
declare const job: Ours.FineTuningJob & { status: Exclude<Ours.JobStatus, 'paused'> };
declare const event: Ours.FineTuningJobEvent;
declare const checkpoint: Ours.FineTuningJobCheckpoint;
declare const file: Ours.FileObject;
declare const graded: Ours.RunGraderResponse;
declare const completion: Ours.Completion;
declare const completionChunk: Ours.CompletionChunk;
declare const upload: Ours.Upload;
declare const webhook: Ours.WebhookPayload;

/** What a list request of the SDK resolves to, without the SDK's own paging. */
type PageOf<Item> = { data: Item[]; has_more: boolean; object?: 'list' };

export const answers = () => ({
  // The SDK knows graders of OpenAI alone, so ours is set apart; everything else must fit as it is.
  job: { ...job, method: undefined } satisfies Sdk,
  supervised: job.method as Extract<Ours.ResolvedMethod, { type: 'supervised' }> satisfies Sdk['method'],
  dpo: job.method as Extract<Ours.ResolvedMethod, { type: 'dpo' }> satisfies Sdk['method'],
  reinforcement: {
    ...(job.method as Reinforcement),
    reinforcement: {
      ...(job.method as Reinforcement).reinforcement,
      grader: { type: 'string_check', name: 'n', input: 'a', reference: 'b', operation: 'eq' } as const,
    },
  } satisfies Sdk['method'],
  jobs: [{ ...job, method: undefined }] satisfies Sdk[],
  event: event satisfies OpenAI.FineTuning.FineTuningJobEvent,
  checkpoint: checkpoint satisfies OpenAI.FineTuning.Jobs.FineTuningJobCheckpoint,
  // The SDK takes `evals` in requests and forgets it in answers.
  file: { ...file, purpose: file.purpose as Exclude<typeof file.purpose, 'evals'> } satisfies OpenAI.FileObject,
  upload: { ...upload, file: upload.file && { ...upload.file, purpose: 'fine-tune' } } satisfies OpenAI.Upload,
  part: null as unknown as Ours.UploadPart satisfies OpenAI.Uploads.UploadPart,
  permission:
    null as unknown as Ours.CheckpointPermission satisfies OpenAI.FineTuning.Checkpoints.PermissionListResponse,
  permissionDeleted:
    null as unknown as Ours.CheckpointPermissionDeleted satisfies OpenAI.FineTuning.Checkpoints.PermissionDeleteResponse,
  modelDeleted: null as unknown as Ours.ModelDeleted satisfies OpenAI.ModelDeleted,
  deleted: null as unknown as Ours.FileDeleted satisfies OpenAI.FileDeleted,
  model: null as unknown as Ours.Model satisfies OpenAI.Model,
  validated: {
    ...(null as unknown as Ours.ValidateGraderResponse),
    grader: { type: 'string_check', name: 'n', input: 'a', reference: 'b', operation: 'eq' } as const,
  } satisfies OpenAI.FineTuning.Alpha.GraderValidateResponse,
  jobError: null as unknown as Ours.JobError satisfies OpenAI.FineTuning.FineTuningJob.Error,
  events: null as unknown as Ours.FineTuningJobEventList satisfies PageOf<OpenAI.FineTuning.FineTuningJobEvent>,
  checkpoints:
    null as unknown as Ours.FineTuningJobCheckpointList satisfies PageOf<OpenAI.FineTuning.Jobs.FineTuningJobCheckpoint>,
  permissions:
    null as unknown as Ours.CheckpointPermissionList satisfies PageOf<OpenAI.FineTuning.Checkpoints.PermissionListResponse> & {
      last_id: string | null;
    },
  createdPermission:
    null as unknown as Ours.CheckpointPermission satisfies OpenAI.FineTuning.Checkpoints.PermissionCreateResponse,
  models: null as unknown as Ours.ModelList satisfies { object: 'list'; data: OpenAI.Model[] },
  // Each kind of webhook by itself, as the SDK tells them apart.
  succeeded: {
    ...webhook,
    type: 'fine_tuning.job.succeeded',
  } satisfies OpenAI.Webhooks.FineTuningJobSucceededWebhookEvent satisfies OpenAI.Webhooks.UnwrapWebhookEvent,
  failed: { ...webhook, type: 'fine_tuning.job.failed' } satisfies OpenAI.Webhooks.FineTuningJobFailedWebhookEvent,
  cancelled: {
    ...webhook,
    type: 'fine_tuning.job.cancelled',
  } satisfies OpenAI.Webhooks.FineTuningJobCancelledWebhookEvent,
  // What OpenAI sends as token_usage is an object too, and its SDK says a number.
  graded: {
    ...graded,
    metadata: { ...graded.metadata, token_usage: null },
  } satisfies OpenAI.FineTuning.Alpha.GraderRunResponse,
  chat: null as unknown as Ours.ChatCompletion satisfies OpenAI.ChatCompletion,
  chatChunk: null as unknown as Ours.ChatCompletionChunk satisfies OpenAI.ChatCompletionChunk,
  completion: {
    ...completion,
    choices: completion.choices.map((choice) => ({ ...choice, logprobs: sdkLogprobs(choice.logprobs) })),
  } satisfies OpenAI.Completion,
  // The SDK has no type of its own for chunks, and so no word for choices that go on and for usage that comes later.
  completionChunk: {
    ...completionChunk,
    usage: undefined as unknown as OpenAI.CompletionUsage,
    choices: completionChunk.choices.map((choice) => ({
      ...choice,
      logprobs: sdkLogprobs(choice.logprobs),
      finish_reason: choice.finish_reason as 'stop' | 'length',
    })),
  } satisfies OpenAI.Completion,
});

/** The SDK forgets that nothing comes before a prompt's first token, which has null. */
function sdkLogprobs(logprobs: Ours.CompletionLogprobs | null): OpenAI.CompletionChoice.Logprobs | null {
  return (
    logprobs && {
      ...logprobs,
      token_logprobs: logprobs.token_logprobs as number[],
      top_logprobs: logprobs.top_logprobs as Record<string, number>[],
    }
  );
}

it('has cursor pages that the SDK can follow', () => {
  type Page = { data: { id: string }[]; has_more: boolean };
  expectTypeOf<Ours.FineTuningJobList>().toExtend<Page>();
  expectTypeOf<Ours.FineTuningJobEventList>().toExtend<Page>();
  expectTypeOf<Ours.FineTuningJobCheckpointList>().toExtend<Page>();
  expectTypeOf<CheckpointFileList>().toExtend<Page>();
  expectTypeOf<Ours.FileList>().toExtend<Page>();
  expectTypeOf<ErrorEnvelope['error']>().toExtend<OpenAI.ErrorObject>();
});

it('takes requests that the SDK can send', () => {
  expectTypeOf<OpenAI.FileCreateParams['purpose']>().toEqualTypeOf<Ours.FilePurpose>();
  expectTypeOf<
    NonNullable<OpenAI.FineTuning.ReinforcementHyperparameters>
  >().toExtend<Ours.ReinforcementHyperparameters>();
  expectTypeOf<OpenAI.FineTuning.JobCreateParams['integrations']>().toExtend<
    z.input<typeof Ours.CreateJobRequest>['integrations']
  >();
  type Chat = z.input<typeof CreateChatCompletionRequest>;
  // What models here cannot do, the SDK lets a client ask for, and it is told so: images, tools that are no functions.
  type TextMessages = { messages: Chat['messages']; tools?: Chat['tools']; tool_choice?: Chat['tool_choice'] };
  expectTypeOf<Omit<OpenAI.ChatCompletionCreateParams, keyof TextMessages> & TextMessages>().toExtend<Chat>();
  expectTypeOf<OpenAI.ChatCompletionFunctionTool[]>().toExtend<Chat['tools']>();
  expectTypeOf<
    OpenAI.ChatCompletionMessage & { tool_calls?: OpenAI.ChatCompletionMessageFunctionToolCall[] }
  >().toExtend<Chat['messages'][number]>();
  expectTypeOf<OpenAI.CompletionCreateParams>().toExtend<z.input<typeof CreateCompletionRequest>>();
  expectTypeOf<OpenAI.FineTuning.Alpha.GraderRunParams['model_sample']>().toEqualTypeOf<
    Ours.RunGraderRequest['model_sample']
  >();
});
