import { LitElement, css, html, nothing, type TemplateResult } from 'lit';
import { list } from '../list';
import type { SessionRow } from '../chat/sessions';
import { briefly } from '../format';
import { shared } from '../styles/shared';
import { strings } from '../strings';
import { ask } from '../ui/dialog';
import { openMenu, type MenuItem } from '../ui/menu';
import { icons } from './icons';
import { MAIN, addressOf } from './routes';

/** What is asked of a conversation; bubbles as `session-change`. */
export type SessionChange = { key: string } & ({ patch: Record<string, unknown> } | { remove: true });

/**
 * `<oc-session-list>`: the conversations, searched and marked. Fires `open-session` (detail: the key), `new-session`,
 * `search-sessions` (detail: the text) and `session-change`.
 */
export class SessionListElement extends LitElement {
  static override properties = {
    sessions: { attribute: false },
    current: {},
    main: {},
    search: {},
    canPatch: { type: Boolean },
    canDelete: { type: Boolean },
    canStart: { type: Boolean },
  };
  declare sessions: readonly SessionRow[];
  /** The key of the open conversation; empty beside other pages. */
  declare current: string;
  /** The canonical key of the main session. */
  declare main: string;
  declare search: string;
  declare canPatch: boolean;
  declare canDelete: boolean;
  declare canStart: boolean;

  constructor() {
    super();
    this.sessions = [];
    this.current = '';
    this.main = MAIN;
    this.search = '';
    this.canPatch = false;
    this.canDelete = false;
    this.canStart = false;
  }

  static override styles = [
    shared,
    css`
      :host {
        display: flex;
        flex-direction: column;
        min-height: 0;
      }

      .new {
        display: flex;
        align-items: center;
        gap: 0.6rem;
        width: 100%;
        min-height: 2.4rem;
        padding: 0 0.7rem;
        border: 1px solid var(--line);
        border-radius: 12px;
        background: var(--bg);
        font-size: 0.92rem;
        font-weight: 500;
      }

      .new:hover:not(:disabled) {
        background: var(--raised);
      }

      .new svg {
        color: var(--accent);
      }

      .search {
        position: relative;
        margin: 0.5rem 0 0.4rem;
      }

      .search svg {
        position: absolute;
        top: 0.6rem;
        left: 0.75rem;
        width: 1rem;
        height: 1rem;
        color: var(--muted);
        pointer-events: none;
      }

      .search input {
        width: 100%;
        height: 2.2rem;
        padding: 0 0.7rem 0 2.2rem;
        border: 1px solid transparent;
        border-radius: 10px;
        background: var(--raised);
        color: inherit;
        font: inherit;
        font-size: 0.88rem;
      }

      .search input::placeholder {
        color: var(--muted);
        opacity: 1;
      }

      nav {
        flex: 1;
        min-height: 0;
        overflow-y: auto;
        margin: 0 -0.3rem;
        padding: 0 0.3rem;
      }

      h2 {
        margin: 0.7rem 0 0.2rem 0.6rem;
        color: var(--muted);
        font-size: 0.74rem;
        font-weight: 550;
      }

      ul {
        margin: 0;
        padding: 0;
        list-style: none;
      }

      li {
        display: flex;
        align-items: center;
        border-radius: 10px;
      }

      li:hover,
      li[data-current] {
        background: var(--raised);
      }

      a {
        display: flex;
        flex: 1;
        align-items: center;
        gap: 0.5rem;
        min-width: 0;
        padding: 0.42rem 0.3rem 0.42rem 0.6rem;
        border-radius: 10px;
        color: inherit;
        font-size: 0.91rem;
        text-decoration: none;
      }

      .title {
        flex: 1;
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }

      [data-current] a,
      [data-unread] .title {
        font-weight: 570;
      }

      time {
        flex: none;
        color: var(--muted);
        font-size: 0.73rem;
      }

      .dot {
        flex: none;
        width: 0.5rem;
        height: 0.5rem;
        border-radius: 50%;
        background: var(--accent);
      }

      .running {
        background: none;
        border: 2px solid var(--accent);
        border-right-color: transparent;
        animation: turn 1s linear infinite;
      }

      @keyframes turn {
        to {
          rotate: 1turn;
        }
      }

      .more {
        flex: none;
        width: 1.9rem;
        height: 1.9rem;
      }

      .more svg {
        width: 1rem;
        height: 1rem;
      }

      .pin {
        width: 0.85rem;
        height: 0.85rem;
        color: var(--muted);
        flex: none;
      }

      @media (hover: hover) {
        .more {
          opacity: 0;
        }

        li:hover .more,
        li:focus-within .more {
          opacity: 1;
        }
      }

      .none {
        margin: 0.8rem 0.6rem;
        color: var(--muted);
        font-size: 0.88rem;
      }
    `,
  ];

  protected override render() {
    const rows = this.#rows();
    const pinned = rows.filter((row) => row.pinned);
    const rest = rows.filter((row) => !row.pinned);
    return html`
      <button class="new" data-testid="new-session" ?disabled=${!this.canStart} @click=${() => this.#fire('new-session')}>
        ${icons.plus}<span>${strings.newSession}</span>
      </button>
      <div class="search">
        ${icons.search}
        <input
          type="search"
          data-testid="session-search"
          aria-label=${strings.searchSessions}
          placeholder=${strings.searchSessions}
          .value=${this.search}
          @input=${(event: Event) => this.#fire('search-sessions', (event.target as HTMLInputElement).value.trim())}
        />
      </div>
      <nav aria-label=${strings.sessions}>
        ${pinned.length > 0 ? this.#group(strings.pinned, pinned) : nothing}
        ${rest.length > 0 ? this.#group(pinned.length > 0 ? strings.otherSessions : strings.sessions, rest) : nothing}
        ${rows.length === 0 ? html`<p class="none">${strings.nothingFound}</p>` : nothing}
      </nav>
    `;
  }

  #group(name: string, rows: readonly SessionRow[]): TemplateResult {
    return html`<h2>${name}</h2>
      <ul>
        ${list(rows, (row) => row.key, (row) => this.#session(row))}
      </ul>`;
  }

  /** The main conversation comes first, whether or not it has been written in yet. */
  #rows(): SessionRow[] {
    const isMain = (key: string) => key === MAIN || key === this.main;
    const stored = this.sessions.find((row) => isMain(row.key));
    const rest = this.sessions.filter((row) => !isMain(row.key));
    if (this.search !== '') return [...this.sessions];
    const main: SessionRow = { ...(stored ?? unwritten(MAIN)), key: MAIN, title: stored?.label ?? strings.mainSession };
    const rows = [main, ...rest];
    // A session that is open and not yet written in is in no list.
    if (this.current !== '' && !isMain(this.current) && !rest.some((row) => row.key === this.current)) {
      rows.splice(1, 0, { ...unwritten(this.current), title: strings.newSession });
    }
    return rows;
  }

  #session(row: SessionRow) {
    const current = row.key === this.current || (row.key === MAIN && this.current === this.main) || (this.current === MAIN && row.key === this.main);
    const mark = row.running
      ? html`<i class="dot running" role="img" aria-label=${strings.running}></i>`
      : row.unread
        ? html`<i class="dot" role="img" aria-label=${strings.unread}></i>`
        : nothing;
    return html`<li ?data-current=${current} ?data-unread=${row.unread}>
      <a
        href=${addressOf({ page: 'chat', session: row.key })}
        aria-current=${current ? 'page' : nothing}
        title=${row.title}
        @click=${(event: MouseEvent) => this.#open(event, row.key)}
      >
        ${mark}
        <span class="title">${row.title}</span>
        ${row.pinned ? html`<span class="pin" role="img" aria-label=${strings.pinned}>${icons.pin}</span>` : nothing}
        ${row.updatedAt === null ? nothing : html`<time datetime=${new Date(row.updatedAt).toISOString()}>${briefly(row.updatedAt)}</time>`}
      </a>
      ${this.canPatch
        ? html`<button
            class="icon more"
            aria-haspopup="menu"
            aria-label=${strings.moreAbout(row.title)}
            title=${strings.more}
            @click=${(event: Event) => this.#menu(event.currentTarget as HTMLElement, row)}
          >
            ${icons.more}
          </button>`
        : nothing}
    </li>`;
  }

  #menu(anchor: HTMLElement, row: SessionRow): void {
    const main = row.key === MAIN || row.key === this.main;
    const items: MenuItem[] = [
      { label: strings.rename, icon: icons.edit, run: () => void this.#rename(row) },
      { label: row.pinned ? strings.unpin : strings.pin, icon: icons.pin, run: () => this.#change({ key: row.key, patch: { pinned: !row.pinned } }) },
    ];
    if (!main) items.push({ label: strings.archive, icon: icons.archive, run: () => this.#change({ key: row.key, patch: { archived: true } }) });
    if (!main && this.canDelete) items.push({ label: strings.remove, icon: icons.trash, danger: true, run: () => void this.#remove(row) });
    openMenu(anchor, strings.moreAbout(row.title), items);
  }

  async #rename(row: SessionRow): Promise<void> {
    const name = await ask({
      title: strings.rename,
      field: { label: strings.sessionName, value: row.label ?? row.title, maxLength: 120 },
      confirm: strings.save,
    });
    if (name !== null) this.#change({ key: row.key, patch: { label: name === '' ? null : name } });
  }

  async #remove(row: SessionRow): Promise<void> {
    const sure = await ask({ title: strings.removeSession(row.title), text: strings.removeSessionText, confirm: strings.remove, danger: true });
    if (sure !== null) this.#change({ key: row.key, remove: true });
  }

  #change(change: SessionChange): void {
    this.#fire('session-change', change);
  }

  #open(event: MouseEvent, key: string): void {
    // A new tab or window is the browser's business.
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    this.#fire('open-session', key);
  }

  #fire(name: string, detail?: unknown): void {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }
}

function unwritten(key: string): SessionRow {
  return {
    key,
    title: key,
    label: null,
    preview: null,
    updatedAt: null,
    pinned: false,
    archived: false,
    running: false,
    unread: false,
    model: null,
    tokens: null,
  };
}

customElements.define('oc-session-list', SessionListElement);
