import { LitElement, css, html, nothing, type PropertyValues } from 'lit';
import { usableStore } from '../gateway/credentials';
import { icons } from '../shell/icons';
import { shared } from '../styles/shared';
import { strings } from '../strings';

const words = strings.composer;
const TALLEST_PX = 220;

/** `<oc-composer>`: where a message is written. Fires `send` (detail: the text) and `stop`. */
export class ComposerElement extends LitElement {
  static override properties = {
    agent: {},
    session: {},
    running: { attribute: false },
    online: { type: Boolean },
    text: { state: true },
  };
  declare agent: string;
  /** The draft is kept per session. */
  declare session: string;
  declare running: 'no' | 'running' | 'stopping';
  declare online: boolean;
  declare text: string;

  constructor() {
    super();
    this.agent = '';
    this.session = '';
    this.running = 'no';
    this.online = false;
    this.text = '';
  }

  static override styles = [
    shared,
    css`
      :host {
        display: block;
        padding: 0 1.25rem max(0.7rem, env(safe-area-inset-bottom));
      }

      form {
        display: flex;
        align-items: flex-end;
        gap: 0.5rem;
        max-width: calc(var(--column) - 2.5rem);
        margin: 0 auto;
        padding: 0.45rem 0.45rem 0.45rem 1.05rem;
        border: 1px solid var(--line);
        border-radius: 1.5rem;
        background: var(--surface);
        box-shadow: var(--shadow);
        transition: border-color 0.12s;
      }

      form:focus-within {
        border-color: var(--accent);
      }

      textarea {
        flex: 1;
        min-width: 0;
        margin: 0.3rem 0;
        padding: 0;
        border: 0;
        outline: 0;
        background: none;
        color: inherit;
        font: inherit;
        line-height: 1.5;
        resize: none;
      }

      /* The whole field shows the focus. */
      textarea:focus-visible {
        outline: none;
      }

      textarea::placeholder {
        color: var(--muted);
        opacity: 1;
      }

      .round {
        display: grid;
        flex: none;
        place-items: center;
        width: 2.35rem;
        height: 2.35rem;
        border-radius: 50%;
        background: var(--accent);
        color: var(--on-accent);
      }

      .round:hover:not(:disabled) {
        background: var(--accent-strong);
      }

      .round:disabled {
        background: var(--raised);
        color: var(--muted);
        opacity: 1;
      }

      .stop {
        background: var(--text);
        color: var(--bg);
      }

      .stop:hover:not(:disabled) {
        background: var(--muted);
      }

      .hint {
        max-width: var(--column);
        min-height: 1.2rem;
        margin: 0.4rem auto 0;
        color: var(--muted);
        font-size: 0.74rem;
        text-align: center;
      }

      @media (max-width: 40rem) {
        :host {
          padding: 0 0.75rem max(0.75rem, env(safe-area-inset-bottom));
        }

        .hint {
          display: none;
        }
      }
    `,
  ];

  override focus(): void {
    this.#area?.focus();
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has('session')) this.text = drafts().getItem(this.#draftKey) ?? '';
  }

  protected override updated(): void {
    const area = this.#area;
    if (!area) return;
    area.style.height = 'auto';
    area.style.height = `${Math.min(area.scrollHeight, TALLEST_PX)}px`;
    area.style.overflowY = area.scrollHeight > TALLEST_PX ? 'auto' : 'hidden';
  }

  protected override render() {
    const empty = this.text.trim() === '';
    const stoppable = this.running !== 'no';
    return html`
      <form @submit=${this.#submit}>
        <label class="sr-only" for="message">${words.label}</label>
        <textarea
          id="message"
          data-testid="composer"
          rows="1"
          autocomplete="off"
          enterkeyhint="send"
          aria-describedby="hint"
          placeholder=${words.placeholder(this.agent)}
          .value=${this.text}
          @input=${this.#input}
          @keydown=${this.#key}
        ></textarea>
        ${stoppable
          ? html`<button
              type="button"
              class="round stop"
              data-testid="stop"
              ?disabled=${this.running === 'stopping' || !this.online}
              title=${this.running === 'stopping' ? words.stopping : words.stop}
              aria-label=${this.running === 'stopping' ? words.stopping : words.stop}
              @click=${() => this.dispatchEvent(new CustomEvent('stop'))}
            >
              ${icons.stop}
            </button>`
          : nothing}
        ${stoppable && empty
          ? nothing
          : html`<button type="submit" class="round" data-testid="send" ?disabled=${empty} title=${words.send} aria-label=${words.send}>${icons.send}</button>`}
      </form>
      <div class="hint" id="hint">${this.online ? (stoppable ? words.hintRunning : words.hint) : words.offline}</div>
    `;
  }

  get #area(): HTMLTextAreaElement | null {
    return this.renderRoot.querySelector('textarea');
  }

  get #draftKey(): string {
    return `openclaw.draft.${this.session}`;
  }

  #write(text: string): void {
    this.text = text;
    if (text === '') drafts().removeItem(this.#draftKey);
    else drafts().setItem(this.#draftKey, text);
  }

  #input(event: Event): void {
    this.#write((event.target as HTMLTextAreaElement).value);
  }

  #key(event: KeyboardEvent): void {
    // While an input method composes, Enter chooses a candidate.
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === 'Enter' && !event.shiftKey && !event.altKey) this.#submit(event);
    else if (event.key === 'Escape' && this.running === 'running') this.dispatchEvent(new CustomEvent('stop'));
  }

  #submit(event: Event): void {
    event.preventDefault();
    const text = this.text.trim();
    if (text === '') return;
    this.#write('');
    this.dispatchEvent(new CustomEvent('send', { detail: text }));
  }
}

/** Drafts live with the tab: a reload keeps what was being written. */
function drafts() {
  return usableStore(() => sessionStorage);
}

customElements.define('oc-composer', ComposerElement);
