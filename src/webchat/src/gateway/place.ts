/**
 * Which gateway the page talks to: the one that served it, or one that its address names (`?gatewayUrl=ws://...`), for
 * pages that are served elsewhere. Another gateway is a stranger: it is asked about once, and what this browser keeps
 * for one gateway (tokens, its key, drafts) is never used with another.
 */
import { usableStore } from './credentials';

const FIELD = 'gatewayUrl';
const CONFIRMED = 'openclaw.gateways';
const KEPT = 20;

export interface Place {
  /** The address of the gateway's socket. */
  readonly url: string;
  /** Host and port, for people. */
  readonly host: string;
  /** Added to the names under which things are kept; empty for the gateway that served the page. */
  readonly suffix: string;
}

/** The gateway that served this page. */
export function ownGateway(base: string): Place {
  const url = new URL('.', base);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  url.search = '';
  url.hash = '';
  return { url: url.href, host: url.host, suffix: '' };
}

/** The gateway that an address names; `null` where it names none, one that cannot be, or the page's own. */
export function namedGateway(search: string, base: string): Place | null {
  const text = new URLSearchParams(search).get(FIELD);
  if (text === null || !URL.canParse(text)) return null;
  const url = new URL(text);
  const plain = ['ws:', 'wss:'].includes(url.protocol) && url.host !== '' && url.username === '' && url.password === '';
  // Not even as far as a question: a secret in a query, or a name with one, is a mistake or an attack.
  if (!plain || url.search !== '' || url.hash !== '') return null;
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url.href === ownGateway(base).url ? null : { url: url.href, host: url.host, suffix: `@${url.href}` };
}

/** The part of an address that names a gateway, for the page's next address. */
export function naming(search: string): string {
  const text = new URLSearchParams(search).get(FIELD);
  return text === null ? '' : `?${FIELD}=${encodeURIComponent(text)}`;
}

/** Gateways that the person has agreed to in this browser. */
export class Confirmed {
  constructor(private readonly store = usableStore(() => localStorage)) {}

  has(place: Place): boolean {
    return this.#all().includes(place.url);
  }

  add(place: Place): void {
    const others = this.#all().filter((url) => url !== place.url);
    this.store.setItem(CONFIRMED, JSON.stringify([...others, place.url].slice(-KEPT)));
  }

  #all(): string[] {
    try {
      const stored: unknown = JSON.parse(this.store.getItem(CONFIRMED) ?? '[]');
      return Array.isArray(stored) ? stored.filter((url) => typeof url === 'string') : [];
    } catch {
      return [];
    }
  }
}
