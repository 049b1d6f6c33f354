import { LitElement, html, nothing, type PropertyValues } from 'lit';
import { list } from '../list';
import { longDay, sameDay } from '../format';
import { strings } from '../strings';
import './message';
import type { Row } from './state';

/**
 * `<oc-chunk>`: some rows of a conversation. Far from what is on the screen it is only a space of the same height, so
 * that a conversation of ten thousand messages costs no more than what can be seen of it.
 */
export class ChunkElement extends LitElement {
  static override properties = {
    rows: { attribute: false },
    previous: { attribute: false },
    agent: {},
    held: { attribute: false },
    queued: { attribute: false },
    near: { type: Boolean },
  };
  declare rows: readonly Row[];
  /** When the row before the first one was written. */
  declare previous: number | null;
  declare agent: string;
  /** Runs whose message has not gone out. */
  declare held: ReadonlySet<string | null>;
  /** Runs whose message waits for its turn. */
  declare queued: ReadonlySet<string | null>;
  declare near: boolean;

  constructor() {
    super();
    this.previous = null;
    this.agent = '';
    this.near = true;
  }

  /** Without a shadow root: the thread's styles reach in, and the text can be selected through. */
  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  protected override shouldUpdate(changed: PropertyValues<this>): boolean {
    if (!changed.has('rows') || changed.size > 1) return true;
    // Rows are never changed in place: the same ones need no rendering.
    const old = changed.get('rows') as readonly Row[] | undefined;
    return old === undefined || old.length !== this.rows.length || old.some((row, index) => row !== this.rows[index]);
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (!changed.has('near')) return;
    if (this.near) this.style.removeProperty('height');
    else if (this.isConnected) this.style.height = `${this.getBoundingClientRect().height}px`;
  }

  protected override render() {
    if (!this.near) return nothing;
    let day = this.previous;
    return list(
      this.rows,
      (row) => row.key,
      (row) => {
        const separator = row.at !== null && (day === null || !sameDay(day, row.at)) ? html`<div class="day">${dayName(row.at)}</div>` : nothing;
        day = row.at ?? day;
        const mine = row.role === 'user' && row.runId !== null;
        return html`${separator}<oc-message
            .row=${row}
            .agent=${this.agent}
            ?held=${mine && this.held.has(row.runId)}
            ?queued=${mine && this.queued.has(row.runId)}
          ></oc-message>`;
      },
    );
  }
}

function dayName(at: number): string {
  const now = Date.now();
  if (sameDay(at, now)) return strings.today;
  return sameDay(at, now - 86_400_000) ? strings.yesterday : longDay(at);
}

customElements.define('oc-chunk', ChunkElement);
