import { LitElement, css, html, nothing, type CSSResult, type CSSResultGroup, type PropertyDeclarations } from 'lit';
import { GatewayError } from '../gateway/client';
import type { Json } from '../gateway/frames';
import type { GatewayPort } from '../gateway/port';
import { icons } from '../shell/icons';
import type { PageName } from '../shell/routes';
import { shared } from '../styles/shared';
import { strings } from '../strings';

/** What a page hands to the one that it leads to. */
export const handed = { search: '' };

/** What control pages look like alike: a column, cards, rows, tables. */
const pageStyles = css`
  :host {
    display: block;
    min-height: 0;
    overflow-y: auto;
    overscroll-behavior: contain;
  }

  :host(:focus-visible) {
    outline-offset: -2px;
  }

  .page {
    display: flex;
    flex-direction: column;
    gap: 1.1rem;
    max-width: 60rem;
    margin: 0 auto;
    padding: 0.4rem 1.25rem 2.5rem;
  }

  .intro {
    margin: 0;
    max-width: 44rem;
    color: var(--muted);
    font-size: 0.95rem;
  }

  h2 {
    margin: 0;
    font-size: 1.02rem;
    font-weight: 620;
  }

  h3 {
    margin: 0;
    font-size: 0.95rem;
    font-weight: 600;
    overflow-wrap: anywhere;
  }

  section {
    display: flex;
    flex-direction: column;
    gap: 0.6rem;
  }

  .head {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 0.6rem;
    min-height: 2.25rem;
  }

  .grow {
    flex: 1;
  }

  .card {
    padding: 0.95rem 1.1rem;
    border: 1px solid var(--line);
    border-radius: var(--radius);
    background: var(--surface);
  }

  .list {
    display: flex;
    flex-direction: column;
    margin: 0;
    padding: 0;
    border: 1px solid var(--line);
    border-radius: var(--radius);
    background: var(--surface);
    list-style: none;
    overflow: hidden;
  }

  .list > li {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 0.4rem 1rem;
    padding: 0.8rem 1.1rem;
  }

  .list > li + li {
    border-top: 1px solid var(--line);
  }

  .main {
    flex: 1 1 14rem;
    min-width: 0;
  }

  .sub {
    margin: 0;
    color: var(--muted);
    font-size: 0.85rem;
    overflow-wrap: anywhere;
  }

  .actions {
    display: flex;
    flex-wrap: wrap;
    gap: 0.4rem;
  }

  .tag {
    display: inline-block;
    padding: 0.05rem 0.55rem;
    border-radius: 999px;
    background: var(--raised);
    color: var(--muted);
    font-size: 0.76rem;
    font-weight: 450;
    white-space: nowrap;
  }

  .tag.ok {
    background: var(--ok-bg);
    color: var(--ok);
  }

  .tag.warn {
    background: var(--warn-bg);
    color: var(--warn);
  }

  .tag.bad {
    background: var(--danger-bg);
    color: var(--danger);
  }

  .empty {
    padding: 2.2rem 1.2rem;
    border: 1px dashed var(--line);
    border-radius: var(--radius);
    color: var(--muted);
    text-align: center;
    text-wrap: balance;
  }

  .empty h3 {
    margin-bottom: 0.3rem;
    color: var(--text);
  }

  .empty p {
    margin: 0 auto 0.8rem;
    max-width: 34rem;
    font-size: 0.92rem;
  }

  .trouble {
    display: flex;
    align-items: center;
    gap: 0.7rem;
    padding: 0.6rem 0.9rem;
    border-radius: var(--radius);
    background: var(--danger-bg);
    font-size: 0.9rem;
    overflow-wrap: anywhere;
  }

  .trouble svg {
    flex: none;
    color: var(--danger);
  }

  .trouble span {
    flex: 1;
  }

  .done {
    color: var(--ok);
    font-size: 0.9rem;
  }

  .done:empty {
    display: none;
  }

  /* Only who waits sees that there is something to wait for. */
  .skeleton {
    display: grid;
    gap: 0.8rem;
    animation: appear 0.2s 0.25s both;
  }

  .skeleton i {
    height: 3.4rem;
    border-radius: var(--radius);
    background: var(--raised);
  }

  @keyframes appear {
    from {
      opacity: 0;
    }
  }

  .page a:not(.button) {
    color: inherit;
    text-underline-offset: 3px;
  }

  .grid {
    display: grid;
    grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr));
    gap: 0.8rem;
  }

  label {
    display: grid;
    gap: 0.3rem;
    font-size: 0.88rem;
  }

  pre {
    margin: 0;
    padding: 0.7rem 0.9rem;
    border-radius: 10px;
    background: var(--code);
    font: 0.82rem/1.55 var(--mono);
    overflow-x: auto;
    overflow-wrap: anywhere;
    white-space: pre-wrap;
  }

  @media (max-width: 40rem) {
    .page {
      padding: 0.2rem 0.9rem 2rem;
    }

    .list > li {
      padding: 0.8rem 0.9rem;
    }
  }
`;

/**
 * A control page: asks the gateway when it is opened and after events that concern it, and shows what went wrong
 * instead of what is old. Fires `go` (detail: a page's name, or `chat`).
 */
export abstract class PageElement extends LitElement {
  static override properties: PropertyDeclarations = {
    gateway: { attribute: false },
    online: { type: Boolean },
    problem: { state: true },
    ready: { state: true },
    busy: { state: true },
  };
  declare gateway: GatewayPort;
  declare online: boolean;
  /** What went wrong last, in the gateway's words. */
  declare problem: string | null;
  /** Something has been loaded. */
  declare ready: boolean;
  /** What is being done; its button waits. */
  declare busy: string | null;

  #stop: (() => void) | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor() {
    super();
    this.online = false;
    this.problem = null;
    this.ready = false;
    this.busy = null;
  }

  static pageStyles(...own: CSSResult[]): CSSResultGroup {
    return [shared, pageStyles, ...own];
  }

  /** Asks for everything that the page shows. */
  protected abstract load(): Promise<void>;

  protected abstract content(): unknown;

  /** Events after which the page is loaded again. */
  protected readonly causes: RegExp | null = null;

  override connectedCallback(): void {
    super.connectedCallback();
    // It scrolls, so the keyboard must be able to reach it.
    this.tabIndex = 0;
    this.role = 'region';
    this.ariaLabel = document.title;
    this.#stop = this.gateway.listen((event, payload) => {
      if (event === 'online' || this.causes?.test(event)) this.reloadSoon();
      this.heard(event, payload);
    });
    void this.reload();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#stop?.();
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** An event, as it comes. */
  protected heard(_event: string, _payload: Json): void {}

  protected reloadSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      void this.reload();
    }, 150);
  }

  protected async reload(): Promise<void> {
    if (this.gateway.hello === null) return;
    try {
      await this.load();
      this.ready = true;
      this.problem = null;
    } catch (error) {
      if (error instanceof GatewayError && error.code === 'DISCONNECTED') return;
      this.problem = error instanceof Error ? error.message : String(error);
    }
  }

  /** Does something and loads again; what goes wrong is shown. `name` tells apart which button waits. */
  protected async act(name: string, work: () => Promise<unknown>): Promise<boolean> {
    if (this.busy !== null) return false;
    this.busy = name;
    this.problem = null;
    try {
      await work();
      this.busy = null;
      await this.reload();
      return true;
    } catch (error) {
      this.problem = error instanceof Error ? error.message : String(error);
      return false;
    } finally {
      this.busy = null;
    }
  }

  protected ask(method: string, params: Json = {}): Promise<unknown> {
    return this.gateway.request(method, params);
  }

  protected go(page: PageName | 'chat'): void {
    this.dispatchEvent(new CustomEvent('go', { detail: page, bubbles: true }));
  }

  protected override render() {
    return html`<div class="page" data-testid="page" aria-busy=${this.ready ? 'false' : 'true'}>
      ${this.problem === null
        ? nothing
        : html`<div class="trouble" role="alert" data-testid="problem">
            ${icons.alert}<span>${this.problem}</span>
            <button class="button" @click=${() => void this.reload()}>${strings.gate.retry}</button>
          </div>`}
      ${this.ready ? this.content() : this.problem === null ? html`<div class="skeleton" role="status" aria-label=${strings.loadingPage}><i></i><i></i><i></i></div>` : nothing}
    </div>`;
  }
}
