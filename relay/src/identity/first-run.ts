import { randomLetters } from '@proofcast/shared';
import type { Companies } from './companies.ts';
import type { Users } from './users.ts';

export interface FirstRun {
  readonly email: string;
  readonly password: string;
  /** Nobody knows the password yet, so it has to be shown, once. */
  readonly isPasswordGenerated: boolean;
}

export interface FirstRunOptions {
  readonly companies: Companies;
  readonly users: Users;
  readonly companyName: string;
  readonly adminEmail: string;
  readonly adminPassword: string | null;
}

/** 20 letters of 32: a hundred random bits, in groups that can be typed. */
const PASSWORD_GROUPS = 4;
const PASSWORD_GROUP_LENGTH = 5;

/** Creates the company and its admin when nobody could sign in yet; returns null when somebody can. */
export async function prepareFirstRun(options: FirstRunOptions): Promise<FirstRun | null> {
  const { companies, users, adminEmail, adminPassword } = options;
  if (await users.hasAny()) return null;
  // There is a company without users when an earlier first run was cut off between the two steps.
  const company = (await companies.first()) ?? (await companies.create(options.companyName));
  const password = adminPassword ?? createPassword();
  await users.create({
    companyId: company.companyId,
    email: adminEmail,
    name: 'Admin',
    role: 'admin',
    password,
  });
  return { email: adminEmail, password, isPasswordGenerated: adminPassword === null };
}

function createPassword(): string {
  const groups = Array.from({ length: PASSWORD_GROUPS }, () => randomLetters(PASSWORD_GROUP_LENGTH));
  return groups.join('-');
}
