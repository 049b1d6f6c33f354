import { LitElement, css, html, nothing, type PropertyValues } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { icons } from '../shell/icons';
import { shared } from '../styles/shared';
import { strings } from '../strings';
import { Announcer } from './announcer';
import { textOf } from './content';
import './message';
import { unacknowledged, type ChatState, type Row } from './state';

/** Nearer than this to the end counts as "reading the latest": the view then follows what is written. */
const FOLLOW_PX = 64;

/** `<oc-thread>`: the scrolling conversation. Fires `older`, `reload` and `idea` (detail: the text). */
export class ThreadElement extends LitElement {
  static override properties = {
    chat: { attribute: false },
    agent: {},
    emoji: {},
    online: { type: Boolean },
    away: { state: true },
  };
  declare chat: ChatState;
  declare agent: string;
  declare emoji: string | null;
  declare online: boolean;
  /** The person has scrolled up. */
  declare away: boolean;

  #announcer = new Announcer();
  #spoken = '';
  #resized = new ResizeObserver(() => this.#follow());

  constructor() {
    super();
    this.agent = '';
    this.emoji = null;
    this.online = false;
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
    if (before !== undefined && before.sessionKey !== this.chat.sessionKey) this.away = false;
    if (changed.has('chat')) this.#announce(before);
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
    let day = '';
    // Nothing is being thought about a message that has not gone out.
    const held = new Set(this.online ? [] : unacknowledged(this.chat).map((row) => row.runId));
    return repeat(
      this.chat.rows.filter((row) => row.role === 'user' || row.runId === null || !held.has(row.runId)),
      (row) => row.key,
      (row) => {
        const own = row.at === null ? day : dayOf(row.at);
        const separator = own !== day && row.at !== null ? html`<div class="day">${dayName(row.at)}</div>` : nothing;
        day = own;
        return html`${separator}<oc-message .row=${row} .agent=${this.agent} ?held=${held.has(row.runId) && row.runId !== null}></oc-message>`;
      },
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

  #scrolled(): void {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    this.away = scrollHeight - scrollTop - clientHeight > FOLLOW_PX;
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

function dayOf(at: number): string {
  return new Date(at).toDateString();
}

const longDay = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });

function dayName(at: number): string {
  const today = new Date();
  if (dayOf(at) === today.toDateString()) return strings.today;
  today.setDate(today.getDate() - 1);
  return dayOf(at) === today.toDateString() ? strings.yesterday : longDay.format(at);
}

customElements.define('oc-thread', ThreadElement);
