import { css, html, nothing } from 'lit';
import { list } from '../list';
import { clockWithSeconds } from '../format';
import { asList, asNumber, asObject, asText } from '../gateway/frames';
import { strings } from '../strings';
import { LEVELS, filterLines, readLine, type Level, type LogLine } from './log-lines';
import { PageElement } from './page';

/** How often new lines are asked for. */
const FOLLOW_MS = 1_000;
/** Older lines are let go. */
const KEPT = 2_000;
/** Lines that are drawn at once. */
const DRAWN = 500;

/** `<oc-page-logs>`: what the gateway writes down, as it writes it. */
export class LogsPage extends PageElement {
  static override properties = {
    lines: { state: true },
    level: { state: true },
    text: { state: true },
    follow: { state: true },
    file: { state: true },
  };
  declare lines: readonly LogLine[];
  /** The least level that is shown. */
  declare level: Level;
  declare text: string;
  declare follow: boolean;
  declare file: string;

  #cursor: number | null = null;
  #timer: ReturnType<typeof setInterval> | null = null;
  #asking = false;
  #next = 0;

  constructor() {
    super();
    this.lines = [];
    this.level = 'info';
    this.text = '';
    this.follow = true;
    this.file = '';
  }

  static override styles = PageElement.pageStyles(css`
    :host {
      overflow: hidden;
    }

    .page {
      height: 100%;
      max-width: none;
      padding-bottom: 0.9rem;
    }

    .bar {
      display: flex;
      flex-wrap: wrap;
      align-items: end;
      gap: 0.7rem;
    }

    .bar .field {
      min-height: 2.25rem;
    }

    .bar label:nth-child(2) {
      flex: 1 1 12rem;
    }

    .check {
      display: flex;
      align-items: center;
      gap: 0.5rem;
      min-height: 2.25rem;
    }

    .lines {
      flex: 1;
      min-height: 8rem;
      margin: 0;
      padding: 0.6rem 0.2rem;
      border: 1px solid var(--line);
      border-radius: var(--radius);
      background: var(--surface);
      font: 0.79rem/1.55 var(--mono);
      overflow: auto;
      list-style: none;
    }

    .lines li {
      display: grid;
      grid-template-columns: 5.2rem 3.4rem minmax(0, 1fr);
      gap: 0.6rem;
      padding: 0.08rem 0.8rem;
    }

    .lines time,
    .fields {
      color: var(--muted);
    }

    .text {
      overflow-wrap: anywhere;
      white-space: pre-wrap;
    }

    .level {
      color: var(--muted);
      text-transform: uppercase;
    }

    [data-level='warn'] .level {
      color: var(--warn);
    }

    [data-level='error'] .level,
    [data-level='error'] .text {
      color: var(--danger);
    }

    @media (max-width: 40rem) {
      .lines li {
        grid-template-columns: auto 1fr;
        padding: 0.25rem 0.7rem;
      }

      .text {
        grid-column: 1 / -1;
      }
    }
  `);

  override connectedCallback(): void {
    super.connectedCallback();
    this.#timer = setInterval(() => {
      if (this.follow && this.online && document.visibilityState === 'visible') void this.reload();
    }, FOLLOW_MS);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  protected override async load(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    try {
      const answer = asObject(await this.ask('logs.tail', this.#cursor === null ? { limit: 500 } : { cursor: this.#cursor, limit: 500 }));
      const fresh = asList(answer['lines']).flatMap((line) => (typeof line === 'string' ? [readLine(line, this.#next++)] : []));
      const kept = answer['reset'] === true && this.#cursor !== null ? [] : this.lines;
      this.#cursor = asNumber(answer['cursor']);
      this.file = asText(answer['file']) ?? '';
      if (fresh.length > 0 || kept !== this.lines) this.lines = [...kept, ...fresh].slice(-KEPT);
    } finally {
      this.#asking = false;
    }
  }

  protected override updated(): void {
    const list = this.renderRoot.querySelector('.lines');
    if (list && this.follow) list.scrollTop = list.scrollHeight;
  }

  protected override content() {
    const words = strings.logs;
    const shown = filterLines(this.lines, this.level, this.text).slice(-DRAWN);
    return html`
      <div class="bar">
        <label>
          ${words.level}
          <select class="field" data-testid="log-level" @change=${(event: Event) => (this.level = (event.target as HTMLSelectElement).value as Level)}>
            ${LEVELS.map((level) => html`<option value=${level} ?selected=${level === this.level}>${words.levels[level]}</option>`)}
          </select>
        </label>
        <label>
          ${words.filter}
          <input class="field" type="search" data-testid="log-filter" .value=${this.text} @input=${(event: Event) => (this.text = (event.target as HTMLInputElement).value)} />
        </label>
        <label class="check">
          <input type="checkbox" data-testid="log-follow" .checked=${this.follow} @change=${(event: Event) => (this.follow = (event.target as HTMLInputElement).checked)} />
          ${words.follow}
        </label>
      </div>
      <ol class="lines" tabindex="0" aria-label=${strings.pages.logs} data-testid="log-lines">
        ${list(
          shown,
          (line) => line.id,
          (line) => html`<li data-level=${line.level}>
            <time>${line.at === null ? '' : clockWithSeconds(line.at)}</time><span class="level">${line.level}</span>
            <span class="text">${line.text}${line.fields === '' ? nothing : html` <span class="fields">${line.fields}</span>`}</span>
          </li>`,
        )}
      </ol>
      <p class="sub">${this.file === '' ? nothing : words.file(this.file)} ${words.shown(shown.length)}</p>
    `;
  }
}

customElements.define('oc-page-logs', LogsPage);
