import { LitElement, css, html } from 'lit';
import type { Connection } from '../gateway/client';
import { shared } from '../styles/shared';
import { strings } from '../strings';

/** `<oc-pill>`: whether the page is connected, always in words. */
export class PillElement extends LitElement {
  static override properties = { connection: { attribute: false } };
  declare connection: Connection;

  static override styles = [
    shared,
    css`
      :host {
        display: inline-flex;
      }

      .pill {
        display: inline-flex;
        align-items: center;
        gap: 0.45rem;
        padding: 0.2rem 0.7rem;
        border-radius: 999px;
        background: var(--raised);
        color: var(--muted);
        font-size: 0.78rem;
        white-space: nowrap;
      }

      i {
        width: 0.5rem;
        height: 0.5rem;
        border-radius: 50%;
        background: var(--muted);
      }

      [data-phase='online'] i {
        background: var(--ok);
      }

      [data-phase='connecting'] i,
      [data-phase='waiting'] i {
        background: var(--warn);
        animation: blink 1.4s ease-in-out infinite;
      }

      [data-phase='refused'] i {
        background: var(--danger);
      }

      /* Beside a name there is no room for words that say that all is well. */
      @media (max-width: 30rem) {
        [data-phase='online'] {
          padding: 0.45rem;
        }

        [data-phase='online'] span {
          position: absolute;
          width: 1px;
          height: 1px;
          overflow: hidden;
          clip-path: inset(50%);
        }
      }

      @keyframes blink {
        50% {
          opacity: 0.25;
        }
      }
    `,
  ];

  protected override render() {
    const { connection } = this;
    return html`<span class="pill" role="status" data-testid="connection" data-phase=${connection.phase}><i></i><span>${label(connection)}</span></span>`;
  }
}

function label(connection: Connection): string {
  const words = strings.connection;
  return connection.phase === 'waiting' ? words.waiting[connection.cause] : words[connection.phase];
}

customElements.define('oc-pill', PillElement);
