import { LitElement, html } from 'lit';
import { strings } from '../strings';

/** `<oc-countdown>`: "next try in 4 s". */
export class CountdownElement extends LitElement {
  static override properties = { until: { type: Number } };
  declare until: number;
  #timer: ReturnType<typeof setInterval> | null = null;

  constructor() {
    super();
    this.until = 0;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#timer = setInterval(() => this.requestUpdate(), 500);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  protected override render() {
    const seconds = Math.ceil((this.until - Date.now()) / 1_000);
    return html`${seconds > 0 ? strings.connection.retryIn(seconds) : strings.connection.retrying}`;
  }
}

customElements.define('oc-countdown', CountdownElement);
