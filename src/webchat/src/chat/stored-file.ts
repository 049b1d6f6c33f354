import { LitElement, css, html, nothing } from 'lit';
import { bytes } from '../format';
import { icons } from '../shell/icons';
import { shared } from '../styles/shared';
import { strings } from '../strings';
import type { Artifact, ArtifactQuestion } from './artifacts';

const words = () => strings.message;

/** `<oc-stored-file>`: a file that the gateway keeps. A picture is shown, any other is fetched when it is wanted. */
export class StoredFileElement extends LitElement {
  static override properties = { artifact: {}, name: {}, size: { attribute: false }, picture: { type: Boolean }, file: { state: true }, state: { state: true } };
  declare artifact: string;
  declare name: string;
  declare size: number | null;
  declare picture: boolean;
  declare file: Artifact | null;
  declare state: 'idle' | 'loading' | 'failed';

  constructor() {
    super();
    this.artifact = '';
    this.name = '';
    this.size = null;
    this.picture = false;
    this.file = null;
    this.state = 'idle';
  }

  static override styles = [
    shared,
    css`
      :host {
        display: block;
      }

      img {
        display: block;
        max-width: 100%;
        max-height: 24rem;
        border-radius: var(--radius);
      }

      .place {
        display: grid;
        place-items: center;
        width: 12rem;
        max-width: 100%;
        height: 8rem;
        border-radius: var(--radius);
        background: var(--raised);
        color: var(--muted);
        font-size: 0.85rem;
        text-align: center;
      }

      .file {
        display: flex;
        align-items: center;
        gap: 0.5rem;
        max-width: 100%;
        padding: 0.35rem 0.6rem;
        border-radius: 10px;
        background: var(--raised);
        font-size: 0.9rem;
        text-align: start;
      }

      .file span {
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }

      .file small {
        flex: none;
        color: var(--muted);
      }
    `,
  ];

  override connectedCallback(): void {
    super.connectedCallback();
    if (this.picture && this.file === null) void this.#fetch();
  }

  protected override render() {
    if (this.picture && this.file !== null) {
      return html`<a href=${this.file.url} target="_blank" rel="noopener" download=${this.name} title=${words().save(this.name)}><img data-testid="picture" src=${this.file.url} alt=${this.name} /></a>`;
    }
    if (this.picture) {
      return this.state === 'failed'
        ? html`<button class="place" @click=${() => void this.#fetch()}>${this.name}<br />${words().notLoaded}</button>`
        : html`<div class="place" role="img" aria-label=${this.name}></div>`;
    }
    const size = this.size === null ? nothing : html`<small>${bytes(this.size)}</small>`;
    return html`<button class="file" data-testid="file" ?disabled=${this.state === 'loading'} title=${words().save(this.name)} @click=${() => void this.#save()}>
      ${icons.file}<span>${this.name}</span>${size} ${this.state === 'failed' ? html`<small role="alert">${words().notLoaded}</small>` : nothing}
    </button>`;
  }

  async #fetch(): Promise<Artifact | null> {
    this.state = 'loading';
    try {
      this.file = await this.#ask();
      this.state = 'idle';
      return this.file;
    } catch {
      this.state = 'failed';
      return null;
    }
  }

  #ask(): Promise<Artifact> {
    return new Promise((resolve, reject) => {
      const answer = (file: Promise<Artifact>) => void file.then(resolve, reject);
      const detail: ArtifactQuestion = { id: this.artifact, answer };
      this.dispatchEvent(new CustomEvent('artifact', { detail, bubbles: true, composed: true }));
    });
  }

  async #save(): Promise<void> {
    const file = await this.#fetch();
    if (file === null) return;
    const link = document.createElement('a');
    link.href = file.url;
    link.download = this.name;
    link.click();
  }
}

customElements.define('oc-stored-file', StoredFileElement);
