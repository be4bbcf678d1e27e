import type { JsonSchemaInstance } from './item.js';

export function compactPrompt({ schema, request }: JsonSchemaInstance): string {
  return `${request === '' ? '' : `${request}\n`}Schema: ${JSON.stringify(schema)}\n`;
}

export function fullPrompt({ schema, request }: JsonSchemaInstance): string {
  return `${request === '' ? '' : `${request}\n\n`}Answer with JSON that this JSON Schema (draft 2020-12) accepts:

${JSON.stringify(schema, null, 2)}

Answers given so far:
None

Answer with the JSON alone, or in a block that begins with \`\`\`json. Any value that the schema accepts is right; the order of
keys and the layout make no difference.
`;
}
