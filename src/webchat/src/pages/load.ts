import type { PageName } from '../shell/routes';
import type { PageElement } from './page';

/** Each page is a file of its own, loaded when it is opened for the first time. */
const LOADERS: Record<PageName, () => Promise<unknown>> = {
  setup: () => import('./setup'),
  overview: () => import('./overview'),
  sessions: () => import('./sessions'),
  cron: () => import('./cron'),
  channels: () => import('./channels'),
  devices: () => import('./devices'),
  approvals: () => import('./approvals'),
  config: () => import('./config'),
  logs: () => import('./logs'),
};

/** A fresh element of the page. Rejects when its file cannot be loaded, as after an update of the gateway. */
export async function loadPage(name: PageName): Promise<PageElement> {
  await LOADERS[name]();
  return document.createElement(`oc-page-${name}`) as PageElement;
}
