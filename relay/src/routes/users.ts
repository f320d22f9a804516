import type { Users } from '../identity/users.ts';
import type { RouteHandlers } from './route-table.ts';

/** The users of the caller's company. */
export function userRoutes({ users }: { users: Users }): Pick<RouteHandlers, 'users' | 'createUser'> {
  return {
    users: async ({ caller }) => ({ users: await users.list(caller.user.companyId) }),
    createUser: ({ caller, body }) => users.create({ ...body, companyId: caller.user.companyId }),
  };
}
