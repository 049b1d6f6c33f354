/** Links a channel that logs in with a QR code: shows the code, and each new one, until the phone has taken it. */
import { LitElement, css, html, nothing } from 'lit';
import { asObject, asText } from '../gateway/frames';
import type { GatewayPort } from '../gateway/port';
import { strings } from '../strings';
import { shared } from '../styles/shared';

/** How long the gateway may take to answer each time; below the limit of requests. */
const WAIT_MS = 20_000;
/** Codes are short-lived: after this many nobody is looking any more. */
const ROUNDS = 12;
/** Only a picture is shown as one. */
const PICTURE = /^data:image\/png;base64,[A-Za-z0-9+/=]+$/;

export class ChannelLoginElement extends LitElement {
  static override properties = { label: {}, picture: { state: true }, said: { state: true }, over: { state: true } };
  declare label: string;
  declare picture: string | null;
  declare said: string | null;
  declare over: boolean;
  gateway!: GatewayPort;
  accountId = '';
  done: () => void = () => {};

  constructor() {
    super();
    this.label = '';
    this.picture = null;
    this.said = null;
    this.over = false;
  }

  static override styles = [
    shared,
    css`
      dialog {
        width: min(24rem, calc(100vw - 2rem));
        padding: 1.3rem 1.4rem 1.1rem;
        border: 1px solid var(--line);
        border-radius: 18px;
        background: var(--surface);
        color: var(--text);
        box-shadow: var(--shadow);
        text-align: center;
      }

      dialog::backdrop {
        background: #0007;
      }

      h2 {
        margin: 0 0 0.4rem;
        font-size: 1.08rem;
      }

      p {
        margin: 0.6rem 0;
        color: var(--muted);
        font-size: 0.93rem;
        overflow-wrap: anywhere;
      }

      /* A QR code is read by a camera: it keeps its white ground in the dark too. */
      .code {
        display: grid;
        place-items: center;
        width: 16rem;
        max-width: 100%;
        margin: 0 auto;
        aspect-ratio: 1;
        border-radius: 12px;
        background: #fff;
        color: #444;
      }

      img {
        width: 100%;
        border-radius: 12px;
        image-rendering: pixelated;
      }
    `,
  ];

  protected override render() {
    const words = strings.channels;
    return html`<dialog aria-labelledby="title" @close=${() => this.#end()}>
      <h2 id="title">${words.linkTitle(this.label)}</h2>
      <div class="code">${this.picture === null ? html`<span>${this.over ? '' : strings.connection.connecting}</span>` : html`<img data-testid="login-qr" src=${this.picture} alt=${strings.setupCode.picture} />`}</div>
      <p role="status">${this.said ?? (this.over ? nothing : words.linkText)}</p>
      <button class="button" @click=${() => this.renderRoot.querySelector('dialog')?.close()}>${this.over ? strings.dismiss : strings.cancel}</button>
    </dialog>`;
  }

  protected override firstUpdated(): void {
    this.renderRoot.querySelector('dialog')?.showModal();
    void this.#login();
  }

  async #login(): Promise<void> {
    const account = { accountId: this.accountId, timeoutMs: WAIT_MS };
    try {
      this.#show(await this.gateway.request('web.login.start', { ...account, force: false }));
      for (let round = 0; round < ROUNDS && this.isConnected && !this.over; round += 1) {
        const shown = this.picture === null ? {} : { currentQrDataUrl: this.picture };
        this.#show(await this.gateway.request('web.login.wait', { ...account, ...shown }));
      }
    } catch (error) {
      this.said = error instanceof Error ? error.message : String(error);
    }
    this.over = true;
  }

  #show(answer: unknown): void {
    const { qrDataUrl, message, connected } = asObject(answer);
    const picture = asText(qrDataUrl);
    if (picture !== null && PICTURE.test(picture)) this.picture = picture;
    this.said = asText(message);
    if (connected !== true) return;
    this.picture = null;
    this.over = true;
  }

  #end(): void {
    this.remove();
    this.done();
  }
}

customElements.define('oc-channel-login', ChannelLoginElement);

/** Shows the dialog; resolves when it is closed. */
export function linkByQr(gateway: GatewayPort, label: string, accountId: string): Promise<void> {
  return new Promise((resolve) => {
    const element = document.createElement('oc-channel-login') as ChannelLoginElement;
    Object.assign(element, { gateway, label, accountId, done: resolve });
    document.body.append(element);
  });
}
