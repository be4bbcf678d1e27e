import { defineConfig } from 'prisma/config';

// For the prisma command line: `npx prisma migrate deploy --config prisma/prisma.config.ts`.
// Polymode itself applies the same migrations from code (`migrate` of @polymode/db).
// biome-ignore lint/suspicious/noUndeclaredEnvVars: no build task reads it, only the prisma commands that a person runs.
const url = process.env.DATABASE_URL;

export default defineConfig({
  schema: 'schema.prisma',
  migrations: { path: 'migrations' },
  ...(url ? { datasource: { url } } : {}),
});
