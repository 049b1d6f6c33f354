/** What waits for the person: devices and strangers at the door, and commands that an agent wants to run. */
import { asList, asObject } from '../gateway/frames';
import type { GatewayPort } from '../gateway/port';
import type { PageName } from './routes';

export type Waiting = Partial<Record<PageName, number>>;

const CAUSES = /^(online|device\.pair\.|node\.pair\.|exec\.approval\.)/;
const SETTLE_MS = 150;
/** Strangers on channels wait without an event. */
const LOOK_MS = 60_000;

/** Counts anew after everything that may have changed it. Returns how to stop. */
export function watchWaiting(port: GatewayPort, tell: (waiting: Waiting) => void): () => void {
  let timer: ReturnType<typeof setTimeout> | null = null;
  const ask = async (method: string, scope: string): Promise<unknown> => {
    if (!port.has(method) || !port.may(scope)) return null;
    return port.request(method, {}).catch(() => null);
  };
  const count = async (): Promise<void> => {
    timer = null;
    const [devices, nodes, approvals, strangers] = await Promise.all([
      ask('device.pair.list', 'operator.pairing'),
      ask('node.pair.list', 'operator.pairing'),
      ask('exec.approval.list', 'operator.approvals'),
      ask('channels.pairing.list', 'operator.pairing'),
    ]);
    const pending = (answer: unknown) => asList(asObject(answer)['pending']).length;
    tell({ devices: pending(devices) + pending(nodes), approvals: asList(approvals).length, channels: asList(asObject(strangers)['requests']).length });
  };
  const stop = port.listen((event) => {
    if (CAUSES.test(event)) timer ??= setTimeout(() => void count(), SETTLE_MS);
  });
  const look = setInterval(() => {
    if (port.has('channels.pairing.list') && document.visibilityState === 'visible') void count();
  }, LOOK_MS);
  return () => {
    stop();
    clearInterval(look);
    if (timer !== null) clearTimeout(timer);
  };
}
