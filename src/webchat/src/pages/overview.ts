import { css, html, nothing } from 'lit';
import { bytes, count, duration } from '../format';
import { asList, asNumber, asObject, asText, type Json } from '../gateway/frames';
import { icons } from '../shell/icons';
import { strings } from '../strings';
import { PageElement } from './page';
import { SAMPLES, plot } from './plot';

const SAMPLE_MS = 1_000;
/** Memory and connections do not change faster than this is worth asking. */
const ASK_EVERY = 2;

/** `<oc-page-overview>`: how the gateway is now, and how it has been while this page was open. */
export class OverviewPage extends PageElement {
  static override properties = { status: { state: true }, health: { state: true }, presence: { state: true }, series: { state: true } };
  declare status: Json;
  declare health: Json;
  declare presence: readonly Json[];
  /** One value a second, the newest last. */
  declare series: { events: number[]; connections: number[]; memory: number[]; answer: number[] };

  #events = 0;
  #ticks = 0;
  #timer: ReturnType<typeof setInterval> | null = null;
  #statusAt = 0;

  constructor() {
    super();
    this.status = {};
    this.health = {};
    this.presence = [];
    this.series = { events: [], connections: [], memory: [], answer: [] };
  }

  static override styles = PageElement.pageStyles(css`
    .tiles {
      display: grid;
      grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr));
      gap: 0.8rem;
    }

    .tile {
      display: flex;
      flex-direction: column;
      gap: 0.1rem;
      min-height: 7.4rem;
      padding: 0.9rem 1rem 0;
      overflow: hidden;
    }

    .name {
      color: var(--muted);
      font-size: 0.82rem;
    }

    .value {
      margin: 0;
      font-size: 1.45rem;
      font-variant-numeric: tabular-nums;
      font-weight: 600;
      letter-spacing: -0.015em;
    }

    .value small {
      color: var(--muted);
      font-size: 0.82rem;
      font-weight: 450;
      letter-spacing: 0;
    }

    .plot {
      display: block;
      width: calc(100% + 2rem);
      height: 2.6rem;
      margin: auto -1rem 0;
      stroke: none;
    }

    .plot .line {
      fill: none;
      stroke: var(--accent);
      stroke-width: 1.5;
      vector-effect: non-scaling-stroke;
    }

    .plot .area {
      fill: var(--plot);
    }

    @media (max-width: 40rem) {
      .tiles {
        grid-template-columns: repeat(2, minmax(0, 1fr));
      }

      .tile {
        min-height: 6.6rem;
      }
    }

    .health {
      display: flex;
      align-items: center;
      gap: 0.8rem;
    }

    .health svg {
      flex: none;
      width: 1.5rem;
      height: 1.5rem;
      color: var(--ok);
    }

    .health[data-bad] svg {
      color: var(--danger);
    }
  `);

  protected override readonly causes = /^presence$/;

  override connectedCallback(): void {
    super.connectedCallback();
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  protected override heard(event: string, payload: Json): void {
    this.#events += 1;
    if (event === 'health') this.health = payload;
  }

  protected override async load(): Promise<void> {
    const [health, presence] = await Promise.all([this.ask('health'), this.gateway.has('system-presence') ? this.ask('system-presence') : [], this.#askStatus()]);
    this.health = asObject(health);
    this.presence = asList(presence).map(asObject).filter((row) => row['reason'] !== 'disconnect');
  }

  async #askStatus(): Promise<void> {
    if (!this.gateway.has('status')) return;
    const asked = performance.now();
    this.status = asObject(asObject(await this.ask('status'))['gateway']);
    this.#push('answer', performance.now() - asked);
    this.#statusAt = Date.now();
    this.#push('connections', asNumber(this.status['connections']));
    this.#push('memory', asNumber(this.status['rssBytes']));
  }

  #push(name: keyof OverviewPage['series'], value: number | null): void {
    if (value !== null) this.series = { ...this.series, [name]: [...this.series[name], value].slice(-SAMPLES) };
  }

  #sample(): void {
    this.#push('events', this.#events);
    this.#events = 0;
    this.#ticks += 1;
    if (this.online && document.visibilityState === 'visible' && this.#ticks % ASK_EVERY === 0) void this.#askStatus().catch(() => {});
  }

  protected override content() {
    const words = strings.overview;
    const ok = this.health['ok'] !== false;
    const uptime = asNumber(this.status['uptimeMs']);
    const { series } = this;
    const answer = series.answer.at(-1);
    const memory = series.memory.at(-1);
    return html`
      <div class="card health" ?data-bad=${!ok} data-testid="health" role="status">
        ${ok ? icons.check : icons.alert}
        <div class="main">
          <h2>${ok ? words.well : words.unwell}</h2>
          <p class="sub">${ok ? words.wellText : (asText(this.health['reason']) ?? strings.unhealthy)}</p>
        </div>
      </div>
      <div class="tiles">
        ${this.#tile(words.uptime, uptime === null ? '–' : duration(uptime + Math.max(0, Date.now() - this.#statusAt)), null, asText(this.gateway.hello?.version ?? null))}
        ${memory === undefined ? nothing : this.#tile(words.memory, bytes(memory), series.memory)}
        ${this.#tile(words.connections, count(series.connections.at(-1) ?? 0), series.connections)}
        ${this.#tile(words.events, count(series.events.at(-1) ?? 0), series.events, words.perSecond)}
        ${this.#tile(words.answer, answer === undefined ? '–' : answer < 10 ? answer.toFixed(1) : String(Math.round(answer)), series.answer, 'ms')}
        ${this.#tile(words.runs, count(asNumber(this.status['activeRuns']) ?? 0), null)}
      </div>
      <section>
        <h2>${words.here}</h2>
        <ul class="list" data-testid="presence">
          ${this.presence.map((row) => this.#present(row))}
        </ul>
      </section>
    `;
  }

  #tile(name: string, value: string, series: readonly number[] | null, unit: string | null = null) {
    return html`<div class="card tile">
      <div class="name">${name}</div>
      <div class="value">${value}${unit === null ? nothing : html` <small>${unit}</small>`}</div>
      ${series === null ? nothing : plot(series, name)}
    </div>`;
  }

  #present(row: Json) {
    const details = [asText(row['platform']), asText(row['version']), asText(row['ip'])].filter((text) => text !== null && text !== '');
    return html`<li>
      <div class="main">
        <h3>${asText(row['host']) ?? asText(row['text']) ?? ''}</h3>
        <p class="sub">${details.join(' · ')}</p>
      </div>
      <span class="tag">${asText(row['mode']) ?? ''}</span>
    </li>`;
  }
}

customElements.define('oc-page-overview', OverviewPage);
