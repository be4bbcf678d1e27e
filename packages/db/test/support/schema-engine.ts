import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PrismaPg } from '@prisma/adapter-pg';
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum, type SqlQuery } from '@prisma/driver-adapter-utils';
import * as engine from '@prisma/schema-engine-wasm/schema_engine_bg';
import pg from 'pg';

const prismaDir = fileURLToPath(new URL('../../../../prisma', import.meta.url));

/** Prisma's own migration engine, the one inside `prisma migrate`, on a database: the independent judge of our records. */
export async function openSchemaEngine(databaseUrl: string) {
  await loadWasm();
  const schema = await readFile(join(prismaDir, 'schema.prisma'), 'utf8');
  const migrationsList = await readMigrationsList();
  const filters = { externalTables: [], externalEnums: [] };
  // The engine's lock ends with its connection, and that when it has been idle.
  const pool = new pg.Pool({ connectionString: databaseUrl, idleTimeoutMillis: 50 });
  const adapter = bindMigrationAwareSqlAdapterFactory(new CatalogReadingAdapter(pool));
  const schemaEngine = await engine.SchemaEngine.new({ datamodels: [['schema.prisma', schema]] }, () => {}, adapter);
  return {
    /** `prisma migrate deploy` */
    deploy: () => schemaEngine.applyMigrations({ migrationsList, filters }),
    /** `prisma migrate status` */
    status: () => schemaEngine.diagnoseMigrationHistory({ migrationsList, optInToShadowDatabase: false, filters }),
    /** The SQL that would turn the database into what the schema says; null when it is so already. */
    difference: async (edit: (schema: string) => string = (text) => text): Promise<string | null> => {
      const result = await schemaEngine.diff({
        from: { tag: 'schemaDatasource', files: [{ path: 'schema.prisma', content: schema }], configDir: prismaDir },
        to: { tag: 'schemaDatamodel', files: [{ path: 'schema.prisma', content: edit(schema) }] },
        script: true,
        exitCode: true,
        filters,
      });
      return result.exitCode === 0 ? null : (result.stdout ?? '');
    },
    close: async () => {
      schemaEngine.free();
      await pool.end();
    },
  };
}

/**
 * The adapter knows no columns of type "char", which the catalog has some of and the engine wants as characters: lets the
 * adapter take them for text, and then tells the engine what they are.
 */
class CatalogReadingAdapter extends PrismaPg {
  constructor(pool: pg.Pool, charColumns = new Set<string>()) {
    const [char, text] = [18, 25];
    const query = pool.query.bind(pool) as unknown as (...args: unknown[]) => Promise<pg.QueryResult>;
    super(
      Object.assign(pool, {
        query: async (...args: unknown[]) => {
          const result = await query(...args);
          for (const field of result.fields) {
            if (field.dataTypeID !== char) continue;
            field.dataTypeID = text;
            charColumns.add(field.name);
          }
          return result;
        },
      }),
    );
    const connect = this.connect.bind(this);
    this.connect = async () => {
      const adapter = await connect();
      const queryRaw = adapter.queryRaw.bind(adapter);
      return Object.assign(adapter, {
        queryRaw: async (sql: SqlQuery) => {
          const result = await queryRaw(sql);
          const columnTypes = result.columnTypes.map((type, n) =>
            charColumns.has(result.columnNames[n] ?? '') ? ColumnTypeEnum.Character : type,
          );
          return { ...result, columnTypes };
        },
      });
    };
  }
}

/** Node has it; its type definitions leave it to those of browsers. */
const { WebAssembly: wasm } = globalThis as unknown as {
  WebAssembly: {
    instantiate(bytes: Uint8Array, imports: object): Promise<{ instance: { exports: Record<string, unknown> } }>;
  };
};

let loaded: Promise<void> | undefined;

/** What the package's main entry does by importing a .wasm file, which Node does not do by itself. */
function loadWasm(): Promise<void> {
  loaded ??= (async () => {
    const entry = createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm');
    const bytes = await readFile(join(dirname(entry), 'schema_engine_bg.wasm'));
    const { instance } = await wasm.instantiate(bytes, { './schema_engine_bg.js': { ...engine } });
    engine.__wbg_set_wasm(instance.exports);
    const { __wbindgen_start: start } = instance.exports;
    if (typeof start === 'function') start();
  })();
  return loaded;
}

async function readMigrationsList() {
  const baseDir = join(prismaDir, 'migrations');
  const names = (await readdir(baseDir, { withFileTypes: true })).filter((entry) => entry.isDirectory());
  return {
    baseDir,
    lockfile: {
      path: 'migration_lock.toml',
      content: await readFile(join(baseDir, 'migration_lock.toml'), 'utf8'),
    },
    shadowDbInitScript: '',
    migrationDirectories: await Promise.all(
      names
        .map((entry) => entry.name)
        .sort()
        .map(async (name) => ({
          path: name,
          migrationFile: {
            path: 'migration.sql',
            content: { tag: 'ok' as const, value: await readFile(join(baseDir, name, 'migration.sql'), 'utf8') },
          },
        })),
    ),
  };
}
