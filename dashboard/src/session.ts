/** Who is signed in. */
import { CodedError, hasPermission, type Me, type Permission } from '@proofcast/shared';
import { shallowRef, type ShallowRef } from 'vue';
import type { RelayClient } from './relay-client.ts';

export type SessionState =
  /** The server has not been asked, or could not be. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'signed-out'; readonly because: 'never-in' | 'left' | 'expired' }
  | { readonly kind: 'signed-in'; readonly me: Me };

export class Session {
  readonly state: ShallowRef<SessionState> = shallowRef({ kind: 'unknown' });
  readonly #relay: RelayClient;

  constructor(relay: RelayClient) {
    this.#relay = relay;
  }

  get me(): Me | null {
    return this.state.value.kind === 'signed-in' ? this.state.value.me : null;
  }

  may(permission: Permission): boolean {
    return this.me !== null && hasPermission(this.me.role, permission);
  }

  /** Asks the server who we are. Throws when it cannot be reached, and the state stays unknown. */
  async load(): Promise<void> {
    try {
      this.state.value = { kind: 'signed-in', me: await this.#relay.call('me') };
    } catch (error) {
      if (!(error instanceof CodedError) || error.status !== 401) throw error;
      this.state.value = { kind: 'signed-out', because: 'never-in' };
    }
  }

  async signIn(email: string, password: string): Promise<void> {
    const me = await this.#relay.call('signIn', { body: { email, password } });
    this.state.value = { kind: 'signed-in', me };
  }

  /** Ends the session on the server as well; when the server cannot be told, it throws and nothing changes. */
  async signOut(): Promise<void> {
    await this.#relay.call('signOut');
    this.state.value = { kind: 'signed-out', because: 'left' };
  }

  /** The server has ended the session. */
  expire(): void {
    if (this.state.value.kind === 'signed-in') this.state.value = { kind: 'signed-out', because: 'expired' };
  }
}
