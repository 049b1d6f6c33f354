import { LitElement, html, nothing, type PropertyValues } from 'lit';
import { bytes } from '../format';
import { usableStore } from '../gateway/credentials';
import { icons } from '../shell/icons';
import { shared } from '../styles/shared';
import { strings } from '../strings';
import { MAX_FILES, filesOf, readFiles, type Attachment } from './attachments';
import { matching, type Command } from './catalog';
import { composerStyles } from './composer-styles';

const words = () => strings.composer;
const TALLEST_PX = 220;

/** `<oc-composer>`: where a message is written. Fires `send` (detail: the text) and `stop`. */
export class ComposerElement extends LitElement {
  static override properties = {
    agent: {},
    session: {},
    running: { attribute: false },
    online: { type: Boolean },
    commands: { attribute: false },
    maxBytes: { attribute: false },
    text: { state: true },
    files: { state: true },
    chosen: { state: true },
    over: { state: true },
    editing: { state: true },
    trouble: { state: true },
  };
  declare agent: string;
  /** The draft is kept per session. */
  declare session: string;
  declare running: 'no' | 'running' | 'stopping';
  declare online: boolean;
  declare commands: readonly Command[];
  /** How large a file may be; `null` where the gateway takes none. */
  declare maxBytes: number | null;
  declare text: string;
  declare files: readonly Attachment[];
  /** The command that Enter takes; -1 while the list is closed. */
  declare chosen: number;
  /** Something is being dragged over the field. */
  declare over: boolean;
  /** The text is that of an earlier message. */
  declare editing: boolean;
  declare trouble: string | null;

  constructor() {
    super();
    this.agent = '';
    this.session = '';
    this.running = 'no';
    this.online = false;
    this.commands = [];
    this.maxBytes = null;
    this.text = '';
    this.files = [];
    this.chosen = -1;
    this.over = false;
    this.editing = false;
    this.trouble = null;
  }

  static override styles = [shared, composerStyles];

  override focus(): void {
    this.#area?.focus();
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (!changed.has('session')) return;
    this.text = drafts().getItem(this.#draftKey) ?? '';
    this.files = [];
    this.editing = false;
    this.trouble = null;
    this.chosen = -1;
  }

  /** Puts an earlier message back into the field, to be changed and sent again. */
  edit(text: string, files: readonly Attachment[] = []): void {
    this.#write(text);
    this.files = files;
    this.editing = true;
    this.focus();
    void this.updateComplete.then(() => this.#area?.setSelectionRange(text.length, text.length));
  }

  protected override updated(): void {
    const area = this.#area;
    if (!area) return;
    area.style.height = 'auto';
    area.style.height = `${Math.min(area.scrollHeight, TALLEST_PX)}px`;
    area.style.overflowY = area.scrollHeight > TALLEST_PX ? 'auto' : 'hidden';
  }

  protected override render() {
    const empty = this.text.trim() === '' && this.files.length === 0;
    const stoppable = this.running !== 'no';
    const listed = this.#listed();
    return html`
      <div class="box" ?data-over=${this.over} @dragover=${this.#drag} @dragleave=${() => (this.over = false)} @drop=${this.#drop}>
        ${listed.length > 0 ? this.#commands(listed) : nothing}
        <form @submit=${this.#submit}>
          ${this.#notes()} ${this.files.length > 0 ? this.#files() : nothing}
          <div class="row">
            ${this.maxBytes === null ? html`<span></span>` : this.#attach()}
            <label class="sr-only" for="message">${words().label}</label>
            <textarea
              id="message"
              data-testid="composer"
              rows="1"
              autocomplete="off"
              enterkeyhint="send"
              aria-describedby="hint"
              role="combobox"
              aria-expanded=${listed.length > 0 ? 'true' : 'false'}
              aria-controls="commands"
              aria-autocomplete="list"
              aria-activedescendant=${listed.length > 0 ? `command-${this.chosen}` : nothing}
              placeholder=${words().placeholder(this.agent)}
              .value=${this.text}
              @input=${this.#input}
              @keydown=${this.#key}
              @paste=${this.#paste}
            ></textarea>
            ${stoppable ? this.#stop() : nothing}
            ${stoppable && empty
              ? nothing
              : html`<button type="submit" class="round" data-testid="send" ?disabled=${empty} title=${words().send} aria-label=${words().send}>
                  ${icons.send}
                </button>`}
          </div>
        </form>
      </div>
      <div class="hint" id="hint">${this.online ? (stoppable ? words().hintRunning : words().hint) : words().offline}</div>
    `;
  }

  #stop() {
    const label = this.running === 'stopping' ? words().stopping : words().stop;
    return html`<button
      type="button"
      class="round stop"
      data-testid="stop"
      ?disabled=${this.running === 'stopping' || !this.online}
      title=${label}
      aria-label=${label}
      @click=${() => this.dispatchEvent(new CustomEvent('stop'))}
    >
      ${icons.stop}
    </button>`;
  }

  #attach() {
    return html`<button type="button" class="icon attach" title=${words().attach} aria-label=${words().attach} @click=${() => this.renderRoot.querySelector<HTMLInputElement>('#files')!.click()}>
        ${icons.clip}
      </button>
      <input id="files" data-testid="files" type="file" multiple hidden tabindex="-1" aria-label=${words().attach} @change=${this.#picked} />`;
  }

  #notes() {
    return html`
      ${this.editing
        ? html`<div class="note">
            <span>${words().editing}</span>
            <button type="button" class="button quiet" @click=${this.#leaveEdit}>${strings.cancel}</button>
          </div>`
        : nothing}
      ${this.trouble === null ? nothing : html`<div class="note" data-bad role="alert"><span>${this.trouble}</span></div>`}
    `;
  }

  #files() {
    return html`<ul class="files" aria-label=${words().attached}>
      ${this.files.map(
        (file, index) => html`<li ?data-picture=${file.preview !== null} title=${file.fileName}>
          ${file.preview === null ? html`${icons.file}<span>${file.fileName}</span>` : html`<img src=${file.preview} alt=${file.fileName} />`}
          <button type="button" title=${words().detach(file.fileName)} aria-label=${words().detach(file.fileName)} @click=${() => this.#detach(index)}>${icons.close}</button>
        </li>`,
      )}
    </ul>`;
  }

  #commands(listed: readonly Command[]) {
    return html`<ul class="commands" id="commands" role="listbox" aria-label=${words().commands} data-testid="commands">
      ${listed.map(
        (command, index) => html`<li
          id=${`command-${index}`}
          role="option"
          aria-selected=${index === this.chosen ? 'true' : 'false'}
          @pointerdown=${(event: Event) => this.#takeCommand(event, command)}
        >
          <code>${command.text}</code><span>${command.description}</span>
        </li>`,
      )}
    </ul>`;
  }

  /** The commands that are offered now. */
  #listed(): readonly Command[] {
    return this.chosen < 0 ? [] : matching(this.commands, this.text);
  }

  get #area(): HTMLTextAreaElement | null {
    return this.renderRoot.querySelector('textarea');
  }

  get #draftKey(): string {
    return `openclaw.draft.${this.session}`;
  }

  #write(text: string): void {
    this.text = text;
    if (text === '') drafts().removeItem(this.#draftKey);
    else drafts().setItem(this.#draftKey, text);
  }

  #input(event: Event): void {
    this.#write((event.target as HTMLTextAreaElement).value);
    this.chosen = this.text.startsWith('/') ? 0 : -1;
  }

  #key(event: KeyboardEvent): void {
    // While an input method composes, Enter chooses a candidate.
    if (event.isComposing || event.keyCode === 229 || this.#commandKey(event)) return;
    if (event.key === 'Enter' && !event.shiftKey && !event.altKey) this.#submit(event);
    else if (event.key === 'Escape' && this.editing) this.#leaveEdit();
    else if (event.key === 'Escape' && this.running === 'running') this.dispatchEvent(new CustomEvent('stop'));
    else if (event.key === 'ArrowUp' && this.text === '') this.dispatchEvent(new CustomEvent('edit-last'));
  }

  /** Keys that the list of commands takes; a whole command goes out with Enter as any message does. */
  #commandKey(event: KeyboardEvent): boolean {
    const listed = this.#listed();
    const command = listed[Math.min(this.chosen, listed.length - 1)];
    if (command === undefined) return false;
    const whole = command.text === this.text.trim();
    if (event.key === 'ArrowDown') this.chosen = (this.chosen + 1) % listed.length;
    else if (event.key === 'ArrowUp') this.chosen = (this.chosen + listed.length - 1) % listed.length;
    else if (event.key === 'Escape') this.chosen = -1;
    else if (event.key === 'Tab' || (event.key === 'Enter' && !whole)) this.#takeCommand(event, command);
    else return false;
    event.preventDefault();
    return true;
  }

  #takeCommand(event: Event, command: Command): void {
    event.preventDefault();
    this.#write(`${command.text}${command.acceptsArgs ? ' ' : ''}`);
    this.chosen = -1;
    this.focus();
  }

  #leaveEdit(): void {
    this.editing = false;
    this.files = [];
    this.#write('');
    this.focus();
  }

  #paste(event: ClipboardEvent): void {
    const files = filesOf(event.clipboardData);
    if (files.length === 0 || this.maxBytes === null) return;
    event.preventDefault();
    void this.#add(files);
  }

  #drag(event: DragEvent): void {
    if (this.maxBytes === null || !event.dataTransfer?.types.includes('Files')) return;
    event.preventDefault();
    this.over = true;
  }

  #drop(event: DragEvent): void {
    event.preventDefault();
    this.over = false;
    if (this.maxBytes !== null) void this.#add(filesOf(event.dataTransfer));
  }

  #picked(event: Event): void {
    const input = event.target as HTMLInputElement;
    void this.#add([...(input.files ?? [])]);
    input.value = '';
  }

  async #add(files: readonly File[]): Promise<void> {
    const limit = this.maxBytes ?? 0;
    const { read, failed } = await readFiles(files, limit);
    const all = [...this.files, ...read];
    this.files = all.slice(0, MAX_FILES);
    const first = failed[0];
    this.trouble =
      all.length > MAX_FILES
        ? words().tooMany(MAX_FILES)
        : first === undefined
          ? null
          : first.reason === 'size'
            ? words().tooLarge(first.fileName, bytes(limit))
            : words().unreadable(first.fileName);
    this.focus();
  }

  #detach(index: number): void {
    this.files = this.files.filter((_, at) => at !== index);
    this.focus();
  }

  #submit(event: Event): void {
    event.preventDefault();
    const text = this.text.trim();
    const attachments = this.files;
    if (text === '' && attachments.length === 0) return;
    this.#write('');
    this.files = [];
    this.editing = false;
    this.trouble = null;
    this.chosen = -1;
    this.dispatchEvent(new CustomEvent('send', { detail: { text, attachments } }));
  }
}

/** Drafts live with the tab: a reload keeps what was being written. */
function drafts() {
  return usableStore(() => sessionStorage);
}

customElements.define('oc-composer', ComposerElement);
