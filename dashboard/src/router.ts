/** Which view is where, and which permission it needs. */
import type { Permission, Role } from '@proofcast/shared';
import { createRouter, createWebHistory, type Router, type RouteLocationRaw } from 'vue-router';
import type { Reachability } from './reachability.ts';
import type { Session } from './session.ts';

declare module 'vue-router' {
  interface RouteMeta {
    title: string;
    /** Views without one are for everybody who is signed in. */
    permission?: Permission;
    /** Shown without navigation, also to people who are not signed in. */
    isPublic?: boolean;
  }
}

const RELOAD_KEY = 'proofcast.reloaded:';
const RELOAD_PAUSE_MS = 30_000;

const HOME_OF_ROLE: Readonly<Record<Role, string>> = {
  admin: '/live',
  viewer: '/live',
  auditor: '/recordings',
  ops: '/health',
};

export function createDashboardRouter(session: Session, reachability: Reachability): Router {
  const router = createRouter({
    history: createWebHistory(),
    scrollBehavior: (_to, _from, saved) => saved ?? { top: 0 },
    routes: [
      { path: '/', redirect: () => homeOf(session) },
      {
        path: '/sign-in',
        name: 'sign-in',
        component: () => import('./views/SignInView.vue'),
        meta: { title: 'Sign in', isPublic: true },
      },
      {
        path: '/live',
        name: 'live',
        component: () => import('./views/LiveView.vue'),
        meta: { title: 'Live', permission: 'live:watch' },
      },
      {
        path: '/live/:streamId',
        name: 'focus',
        component: () => import('./views/FocusView.vue'),
        props: true,
        meta: { title: 'Live', permission: 'live:watch' },
      },
      {
        path: '/recordings',
        name: 'recordings',
        component: () => import('./views/RecordingsView.vue'),
        meta: { title: 'Recordings', permission: 'recordings:read' },
      },
      {
        path: '/recordings/deleted',
        name: 'deleted-recordings',
        component: () => import('./views/DeletedRecordingsView.vue'),
        meta: { title: 'Deleted recordings', permission: 'recordings:read' },
      },
      {
        path: '/recordings/retention',
        name: 'retention',
        component: () => import('./views/RetentionView.vue'),
        meta: { title: 'Retention', permission: 'retention:manage' },
      },
      {
        path: '/recordings/:recordingId',
        name: 'recording',
        component: () => import('./views/RecordingView.vue'),
        props: true,
        meta: { title: 'Recording', permission: 'recordings:read' },
      },
      {
        path: '/devices',
        name: 'devices',
        component: () => import('./views/DevicesView.vue'),
        meta: { title: 'Devices', permission: 'devices:manage' },
      },
      {
        path: '/users',
        name: 'users',
        component: () => import('./views/UsersView.vue'),
        meta: { title: 'Users', permission: 'users:manage' },
      },
      {
        path: '/health',
        name: 'health',
        component: () => import('./views/HealthView.vue'),
        meta: { title: 'Health' },
      },
      {
        path: '/:path(.*)*',
        name: 'not-found',
        component: () => import('./views/NotFoundView.vue'),
        meta: { title: 'Not found' },
      },
    ],
  });

  router.beforeEach(async (to) => {
    if (session.state.value.kind === 'unknown') {
      try {
        await session.load();
      } catch {
        return true; // Nobody knows yet who this is; the shell says so, asks again, and enters the route anew.
      }
    }
    return admit(session, { path: to.fullPath, from: to.query['from'], isPublic: to.meta.isPublic ?? false });
  });
  router.afterEach((to) => {
    document.title = `${to.meta.title} · Proofcast`;
  });
  router.onError(async (_error, to) => {
    // A view could not be loaded. Either the server is away, or it is a newer one whose files have other names.
    await reachability.probe();
    if (reachability.state.value.kind === 'reachable' && isFirstReload(to.fullPath))
      location.assign(to.fullPath);
  });
  return router;
}

/** Whether the page has not been reloaded for this address a moment ago: reloading again would not help. */
function isFirstReload(path: string): boolean {
  const last = Number(sessionStorage.getItem(RELOAD_KEY + path) ?? 0);
  sessionStorage.setItem(RELOAD_KEY + path, String(Date.now()));
  return Date.now() - last > RELOAD_PAUSE_MS;
}

/** Where somebody goes after signing in: back to where they were sent away from, if that is a page of ours. */
export function returnPath(from: unknown): string {
  return typeof from === 'string' && /^\/(?![/\\])/.test(from) && !from.startsWith('/sign-in') ? from : '/';
}

function admit(
  session: Session,
  to: { path: string; from: unknown; isPublic: boolean },
): true | RouteLocationRaw {
  const state = session.state.value;
  if (to.isPublic) return state.kind === 'signed-in' ? returnPath(to.from) : true;
  if (state.kind === 'signed-in') return true;
  // Who has signed out may not be who signs in next.
  const hasLeft = state.kind === 'signed-out' && state.because === 'left';
  return { name: 'sign-in', query: hasLeft || to.path === '/' ? {} : { from: to.path } };
}

function homeOf(session: Session): string {
  return session.me ? HOME_OF_ROLE[session.me.role] : '/sign-in';
}
