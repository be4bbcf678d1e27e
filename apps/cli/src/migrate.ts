/** Brings the database of DATABASE_URL to this version's schema; the compose stack runs it before anything else. */
import { migrate } from '@polymode/db';

const url = process.env.DATABASE_URL;
if (!url) {
  process.stderr.write('DATABASE_URL is not set. Set postgres://user:password@host:port/database.\n');
  process.exit(2);
}
const applied = await migrate(url);
process.stdout.write(applied.length === 0 ? 'The database is up to date.\n' : `Applied ${applied.join(', ')}.\n`);
