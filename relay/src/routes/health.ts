import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import type { Tokens } from '../identity/tokens.ts';
import type { Media } from './media.ts';
import type { RouteHandlers } from './route-table.ts';

/** For machines: is the process alive, can it do its work, which key verifies its tokens. */
export function healthRoutes({
  database,
  media,
  tokens,
}: {
  database: Database;
  media: Pick<Media, 'isReady' | 'journalsToRead'>;
  tokens: Tokens;
}): Pick<RouteHandlers, 'healthz' | 'readyz' | 'jwks'> {
  return {
    healthz: () => ({ status: 'ok' }),
    readyz: async ({ reply }) => {
      const reasons = [...media.isReady(), ...(await databaseReasons(database))];
      const { journalsToRead } = media;
      if (reasons.length === 0) return { status: 'ready', reasons, journalsToRead };
      void reply.code(503);
      return { status: 'unready', reasons, journalsToRead };
    },
    jwks: () => tokens.jwks,
  };
}

async function databaseReasons(database: Database): Promise<string[]> {
  try {
    await sql`select 1 from companies limit 1`.execute(database);
    return [];
  } catch (error) {
    return [`The database does not answer: ${error instanceof Error ? error.message : String(error)}.`];
  }
}
