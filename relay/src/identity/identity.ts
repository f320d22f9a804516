import type { Clock } from '../clock.ts';
import type { RelayLimits } from '../config.ts';
import type { Database } from '../database/database.ts';
import { Companies } from './companies.ts';
import { DeviceAssertions } from './device-assertions.ts';
import { Devices } from './devices.ts';
import { Enrolment } from './enrolment.ts';
import { Passwords } from './passwords.ts';
import { Sessions } from './sessions.ts';
import { openSigningKey } from './signing-key.ts';
import { Tickets } from './tickets.ts';
import { Tokens } from './tokens.ts';
import { Users } from './users.ts';

/** Who exists and how each is recognised. */
export interface Identity {
  readonly companies: Companies;
  readonly users: Users;
  readonly sessions: Sessions;
  readonly tickets: Tickets;
  readonly tokens: Tokens;
  readonly devices: Devices;
  readonly enrolment: Enrolment;
  readonly assertions: DeviceAssertions;
}

export interface IdentityOptions {
  readonly database: Database;
  /** Folder of the signing key. */
  readonly keysDir: string;
  readonly limits: RelayLimits;
  readonly clock: Clock;
}

/** Opens the signing key and puts the parts together. Nothing here has to be closed; the database is the caller's. */
export async function openIdentity({ database, keysDir, limits, clock }: IdentityOptions): Promise<Identity> {
  const passwords = new Passwords({
    concurrency: limits.passwordConcurrency,
    maxWaiting: limits.maxWaitingSignIns,
  });
  const devices = new Devices({ database, clock });
  return {
    companies: new Companies({ database, clock }),
    users: new Users({ database, clock, passwords }),
    sessions: new Sessions({ database, clock, lifetimeMs: limits.sessionLifetimeMs }),
    tickets: new Tickets({ clock, limits }),
    tokens: new Tokens({ key: await openSigningKey(keysDir), clock, lifetimeMs: limits.tokenLifetimeMs }),
    devices,
    enrolment: new Enrolment({ database, clock, codeLifetimeMs: limits.enrolmentCodeLifetimeMs }),
    assertions: new DeviceAssertions({ database, devices, clock, limits }),
  };
}
