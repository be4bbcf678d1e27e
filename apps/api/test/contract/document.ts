import { openApiDocument, operations } from '@polymode/contracts';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

/** As far as tests read it. */
export interface JsonSchema {
  readonly [keyword: string]: unknown;
}

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required: boolean;
  readonly schema: JsonSchema;
  readonly style?: string;
}

type Content = Record<string, { schema: JsonSchema }>;

export interface Operation {
  readonly id: string;
  readonly method: string;
  /** With `{name}`s, and without `/v1`. */
  readonly path: string;
  readonly parameters: Parameter[];
  readonly body: { content: Content; required: boolean } | null;
  /** Content by status, such as `200`, `4XX` or `204`. */
  readonly responses: Record<string, Content>;
}

/** An OpenAPI document, read as a client reads it: nothing here knows the server's own schemas. */
export class ApiDocument {
  readonly operations: Operation[];
  private readonly ajv: Ajv2020;
  private readonly validators = new Map<string, ValidateFunction>();

  constructor(readonly json: JsonSchema) {
    // Documents have keywords of their own around the schemas; those of the schemas must be known.
    this.ajv = new Ajv2020({ strict: false, allErrors: true });
    addFormats.default(this.ajv);
    this.ajv.addSchema({ ...json, $id: 'document' }, 'document', undefined, false);
    this.operations = Object.entries(json.paths as Record<string, Record<string, JsonSchema>>).flatMap(
      ([path, methods]) =>
        Object.entries(methods).map(([method, described]) => this.operation(path, method.toUpperCase(), described)),
    );
  }

  /** What a `$ref` of the document points at; other schemas as they are. */
  resolve(schema: JsonSchema): JsonSchema {
    if (typeof schema.$ref !== 'string') return schema;
    const found = schema.$ref
      .replace('#/', '')
      .split('/')
      .reduce<unknown>((at, key) => (at as JsonSchema)[key], this.json);
    return this.resolve(found as JsonSchema);
  }

  /** What the document says against a value; null when it agrees. */
  problems(schema: JsonSchema, value: unknown): string | null {
    const key = JSON.stringify(schema);
    let validate = this.validators.get(key);
    if (!validate) {
      validate = this.ajv.compile(absolute(schema) as JsonSchema);
      this.validators.set(key, validate);
    }
    return validate(value) ? null : this.ajv.errorsText(validate.errors);
  }

  private operation(path: string, method: string, described: JsonSchema): Operation {
    const body = described.requestBody as { content: Content; required?: boolean } | undefined;
    const responses = described.responses as Record<string, JsonSchema>;
    return {
      id: described.operationId as string,
      method,
      path,
      parameters: (described.parameters as JsonSchema[]).map((one) => this.resolve(one) as unknown as Parameter),
      body: body ? { content: body.content, required: body.required ?? false } : null,
      responses: Object.fromEntries(
        Object.entries(responses).map(([status, one]) => [status, (this.resolve(one).content ?? {}) as Content]),
      ),
    };
  }
}

/** References of a schema that stands outside of the document. */
function absolute(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(absolute);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) =>
      key === '$ref' && typeof inner === 'string' ? [key, `document${inner}`] : [key, absolute(inner)],
    ),
  );
}

/** The document that the server serves, made from the same source. */
export const documentOfContracts = (): ApiDocument =>
  new ApiDocument(openApiDocument(operations, { title: 'Test', version: '1', description: 'Test' }));
