import { LitElement, css, html, nothing } from 'lit';
import { shared } from '../styles/shared';
import { strings } from '../strings';
import type { ModelChoice } from './catalog';

/** `<oc-model-picker>`: which model answers here. Fires `choose-model` (detail: `provider/model`, or `null` for the default). */
export class ModelPickerElement extends LitElement {
  static override properties = { models: { attribute: false }, model: {}, fixed: { type: Boolean } };
  declare models: readonly ModelChoice[];
  declare model: string | null;
  /** It can be read, and not changed. */
  declare fixed: boolean;

  constructor() {
    super();
    this.models = [];
    this.model = null;
    this.fixed = false;
  }

  static override styles = [
    shared,
    css`
      :host {
        display: flex;
        min-width: 0;
      }

      select,
      span {
        overflow: hidden;
        max-width: 16rem;
        min-width: 0;
        height: 2rem;
        padding: 0 0.5rem;
        border: 1px solid transparent;
        border-radius: 9px;
        background: none;
        color: var(--muted);
        font: inherit;
        font-size: 0.84rem;
        line-height: 1.9rem;
        text-overflow: ellipsis;
        white-space: nowrap;
      }

      select:hover {
        background: var(--raised);
        color: var(--text);
        cursor: pointer;
      }

      option,
      optgroup {
        background: var(--surface);
        color: var(--text);
      }

      @media (max-width: 30rem) {
        select,
        span {
          max-width: 8.5rem;
        }
      }
    `,
  ];

  protected override render() {
    const { model, models } = this;
    if (models.length === 0 || this.fixed) return model === null ? nothing : html`<span title=${model}>${model}</span>`;
    const known = models.some((choice) => choice.ref === model);
    const providers = [...new Set(models.map((choice) => choice.provider))];
    return html`<select data-testid="model" aria-label=${strings.model.label} title=${strings.model.label} @change=${this.#choose}>
      ${known || model === null ? nothing : html`<option value=${model} selected>${model}</option>`}
      ${model === null ? html`<option value="" selected>${strings.model.none}</option>` : nothing}
      ${providers.map(
        (provider) => html`<optgroup label=${provider}>
          ${models
            .filter((choice) => choice.provider === provider)
            .map(
              (choice) => html`<option value=${choice.ref} ?selected=${choice.ref === model} ?disabled=${!choice.available}>
                ${choice.name}${choice.available ? '' : ` (${strings.model.unavailable})`}
              </option>`,
            )}
        </optgroup>`,
      )}
    </select>`;
  }

  protected override updated(): void {
    const select = this.renderRoot.querySelector('select');
    if (select) select.value = this.model ?? '';
  }

  #choose(event: Event): void {
    const { value } = event.target as HTMLSelectElement;
    this.dispatchEvent(new CustomEvent('choose-model', { detail: value === '' ? null : value }));
  }
}

customElements.define('oc-model-picker', ModelPickerElement);
