import { css, html, nothing, type TemplateResult } from 'lit';
import { readModels, type ModelChoice } from '../chat/catalog';
import { asList, asObject, asText } from '../gateway/frames';
import { icons } from '../shell/icons';
import { strings } from '../strings';
import { PageElement } from './page';
import { PROVIDERS, patchOf, problemsOf, providerId, type ModelForm } from './providers';

/** `<oc-page-setup>`: the three things that a new gateway lacks, and how to give them to it. */
export class SetupPage extends PageElement {
  static override properties = { model: { state: true }, models: { state: true }, devices: { state: true }, channels: { state: true }, form: { state: true }, tried: { state: true }, outcome: { state: true }, broken: { state: true }, changing: { state: true }, hash: { state: true }, path: { state: true } };
  /** The model that answers now; `null` while an echo does. */
  declare model: string | null;
  declare models: readonly ModelChoice[];
  /** How many devices besides this one may come in. */
  declare devices: number;
  declare channels: number;
  declare form: ModelForm;
  /** The form was sent, so what is wrong in it is shown. */
  declare tried: boolean;
  declare outcome: { ok: boolean; text: string } | null;
  /** A model is chosen that cannot be asked: its key is missing, or nobody knows its provider. */
  declare broken: boolean;
  #touched = false;
  /** The form is open although a model answers. */
  declare changing: boolean;
  declare hash: string | null;
  declare path: string;

  constructor() {
    super();
    this.model = null;
    this.models = [];
    this.devices = 0;
    this.channels = 0;
    const provider = PROVIDERS[0]!;
    this.form = { provider, address: '', key: '', model: provider.example };
    this.tried = false;
    this.outcome = null;
    this.broken = false;
    this.changing = false;
    this.hash = null;
    this.path = '';
  }

  static override styles = PageElement.pageStyles(css`
    ol {
      display: flex;
      flex-direction: column;
      gap: 0.9rem;
      margin: 0;
      padding: 0;
      list-style: none;
    }

    .step {
      display: grid;
      grid-template-columns: 2.2rem minmax(0, 1fr);
      gap: 0 0.9rem;
    }

    .number {
      display: grid;
      place-items: center;
      width: 2.1rem;
      height: 2.1rem;
      border-radius: 50%;
      background: var(--raised);
      font-weight: 600;
    }

    .number[data-done] {
      background: var(--ok-bg);
      color: var(--ok);
    }

    .body {
      display: flex;
      flex-direction: column;
      gap: 0.7rem;
      padding-top: 0.2rem;
    }

    form {
      display: grid;
      grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr));
      gap: 0.8rem;
      align-items: start;
    }

    .note {
      color: var(--muted);
      font-size: 0.82rem;
    }

    form .actions {
      grid-column: 1 / -1;
      align-items: center;
      gap: 0.8rem;
    }

    .wrong {
      color: var(--danger);
      font-size: 0.82rem;
    }

    .bad {
      color: var(--danger);
      overflow-wrap: anywhere;
    }

    @media (max-width: 40rem) {
      .step {
        align-items: center;
        gap: 0.7rem;
      }

      .body {
        display: contents;
      }

      .body > :not(h2) {
        grid-column: 1 / -1;
      }
    }
  `);

  protected override readonly causes = /^(config\.changed|chat\.metadata\.changed|device\.pair\.resolved)$/;

  protected override async load(): Promise<void> {
    const optional = async (method: string, allowed = true) => (allowed && this.gateway.has(method) ? asObject(await this.ask(method)) : {});
    const pairing = this.gateway.may('operator.pairing');
    const [models, agents, devices, channels, config] = await Promise.all([
      optional('models.list'),
      optional('agents.list'),
      optional('device.pair.list', pairing),
      optional('channels.status'),
      optional('config.get'),
    ]);
    this.models = readModels(models['models']);
    const first = asObject(asList(agents['agents'])[0]);
    const model = asText(first['model']) ?? asText(asObject(first['model'])['primary']);
    this.model = model === null || /(^|\/)echo$/.test(model) ? null : model;
    this.broken = this.models.some((row) => row.ref === this.model && !row.available);
    if (this.broken) this.#begin();
    const mine = this.gateway.hello?.deviceId;
    this.devices = asList(devices['paired']).filter((row) => asObject(row)['deviceId'] !== mine).length;
    this.channels = asList(channels['channelOrder']).length;
    this.hash = config['exists'] === false ? null : asText(config['hash']);
    this.path = asText(config['path']) ?? 'openclaw.json';
  }

  /** The form begins with the model that is chosen already, unless somebody wrote in it. */
  #begin(): void {
    const [id = '', ...name] = (this.model ?? '').split('/');
    const provider = PROVIDERS.find((choice) => choice.id === id);
    if (this.#touched || provider === undefined) return;
    this.form = { provider, address: provider.address ?? '', key: '', model: name.join('/') };
  }

  protected override content() {
    const words = strings.setup;
    return html`<p class="intro">${words.intro}</p>
      <ol>
        ${this.#step(1, words.model, this.model !== null && !this.broken, this.#modelStep())}
        ${this.#step(
          2,
          words.device,
          this.devices > 0,
          html`<p class="sub">${this.devices > 0 ? words.devicesThere(this.devices) : words.deviceText}</p>
            <div class="actions"><button class="button" @click=${() => this.go('devices')}>${strings.devices.add}</button></div>`,
        )}
        ${this.#step(
          3,
          words.channel,
          this.channels > 0,
          html`<p class="sub">${this.channels > 0 ? words.channelsThere(this.channels) : words.channelText}</p>
            <div class="actions"><button class="button" @click=${() => this.go('channels')}>${strings.pages.channels}</button></div>`,
        )}
      </ol>`;
  }

  #step(number: number, title: string, done: boolean, body: TemplateResult): TemplateResult {
    return html`<li class="card step" data-testid=${`step-${number}`} data-done=${done ? 'yes' : 'no'}>
      <span class="number" ?data-done=${done} aria-hidden="true">${done ? icons.check : number}</span>
      <div class="body">
        <h2>${title} ${done ? html`<span class="tag ok">${strings.setup.done}</span>` : nothing}</h2>
        ${body}
      </div>
    </li>`;
  }

  #modelStep(): TemplateResult {
    const words = strings.setup;
    const may = this.gateway.has('config.patch') && this.gateway.may('operator.admin');
    return html`
      <p class="sub">${this.model === null ? words.echo : this.broken ? words.broken(this.model) : words.answers(this.model)}</p>
      ${may ? (this.#settled ? this.#chosen() : this.#form()) : html`<p class="sub">${words.byHand(this.path)}</p><pre tabindex="0">${JSON.stringify(patchOf(this.form), null, 2)}</pre>`}
    `;
  }

  /** A model answers, and nobody wants another one. */
  get #settled(): boolean {
    return this.model !== null && !this.broken && this.outcome === null && !this.changing;
  }

  #chosen(): TemplateResult {
    return html`<div class="actions">
      <button class="button primary" data-testid="setup-chat" @click=${() => this.go('chat')}>${strings.setup.chat}</button>
      <button class="button" data-testid="setup-another" @click=${this.#another}>${strings.setup.another}</button>
    </div>`;
  }

  #another = async (): Promise<void> => {
    this.changing = true;
    await this.updateComplete;
    this.renderRoot.querySelector<HTMLElement>('[data-testid=setup-provider]')?.focus();
  };

  #form(): TemplateResult {
    const words = strings.setup;
    const { form } = this;
    const wrong = this.tried ? problemsOf(form) : [];
    const at = PROVIDERS.indexOf(form.provider);
    const note = (field: 'address' | 'key' | 'model') => (wrong.includes(field) ? html`<span class="wrong" id="wrong-${field}">${words.wrong[field]}</span>` : nothing);
    const input = (field: 'address' | 'key' | 'model', type: string) => html`<input
      class="field"
      data-testid=${`setup-${field}`}
      type=${type}
      autocomplete="off"
      spellcheck="false"
      autocapitalize="off"
      aria-invalid=${wrong.includes(field) ? 'true' : 'false'}
      aria-describedby=${wrong.includes(field) ? `wrong-${field}` : nothing}
      .value=${form[field]}
      @input=${(event: Event) => this.#set({ [field]: (event.target as HTMLInputElement).value })}
    />`;
    return html`<form @submit=${this.#save} novalidate>
      <label>
        ${words.provider}
        <select class="field" data-testid="setup-provider" @change=${(event: Event) => this.#choose(Number((event.target as HTMLSelectElement).value))}>
          ${PROVIDERS.map((choice, index) => html`<option value=${index} ?selected=${index === at}>${choice.name === '' ? words.own : choice.name}</option>`)}
        </select>
      </label>
      <label>${words.modelName}${input('model', 'text')}${note('model')}</label>
      ${form.provider.address === null ? nothing : html`<label>${words.address}${input('address', 'url')}${note('address')}</label>`}
      <label>
        ${form.provider.needsKey ? words.key : words.keyOptional}${input('key', 'password')}${note('key')}
        ${form.provider.keys === null || wrong.includes('key') ? nothing : html`<span class="note">${words.keyFrom(form.provider.keys)}</span>`}
      </label>
      <div class="actions">
        <button class=${this.outcome?.ok ? 'button' : 'button primary'} data-testid="setup-save" ?disabled=${this.busy !== null}>${this.busy === null ? words.save : words.trying}</button>
        ${this.outcome === null
          ? nothing
          : html`<span class=${this.outcome.ok ? 'done' : 'bad'} role="status" data-testid="setup-outcome" data-ok=${this.outcome.ok ? 'yes' : 'no'}>${this.outcome.text}</span>`}
        ${this.outcome?.ok || this.model !== null ? html`<button type="button" class=${this.outcome?.ok ? 'button primary' : 'button'} data-testid="setup-chat" @click=${() => this.go('chat')}>${words.chat}</button>` : nothing}
      </div>
    </form>`;
  }

  #choose(index: number): void {
    const provider = PROVIDERS[index] ?? PROVIDERS[0]!;
    this.form = { provider, address: provider.address ?? '', key: '', model: provider.example };
    this.tried = false;
    this.outcome = null;
    this.#touched = true;
  }

  #set(change: Partial<ModelForm>): void {
    this.form = { ...this.form, ...change };
    this.#touched = true;
  }

  async #save(event: Event): Promise<void> {
    event.preventDefault();
    this.tried = true;
    this.outcome = null;
    if (problemsOf(this.form).length > 0) return;
    const { form } = this;
    await this.act('save', async () => {
      const base = this.hash === null ? {} : { baseHash: this.hash };
      await this.ask('config.patch', { raw: JSON.stringify(patchOf(form)), ...base });
      // It is written; the key need not stay in the page.
      this.#set({ key: '' });
      this.tried = false;
      this.outcome = await this.#probe(providerId(form));
    });
  }

  /** Whether the provider answers now. */
  async #probe(provider: string): Promise<{ ok: boolean; text: string }> {
    const words = strings.setup;
    if (!this.gateway.has('models.probe')) return { ok: true, text: words.written };
    const answer = asObject(await this.ask('models.probe', { provider }));
    if (answer['status'] === 'ok') return { ok: true, text: words.works };
    return { ok: false, text: words.fails(asText(answer['error']) ?? String(answer['status'])) };
  }
}

customElements.define('oc-page-setup', SetupPage);
