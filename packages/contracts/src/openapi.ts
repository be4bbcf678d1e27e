import { z } from 'zod';
import { DryRun } from './dry-run.js';
import { ErrorEnvelope } from './errors.js';
import { FileObject } from './files.js';
import { CheckpointFile, FineTuningJob, FineTuningJobCheckpoint } from './fine-tuning-jobs.js';
import { GraderDefinition, RunGraderResponse } from './graders.js';
import { ChatCompletion } from './inference/chat-completions.js';
import { Completion } from './inference/completions.js';
import { FineTuningJobEvent, FineTuningJobMetrics, FineTuningJobSample } from './job-records.js';
import { Model } from './models.js';
import { type OperationSpec, pathParams } from './operation.js';
import { ApiKey, AuditLog, CreatedApiKey, Project } from './organization.js';
import { CheckpointPermission } from './permissions.js';
import { Upload, UploadPart } from './uploads.js';
import { CreatedWebhookEndpoint, WebhookEndpoint } from './webhooks.js';

type Json = Record<string, unknown>;

export interface OpenApiInfo {
  readonly title: string;
  readonly version: string;
  readonly description: string;
}

/** Objects that have a name in the document, wherever they are. */
const NAMED = z.registry<{ id: string }>();
for (const [id, schema] of Object.entries({
  ApiKey,
  AuditLog,
  ChatCompletion,
  CheckpointFile,
  CheckpointPermission,
  Completion,
  CreatedApiKey,
  CreatedWebhookEndpoint,
  DryRun,
  FileObject,
  FineTuningJob,
  FineTuningJobCheckpoint,
  FineTuningJobEvent,
  FineTuningJobMetrics,
  FineTuningJobSample,
  GraderDefinition,
  Model,
  Project,
  RunGraderResponse,
  Upload,
  UploadPart,
  WebhookEndpoint,
})) {
  NAMED.add(schema, { id });
}

const HEADER_PARAMS = {
  idempotencyKey: {
    name: 'Idempotency-Key',
    in: 'header',
    required: false,
    description: 'The same key for the same request makes asking again harmless.',
    schema: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[\\x21-\\x7e]+$' },
  },
  project: {
    name: 'OpenAI-Project',
    in: 'header',
    required: false,
    description: "Another project of the organization to act in, for keys of scope 'admin'.",
    schema: { type: 'string' },
  },
} as const;

/** The OpenAPI 3.1 description of operations. Their schemas are the only source: what the server parses is what it says. */
export function openApiDocument(operations: Readonly<Record<string, OperationSpec>>, info: OpenApiInfo): Json {
  const components = new Components();
  const failure = {
    description: 'What was wrong, and what to change',
    content: { 'application/json': { schema: components.output(ErrorEnvelope, 'Error') } },
  };
  const paths: Record<string, Json> = {};
  for (const operation of Object.values(operations)) {
    const path = operation.path.replaceAll('*}', '}');
    paths[path] = {
      ...paths[path],
      [operation.method.toLowerCase()]: describe(operation, components),
    };
  }
  const tags = [...new Set(Object.values(operations).map(({ tag }) => tag))].map((name) => ({ name }));
  return {
    openapi: '3.1.0',
    info,
    servers: [{ url: '/v1' }],
    security: [{ bearer: [] }],
    tags,
    paths,
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', description: 'An API key of this service.' } },
      parameters: HEADER_PARAMS,
      responses: { Failure: failure },
      schemas: components.schemas,
    },
  };
}

function describe(operation: OperationSpec, components: Components): Json {
  const { id, tag, summary, description, scope, query, response, otherContent = [] } = operation;
  const name = id.charAt(0).toUpperCase() + id.slice(1);
  const content: Json = {};
  if (response) content['application/json'] = { schema: components.output(response, `${name}Response`) };
  for (const type of otherContent) content[type] = { schema: binary(type) };
  const requestBody = bodyOf(operation, components, name);
  return {
    operationId: id,
    tags: [tag],
    summary,
    description: `${description ? `${description}\n\n` : ''}Needs a key of scope \`${scope}\`.`,
    parameters: [
      ...pathParams(operation.path).map((param) => ({
        name: param.name,
        in: 'path',
        required: true,
        schema: { type: 'string', minLength: 1 },
        ...(param.rest ? { description: 'Slashes may be written as they are.' } : {}),
      })),
      ...(query ? queryParams(query, components) : []),
      ...(operation.idempotent ? [{ $ref: '#/components/parameters/idempotencyKey' }] : []),
      { $ref: '#/components/parameters/project' },
    ],
    ...(requestBody ? { requestBody } : {}),
    responses: {
      '200': { description: 'As asked', content },
      ...(operation.ranges
        ? {
            '206': { description: 'The part that `Range` asks for', content },
            '304': { description: 'What `If-None-Match` names is what there is' },
          }
        : {}),
      '4XX': { $ref: '#/components/responses/Failure' },
      '5XX': { $ref: '#/components/responses/Failure' },
    },
  };
}

function bodyOf({ body, bodyOptional = false, form }: OperationSpec, components: Components, name: string) {
  if (body) {
    const schema = components.input(body, `${name}Request`);
    return { required: !bodyOptional, content: { 'application/json': { schema } } };
  }
  if (!form) return null;
  const fields = form.fields ? (components.inline(form.fields) as { properties?: Json; required?: string[] }) : {};
  return {
    required: true,
    content: {
      'multipart/form-data': {
        schema: {
          type: 'object',
          properties: { ...fields.properties, [form.file]: { type: 'string', format: 'binary' } },
          required: [...(fields.required ?? []), form.file],
        },
      },
    },
  };
}

/** Query strings carry lists and objects in brackets: `metadata[key]=value`, `event_types[]=a`. */
function queryParams(query: z.ZodObject, components: Components): Json[] {
  const { properties = {} } = components.inline(query, 'output') as { properties?: Record<string, Json> };
  return Object.entries(properties).map(([name, schema]) => {
    const { description, ...rest } = schema;
    const isList = rest.type === 'array';
    const isObject = !isList && /"type":"object"/.test(JSON.stringify(rest));
    return {
      name: isList ? `${name}[]` : name,
      in: 'query',
      // What has a default need not be sent.
      required: !query.shape[name]?.safeParse(undefined).success,
      ...(description ? { description } : {}),
      ...(isObject ? { style: 'deepObject', explode: true } : {}),
      schema: rest,
    };
  });
}

function binary(type: string): Json {
  // Whatever JSON it is: it was somebody's file. Of event streams some readers take the schema for each event, some for all.
  if (type === 'application/json' || type === 'text/event-stream') return {};
  return type.startsWith('text/') ? { type: 'string' } : { type: 'string', format: 'binary' };
}

/** Schemas by name, each described once. */
class Components {
  readonly schemas: Record<string, unknown> = {};
  private readonly names = new Map<z.ZodType, string>();

  output(schema: z.ZodType, name: string): Json {
    return this.reference(schema, name, 'output');
  }

  input(schema: z.ZodType, name: string): Json {
    return this.reference(schema, name, 'input');
  }

  /** @param io whether before or after its own conversions */
  inline(schema: z.ZodType, io: 'input' | 'output' = 'input'): Json {
    const { $schema: _, ...json } = z.toJSONSchema(schema, {
      io,
      metadata: NAMED,
      unrepresentable: 'any',
      override: ({ jsonSchema, zodSchema }) => {
        const { def } = zodSchema._zod;
        // Answers may come to have more than they have now; only requests are closed.
        if (io === 'output' && def.type === 'object' && !def.catchall) delete jsonSchema.additionalProperties;
      },
    }) as Json;
    return this.hoist(json) as Json;
  }

  private reference(schema: z.ZodType, name: string, io: 'input' | 'output'): Json {
    let known = this.names.get(schema);
    if (known === undefined) {
      known = NAMED.get(schema)?.id ?? name;
      this.names.set(schema, known);
      const json = this.inline(schema, io);
      // A schema that has a name may come as a reference to its own definition, which is in its place by now.
      if (json.$ref !== referenceTo(known)) this.schemas[known] = json;
    }
    return { $ref: referenceTo(known) };
  }

  /** Definitions of a schema's own are the document's. */
  private hoist(json: Json): unknown {
    const { $defs, id: _id, ...rest } = json;
    for (const [name, definition] of Object.entries(($defs ?? {}) as Record<string, Json>)) {
      const { id: _, ...described } = definition;
      this.schemas[name] = relinked(described);
    }
    return relinked(rest);
  }
}

function referenceTo(name: string): string {
  return `#/components/schemas/${name}`;
}

function relinked(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(relinked);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) =>
      key === '$ref' && typeof inner === 'string'
        ? [key, inner.replace('#/$defs/', '#/components/schemas/')]
        : [key, relinked(inner)],
    ),
  );
}
