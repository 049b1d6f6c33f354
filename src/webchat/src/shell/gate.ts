import { LitElement, css, html, nothing, type TemplateResult } from 'lit';
import { copyText } from '../chat/clipboard';
import type { Refusal } from '../gateway/refusal';
import { shared } from '../styles/shared';
import { strings } from '../strings';
import { cardStyles } from './card-styles';
import './countdown';
import { icons } from './icons';

const words = () => strings.gate;
/** The person had a secret, and the gateway has another. */
const WRONG = new Set(['AUTH_TOKEN_MISMATCH', 'AUTH_PASSWORD_MISMATCH', 'AUTH_UNAUTHORIZED']);
const EXPIRED = new Set(['AUTH_DEVICE_TOKEN_MISMATCH', 'AUTH_SCOPE_MISMATCH']);

/**
 * `<oc-gate>`: why the gateway did not let this page in, and what to do about it.
 * Fires `token` (detail: the secret), `retry` and `new-identity`.
 */
export class GateElement extends LitElement {
  static override properties = {
    refusal: { attribute: false },
    retryAt: { attribute: false },
    trying: { type: Boolean },
    copied: { state: true },
  };
  declare refusal: Refusal;
  declare retryAt: number | null;
  declare trying: boolean;
  declare copied: string | null;

  constructor() {
    super();
    this.retryAt = null;
    this.trying = false;
    this.copied = null;
  }

  static override styles = [
    shared,
    cardStyles,
    css`
      form {
        display: flex;
        flex-wrap: wrap;
        gap: 0.5rem;
        margin-bottom: 1.2rem;
      }

      label {
        flex: 1 1 100%;
        font-size: 0.85rem;
        font-weight: 550;
      }

      input {
        flex: 1 1 12rem;
        min-width: 0;
        min-height: 2.6rem;
        padding: 0 0.9rem;
        border: 1px solid var(--line);
        border-radius: 12px;
        background: var(--bg);
        color: inherit;
        font: 0.95rem var(--mono);
      }

      form .button {
        min-height: 2.6rem;
        border-radius: 12px;
      }

      .command {
        display: flex;
        align-items: center;
        gap: 0.5rem;
        margin: 0 0 1rem;
        padding: 0.4rem 0.4rem 0.4rem 0.9rem;
        border: 1px solid var(--line);
        border-radius: 12px;
        background: var(--code);
      }

      .command code {
        flex: 1;
        padding: 0.3rem 0;
        white-space: pre-wrap;
        overflow-wrap: anywhere;
      }

      dl {
        display: grid;
        grid-template-columns: max-content 1fr;
        gap: 0.3rem 1rem;
        margin: 0 0 1rem;
        font-size: 0.85rem;
      }

      dt {
        color: var(--muted);
      }

      dd {
        margin: 0;
        overflow-wrap: anywhere;
        font-family: var(--mono);
      }

      .waiting {
        display: flex;
        align-items: center;
        gap: 0.6rem;
        margin-bottom: 1.2rem;
      }

      .waiting i {
        width: 0.6rem;
        height: 0.6rem;
        border-radius: 50%;
        background: var(--accent);
        animation: blink 1.6s ease-in-out infinite;
      }

      @keyframes blink {
        50% {
          opacity: 0.25;
        }
      }

      details {
        color: var(--muted);
        font-size: 0.83rem;
      }

      summary {
        width: fit-content;
        cursor: pointer;
      }

      details p {
        margin: 0.5rem 0 0;
        overflow-wrap: anywhere;
      }
    `,
  ];

  protected override render() {
    const { refusal } = this;
    const { code, message } = refusal;
    return html`
      <section role="alert" data-testid="gate" data-kind=${refusal.kind} data-code=${code} aria-busy=${this.trying ? 'true' : 'false'}>
        ${this.#body()}
        <details>
          <summary>${words().said}</summary>
          <p><code>${code}</code> ${message}</p>
          ${refusal.hint ? html`<p>${refusal.hint}</p>` : nothing}
        </details>
      </section>
    `;
  }

  #body(): TemplateResult {
    switch (this.refusal.kind) {
      case 'token':
        return this.#token();
      case 'pairing':
        return this.#pairing();
      case 'origin':
        return html`<h2>${words().origin.title}</h2>
          <p>${words().origin.text(location.origin)}</p>
          ${this.#command(words().origin.snippet(location.origin))} ${this.#retry()}`;
      case 'identity':
        return html`<h2>${words().identity.title}</h2>
          <p>${words().identity.text}</p>
          <div class="row"><button class="button primary" @click=${() => this.#fire('new-identity')}>${words().identity.button}</button></div>`;
      case 'version':
        return html`<h2>${words().version.title}</h2>
          <p>${words().version.text}</p>
          <div class="row"><button class="button primary" @click=${() => location.reload()}>${words().version.button}</button></div>`;
      case 'other': {
        const text = this.refusal.code === 'AUTH_RATE_LIMITED' ? words().limited : words().other;
        return html`<h2>${text.title}</h2>
          <p>${text.text}${text === words().other ? ` ${this.refusal.message}` : ''}</p>
          ${this.#retry()}`;
      }
    }
  }

  #token(): TemplateResult {
    const { code } = this.refusal;
    const [title, text] = WRONG.has(code)
      ? [words().token.wrongTitle, words().token.wrongText]
      : EXPIRED.has(code)
        ? [words().token.expiredTitle, words().token.expiredText]
        : [words().token.title, words().token.text];
    return html`
      <h2>${title}</h2>
      <p>${text}</p>
      ${this.#command(words().token.command)}
      <form @submit=${this.#submit}>
        <label for="token">${words().token.field}</label>
        <input id="token" data-testid="token" type="password" autocomplete="off" spellcheck="false" autocapitalize="off" required />
        <button class="button primary" ?disabled=${this.trying}>${words().token.button}</button>
      </form>
    `;
  }

  #pairing(): TemplateResult {
    const { requestId, deviceId } = this.refusal;
    return html`
      <h2>${words().pairing.title}</h2>
      <p>${requestId === null ? words().pairing.noId : words().pairing.text}</p>
      ${this.#command(requestId === null ? words().pairing.listCommand : words().pairing.commandFor(requestId))}
      <dl>
        ${requestId === null ? nothing : html`<dt>${words().pairing.request}</dt><dd data-testid="request-id">${requestId}</dd>`}
        ${deviceId === null ? nothing : html`<dt>${words().pairing.device}</dt><dd>${deviceId.slice(0, 16)}…</dd>`}
      </dl>
      ${this.refusal.retryAfterMs === null ? this.#retry() : html`<p class="waiting"><i></i>${words().pairing.waiting}</p>`}
    `;
  }

  #command(text: string): TemplateResult {
    const done = this.copied === text;
    const label = done ? strings.message.copied : strings.message.copy;
    return html`<div class="command">
      <code data-testid="command">${text}</code>
      <button class="icon" title=${label} aria-label=${label} @click=${() => this.#copy(text)}>${done ? icons.check : icons.copy}</button>
    </div>`;
  }

  #retry(): TemplateResult {
    return html`<div class="row">
      <button class="button" ?disabled=${this.trying} @click=${() => this.#fire('retry')}>${words().retry}</button>
      ${this.retryAt === null ? nothing : html`<oc-countdown .until=${this.retryAt}></oc-countdown>`}
    </div>`;
  }

  async #copy(text: string): Promise<void> {
    if (!(await copyText(text))) return;
    this.copied = text;
    setTimeout(() => (this.copied = null), 1_600);
  }

  #submit(event: Event): void {
    event.preventDefault();
    const input = this.renderRoot.querySelector('input')!;
    const secret = input.value.trim();
    if (secret === '') return;
    input.value = '';
    this.#fire('token', secret);
  }

  #fire(name: string, detail?: string): void {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

customElements.define('oc-gate', GateElement);
