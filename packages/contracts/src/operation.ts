import { z } from 'zod';

/** What a key must be allowed to do at least; each includes those before it. */
export const KeyScope = z.enum(['read', 'write', 'admin']);
export type KeyScope = z.infer<typeof KeyScope>;

/** One thing that the API does: the only description of it, for the server, its types and the OpenAPI document. */
export interface OperationSpec {
  /** Unique, for programs. */
  readonly id: string;
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Under `/v1`. `{name}` is one segment; `{name*}`, at the end only, is all that follows, slashes included. */
  readonly path: string;
  readonly tag: string;
  /** One line. */
  readonly summary: string;
  /** More than fits the line; CommonMark. */
  readonly description?: string;
  readonly scope: KeyScope;
  readonly query?: z.ZodObject;
  /** Of an `application/json` request. */
  readonly body?: z.ZodType;
  /** Whether an absent body stands for an empty object. @defaultValue false */
  readonly bodyOptional?: boolean;
  /** Fields of a `multipart/form-data` request; the one named by `file` holds bytes. */
  readonly form?: { readonly file: string; readonly fields?: z.ZodObject };
  /** Of a JSON answer. */
  readonly response?: z.ZodType;
  /** Content types that an answer may have besides. */
  readonly otherContent?: readonly string[];
  /** Whether `Range` and `If-None-Match` are understood. @defaultValue false */
  readonly ranges?: boolean;
  /** Whether an `Idempotency-Key` makes asking again harmless. @defaultValue false */
  readonly idempotent?: boolean;
}

/** Keeps the types of its schemas, from which those of its handler come. */
export function operation<const Spec extends OperationSpec>(spec: Spec): Spec {
  return spec;
}

type Names<Path extends string> = Path extends `${string}{${infer Name}}${infer Rest}`
  ? (Name extends `${infer Wild}*` ? Wild : Name) | Names<Rest>
  : never;

/** Values of the path's `{name}`s, decoded. */
export type ParamsOf<Spec extends OperationSpec> = { [Name in Names<Spec['path']>]: string };
export type QueryOf<Spec extends OperationSpec> = Spec extends { query: infer Query extends z.ZodType }
  ? z.output<Query>
  : undefined;
export type BodyOf<Spec extends OperationSpec> = Spec extends { body: infer Body extends z.ZodType }
  ? z.output<Body>
  : undefined;
export type ResponseOf<Spec extends OperationSpec> = Spec extends { response: infer Response extends z.ZodType }
  ? z.output<Response>
  : never;

/** The path's names, in order, with those at the end that take slashes marked. */
export function pathParams(path: string): { name: string; rest: boolean }[] {
  return [...path.matchAll(/\{(\w+)(\*?)\}/g)].map(([, name, star]) => ({ name: name!, rest: star === '*' }));
}
