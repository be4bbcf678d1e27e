import { ChatCompletion, CreateChatCompletionRequest } from '../inference/chat-completions.js';
import { Completion, CreateCompletionRequest } from '../inference/completions.js';
import { operation } from '../operation.js';

const tag = 'Completions';
const streaming = 'With `stream` the answer is server-sent events: chunks as `data`, then `[DONE]`.';

export const inferenceOperations = {
  createChatCompletion: operation({
    id: 'createChatCompletion',
    method: 'POST',
    path: '/chat/completions',
    tag,
    // It changes nothing.
    scope: 'read',
    summary: 'Let a model answer a conversation',
    description: streaming,
    body: CreateChatCompletionRequest,
    response: ChatCompletion,
    otherContent: ['text/event-stream'],
  }),
  createCompletion: operation({
    id: 'createCompletion',
    method: 'POST',
    path: '/completions',
    tag,
    scope: 'read',
    summary: 'Let a model write on from a text, or tell how likely it finds one',
    description: `${streaming} \`echo\` with \`logprobs\` and \`max_tokens\` of 0 scores the prompt alone.`,
    body: CreateCompletionRequest,
    response: Completion,
    otherContent: ['text/event-stream'],
  }),
} as const;
