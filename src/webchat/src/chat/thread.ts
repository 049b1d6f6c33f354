import { LitElement, css, html, nothing, type PropertyValues } from 'lit';
import { list } from '../list';
import { icons } from '../shell/icons';
import { shared } from '../styles/shared';
import { strings } from '../strings';
import { Announcer } from './announcer';
import './chunk';
import type { ChunkElement } from './chunk';
import { Chunker } from './chunks';
import { textOf } from './content';
import { queuedRuns, unacknowledged, type ChatState, type Row } from './state';

/** Nearer than this to the end counts as "reading the latest": the view then follows what is written. */
const FOLLOW_PX = 64;
/** Earlier messages are asked for when less than this is left above. */
const OLDER_PX = 1_200;
/** Pieces of the conversation that are further away than this are only spaces. */
const NEAR_PX = 2_000;

/** More rows than this are too many while nobody looks at the older ones. */
const MANY_ROWS = 600;

/**
 * `<oc-thread>`: the scrolling conversation. Fires `older`, `reload`, `idea` (detail: the text), and `trim` when there
 * are many rows and the newest are in view.
 */
export class ThreadElement extends LitElement {
  static override properties = {
    chat: { attribute: false },
    agent: {},
    emoji: {},
    online: { type: Boolean },
    unset: { type: Boolean },
    away: { state: true },
  };
  declare chat: ChatState;
  declare agent: string;
  declare emoji: string | null;
  declare online: boolean;
  /** No model is configured: an echo answers. */
  declare unset: boolean;
  /** The person has scrolled up. */
  declare away: boolean;

  #announcer = new Announcer();
  #spoken = '';
  #resized = new ResizeObserver(() => this.#follow());
  #near: IntersectionObserver | null = null;
  #chunker = new Chunker<Row>();
  /** Where the view was when it last moved. */
  #top = 0;
  /** What the view holds on to while rows are added above it. */
  #anchor: { element: Element; top: number } | null = null;

  constructor() {
    super();
    this.agent = '';
    this.emoji = null;
    this.online = false;
    this.unset = false;
    this.away = false;
  }

  static override styles = [
    shared,
    css`
      :host {
        display: block;
        position: relative;
        min-height: 0;
      }

      .scroll {
        height: 100%;
        overflow-y: auto;
        overscroll-behavior: contain;
        scrollbar-gutter: stable both-edges;
        overflow-anchor: none;
      }

      oc-chunk {
        display: flex;
        flex-direction: column;
        gap: 1.1rem;
      }

      .column {
        display: flex;
        flex-direction: column;
        gap: 1.1rem;
        min-height: 100%;
        max-width: var(--column);
        margin: 0 auto;
        padding: 1.5rem 1.25rem 1rem;
      }

      .day {
        align-self: center;
        padding: 0.1rem 0.8rem;
        color: var(--muted);
        font-size: 0.78rem;
      }

      .older {
        align-self: center;
      }

      .centre {
        margin: auto;
        padding: 1rem 0 3rem;
        text-align: center;
        text-wrap: balance;
      }

      .centre h2 {
        margin: 0 0 0.4rem;
        font-size: 1.6rem;
        font-weight: 600;
        letter-spacing: -0.015em;
        line-height: 1.25;
      }

      .centre p {
        margin: 0 0 1.4rem;
        color: var(--muted);
      }

      .mark {
        display: inline-grid;
        place-items: center;
        width: 3.4rem;
        height: 3.4rem;
        margin-bottom: 1.1rem;
        border-radius: 1.1rem;
        background: var(--accent);
        color: var(--on-accent);
        font-size: 1.7rem;
      }

      .mark svg {
        width: 1.9rem;
        height: 1.9rem;
      }

      .unset {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        justify-content: center;
        gap: 0.4rem 1rem;
        margin: 0 auto 2rem;
        padding: 0.7rem 1rem;
        border-radius: var(--radius);
        background: var(--warn-bg);
      }

      .centre .unset p {
        margin: 0;
        color: var(--text);
        font-size: 0.93rem;
      }

      .ideas {
        display: flex;
        flex-wrap: wrap;
        justify-content: center;
        gap: 0.5rem;
      }

      .skeleton {
        display: grid;
        gap: 0.8rem;
      }

      .skeleton i {
        height: 0.9rem;
        border-radius: 6px;
        background: var(--raised);
        animation: glow 1.6s ease-in-out infinite;
      }

      .skeleton i:nth-child(2) {
        width: 85%;
      }

      .skeleton i:nth-child(3) {
        width: 60%;
      }

      @keyframes glow {
        50% {
          opacity: 0.45;
        }
      }

      .latest {
        position: absolute;
        bottom: 0.75rem;
        left: 50%;
        translate: -50% 0;
        width: 2.4rem;
        height: 2.4rem;
        border: 1px solid var(--line);
        border-radius: 50%;
        background: var(--surface);
        box-shadow: var(--shadow);
      }
    `,
  ];

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#resized.disconnect();
    this.#near?.disconnect();
    this.#near = null;
  }

  /** Back to the end, and following again: the person sent something. */
  toLatest(): void {
    this.away = false;
    this.#follow();
  }

  protected override firstUpdated(): void {
    this.#resized.observe(this.renderRoot.querySelector('.column')!);
    this.#resized.observe(this.#scroller);
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    const before = changed.get('chat');
    if (before !== undefined && before.sessionKey !== this.chat.sessionKey) {
      this.away = false;
      this.#chunker.reset();
    }
    this.#anchor = this.away && changed.has('chat') ? this.#firstInView() : null;
    if (changed.has('chat')) this.#announce(before);
  }

  protected override updated(changed: PropertyValues<this>): void {
    if (!this.away && this.chat.rows.length > MANY_ROWS) this.#fire('trim');
    if (!changed.has('chat')) return;
    this.#watch();
    const anchor = this.#anchor;
    this.#anchor = null;
    // Chunks render a moment later; only then is it known how far what was in view has moved.
    if (anchor !== null) void this.#settled().then(() => this.#hold(anchor));
    else void this.#settled().then(() => this.#toEnd());
  }

  get #chunks(): ChunkElement[] {
    return [...this.renderRoot.querySelectorAll('oc-chunk')] as ChunkElement[];
  }

  async #settled(): Promise<void> {
    const messages = this.#chunks.flatMap((chunk) => (chunk.near ? [chunk, ...chunk.querySelectorAll('oc-message')] : []));
    await Promise.all(messages.map((element) => (element as LitElement).updateComplete));
  }

  #firstInView(): { element: Element; top: number } | null {
    const { top } = this.#scroller.getBoundingClientRect();
    const chunk = this.#chunks.find((element) => element.getBoundingClientRect().bottom > top);
    const element = [...(chunk?.querySelectorAll('oc-message') ?? [])].find((message) => message.getBoundingClientRect().bottom > top) ?? chunk;
    return element ? { element, top: element.getBoundingClientRect().top } : null;
  }

  #hold({ element, top }: { element: Element; top: number }): void {
    if (!element.isConnected || !this.away) return;
    const moved = element.getBoundingClientRect().top - top;
    if (Math.abs(moved) > 0.5) this.#scroller.scrollTop += moved;
    this.#older();
  }

  /** Tells each chunk when it comes near, and when it is far again. */
  #watch(): void {
    this.#near ??= new IntersectionObserver(
      (entries) => {
        for (const entry of entries) (entry.target as ChunkElement).near = entry.isIntersecting;
      },
      { root: this.#scroller, rootMargin: `${NEAR_PX}px 0px` },
    );
    for (const chunk of this.#chunks) this.#near.observe(chunk);
  }

  protected override render() {
    const { chat } = this;
    const answering = chat.rows.some((row) => row.live !== null);
    return html`
      <div class="scroll" tabindex="0" role="log" aria-live="off" aria-label=${strings.mainSession} @scroll=${this.#scrolled}>
        <div class="column" data-testid="thread" aria-busy=${answering ? 'true' : 'false'}>
          ${chat.olderOffset !== null
            ? html`<button class="button quiet older" @click=${() => this.#fire('older')}>${strings.older}</button>`
            : nothing}
          ${chat.rows.length > 0 ? this.#rows() : this.#nothingYet()}
        </div>
      </div>
      <div class="sr-only" role="status" aria-live="polite" data-testid="announcer">${this.#spoken}</div>
      ${this.away
        ? html`<button class="icon latest" title=${strings.latest} aria-label=${strings.latest} @click=${() => this.toLatest()}>${icons.down}</button>`
        : nothing}
    `;
  }

  #rows() {
    const { chat } = this;
    // Nothing is being thought about a message that has not gone out, or that waits for its turn.
    const held = new Set(this.online ? [] : unacknowledged(chat).map((row) => row.runId));
    const queued = queuedRuns(chat);
    const rows = chat.rows.filter((row) => row.role === 'user' || row.runId === null || !(held.has(row.runId) || queued.all.has(row.runId)));
    return list(
      this.#chunker.cut(rows),
      (chunk) => chunk.key,
      (chunk) => html`<oc-chunk
        .rows=${chunk.rows}
        .previous=${chunk.before?.at ?? null}
        .agent=${this.agent}
        .held=${concerning(held, chunk.rows)}
        .queued=${concerning(queued.after, chunk.rows)}
      ></oc-chunk>`,
    );
  }

  #nothingYet() {
    const { chat } = this;
    if (chat.history === 'loading') {
      return html`<div class="skeleton" role="status" aria-label=${strings.loading}><i></i><i></i><i></i></div>`;
    }
    if (chat.history === 'failed') {
      return html`<div class="centre" role="alert">
        <h2>${strings.loadFailed}</h2>
        <p>${chat.historyProblem}</p>
        <button class="button" @click=${() => this.#fire('reload')}>${strings.gate.retry}</button>
      </div>`;
    }
    return html`<div class="centre" data-testid="empty">
      <div class="mark" aria-hidden="true">${this.emoji ?? icons.brand}</div>
      ${this.unset
        ? html`<div class="unset">
            <p>${strings.empty.unset}</p>
            <button class="button primary" data-testid="go-setup" @click=${() => this.#fire('setup')}>${strings.empty.setup}</button>
          </div>`
        : nothing}
      <h2>${strings.empty.title}</h2>
      <p>${strings.empty.text}</p>
      <div class="ideas">
        ${strings.empty.ideas.map((idea) => html`<button class="button" @click=${() => this.#fire('idea', idea)}>${idea}</button>`)}
      </div>
    </div>`;
  }

  get #scroller(): HTMLElement {
    return this.renderRoot.querySelector('.scroll')!;
  }

  #fire(name: string, detail?: string): void {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** Only who scrolls up leaves the end: that more was written below, or above, moves nobody away from it. */
  #scrolled(): void {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    if (scrollHeight - scrollTop - clientHeight <= FOLLOW_PX) this.away = false;
    else if (scrollTop < this.#top) this.away = true;
    this.#top = scrollTop;
    this.#older();
  }

  /** Earlier messages come before the person has scrolled to the first one. */
  #older(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    if (this.online && this.chat.olderOffset !== null && (scrollTop < OLDER_PX || scrollHeight <= clientHeight)) this.#fire('older');
  }

  /** Before it is asked whether the beginning is in view. */
  #toEnd(): void {
    if (!this.isConnected) return;
    this.#follow();
    this.#older();
  }

  #follow(): void {
    if (!this.away) this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #announce(before: ChatState | undefined): void {
    const live = this.chat.rows.find((row) => row.live !== null);
    const wasLive = before?.rows.find((row) => row.live !== null);
    const row: Row | undefined = live ?? this.chat.rows.find((other) => other.key === wasLive?.key);
    if (!row) return;
    const text = row.problem?.message ?? textOf(row.parts);
    this.#spoken = this.#announcer.next(row.key, text, row.live === null) ?? (text === '' && live ? strings.message.waiting : this.#spoken);
  }
}

const NONE: ReadonlySet<string | null> = new Set();

/** The part of a set that concerns these rows; the same empty one for most. */
function concerning(runs: ReadonlySet<string | null>, rows: readonly Row[]): ReadonlySet<string | null> {
  if (runs.size === 0 || !rows.some((row) => runs.has(row.runId))) return NONE;
  return runs;
}

customElements.define('oc-thread', ThreadElement);
