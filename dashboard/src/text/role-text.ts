/** Roles in words. */
import type { Role } from '@proofcast/shared';

/** What a role is called and what it is for. */
export const ROLE_TEXTS: Readonly<Record<Role, { readonly name: string; readonly may: string }>> = {
  admin: { name: 'Admin', may: 'Watches live, plays recordings, manages devices, users and retention' },
  viewer: { name: 'Viewer', may: 'Watches live' },
  auditor: { name: 'Auditor', may: 'Plays recordings' },
  ops: { name: 'Ops', may: 'Looks after the health of the server, sees no content' },
};
