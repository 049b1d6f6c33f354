import { LitElement, css, html, nothing, type TemplateResult } from 'lit';
import { brieflyCounted, clock, cost, dateTime } from '../format';
import { icons } from '../shell/icons';
import { shared } from '../styles/shared';
import { strings } from '../strings';
import { copyText } from './clipboard';
import { textOf, type Part } from './content';
import './markdown-element';
import './stored-file';
import './tool-card';
import { messageStyles } from './message-styles';
import type { Problem, Row } from './state';

const words = () => strings.message;

/** The name under which the gateway itself answers commands. */
const COMMAND = 'gateway-command';
/** What an answer says that failed for want of a model or its key. */
const NO_MODEL = /\bmodels\.providers\b|openclaw models set/;

/** What a row asks its conversation to do; bubbles as `row-action`. */
export interface RowAction {
  action: 'retry' | 'discard' | 'ask-again' | 'edit' | 'take-back' | 'setup';
  row: Row;
}

/** `<oc-message>`: one row of a conversation. */
export class MessageElement extends LitElement {
  static override properties = { row: { attribute: false }, agent: {}, held: { type: Boolean }, queued: { type: Boolean }, copied: { state: true } };
  declare row: Row;
  declare agent: string;
  /** The message waits for the connection. */
  declare held: boolean;
  /** The message waits for the answer before it. */
  declare queued: boolean;
  declare copied: boolean;

  constructor() {
    super();
    this.agent = '';
    this.held = false;
    this.queued = false;
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
                <strong>${words().notSent}.</strong> ${row.problem?.message}
                <div class="actions">
                  <button class="button" @click=${() => this.#act('retry')}>${words().retry}</button>
                  <button class="button quiet" @click=${() => this.#act('discard')}>${words().discard}</button>
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
      ${row.live !== null && !streaming ? html`<p class="waiting"><span class="dots" aria-hidden="true"><i></i><i></i><i></i></span><span>${words().waiting}</span></p>` : nothing}
      ${row.live === null && row.parts.length === 0 && !row.problem && !row.stopped ? html`<p class="muted">${words().noAnswer}</p>` : nothing}
      ${row.stopped ? html`<p class="stopped">${words().stopped}</p>` : nothing}
      ${row.problem ? this.#failure(row.problem) : nothing}
    `;
  }

  #failure(problem: Problem) {
    const remedy = problem.kind === null ? undefined : strings.remedies[problem.kind];
    return html`
      <div class="problem" role="alert" data-testid="run-error">
        ${icons.alert}
        <div>
          <strong>${words().runFailed}</strong>
          <span class="said">${problem.message}</span>
          ${remedy ? html`<p>${remedy}</p>` : nothing}
          ${problem.detail && problem.detail !== problem.message
            ? html`<details><summary>${words().details}</summary><pre tabindex="0">${problem.detail}</pre></details>`
            : nothing}
          <div class="actions">
            ${NO_MODEL.test(problem.message) ? html`<button class="button" data-testid="failed-setup" @click=${() => this.#act('setup')}>${strings.empty.setup}</button>` : nothing}
            <button class="button" @click=${() => this.#act('ask-again')}>${words().askAgain}</button>
          </div>
        </div>
      </div>
    `;
  }

  #footer() {
    const { row } = this;
    const text = textOf(row.parts);
    const mine = row.role === 'user';
    const sending = mine && row.delivery === 'sending';
    const settled = row.live === null && !sending;
    return html`
      <footer>
        ${sending ? html`<span class="stay">${this.held ? words().held : words().sending}</span>` : nothing}
        ${this.queued && !sending ? this.#queued() : nothing}
        ${row.at !== null && settled ? html`<time datetime=${new Date(row.at).toISOString()} title=${dateTime(row.at)}>${clock(row.at)}</time>` : nothing}
        ${settled ? this.#facts() : nothing}
        ${text !== '' && row.live === null
          ? html`<button class="copy-all" title=${words().copyMessage} aria-label=${words().copyMessage} @click=${() => this.#copy(text)}>
              ${this.copied ? icons.check : icons.copy}
            </button>`
          : nothing}
        ${mine && text !== '' && settled && !this.queued
          ? html`<button class="copy-all" data-testid="edit" title=${words().edit} aria-label=${words().edit} @click=${() => this.#act('edit')}>${icons.edit}</button>`
          : nothing}
      </footer>
    `;
  }

  #queued() {
    return html`<span class="stay" data-testid="queued">${words().queued}</span>
      <button class="link stay" @click=${() => this.#act('take-back')}>${words().takeBack}</button>`;
  }

  /** Which model wrote it, and what it took. */
  #facts() {
    const { usage } = this.row;
    const model = this.row.model === COMMAND ? null : this.row.model;
    if (usage === null && model === null) return nothing;
    const tokens = usage === null ? null : words().tokens(brieflyCounted(usage.input), brieflyCounted(usage.output));
    const price = usage?.cost === null || usage === null ? null : cost(usage.cost);
    const facts = [model, tokens, price].filter((fact) => fact !== null);
    return html`<span class="facts" data-testid="usage">${facts.join(' · ')}</span>`;
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
      return html`<details class="aside">
        <summary>${icons.bulb}${words().thinking}</summary>
        <div class="thoughts">${part.text}</div>
      </details>`;
    case 'tool':
      return html`<oc-tool-card .tool=${part}></oc-tool-card>`;
    case 'image':
      if (part.source === null && part.artifact) return html`<oc-stored-file picture artifact=${part.artifact} name=${part.name ?? words().image}></oc-stored-file>`;
      return part.source === null
        ? html`<p class="muted">[${part.name ?? words().image}]</p>`
        : html`<a class="picture" href=${part.source} target="_blank" rel="noopener"><img src=${part.source} alt=${part.name ?? words().image} loading="lazy" /></a>`;
    case 'file':
      if (part.artifact) return html`<oc-stored-file artifact=${part.artifact} name=${part.name} .size=${part.size ?? null}></oc-stored-file>`;
      return html`<p class="file">${icons.file}<span>${part.name}</span></p>`;
  }
}

customElements.define('oc-message', MessageElement);
