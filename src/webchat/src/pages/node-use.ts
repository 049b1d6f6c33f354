/** Uses a node: one of its commands with its parameters, and what came of it, as a picture where it is one. */
import { LitElement, css, html, nothing } from 'lit';
import { asObject, asText, type Json } from '../gateway/frames';
import { newId } from '../gateway/ids';
import type { GatewayPort } from '../gateway/port';
import { strings } from '../strings';
import { shared } from '../styles/shared';
import { examples, pictureIn, type Media } from './node-result';

/** Below the time after which the page gives a request up. */
const INVOKE_MS = 25_000;

export class NodeUseElement extends LitElement {
  static override properties = {
    name: {},
    commands: { attribute: false },
    command: { state: true },
    params: { state: true },
    busy: { state: true },
    problem: { state: true },
    text: { state: true },
    media: { state: true },
  };
  declare name: string;
  declare commands: readonly string[];
  declare command: string;
  declare params: string;
  declare busy: boolean;
  declare problem: string | null;
  /** The answer as text. */
  declare text: string | null;
  declare media: Media | null;
  gateway!: GatewayPort;
  nodeId = '';

  constructor() {
    super();
    this.name = '';
    this.commands = [];
    this.command = '';
    this.params = '';
    this.busy = false;
    this.problem = null;
    this.text = null;
    this.media = null;
  }

  static override styles = [
    shared,
    css`
      dialog {
        width: min(38rem, calc(100vw - 2rem));
        max-height: calc(100dvh - 2rem);
        padding: 1.3rem 1.4rem 1.1rem;
        border: 1px solid var(--line);
        border-radius: 18px;
        background: var(--surface);
        color: var(--text);
        box-shadow: var(--shadow);
        overflow-y: auto;
      }

      dialog::backdrop {
        background: #0007;
      }

      form {
        display: flex;
        flex-direction: column;
        gap: 0.8rem;
      }

      h2 {
        margin: 0;
        font-size: 1.08rem;
        font-weight: 620;
        overflow-wrap: anywhere;
      }

      label {
        display: grid;
        gap: 0.3rem;
        font-size: 0.88rem;
      }

      textarea {
        min-height: 5.5rem;
        font: 0.85rem/1.5 var(--mono);
        resize: vertical;
      }

      pre {
        max-height: 18rem;
        margin: 0;
        padding: 0.7rem 0.9rem;
        border-radius: 10px;
        background: var(--code);
        font: 0.82rem/1.55 var(--mono);
        overflow: auto;
        overflow-wrap: anywhere;
        white-space: pre-wrap;
      }

      img {
        display: block;
        max-width: 100%;
        max-height: 50vh;
        margin: 0 auto;
        border-radius: 10px;
        background: var(--code);
      }

      .problem {
        padding: 0.5rem 0.8rem;
        border-radius: 10px;
        background: var(--danger-bg);
        font-size: 0.9rem;
        overflow-wrap: anywhere;
      }

      .actions {
        display: flex;
        flex-wrap: wrap;
        justify-content: flex-end;
        gap: 0.5rem;
      }

      a.button {
        color: inherit;
        text-decoration: none;
      }
    `,
  ];

  protected override render() {
    const words = strings.devices;
    return html`<dialog aria-labelledby="title" @close=${() => this.remove()}>
      <form @submit=${this.#submit}>
        <h2 id="title">${words.useTitle(this.name)}</h2>
        <label
          >${words.command}<select class="field" data-testid="node-command" @change=${this.#choose}>
            ${this.commands.map((command) => html`<option value=${command} ?selected=${command === this.command}>${command}</option>`)}
          </select></label
        >
        <label
          >${words.params}<textarea
            class="field"
            data-testid="node-params"
            spellcheck="false"
            .value=${this.params}
            @input=${(event: Event) => (this.params = (event.target as HTMLTextAreaElement).value)}
          ></textarea
        ></label>
        <div role="status" aria-live="polite">
          ${this.busy ? words.asking : nothing}
          ${this.problem === null ? nothing : html`<div class="problem" data-testid="node-problem">${this.problem}</div>`}
          ${this.media?.picture === true ? html`<img data-testid="node-picture" src=${this.media.url} alt=${words.picture(this.command, this.name)} />` : nothing}
          ${this.text === null ? nothing : html`<pre data-testid="node-result" tabindex="0">${this.text}</pre>`}
        </div>
        <div class="actions">
          ${this.media === null ? nothing : html`<a class="button" href=${this.media.url} download=${this.media.name}>${strings.message.save(this.media.name)}</a>`}
          <button type="button" class="button quiet" @click=${() => this.#dialog.close()}>${strings.close}</button>
          <button class="button primary" data-testid="node-run" ?disabled=${this.busy}>${words.run}</button>
        </div>
      </form>
    </dialog>`;
  }

  protected override firstUpdated(): void {
    this.command = this.commands[0] ?? '';
    this.params = examples(this.command);
    this.#dialog.showModal();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#forget();
  }

  get #dialog(): HTMLDialogElement {
    return this.renderRoot.querySelector('dialog')!;
  }

  /** What was shown before goes; its bytes too. */
  #forget(): void {
    if (this.media !== null) URL.revokeObjectURL(this.media.url);
    this.media = null;
    this.text = null;
    this.problem = null;
  }

  #choose = (event: Event): void => {
    this.command = (event.target as HTMLSelectElement).value;
    this.params = examples(this.command);
    this.#forget();
  };

  #submit = (event: Event): void => {
    event.preventDefault();
    this.#forget();
    let params: Json = {};
    try {
      params = this.params.trim() === '' ? {} : (JSON.parse(this.params) as Json);
    } catch {
      this.problem = strings.config.wrong.json;
      return;
    }
    void this.#invoke(params);
  };

  async #invoke(params: Json): Promise<void> {
    this.busy = true;
    try {
      const asked = { nodeId: this.nodeId, command: this.command, params, timeoutMs: INVOKE_MS, idempotencyKey: newId() };
      const answer = asObject(await this.gateway.request('node.invoke', asked));
      const payload = answer['payload'] ?? parsed(asText(answer['payloadJSON']));
      const found = pictureIn(payload, this.command);
      if (!this.isConnected) return;
      this.media = found.media;
      this.text = found.rest;
    } catch (error) {
      this.problem = error instanceof Error ? error.message : String(error);
    } finally {
      this.busy = false;
    }
  }
}

function parsed(text: string | null): unknown {
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    return text;
  }
}

customElements.define('oc-node-use', NodeUseElement);

/** Opens the dialog over the page. */
export function useNode(gateway: GatewayPort, node: { nodeId: string; name: string; commands: readonly string[] }): void {
  const element = document.createElement('oc-node-use') as NodeUseElement;
  Object.assign(element, { gateway, ...node });
  document.body.append(element);
}
