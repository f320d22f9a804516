/** The long-lived things that `app.ts` has wired, as components ask for them. */
import { inject, type InjectionKey } from 'vue';
import type { LiveSession } from '../player/live-session.ts';
import type { Reachability } from '../reachability.ts';
import type { RelayClient } from '../relay-client.ts';
import type { Session } from '../session.ts';

export const relayKey: InjectionKey<RelayClient> = Symbol('relay');
export const sessionKey: InjectionKey<Session> = Symbol('session');
export const reachabilityKey: InjectionKey<Reachability> = Symbol('reachability');
/** Opened when first asked for, closed when the user is signed out. */
export const liveKey: InjectionKey<() => LiveSession> = Symbol('live');

export const useRelay = (): RelayClient => required(relayKey);
export const useSession = (): Session => required(sessionKey);
export const useReachability = (): Reachability => required(reachabilityKey);
export const useLive = (): LiveSession => required(liveKey)();

function required<T>(key: InjectionKey<T>): T {
  const value = inject(key);
  if (value === undefined) throw new TypeError(`${String(key)} is not provided.`);
  return value;
}
