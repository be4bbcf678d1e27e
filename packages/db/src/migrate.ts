/**
 * Brings a database to the schema of this version.
 *
 * @returns the names of the migrations that this call applied
 */
export async function migrate(databaseUrl: string): Promise<string[]> {
  throw new Error(`not yet: ${databaseUrl}`);
}
