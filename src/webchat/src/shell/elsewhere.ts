import { LitElement, css, html } from 'lit';
import type { Place } from '../gateway/place';
import { strings } from '../strings';
import { shared } from '../styles/shared';
import { cardStyles } from './card-styles';

/**
 * `<oc-elsewhere>`: asks whether the page may connect to another gateway than its own. Nothing has been sent to it yet.
 * Fires `confirm` and `leave`.
 */
export class ElsewhereElement extends LitElement {
  static override properties = { place: { attribute: false } };
  declare place: Place;

  static override styles = [
    shared,
    cardStyles,
    css`
      .host {
        margin: 0 0 1rem;
        padding: 0.7rem 0.9rem;
        border: 1px solid var(--line);
        border-radius: 12px;
        background: var(--code);
        color: var(--text);
        font: 600 1.05rem var(--mono);
        overflow-wrap: anywhere;
      }

      .row {
        flex-wrap: wrap;
        margin: 1.2rem 0 0;
      }
    `,
  ];

  protected override render() {
    const words = strings.elsewhere;
    return html`<section data-testid="elsewhere" aria-labelledby="title">
      <h2 id="title">${words.title}</h2>
      <p>${words.text}</p>
      <p class="host" data-testid="elsewhere-host">${this.place.url}</p>
      <p>${words.secrets}</p>
      <div class="row">
        <button class="button" data-testid="elsewhere-leave" @click=${() => this.dispatchEvent(new CustomEvent('leave'))}>${words.leave}</button>
        <button class="button primary" data-testid="elsewhere-confirm" @click=${() => this.dispatchEvent(new CustomEvent('confirm'))}>
          ${words.confirm(this.place.host)}
        </button>
      </div>
    </section>`;
  }
}

customElements.define('oc-elsewhere', ElsewhereElement);
