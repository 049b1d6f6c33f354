import { css, html, nothing, type TemplateResult } from 'lit';
import { asList, asObject, asText, type Json } from '../gateway/frames';
import { strings } from '../strings';
import { ask } from '../ui/dialog';
import { REDACTED, found, patchOf, readField, sectionsOf, shown, valueAt, type Field, type Read, type Section } from './config-form';
import { PageElement, handed } from './page';

/** `<oc-page-config>`: every setting as a field; what changes is shown before it is written. */
export class ConfigPage extends PageElement {
  static override properties = { config: { state: true }, sections: { state: true }, edits: { state: true }, text: { state: true }, done: { state: true } };
  declare config: Json;
  declare sections: readonly Section[];
  /** What was typed, by field. */
  declare edits: ReadonlyMap<Field, string>;
  /** What settings are searched for. */
  declare text: string;
  declare done: string | null;

  constructor() {
    super();
    this.config = {};
    this.sections = [];
    this.edits = new Map();
    this.text = handed.search;
    handed.search = '';
    this.done = null;
  }

  static override styles = PageElement.pageStyles(css`
    .page {
      padding-bottom: 6rem;
    }

    details.card {
      padding: 0;
    }

    summary {
      display: flex;
      align-items: baseline;
      gap: 0.8rem;
      padding: 0.8rem 1.1rem;
      cursor: pointer;
      list-style: none;
    }

    summary::-webkit-details-marker {
      display: none;
    }

    summary h2 {
      flex: none;
    }

    summary .sub {
      flex: 1;
      overflow: hidden;
      text-overflow: ellipsis;
      white-space: nowrap;
    }

    .fields {
      border-top: 1px solid var(--line);
    }

    .row {
      display: grid;
      grid-template-columns: minmax(0, 1fr) minmax(0, 20rem);
      gap: 0.3rem 1.5rem;
      align-items: start;
      padding: 0.75rem 1.1rem;
    }

    .row + .row {
      border-top: 1px solid var(--line);
    }

    .row[data-changed] {
      background: var(--warn-bg);
    }

    .row label {
      font-weight: 550;
    }

    .row code {
      color: var(--muted);
      font-size: 0.76rem;
      font-weight: 400;
      overflow-wrap: anywhere;
    }

    textarea.field {
      min-height: 6rem;
      font: 0.82rem/1.5 var(--mono);
    }

    .wrong {
      color: var(--danger);
      font-size: 0.82rem;
    }

    .bar {
      position: sticky;
      bottom: 0.8rem;
      display: flex;
      flex-wrap: wrap;
      align-items: center;
      gap: 0.6rem;
      padding: 0.7rem 1rem;
      border: 1px solid var(--line);
      border-radius: var(--radius);
      background: var(--surface);
      box-shadow: var(--shadow);
    }

    @media (max-width: 40rem) {
      .row {
        grid-template-columns: minmax(0, 1fr);
      }

      summary .sub {
        display: none;
      }
    }
  `);

  protected override readonly causes = /^config\.changed$/;

  protected override async load(): Promise<void> {
    const [config, schema] = await Promise.all([this.ask('config.get'), this.sections.length === 0 && this.gateway.has('config.schema') ? this.ask('config.schema') : null]);
    this.config = asObject(config);
    if (schema !== null) this.sections = sectionsOf(asObject(asObject(schema)['schema']), asObject(asObject(schema)['uiHints']));
  }

  get #writable(): boolean {
    return this.gateway.has('config.patch') && this.gateway.may('operator.admin');
  }

  protected override content() {
    const words = strings.config;
    const warnings = [...asList(this.config['issues']), ...asList(this.config['warnings'])].map(asObject);
    return html`
      <p class="intro">${words.intro(asText(this.config['path']) ?? 'openclaw.json')}</p>
      ${warnings.length === 0
        ? nothing
        : html`<div class="card"><h2>${words.warnings}</h2>
            ${warnings.map((row) => html`<p class="sub"><code>${asText(row['path'])}</code> ${asText(row['message'])}</p>`)}</div>`}
      <input
        class="field"
        type="search"
        data-testid="config-search"
        aria-label=${words.search}
        placeholder=${words.search}
        .value=${this.text}
        @input=${(event: Event) => (this.text = (event.target as HTMLInputElement).value.trim())}
      />
      ${this.sections.map((section) => this.#section(section))}
      ${this.sections.length === 0 && this.ready ? html`<pre tabindex="0">${asText(this.config['raw'])}</pre>` : nothing}
      ${this.edits.size > 0 ? this.#bar() : this.done === null ? nothing : html`<p class="done" role="status" data-testid="config-done">${this.done}</p>`}
    `;
  }

  #section(section: Section): TemplateResult | typeof nothing {
    const fields = this.text === '' ? section.fields : section.fields.filter((field) => found(field, this.text));
    if (fields.length === 0) return nothing;
    return html`<details class="card" data-testid=${`section-${section.name}`} ?open=${this.text !== ''}>
      <summary>
        <h2>${section.label}</h2>
        <span class="sub">${section.help}</span><span class="tag">${fields.length}</span>
      </summary>
      <div class="fields">${fields.map((field) => this.#row(field))}</div>
    </details>`;
  }

  #row(field: Field): TemplateResult {
    const edit = this.edits.get(field);
    const read: Read | null = edit === undefined ? null : readField(field, edit);
    const id = `f-${field.name}`;
    return html`<div class="row" ?data-changed=${edit !== undefined}>
      <div>
        <label for=${id}>${field.label}</label>
        <code>${field.name}</code>
        <p class="sub" id="${id}-help">${field.help}</p>
      </div>
      <div>
        ${this.#input(field, id, edit)} ${read?.ok === false ? html`<span class="wrong" role="alert">${this.#problem(field, read.problem)}</span>` : nothing}
      </div>
    </div>`;
  }

  #problem(field: Field, problem: 'number' | 'range' | 'json'): string {
    return problem === 'range' ? strings.config.range(field.min, field.max) : strings.config.wrong[problem];
  }

  #input(field: Field, id: string, edit: string | undefined): TemplateResult {
    const value = valueAt(this.config['parsed'], field.path);
    const text = edit ?? shown(field, value);
    const set = (event: Event) => this.#edit(field, (event.target as HTMLInputElement).value);
    const fallback = field.fallback ?? valueAt(this.config['config'], field.path);
    const hint = value === REDACTED ? strings.config.kept : fallback === undefined || fallback === null ? '' : strings.config.fallback(typeof fallback === 'object' ? JSON.stringify(fallback) : String(fallback));
    const disabled = !this.#writable;
    if (field.kind === 'choice' || field.kind === 'boolean') {
      const options = field.kind === 'boolean' ? ['true', 'false'] : field.options;
      return html`<select class="field" id=${id} aria-describedby="${id}-help" ?disabled=${disabled} .value=${text} @change=${set}>
        <option value="" ?selected=${text === ''}>${hint === '' ? strings.config.unset : hint}</option>
        ${options.map((option) => html`<option value=${option} ?selected=${option === text}>${field.kind === 'boolean' ? strings.config.booleans[option as 'true' | 'false'] : option}</option>`)}
      </select>`;
    }
    if (field.kind === 'list' || field.kind === 'json') {
      return html`<textarea class="field" id=${id} aria-describedby="${id}-help" spellcheck="false" placeholder=${hint} ?disabled=${disabled} .value=${text} @input=${set}></textarea>`;
    }
    return html`<input
      class="field"
      id=${id}
      aria-describedby="${id}-help"
      type=${field.kind === 'secret' ? 'password' : 'text'}
      inputmode=${field.kind === 'number' ? 'decimal' : 'text'}
      autocomplete="off"
      spellcheck="false"
      placeholder=${hint}
      ?disabled=${disabled}
      .value=${text}
      @input=${set}
    />`;
  }

  #edit(field: Field, text: string): void {
    const edits = new Map(this.edits);
    if (text === shown(field, valueAt(this.config['parsed'], field.path))) edits.delete(field);
    else edits.set(field, text);
    this.edits = edits;
    this.done = null;
  }

  #bar(): TemplateResult {
    const words = strings.config;
    const wrong = [...this.edits].some(([field, text]) => !readField(field, text).ok);
    return html`<div class="bar" role="region" aria-label=${words.changes(this.edits.size)}>
      <span class="grow">${words.changes(this.edits.size)}</span>
      <button class="button quiet" @click=${() => (this.edits = new Map())}>${words.discard}</button>
      <button class="button primary" data-testid="config-review" ?disabled=${wrong || this.busy !== null} @click=${() => void this.#review()}>${words.review}</button>
    </div>`;
  }

  /** Shows each change as it will be, and writes when the person agrees. */
  async #review(): Promise<void> {
    const words = strings.config;
    const changes = new Map<Field, unknown>();
    for (const [field, text] of this.edits) {
      const read = readField(field, text);
      if (read.ok) changes.set(field, read.value);
    }
    const points = [...changes].map(([field, value]) => `${field.name}: ${this.#said(field, valueAt(this.config['parsed'], field.path))} → ${this.#said(field, value)}`);
    const sure = await ask({ title: words.reviewTitle, text: words.reviewText, points, confirm: words.write });
    if (sure === null) return;
    const hash = this.config['exists'] === false ? null : asText(this.config['hash']);
    const lists = [...changes.keys()].filter((field) => field.kind === 'list').map((field) => field.name);
    await this.act('write', async () => {
      const answer = asObject(
        await this.ask('config.patch', {
          raw: JSON.stringify(patchOf(changes)),
          ...(hash === null ? {} : { baseHash: hash }),
          ...(lists.length > 0 ? { replacePaths: lists } : {}),
        }),
      );
      this.edits = new Map();
      const later = asList(answer['needsRestart']).join(', ');
      this.done = later === '' ? words.written : words.restart(later);
    });
  }

  #said(field: Field, value: unknown): string {
    if (value === undefined || value === null) return strings.config.unset;
    if (field.kind === 'secret' || value === REDACTED) return '••••••';
    return typeof value === 'object' ? JSON.stringify(value) : String(value);
  }
}

customElements.define('oc-page-config', ConfigPage);
