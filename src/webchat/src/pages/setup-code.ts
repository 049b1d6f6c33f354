import { LitElement, css, html, nothing } from 'lit';
import { copyText } from '../chat/clipboard';
import { asNumber, asObject, asText, type Json } from '../gateway/frames';
import type { GatewayPort } from '../gateway/port';
import { icons } from '../shell/icons';
import '../shell/countdown';
import { shared } from '../styles/shared';
import { strings } from '../strings';

/** `<oc-setup-code>`: a one-time code, as a picture for a phone's camera and as text. */
export class SetupCodeElement extends LitElement {
  static override properties = { gateway: { attribute: false }, code: { state: true }, problem: { state: true }, busy: { state: true }, copied: { state: true }, now: { state: true } };
  declare gateway: GatewayPort;
  declare code: Json | null;
  declare problem: string | null;
  declare busy: boolean;
  declare copied: boolean;
  declare now: number;

  #timer: ReturnType<typeof setInterval> | null = null;
  #stop: (() => void) | null = null;

  constructor() {
    super();
    this.code = null;
    this.problem = null;
    this.busy = false;
    this.copied = false;
    this.now = Date.now();
  }

  static override styles = [
    shared,
    css`
      :host {
        display: block;
      }

      .card {
        display: flex;
        flex-direction: column;
        gap: 0.9rem;
        padding: 1rem 1.1rem;
        border: 1px solid var(--line);
        border-radius: var(--radius);
        background: var(--surface);
      }

      p {
        margin: 0;
        color: var(--muted);
        font-size: 0.92rem;
      }

      form {
        display: flex;
        flex-wrap: wrap;
        align-items: end;
        gap: 0.7rem;
      }

      label {
        display: grid;
        flex: 1 1 13rem;
        gap: 0.3rem;
        font-size: 0.88rem;
      }

      .made {
        display: flex;
        flex-wrap: wrap;
        gap: 1.2rem;
      }

      .qr {
        width: 13rem;
        height: 13rem;
        padding: 0.5rem;
        border-radius: 12px;
        background: #fff;
        image-rendering: pixelated;
      }

      .text {
        display: flex;
        flex: 1 1 14rem;
        flex-direction: column;
        gap: 0.6rem;
        min-width: 0;
      }

      pre {
        max-height: 7rem;
        margin: 0;
        padding: 0.6rem 0.8rem;
        border-radius: 10px;
        background: var(--code);
        font: 0.78rem/1.5 var(--mono);
        overflow: auto;
        overflow-wrap: anywhere;
        white-space: pre-wrap;
      }

      .bad {
        color: var(--danger);
        overflow-wrap: anywhere;
      }
    `,
  ];

  override connectedCallback(): void {
    super.connectedCallback();
    this.#timer = setInterval(() => (this.now = Date.now()), 1_000);
    this.#stop = this.gateway.listen((event) => {
      if (event === 'device.pair.setup.completed') this.code = null;
    });
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#stop?.();
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  protected override render() {
    const words = strings.setupCode;
    const until = asNumber(this.code?.['expiresAtMs']) ?? 0;
    const live = this.code !== null && until > this.now;
    return html`<div class="card" data-testid="setup-code">
      <p>${words.text}</p>
      <form @submit=${this.#make}>
        <label>
          ${words.kind}
          <select class="field" name="profile">
            <option value="limited">${words.phone}</option>
            <option value="node">${words.node}</option>
          </select>
        </label>
        <label>${words.address}<input class="field" name="url" placeholder="wss://my-gateway.example" autocomplete="off" spellcheck="false" /></label>
        <button class="button primary" data-testid="make-code" ?disabled=${this.busy}>${live ? words.again : words.make}</button>
      </form>
      ${this.problem === null ? nothing : html`<p class="bad" role="alert">${this.problem}</p>`} ${live ? this.#made(until) : nothing}
    </div>`;
  }

  #made(until: number) {
    const words = strings.setupCode;
    const code = asText(this.code?.['setupCode']) ?? '';
    const picture = asText(this.code?.['qrDataUrl']);
    return html`<div class="made">
      ${picture === null ? nothing : html`<img class="qr" data-testid="qr" src=${picture} alt=${words.picture} />`}
      <div class="text">
        <p>${words.until(Math.max(0, Math.ceil((until - this.now) / 60_000)))}</p>
        <p>${asText(this.code?.['gatewayUrl'])}</p>
        <pre tabindex="0" data-testid="code">${code}</pre>
        <div>
          <button class="button" @click=${() => void this.#copy(code)}>${this.copied ? icons.check : icons.copy} ${this.copied ? strings.message.copied : strings.message.copy}</button>
        </div>
      </div>
    </div>`;
  }

  async #make(event: Event): Promise<void> {
    event.preventDefault();
    const form = new FormData(event.target as HTMLFormElement);
    const publicUrl = String(form.get('url') ?? '').trim();
    this.busy = true;
    this.problem = null;
    try {
      const params = { bootstrapProfile: String(form.get('profile')), includeQr: true, ...(publicUrl === '' ? {} : { publicUrl }) };
      this.code = asObject(await this.gateway.request('device.pair.setupCode', params));
      this.now = Date.now();
    } catch (error) {
      this.problem = error instanceof Error ? error.message : String(error);
    } finally {
      this.busy = false;
    }
  }

  async #copy(code: string): Promise<void> {
    this.copied = await copyText(code);
    setTimeout(() => (this.copied = false), 1_600);
  }
}

customElements.define('oc-setup-code', SetupCodeElement);
