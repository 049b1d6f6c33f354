import { LitElement, css, html, nothing } from 'lit';
import { asObject, asText } from '../gateway/frames';
import type { GatewayPort } from '../gateway/port';
import { strings } from '../strings';
import { shared } from '../styles/shared';

/** As @BotFather gives it. */
const TOKEN = /^\d{1,20}:[A-Za-z0-9_-]{20,}$/;

/** `<oc-telegram-form>`: connects a Telegram bot by its token, in three steps. Fires `connected`. */
export class TelegramFormElement extends LitElement {
  static override properties = { gateway: { attribute: false }, token: { state: true }, wrong: { state: true }, busy: { state: true }, problem: { state: true } };
  declare gateway: GatewayPort;
  declare token: string;
  declare wrong: boolean;
  declare busy: boolean;
  declare problem: string | null;

  constructor() {
    super();
    this.token = '';
    this.wrong = false;
    this.busy = false;
    this.problem = null;
  }

  static override styles = [
    shared,
    css`
      :host {
        display: block;
        padding: 1.1rem;
        border: 1px solid var(--line);
        border-radius: var(--radius);
        background: var(--surface);
      }

      h2 {
        margin: 0 0 0.5rem;
        font-size: 1.02rem;
        font-weight: 620;
      }

      ol {
        display: grid;
        gap: 0.5rem;
        margin: 0;
        padding-left: 1.3rem;
        font-size: 0.93rem;
      }

      form {
        display: flex;
        flex-wrap: wrap;
        gap: 0.5rem;
        margin-top: 0.4rem;
      }

      .field {
        flex: 1 1 14rem;
        width: auto;
        min-width: 0;
      }

      .wrong {
        flex: 1 1 100%;
        color: var(--danger);
        font-size: 0.86rem;
        overflow-wrap: anywhere;
      }
    `,
  ];

  protected override render() {
    const words = strings.telegram;
    const wrong = this.wrong ? words.wrong : this.problem;
    return html`<h2>${words.title}</h2>
      <ol>
        <li>${words.first}</li>
        <li>
          <label for="token">${words.second}</label>
          <form novalidate @submit=${this.#submit}>
            <input
              class="field"
              id="token"
              type="password"
              data-testid="telegram-token"
              autocomplete="off"
              spellcheck="false"
              placeholder="123456789:AA…"
              aria-invalid=${this.wrong ? 'true' : 'false'}
              .value=${this.token}
              @input=${this.#input}
            />
            <button class="button primary" data-testid="telegram-connect" ?disabled=${this.busy}>${words.connect}</button>
            ${wrong === null ? nothing : html`<span class="wrong" role="alert">${wrong}</span>`}
          </form>
        </li>
        <li>${words.third}</li>
      </ol>`;
  }

  #input = (event: Event): void => {
    this.token = (event.target as HTMLInputElement).value;
    this.wrong = false;
    this.problem = null;
  };

  #submit = (event: Event): void => {
    event.preventDefault();
    this.wrong = !TOKEN.test(this.token.trim());
    if (!this.wrong) void this.#connect();
  };

  async #connect(): Promise<void> {
    this.busy = true;
    try {
      const config = asObject(await this.gateway.request('config.get', {}));
      const hash = config['exists'] === false ? null : asText(config['hash']);
      const raw = JSON.stringify({ channels: { telegram: { botToken: this.token.trim() } } });
      await this.gateway.request('config.patch', { raw, ...(hash === null ? {} : { baseHash: hash }) });
      // It is written; it need not stay in the page.
      this.token = '';
      this.dispatchEvent(new CustomEvent('connected'));
    } catch (error) {
      this.problem = error instanceof Error ? error.message : String(error);
    } finally {
      this.busy = false;
    }
  }
}

customElements.define('oc-telegram-form', TelegramFormElement);
