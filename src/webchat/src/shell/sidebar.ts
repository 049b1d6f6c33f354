import { LitElement, css, html, nothing } from 'lit';
import { MAIN, type SessionRow } from '../chat/controller';
import { shared } from '../styles/shared';
import { strings } from '../strings';
import { icons } from './icons';
import { applyTheme, nextTheme, storedTheme, type Theme } from './theme';

/**
 * `<oc-sidebar>`: the conversations, and what the page is connected to. Fires `open-session`
 * (detail: the key) and `new-session`.
 */
export class SidebarElement extends LitElement {
  static override properties = {
    sessions: { attribute: false },
    current: {},
    main: {},
    version: {},
    clients: { type: Number },
    theme: { state: true },
  };
  declare sessions: readonly SessionRow[];
  declare current: string;
  /** The canonical key of the main session. */
  declare main: string;
  declare version: string | null;
  declare clients: number;
  declare theme: Theme;

  constructor() {
    super();
    this.sessions = [];
    this.current = MAIN;
    this.main = MAIN;
    this.version = null;
    this.clients = 0;
    this.theme = storedTheme();
  }

  static override styles = [
    shared,
    css`
      :host {
        display: flex;
        flex-direction: column;
        height: 100%;
        padding: 0.9rem 0.75rem 0.75rem;
        border-right: 1px solid var(--line);
        background: var(--surface);
      }

      .brand {
        display: flex;
        align-items: center;
        gap: 0.6rem;
        padding: 0 0.5rem 1rem;
        font-weight: 650;
        letter-spacing: -0.01em;
      }

      .brand svg {
        color: var(--accent);
        width: 1.4rem;
        height: 1.4rem;
        stroke-width: 2.2;
      }

      .heading {
        display: flex;
        align-items: center;
        justify-content: space-between;
        padding: 0 0.2rem 0.2rem 0.5rem;
      }

      h2 {
        margin: 0;
        color: var(--muted);
        font-size: 0.76rem;
        font-weight: 550;
      }

      nav {
        flex: 1;
        min-height: 0;
        overflow-y: auto;
      }

      nav ul {
        margin: 0;
        padding: 0;
        list-style: none;
      }

      nav a {
        display: flex;
        align-items: baseline;
        gap: 0.5rem;
        padding: 0.42rem 0.6rem;
        border-radius: 10px;
        color: inherit;
        font-size: 0.92rem;
        text-decoration: none;
      }

      nav a span {
        flex: 1;
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }

      nav a time {
        flex: none;
        color: var(--muted);
        font-size: 0.74rem;
      }

      nav a:hover,
      nav a[aria-current] {
        background: var(--raised);
      }

      nav a[aria-current] {
        font-weight: 550;
      }

      footer {
        display: flex;
        align-items: center;
        justify-content: space-between;
        gap: 0.5rem;
        padding: 0.75rem 0.2rem 0 0.5rem;
        color: var(--muted);
        font-size: 0.76rem;
        line-height: 1.45;
      }
    `,
  ];

  protected override render() {
    const rows = this.#rows();
    const label = strings.theme[this.theme];
    const icon = { system: icons.system, light: icons.sun, dark: icons.moon }[this.theme];
    return html`
      <div class="brand">${icons.brand}<span>${strings.appName}</span></div>
      <div class="heading">
        <h2 id="sessions">${strings.sessions}</h2>
        <button
          class="icon"
          title=${strings.newSession}
          aria-label=${strings.newSession}
          ?disabled=${this.main === MAIN}
          @click=${() => this.dispatchEvent(new CustomEvent('new-session'))}
        >
          ${icons.plus}
        </button>
      </div>
      <nav aria-labelledby="sessions">
        <ul>
          ${rows.map((row) => this.#session(row))}
        </ul>
      </nav>
      <footer>
        <div>
          ${this.version ? html`<div>${strings.version(this.version)}</div>` : nothing}
          ${this.clients > 0 ? html`<div>${strings.clients(this.clients)}</div>` : nothing}
        </div>
        <button class="icon" title=${label} aria-label=${label} @click=${this.#theme}>${icon}</button>
      </footer>
    `;
  }

  /** The main conversation comes first, whether or not it has been written in yet. */
  #rows(): SessionRow[] {
    const isMain = (key: string) => key === MAIN || key === this.main;
    const main = this.sessions.find((row) => isMain(row.key));
    const rest = this.sessions.filter((row) => !isMain(row.key));
    const rows = [{ key: MAIN, title: strings.mainSession, updatedAt: main?.updatedAt ?? null }, ...rest];
    // A session that is open and not yet written in is in no list.
    if (!isMain(this.current) && !rest.some((row) => row.key === this.current)) {
      rows.push({ key: this.current, title: strings.newSession, updatedAt: null });
    }
    return rows;
  }

  #session(row: SessionRow) {
    const current = row.key === this.current || (row.key === MAIN && this.current === this.main);
    return html`<li>
      <a
        href=${row.key === MAIN ? './' : `./chat/${encodeURIComponent(row.key)}`}
        aria-current=${current ? 'page' : nothing}
        title=${row.key === row.title ? row.title : `${row.title} (${row.key})`}
        @click=${(event: MouseEvent) => this.#open(event, row.key)}
      >
        <span>${row.title}</span>
        ${row.updatedAt === null ? nothing : html`<time datetime=${new Date(row.updatedAt).toISOString()}>${briefly(row.updatedAt)}</time>`}
      </a>
    </li>`;
  }

  #open(event: MouseEvent, key: string): void {
    // A new tab or window is the browser's business.
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    this.dispatchEvent(new CustomEvent('open-session', { detail: key, bubbles: true, composed: true }));
  }

  #theme(): void {
    this.theme = nextTheme(this.theme);
    applyTheme(this.theme);
  }
}

const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const date = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });

function briefly(at: number): string {
  return new Date(at).toDateString() === new Date().toDateString() ? time.format(at) : date.format(at);
}

customElements.define('oc-sidebar', SidebarElement);
