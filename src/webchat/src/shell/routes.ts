/** What the page's addresses mean. They lie below the page's base, whatever that is. */
import { naming } from '../gateway/place';

export const PAGES = ['setup', 'overview', 'sessions', 'cron', 'channels', 'devices', 'approvals', 'config', 'logs'] as const;
export type PageName = (typeof PAGES)[number];

/** `session` is `main`, or a session's key. */
export type Route = { page: 'chat'; session: string } | { page: PageName };

/** The name under which every gateway knows its main session. */
export const MAIN = 'main';

/** A page is offered where the gateway has one of these methods. */
const NEEDS: Record<PageName, readonly string[]> = {
  setup: ['models.list'],
  overview: ['health'],
  sessions: ['sessions.list'],
  cron: ['cron.list'],
  channels: ['channels.status'],
  devices: ['device.pair.list'],
  approvals: ['exec.approval.list'],
  config: ['config.get'],
  logs: ['logs.tail'],
};

export function offeredPages(has: (method: string) => boolean): PageName[] {
  return PAGES.filter((page) => NEEDS[page].some(has));
}

/** Anything that is not known is the main conversation. */
export function routeOf(path: string, base: string): Route {
  const root = new URL('.', base).pathname;
  const inside = path.startsWith(root) ? path.slice(root.length) : '';
  const page = PAGES.find((name) => inside === name || inside === `${name}/`);
  if (page) return { page };
  const match = /^chat\/(.+)$/.exec(inside);
  if (!match) return { page: 'chat', session: MAIN };
  try {
    return { page: 'chat', session: decodeURIComponent(match[1] ?? MAIN) };
  } catch {
    return { page: 'chat', session: MAIN };
  }
}

/** An address relative to the page's base, for links and for the history. It goes on naming the gateway of this one. */
export function addressOf(route: Route, search = globalThis.location?.search ?? ''): string {
  const gateway = naming(search);
  if (route.page !== 'chat') return `./${route.page}${gateway}`;
  return route.session === MAIN ? `./${gateway}` : `./chat/${encodeURIComponent(route.session)}${gateway}`;
}
