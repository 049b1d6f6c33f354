import { LitElement, css, html, nothing } from 'lit';
import { shared } from '../styles/shared';
import { chooseLanguage, language, strings } from '../strings';
import { icons } from './icons';
import { addressOf, type PageName } from './routes';
import { applyTheme, nextTheme, storedTheme, type Theme } from './theme';

const SHAPES: Record<PageName, keyof typeof icons> = {
  setup: 'spark',
  overview: 'pulse',
  sessions: 'chat',
  cron: 'clock',
  channels: 'antenna',
  devices: 'phone',
  approvals: 'shield',
  config: 'sliders',
  logs: 'lines',
};

/**
 * `<oc-sidebar>`: what there is in this page. The conversations are its child; it adds the control pages and the
 * switches. Fires `open-page` (detail: the name), `language` after the language has changed, and `leave` when the person
 * wants to go back to the page's own gateway.
 */
export class SidebarElement extends LitElement {
  static override properties = {
    pages: { attribute: false },
    page: {},
    waiting: { attribute: false },
    version: {},
    clients: { type: Number },
    elsewhere: { attribute: false },
    theme: { state: true },
  };
  declare pages: readonly PageName[];
  /** The open page; `chat` for conversations. */
  declare page: string;
  /** What waits for the person, by page. */
  declare waiting: Partial<Record<PageName, number>>;
  declare version: string | null;
  declare clients: number;
  /** The host of another gateway than the page's own; `null`: it is its own. */
  declare elsewhere: string | null;
  declare theme: Theme;

  constructor() {
    super();
    this.pages = [];
    this.page = 'chat';
    this.waiting = {};
    this.version = null;
    this.clients = 0;
    this.elsewhere = null;
    this.theme = storedTheme();
  }

  static override styles = [
    shared,
    css`
      :host {
        display: flex;
        flex-direction: column;
        height: 100%;
        padding: 0.9rem 0.75rem max(0.6rem, env(safe-area-inset-bottom));
        border-right: 1px solid var(--line);
        background: var(--surface);
      }

      .brand {
        display: flex;
        align-items: center;
        gap: 0.6rem;
        padding: 0 0.5rem 0.8rem;
        font-weight: 650;
        letter-spacing: -0.01em;
      }

      .brand svg {
        color: var(--accent);
        width: 1.4rem;
        height: 1.4rem;
        stroke-width: 2.2;
      }

      .elsewhere {
        display: flex;
        align-items: center;
        gap: 0.4rem;
        margin-bottom: 0.6rem;
        padding: 0.1rem 0.1rem 0.1rem 0.7rem;
        border-radius: 10px;
        background: var(--warn-bg);
        font-size: 0.82rem;
      }

      .elsewhere span {
        flex: 1;
        min-width: 0;
        overflow-wrap: anywhere;
      }

      ::slotted(*) {
        flex: 1;
        min-height: 0;
      }

      nav {
        display: grid;
        grid-template-columns: 1fr 1fr;
        gap: 0.1rem;
        margin-top: 0.5rem;
        padding-top: 0.5rem;
        border-top: 1px solid var(--line);
      }

      nav a {
        display: flex;
        align-items: center;
        gap: 0.5rem;
        min-height: 2.1rem;
        padding: 0 0.5rem;
        border-radius: 9px;
        color: var(--muted);
        font-size: 0.86rem;
        text-decoration: none;
      }

      nav a:hover,
      nav a[aria-current] {
        background: var(--raised);
        color: var(--text);
      }

      nav a svg {
        flex: none;
        width: 1rem;
        height: 1rem;
      }

      .badge {
        margin-left: auto;
        padding: 0 0.4rem;
        border-radius: 999px;
        background: var(--accent);
        color: var(--on-accent);
        font-size: 0.7rem;
        font-weight: 600;
        line-height: 1.5;
      }

      footer {
        display: flex;
        align-items: center;
        gap: 0.2rem;
        padding: 0.5rem 0 0 0.5rem;
        color: var(--muted);
        font-size: 0.74rem;
        line-height: 1.4;
      }

      footer > div {
        flex: 1;
      }

      .language {
        min-width: 2.25rem;
        height: 2.25rem;
        border-radius: 10px;
        color: var(--muted);
        font-size: 0.8rem;
      }

      .language:hover {
        background: var(--raised);
        color: var(--text);
      }
    `,
  ];

  protected override render() {
    const label = strings.theme[this.theme];
    const icon = { system: icons.system, light: icons.sun, dark: icons.moon }[this.theme];
    const other = language === 'en' ? 'zh' : 'en';
    return html`
      <div class="brand">${icons.brand}<span>${strings.appName}</span></div>
      ${this.elsewhere === null
        ? nothing
        : html`<div class="elsewhere" data-testid="at">
            <span>${strings.elsewhere.at(this.elsewhere)}</span>
            <button
              class="icon"
              title=${strings.elsewhere.back}
              aria-label=${strings.elsewhere.back}
              data-testid="back"
              @click=${() => this.dispatchEvent(new CustomEvent('leave'))}
            >
              ${icons.close}
            </button>
          </div>`}
      <slot></slot>
      ${this.pages.length > 0 ? html`<nav aria-label=${strings.controls}>${this.pages.map((page) => this.#page(page))}</nav>` : nothing}
      <footer>
        <div>
          ${this.version ? html`<div>${strings.version(this.version)}</div>` : nothing}
          ${this.clients > 0 ? html`<div>${strings.clients(this.clients)}</div>` : nothing}
        </div>
        <button
          class="language"
          data-testid="language"
          lang=${other === 'zh' ? 'zh-CN' : 'en'}
          title=${strings.otherLanguage}
          @click=${() => void this.#language(other)}
        >
          ${other === 'zh' ? '中文' : 'EN'}
        </button>
        <button class="icon" data-testid="theme" title=${label} aria-label=${label} @click=${this.#theme}>${icon}</button>
      </footer>
    `;
  }

  #page(page: PageName) {
    const waiting = this.waiting[page] ?? 0;
    return html`<a
      href=${addressOf({ page })}
      data-testid=${`nav-${page}`}
      aria-current=${this.page === page ? 'page' : nothing}
      @click=${(event: MouseEvent) => this.#open(event, page)}
    >
      ${icons[SHAPES[page]]}<span>${strings.pages[page]}</span>
      ${waiting > 0 ? html`<span class="badge" aria-label=${strings.waitingFor(waiting)}>${waiting}</span>` : nothing}
    </a>`;
  }

  #open(event: MouseEvent, page: PageName): void {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    this.dispatchEvent(new CustomEvent('open-page', { detail: page }));
  }

  async #language(next: 'en' | 'zh'): Promise<void> {
    await chooseLanguage(next);
    this.dispatchEvent(new CustomEvent('language'));
  }

  #theme(): void {
    this.theme = nextTheme(this.theme);
    applyTheme(this.theme);
  }
}

customElements.define('oc-sidebar', SidebarElement);
