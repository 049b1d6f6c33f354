/**
 * Where the secrets of this browser are kept. The gateway's shared token stays in the tab (sessionStorage) and is
 * needed only until the gateway has issued this device a token of its own, which is kept (localStorage) together with
 * the device id that it belongs to. Each gateway has names of its own to keep them under.
 */

const SHARED = 'openclaw.shared-token';
const DEVICE = 'openclaw.device-token';
/** A device that was told that it may not have everything; it does not ask again until its owner brings a new token. */
const NARROW = 'openclaw.narrow';

type Store = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

export type Credential = { kind: 'device' | 'shared'; token: string } | { kind: 'none' };

/** Storage may be switched off; then the secrets live as long as the page. */
function memory(): Store {
  const values = new Map<string, string>();
  return {
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => void values.set(key, value),
    removeItem: (key) => void values.delete(key),
  };
}

export function usableStore(open: () => Store): Store {
  try {
    const store = open();
    store.setItem('openclaw.probe', '1');
    store.removeItem('openclaw.probe');
    return store;
  } catch {
    return memory();
  }
}

export class Credentials {
  readonly #shared: string;
  readonly #device: string;
  readonly #narrow: string;

  constructor(
    private readonly tab: Store,
    private readonly kept: Store,
    suffix = '',
  ) {
    this.#shared = SHARED + suffix;
    this.#device = DEVICE + suffix;
    this.#narrow = NARROW + suffix;
  }

  /** @param suffix the gateway's, as {@link Place} has it */
  static ofBrowser(suffix: string): Credentials {
    return new Credentials(
      usableStore(() => sessionStorage),
      usableStore(() => localStorage),
      suffix,
    );
  }

  /** The device's own token first: it is the narrower secret. A shared one goes before it where it can give more. */
  choose(deviceId: string): Credential {
    const device = this.deviceToken(deviceId);
    const shared = this.tab.getItem(this.#shared);
    const more = shared && !this.narrow(deviceId) && !this.deviceScopes(deviceId).includes('operator.admin');
    if (device !== null && !more) return { kind: 'device', token: device };
    return shared ? { kind: 'shared', token: shared } : { kind: 'none' };
  }

  setShared(token: string): void {
    this.tab.setItem(this.#shared, token);
    this.kept.removeItem(this.#narrow);
  }

  narrow(deviceId: string): boolean {
    return this.kept.getItem(this.#narrow) === deviceId;
  }

  setNarrow(deviceId: string): void {
    this.kept.setItem(this.#narrow, deviceId);
  }

  deviceToken(deviceId: string): string | null {
    const [owner, token] = (this.kept.getItem(this.#device) ?? '').split(' ');
    return owner === deviceId && token ? token : null;
  }

  /** What the device's token is good for; tokens of older pages were good for reading and writing. */
  deviceScopes(deviceId: string): readonly string[] {
    const [owner, , scopes] = (this.kept.getItem(this.#device) ?? '').split(' ');
    return owner === deviceId && scopes ? scopes.split(',') : ['operator.read', 'operator.write'];
  }

  setDeviceToken(deviceId: string, token: string, scopes: readonly string[] = []): void {
    this.kept.setItem(this.#device, [deviceId, token, scopes.join(',')].join(' ').trim());
  }

  /** Forgets a refused device token, unless another tab has stored a newer one meanwhile. */
  dropDeviceToken(deviceId: string, refused: string): void {
    if (this.deviceToken(deviceId) === refused) this.kept.removeItem(this.#device);
  }

  /** Forgets the shared token that was just refused, so that a reload does not try it again. */
  dropShared(refused: string): void {
    if (this.tab.getItem(this.#shared) === refused) this.tab.removeItem(this.#shared);
  }
}

/**
 * Takes the token out of `#token=...` and out of the address bar and the history. Only the fragment is read: it never
 * leaves the browser, while a query would stand in every log on the way.
 */
export function takeToken(location: Pick<Location, 'hash' | 'pathname' | 'search'>, history: Pick<History, 'replaceState'>): string | null {
  const fields = location.hash.replace(/^#/, '').split('&');
  const field = fields.find((text) => text.startsWith('token='));
  if (field === undefined) return null;
  history.replaceState(null, '', location.pathname + location.search);
  const value = field.slice('token='.length);
  try {
    return decodeURIComponent(value).trim() || null;
  } catch {
    return value.trim() || null;
  }
}
