/** A small menu at a button: arrows move, Escape or a click elsewhere closes, the focus returns to the button. */
import { LitElement, css, html, nothing, type TemplateResult } from 'lit';
import { shared } from '../styles/shared';

export interface MenuItem {
  label: string;
  icon?: TemplateResult;
  danger?: boolean;
  /** Of a choice: whether it is the present one. */
  chosen?: boolean;
  run: () => void;
}

const EDGE_PX = 8;

export class MenuElement extends LitElement {
  static override properties = { items: { attribute: false }, label: {} };
  declare items: readonly MenuItem[];
  declare label: string;
  anchor: HTMLElement | null = null;

  constructor() {
    super();
    this.items = [];
    this.label = '';
  }

  static override styles = [
    shared,
    css`
      :host {
        position: fixed;
        z-index: 20;
        min-width: 11rem;
        max-width: min(24rem, 92vw);
        max-height: 60vh;
        overflow-y: auto;
        padding: 0.3rem;
        border: 1px solid var(--line);
        border-radius: 12px;
        background: var(--surface);
        box-shadow: var(--shadow);
      }

      button {
        display: flex;
        align-items: center;
        gap: 0.6rem;
        width: 100%;
        min-height: 2.2rem;
        padding: 0.25rem 0.7rem;
        border-radius: 8px;
        font-size: 0.9rem;
        text-align: start;
      }

      button:hover,
      button:focus-visible {
        background: var(--raised);
        outline-offset: -2px;
      }

      button span {
        flex: 1;
        overflow-wrap: anywhere;
      }

      .danger {
        color: var(--danger);
      }

      svg {
        flex: none;
        width: 1rem;
        height: 1rem;
      }
    `,
  ];

  override connectedCallback(): void {
    super.connectedCallback();
    document.addEventListener('pointerdown', this.#outside, true);
    this.addEventListener('keydown', this.#key);
    window.addEventListener('resize', this.#close);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    document.removeEventListener('pointerdown', this.#outside, true);
    window.removeEventListener('resize', this.#close);
  }

  protected override render() {
    return html`<div role="menu" aria-label=${this.label}>
      ${this.items.map(
        (item) => html`<button
          role=${item.chosen === undefined ? 'menuitem' : 'menuitemradio'}
          aria-checked=${item.chosen === undefined ? nothing : item.chosen ? 'true' : 'false'}
          class=${item.danger ? 'danger' : ''}
          @click=${() => this.#run(item)}
        >
          ${item.icon ?? nothing}<span>${item.label}</span>
        </button>`,
      )}
    </div>`;
  }

  protected override firstUpdated(): void {
    const at = this.anchor?.getBoundingClientRect();
    if (at) {
      const { offsetWidth: width, offsetHeight: height } = this;
      const below = at.bottom + 4 + height < innerHeight - EDGE_PX;
      this.style.left = `${Math.max(EDGE_PX, Math.min(at.left, innerWidth - width - EDGE_PX))}px`;
      this.style.top = `${below ? at.bottom + 4 : Math.max(EDGE_PX, at.top - height - 4)}px`;
    }
    this.#buttons[0]?.focus();
  }

  get #buttons(): HTMLButtonElement[] {
    return [...this.renderRoot.querySelectorAll('button')];
  }

  #run(item: MenuItem): void {
    this.#close();
    item.run();
  }

  #close = (): void => {
    this.remove();
    this.anchor?.focus();
  };

  #outside = (event: Event): void => {
    if (!event.composedPath().includes(this)) this.remove();
  };

  #key = (event: KeyboardEvent): void => {
    const buttons = this.#buttons;
    const at = buttons.indexOf(this.shadowRoot!.activeElement as HTMLButtonElement);
    const steps: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 };
    if (event.key === 'Escape' || event.key === 'Tab') this.#close();
    else if (event.key in steps) buttons.at(steps[event.key]! % buttons.length)?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
}

customElements.define('oc-menu', MenuElement);

export function openMenu(anchor: HTMLElement, label: string, items: readonly MenuItem[]): void {
  document.querySelector('oc-menu')?.remove();
  const menu = document.createElement('oc-menu') as MenuElement;
  menu.anchor = anchor;
  menu.label = label;
  menu.items = items;
  document.body.append(menu);
}
