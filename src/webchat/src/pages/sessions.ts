import { css, html, nothing, type TemplateResult } from 'lit';
import { sessionRow, type SessionRow } from '../chat/sessions';
import { ago, count, plain } from '../format';
import { asList, asNumber, asObject, asText } from '../gateway/frames';
import { icons } from '../shell/icons';
import { addressOf } from '../shell/routes';
import { strings } from '../strings';
import { ask } from '../ui/dialog';
import { openMenu, type MenuItem } from '../ui/menu';
import { PageElement } from './page';

const PAGE = 50;
/** Messages that are found. */
const HITS = 20;
type Which = 'live' | 'archived';

interface Hit {
  key: string;
  at: number | null;
  mine: boolean;
  text: string;
}

/** `<oc-page-sessions>`: every conversation, also the archived ones. */
export class SessionsPage extends PageElement {
  static override properties = { rows: { state: true }, which: { state: true }, text: { state: true }, total: { state: true }, hits: { state: true } };
  declare rows: readonly SessionRow[];
  declare which: Which;
  declare text: string;
  declare total: number;
  declare hits: readonly Hit[];
  #limit = PAGE;

  constructor() {
    super();
    this.rows = [];
    this.which = 'live';
    this.text = '';
    this.total = 0;
    this.hits = [];
  }

  static override styles = PageElement.pageStyles(css`
    .head .field {
      flex: 1 1 12rem;
      width: auto;
      min-height: 2.25rem;
    }

    .switch {
      display: flex;
      padding: 0.2rem;
      border-radius: 999px;
      background: var(--raised);
    }

    .switch button {
      min-height: 1.9rem;
      padding: 0 0.9rem;
      border-radius: 999px;
      color: var(--muted);
      font-size: 0.88rem;
    }

    .switch button[aria-pressed='true'] {
      background: var(--surface);
      color: var(--text);
      box-shadow: 0 0 0 1px var(--line);
    }

    h3 a {
      color: inherit;
      text-decoration: none;
    }

    h3 a:hover {
      text-decoration: underline;
      text-underline-offset: 3px;
    }

    .preview {
      display: -webkit-box;
      overflow: hidden;
      -webkit-box-orient: vertical;
      -webkit-line-clamp: 2;
    }
  `);

  protected override readonly causes = /^sessions\.changed$/;

  protected override async load(): Promise<void> {
    const search = this.text === '' ? {} : { search: this.text };
    const params = { limit: this.#limit, includeDerivedTitles: true, includeLastMessage: true, archived: this.which === 'archived', ...search };
    const answer = asObject(await this.ask('sessions.list', params));
    this.rows = asList(answer['sessions']).map(asObject).map(sessionRow).map((row) => this.#named(row));
    this.total = asNumber(answer['totalCount']) ?? this.rows.length;
    this.hits = await this.#inMessages();
  }

  /** As the list beside the page calls it. */
  #named(row: SessionRow): SessionRow {
    return row.key === this.gateway.hello?.mainSessionKey && row.label === null ? { ...row, title: strings.mainSession } : row;
  }

  /** Messages that hold every word, also of conversations whose names do not. */
  async #inMessages(): Promise<readonly Hit[]> {
    const query = this.text;
    if (query.length < 2 || !this.gateway.has('sessions.search')) return [];
    const results = asList(asObject(await this.ask('sessions.search', { query, limit: HITS }))['results']).map(asObject);
    return results.map((hit) => ({ key: asText(hit['sessionKey']) ?? '', at: asNumber(hit['timestamp']), mine: hit['role'] === 'user', text: plain(asText(hit['snippet']) ?? '') }));
  }

  #hit(hit: Hit): TemplateResult {
    const known = this.rows.find((row) => row.key === hit.key);
    const main = hit.key === this.gateway.hello?.mainSessionKey;
    const facts = [hit.mine ? strings.you : strings.sessionsPage.agent, hit.at === null ? null : ago(hit.at)];
    return html`<li>
      <div class="main">
        <h3><a href=${addressOf({ page: 'chat', session: hit.key })}>${known?.title ?? (main ? strings.mainSession : hit.key)}</a></h3>
        <p class="sub preview">${hit.text}</p>
        <p class="sub">${facts.filter((fact) => fact !== null).join(' · ')}</p>
      </div>
    </li>`;
  }

  protected override content() {
    const words = strings.sessionsPage;
    return html`
      <div class="head">
        <input
          class="field"
          type="search"
          aria-label=${strings.searchSessions}
          placeholder=${strings.searchSessions}
          .value=${this.text}
          @input=${(event: Event) => this.#set({ text: (event.target as HTMLInputElement).value.trim() })}
        />
        <div class="switch" role="group" aria-label=${words.which}>
          ${(['live', 'archived'] as const).map(
            (which) => html`<button data-testid=${`show-${which}`} aria-pressed=${this.which === which ? 'true' : 'false'} @click=${() => this.#set({ which })}>${words[which]}</button>`,
          )}
        </div>
      </div>
      ${this.rows.length === 0 && this.ready
        ? html`<div class="empty"><h3>${words.none}</h3></div>`
        : html`<ul class="list" data-testid="sessions">
            ${this.rows.map((row) => this.#row(row))}
          </ul>`}
      ${this.hits.length === 0
        ? nothing
        : html`<section>
            <h2>${words.inMessages}</h2>
            <ul class="list" data-testid="hits">
              ${this.hits.map((hit) => this.#hit(hit))}
            </ul>
          </section>`}
      ${this.total > this.rows.length ? html`<button class="button" @click=${this.#more}>${words.older(count(this.total - this.rows.length))}</button>` : nothing}
    `;
  }

  #set(change: { text?: string; which?: Which }): void {
    Object.assign(this, change);
    this.#limit = PAGE;
    this.reloadSoon();
  }

  #more(): void {
    this.#limit += PAGE;
    void this.reload();
  }

  #row(row: SessionRow): TemplateResult {
    const facts = [row.model, row.tokens === null ? null : strings.sessionsPage.tokens(count(row.tokens)), row.updatedAt === null ? null : ago(row.updatedAt)];
    return html`<li>
      <div class="main">
        <h3><a href=${addressOf({ page: 'chat', session: row.key })}>${row.title}</a> ${row.pinned ? html`<span class="tag">${strings.pinned}</span>` : nothing}</h3>
        ${row.preview ? html`<p class="sub preview">${plain(row.preview)}</p>` : nothing}
        <p class="sub">${facts.filter((fact) => fact !== null).join(' · ')}</p>
      </div>
      <button
        class="icon"
        aria-haspopup="menu"
        title=${strings.more}
        aria-label=${strings.moreAbout(row.title)}
        @click=${(event: Event) => this.#menu(event.currentTarget as HTMLElement, row)}
      >
        ${icons.more}
      </button>
    </li>`;
  }

  #menu(anchor: HTMLElement, row: SessionRow): void {
    const patch = (change: Record<string, unknown>) => void this.act(row.key, () => this.ask('sessions.patch', { key: row.key, ...change }));
    const main = row.key === this.gateway.hello?.mainSessionKey;
    const items: MenuItem[] = [];
    if (this.gateway.has('sessions.patch')) {
      items.push({ label: strings.rename, icon: icons.edit, run: () => void this.#rename(row) });
      items.push({ label: row.pinned ? strings.unpin : strings.pin, icon: icons.pin, run: () => patch({ pinned: !row.pinned }) });
      if (!main) items.push({ label: row.archived ? strings.sessionsPage.restore : strings.archive, icon: icons.archive, run: () => patch({ archived: !row.archived }) });
    }
    if (this.gateway.has('sessions.reset') && this.gateway.may('operator.admin')) {
      items.push({ label: strings.sessionsPage.reset, icon: icons.refresh, danger: true, run: () => void this.#sure('sessions.reset', row) });
    }
    if (!main && this.gateway.has('sessions.delete') && this.gateway.may('operator.admin')) {
      items.push({ label: strings.remove, icon: icons.trash, danger: true, run: () => void this.#sure('sessions.delete', row) });
    }
    openMenu(anchor, strings.moreAbout(row.title), items);
  }

  async #rename(row: SessionRow): Promise<void> {
    const name = await ask({ title: strings.rename, field: { label: strings.sessionName, value: row.label ?? row.title, maxLength: 120 }, confirm: strings.save });
    if (name !== null) await this.act(row.key, () => this.ask('sessions.patch', { key: row.key, label: name === '' ? null : name }));
  }

  async #sure(method: 'sessions.reset' | 'sessions.delete', row: SessionRow): Promise<void> {
    const words = strings.sessionsPage;
    const [title, text, confirm] =
      method === 'sessions.reset' ? [words.resetTitle(row.title), words.resetText, words.reset] : [strings.removeSession(row.title), strings.removeSessionText, strings.remove];
    if ((await ask({ title, text, confirm, danger: true })) === null) return;
    await this.act(row.key, () => this.ask(method, { key: row.key, ...(method === 'sessions.delete' ? { deleteTranscript: true } : {}) }));
  }
}

customElements.define('oc-page-sessions', SessionsPage);
