import { LitElement, css, html, nothing, type PropertyValues } from 'lit';
import { strings } from '../strings';
import { shared } from '../styles/shared';
import { DAYS, KINDS, jobOf, type Draft, type Field } from './cron-draft';

/** `<oc-cron-form>`: a job, new or changed. Fires `save` (detail: what the gateway is told) and `cancel`. */
export class CronFormElement extends LitElement {
  static override properties = {
    draft: { attribute: false },
    heading: {},
    channels: { attribute: false },
    busy: { type: Boolean },
    wrong: { state: true },
    filled: { state: true },
  };
  /** What the form begins with. */
  declare draft: Draft;
  declare heading: string;
  /** Names of the channels that there are. */
  declare channels: readonly string[];
  declare busy: boolean;
  declare wrong: Field | null;
  /** What it holds now. */
  declare filled: Draft;

  constructor() {
    super();
    this.heading = '';
    this.channels = [];
    this.busy = false;
    this.wrong = null;
  }

  static override styles = [
    shared,
    css`
      form {
        display: flex;
        flex-direction: column;
        gap: 0.9rem;
        padding: 1.1rem;
        border: 1px solid var(--line);
        border-radius: var(--radius);
        background: var(--surface);
      }

      h2 {
        margin: 0;
        font-size: 1.02rem;
        font-weight: 620;
      }

      .row {
        display: flex;
        flex-wrap: wrap;
        gap: 0.9rem;
      }

      label {
        display: grid;
        align-content: start;
        gap: 0.3rem;
        min-width: 0;
        font-size: 0.88rem;
      }

      .row label {
        flex: 1 1 11rem;
      }

      .row label.short {
        flex: 0 1 8rem;
      }

      textarea {
        min-height: 5rem;
        line-height: 1.5;
        resize: vertical;
      }

      .wrong {
        color: var(--danger);
        font-size: 0.82rem;
      }

      .actions {
        display: flex;
        justify-content: flex-end;
        gap: 0.5rem;
      }
    `,
  ];

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has('draft')) this.filled = this.draft;
  }

  /** The person wants to fill it in. */
  override focus(): void {
    this.renderRoot.querySelector('input')?.focus();
  }

  protected override render() {
    const words = strings.cron;
    const draft = this.filled;
    const targets = ['isolated', 'main', ...(['isolated', 'main'].includes(draft.target) ? [] : [draft.target])];
    return html`<form data-testid="cron-form" novalidate @submit=${this.#submit}>
      <h2>${this.heading}</h2>
      ${this.#line('name', words.name, { maxlength: 200 })}
      <label
        >${words.text}<textarea class="field" data-testid="cron-text" .value=${draft.text} @input=${this.#set('text')} aria-invalid=${this.wrong === 'text'}></textarea>
        ${this.#wrong('text')}</label
      >
      <div class="row">
        <label
          >${words.when}<select class="field" data-testid="cron-kind" @change=${this.#set('kind')}>
            ${KINDS.map((kind) => html`<option value=${kind} ?selected=${draft.kind === kind}>${words.kinds[kind]}</option>`)}
          </select></label
        >
        ${this.#when()}
      </div>
      <div class="row">
        <label
          >${words.where}<select class="field" data-testid="cron-target" @change=${this.#set('target')}>
            ${targets.map((target) => html`<option value=${target} ?selected=${draft.target === target}>${words.targets[target] ?? words.inSession(target.replace(/^session:/, ''))}</option>`)}
          </select></label
        >
        ${draft.target === 'main' ? nothing : this.#answer()}
      </div>
      <div class="actions">
        <button type="button" class="button quiet" @click=${() => this.dispatchEvent(new CustomEvent('cancel'))}>${strings.cancel}</button>
        <button class="button primary" data-testid="cron-save" ?disabled=${this.busy}>${strings.save}</button>
      </div>
    </form>`;
  }

  #when() {
    const words = strings.cron;
    const draft = this.filled;
    if (draft.kind === 'once') return this.#line('at', words.at, { type: 'datetime-local' });
    if (draft.kind === 'every') {
      return html`${this.#line('amount', words.amount, { type: 'number', short: true })}
        <label class="short"
          >${words.unit}<select class="field" data-testid="cron-unit" @change=${this.#set('unit')}>
            ${(['minute', 'hour', 'day'] as const).map((unit) => html`<option value=${unit} ?selected=${draft.unit === unit}>${words.units[unit]}</option>`)}
          </select></label
        >`;
    }
    if (draft.kind === 'cron') return html`${this.#line('expr', words.expr, {})} ${this.#line('zone', words.zone, { zones: true })}`;
    return html`${this.#line('time', words.time, { type: 'time', short: true })}
      <label
        >${words.days}<select class="field" data-testid="cron-days" @change=${this.#set('days')}>
          ${DAYS.map((days) => html`<option value=${days} ?selected=${draft.days === days}>${words.dayNames[days]}</option>`)}
        </select></label
      >
      ${this.#line('zone', words.zone, { zones: true })}`;
  }

  #answer() {
    const words = strings.cron;
    const draft = this.filled;
    return html`<label
        >${words.answer}<select class="field" data-testid="cron-answer" @change=${this.#set('answer')}>
          ${(['main', 'stays', 'channel'] as const).map((answer) => html`<option value=${answer} ?selected=${draft.answer === answer}>${words.answers[answer]}</option>`)}
        </select></label
      >
      ${draft.answer === 'channel' ? html`${this.#line('channel', words.channel, { channels: true })} ${this.#line('to', words.to, {})}` : nothing}`;
  }

  #line(field: 'name' | 'amount' | 'time' | 'at' | 'expr' | 'zone' | 'channel' | 'to', label: string, options: { type?: string; maxlength?: number; short?: boolean; zones?: boolean; channels?: boolean }) {
    const list = options.zones ? 'zones' : options.channels ? 'channels' : null;
    return html`<label class=${options.short ? 'short' : ''}
        >${label}<input
          class="field"
          data-testid=${`cron-${field}`}
          type=${options.type ?? 'text'}
          maxlength=${options.maxlength ?? 500}
          autocomplete="off"
          list=${list ?? nothing}
          aria-invalid=${this.wrong === field ? 'true' : 'false'}
          .value=${this.filled[field]}
          @input=${this.#set(field)}
        />${this.#wrong(field)}</label
      >
      ${list === null ? nothing : html`<datalist id=${list}>${(options.zones ? zones() : this.channels).map((name) => html`<option value=${name}></option>`)}</datalist>`}`;
  }

  #wrong(field: string) {
    return this.wrong === field ? html`<span class="wrong" role="alert">${strings.cron.wrong[this.wrong]}</span>` : nothing;
  }

  #set(field: keyof Draft) {
    return (event: Event) => {
      this.filled = { ...this.filled, [field]: (event.target as HTMLInputElement).value };
      this.wrong = null;
    };
  }

  #submit(event: Event): void {
    event.preventDefault();
    const made = jobOf(this.filled);
    if ('wrong' in made) {
      this.wrong = made.wrong;
      void this.updateComplete.then(() => this.renderRoot.querySelector<HTMLElement>('[aria-invalid=true]')?.focus());
      return;
    }
    this.dispatchEvent(new CustomEvent('save', { detail: made.job }));
  }
}

function zones(): readonly string[] {
  return Intl.supportedValuesOf('timeZone');
}

customElements.define('oc-cron-form', CronFormElement);

declare global {
  interface HTMLElementTagNameMap {
    'oc-cron-form': CronFormElement;
  }
}
