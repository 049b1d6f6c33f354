import { LitElement, css, html, nothing, type TemplateResult } from 'lit';
import { icons } from '../shell/icons';
import { shared } from '../styles/shared';
import { strings } from '../strings';
import { copyText } from './clipboard';
import { textOf, type Part } from './content';
import './markdown-element';
import { messageStyles } from './message-styles';
import type { Problem, Row } from './state';

const words = strings.message;

/** What a row asks its conversation to do; bubbles as `row-action`. */
export interface RowAction {
  action: 'retry' | 'discard' | 'ask-again';
  row: Row;
}

/** `<oc-message>`: one row of a conversation. */
export class MessageElement extends LitElement {
  static override properties = { row: { attribute: false }, agent: {}, held: { type: Boolean }, copied: { state: true } };
  declare row: Row;
  declare agent: string;
  /** The message waits for the connection. */
  declare held: boolean;
  declare copied: boolean;

  constructor() {
    super();
    this.agent = '';
    this.held = false;
    this.copied = false;
  }

  static override styles = [shared, css`:host { display: block; }`, messageStyles];

  protected override render() {
    const { row } = this;
    const mine = row.role === 'user';
    const name = mine ? strings.you : this.agent;
    return html`
      <article
        class=${row.role}
        data-testid=${`message-${row.role}`}
        data-live=${row.live ?? nothing}
        data-delivery=${mine ? row.delivery : nothing}
        aria-label=${name}
        aria-busy=${row.live ? 'true' : 'false'}
      >
        ${mine ? this.#question() : this.#answer()} ${this.#footer()}
      </article>
    `;
  }

  #question() {
    const { row } = this;
    return html`
      <div class="bubble">${row.parts.map((part) => (part.type === 'text' ? html`<p>${part.text}</p>` : renderPart(part, false)))}</div>
      ${row.delivery === 'failed'
        ? html`
            <div class="problem" role="alert">
              ${icons.alert}
              <div>
                <strong>${words.notSent}.</strong> ${row.problem?.message}
                <div class="actions">
                  <button class="button" @click=${() => this.#act('retry')}>${words.retry}</button>
                  <button class="button quiet" @click=${() => this.#act('discard')}>${words.discard}</button>
                </div>
              </div>
            </div>
          `
        : nothing}
    `;
  }

  #answer() {
    const { row } = this;
    const streaming = row.live !== null && row.parts.length > 0;
    const last = row.parts.length - 1;
    return html`
      ${row.parts.map((part, index) => renderPart(part, streaming && index === last))}
      ${row.live !== null && !streaming ? html`<p class="waiting"><span class="dots" aria-hidden="true"><i></i><i></i><i></i></span><span>${words.waiting}</span></p>` : nothing}
      ${row.live === null && row.parts.length === 0 && !row.problem && !row.stopped ? html`<p class="muted">${words.noAnswer}</p>` : nothing}
      ${row.stopped ? html`<p class="stopped">${words.stopped}</p>` : nothing}
      ${row.problem ? this.#failure(row.problem) : nothing}
    `;
  }

  #failure(problem: Problem) {
    const remedy = problem.kind === null ? undefined : strings.remedies[problem.kind];
    return html`
      <div class="problem" role="alert" data-testid="run-error">
        ${icons.alert}
        <div>
          <strong>${words.runFailed}</strong>
          <span class="said">${problem.message}</span>
          ${remedy ? html`<p>${remedy}</p>` : nothing}
          ${problem.detail && problem.detail !== problem.message
            ? html`<details><summary>${words.details}</summary><pre tabindex="0">${problem.detail}</pre></details>`
            : nothing}
          <div class="actions"><button class="button" @click=${() => this.#act('ask-again')}>${words.askAgain}</button></div>
        </div>
      </div>
    `;
  }

  #footer() {
    const { row } = this;
    const text = textOf(row.parts);
    const sending = row.role === 'user' && row.delivery === 'sending';
    return html`
      <footer>
        ${sending ? html`<span>${this.held ? words.held : words.sending}</span>` : nothing}
        ${row.at !== null && row.live === null && !sending ? html`<time datetime=${new Date(row.at).toISOString()}>${clock(row.at)}</time>` : nothing}
        ${text !== '' && row.live === null
          ? html`<button class="copy-all" title=${words.copyMessage} aria-label=${words.copyMessage} @click=${() => this.#copy(text)}>
              ${this.copied ? icons.check : icons.copy}
            </button>`
          : nothing}
      </footer>
    `;
  }

  #act(action: RowAction['action']): void {
    this.dispatchEvent(new CustomEvent<RowAction>('row-action', { detail: { action, row: this.row }, bubbles: true, composed: true }));
  }

  async #copy(text: string): Promise<void> {
    this.copied = await copyText(text);
    setTimeout(() => (this.copied = false), 1_600);
  }
}

function renderPart(part: Part, streaming: boolean): TemplateResult {
  switch (part.type) {
    case 'text':
      return html`<oc-markdown .text=${part.text} ?streaming=${streaming}></oc-markdown>`;
    case 'thinking':
      return html`<details class="aside"><summary>${words.thinking}</summary><div class="thoughts">${part.text}</div></details>`;
    case 'tool':
      return html`<details class="aside"><summary><code>${part.name}</code></summary><pre tabindex="0">${part.input}</pre></details>`;
    case 'image':
      return part.source === null
        ? html`<p class="muted">[${words.image}]</p>`
        : html`<img src=${part.source} alt=${words.image} />`;
  }
}

const timeOfDay = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

function clock(at: number): string {
  return timeOfDay.format(at);
}

customElements.define('oc-message', MessageElement);
