/** Wires the dashboard: who exists once, who knows whom. */
import type { Schedule } from '@proofcast/shared';
import { createApp, watch, type App as VueApp } from 'vue';
import App from './App.vue';
import { liveKey, reachabilityKey, relayKey, sessionKey } from './composables/use-services.ts';
import { initialTheme } from './composables/use-theme-choice.ts';
import { LiveSession } from './player/live-session.ts';
import { Reachability } from './reachability.ts';
import { RelayClient } from './relay-client.ts';
import { createDashboardRouter } from './router.ts';
import { Session } from './session.ts';
import { createComponentLibrary } from './vuetify.ts';

const schedule: Schedule = (callback, delayMs) => {
  const timer = setTimeout(callback, delayMs);
  return () => clearTimeout(timer);
};

/** The whole dashboard, ready to be mounted. */
export function createDashboard(): VueApp {
  const fetchFromPage: typeof fetch = (input, init) => fetch(input, init);
  const reachability = new Reachability({ fetch: fetchFromPage, schedule });
  const relay: RelayClient = new RelayClient({
    fetch: fetchFromPage,
    onReached: (isReached) => reachability.note(isReached),
    onUnauthenticated: () => session.expire(),
  });
  const session = new Session(relay);

  let live: LiveSession | undefined;
  const openLive = (): LiveSession => (live ??= new LiveSession({ relay, schedule, nowMs: Date.now }));
  watch(
    session.state,
    (state) => {
      if (state.kind === 'signed-in') return;
      live?.close();
      live = undefined;
    },
    { flush: 'sync' },
  );

  watch(reachability.state, ({ kind }) => {
    if (kind === 'reachable') live?.retryNow();
  });
  window.addEventListener('online', () => {
    void reachability.probe();
    live?.retryNow();
  });

  const app = createApp(App);
  app.provide(relayKey, relay);
  app.provide(sessionKey, session);
  app.provide(reachabilityKey, reachability);
  app.provide(liveKey, openLive);
  app.use(createComponentLibrary(initialTheme()));
  app.use(createDashboardRouter(session, reachability));
  return app;
}
