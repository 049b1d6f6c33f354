/** Questions to the person: a confirmation, or one line of text. The browser's own modal dialog keeps the focus inside. */
import { LitElement, css, html, nothing } from 'lit';
import { shared } from '../styles/shared';
import { strings } from '../strings';

export interface Question {
  title: string;
  text?: string;
  /** Lines that belong to the question, such as what a device asks for. */
  points?: readonly string[];
  /** With a label, a line of text is asked for. */
  field?: { label: string; value: string; maxLength?: number };
  confirm: string;
  danger?: boolean;
}

export class DialogElement extends LitElement {
  static override properties = { question: { attribute: false } };
  declare question: Question;
  answer: (value: string | null) => void = () => {};

  static override styles = [
    shared,
    css`
      dialog {
        width: min(27rem, calc(100vw - 2rem));
        padding: 1.3rem 1.4rem 1.1rem;
        border: 1px solid var(--line);
        border-radius: 18px;
        background: var(--surface);
        color: var(--text);
        box-shadow: var(--shadow);
      }

      dialog::backdrop {
        background: #0007;
      }

      h2 {
        margin: 0 0 0.4rem;
        font-size: 1.08rem;
        font-weight: 620;
        overflow-wrap: anywhere;
      }

      p,
      li {
        color: var(--muted);
        font-size: 0.93rem;
        overflow-wrap: anywhere;
      }

      p {
        margin: 0 0 0.6rem;
        white-space: pre-line;
      }

      ul {
        margin: 0 0 0.6rem;
        padding-left: 1.2rem;
      }

      label {
        display: grid;
        gap: 0.3rem;
        font-size: 0.88rem;
      }

      .actions {
        display: flex;
        justify-content: flex-end;
        gap: 0.5rem;
        margin-top: 1.1rem;
      }
    `,
  ];

  protected override render() {
    const { title, text, points, field, confirm, danger } = this.question;
    return html`<dialog aria-labelledby="title" @close=${this.#closed}>
      <form method="dialog" @submit=${this.#submit}>
        <h2 id="title">${title}</h2>
        ${text ? html`<p>${text}</p>` : nothing}
        ${points && points.length > 0 ? html`<ul>${points.map((point) => html`<li>${point}</li>`)}</ul>` : nothing}
        ${field
          ? html`<label>${field.label}<input class="field" .value=${field.value} maxlength=${field.maxLength ?? 200} autocomplete="off" /></label>`
          : nothing}
        <div class="actions">
          <button type="button" class="button quiet" @click=${() => this.#dialog.close()}>${strings.cancel}</button>
          <button type="submit" class=${danger ? 'button danger' : 'button primary'} data-testid="confirm">${confirm}</button>
        </div>
      </form>
    </dialog>`;
  }

  protected override firstUpdated(): void {
    this.#dialog.showModal();
    const input = this.renderRoot.querySelector('input');
    input?.focus();
    input?.select();
  }

  get #dialog(): HTMLDialogElement {
    return this.renderRoot.querySelector('dialog')!;
  }

  #submit(event: Event): void {
    event.preventDefault();
    this.answer(this.renderRoot.querySelector('input')?.value.trim() ?? '');
    this.#dialog.close();
  }

  #closed(): void {
    this.answer(null);
    this.remove();
  }
}

customElements.define('oc-dialog', DialogElement);

/** The text that was entered (empty for a plain confirmation); `null`: the person thought better of it. */
export function ask(question: Question): Promise<string | null> {
  return new Promise((resolve) => {
    const dialog = document.createElement('oc-dialog') as DialogElement;
    dialog.question = question;
    dialog.answer = resolve;
    document.body.append(dialog);
  });
}
