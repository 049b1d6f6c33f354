import { css, html, nothing, type TemplateResult } from 'lit';
import { ago, clockWithSeconds, dateTime, duration } from '../format';
import { asList, asNumber, asObject, asText, type Json } from '../gateway/frames';
import { icons } from '../shell/icons';
import { addressOf } from '../shell/routes';
import { strings } from '../strings';
import { ask } from '../ui/dialog';
import { openMenu } from '../ui/menu';
import { draftOf, emptyDraft, type Draft } from './cron-draft';
import './cron-form';
import { PageElement } from './page';

const JOBS = 200;
const RUNS = 10;

interface Runs {
  entries: readonly Json[];
  next: number | null;
}

/** `<oc-page-cron>`: jobs that run by the clock, how they went, and a form for new ones. */
export class CronPage extends PageElement {
  static override properties = {
    jobs: { state: true },
    total: { state: true },
    enabled: { state: true },
    editing: { state: true },
    open: { state: true },
    runs: { state: true },
    channels: { state: true },
    said: { state: true },
  };
  declare jobs: readonly Json[];
  declare total: number;
  /** Whether jobs run at all. */
  declare enabled: boolean;
  /** The job whose form is open; `null` within for a new one. */
  declare editing: { job: Json | null; draft: Draft } | null;
  /** The job whose runs are shown. */
  declare open: string | null;
  declare runs: Runs | null;
  declare channels: readonly string[];
  /** What came of the last press of a button, in words. */
  declare said: string | null;

  constructor() {
    super();
    this.jobs = [];
    this.total = 0;
    this.enabled = true;
    this.editing = null;
    this.open = null;
    this.runs = null;
    this.channels = [];
    this.said = null;
  }

  static override styles = PageElement.pageStyles(css`
    .list > li {
      align-items: flex-start;
    }

    .list h3 {
      display: flex;
      flex-wrap: wrap;
      align-items: center;
      gap: 0.5rem;
    }

    .paused h3 {
      color: var(--muted);
    }

    .what,
    .runs p {
      display: -webkit-box;
      overflow: hidden;
      -webkit-box-orient: vertical;
      -webkit-line-clamp: 2;
      white-space: pre-line;
    }

    .bad {
      color: var(--danger);
    }

    .fold {
      display: inline-flex;
      align-items: center;
      gap: 0.2rem;
      margin-top: 0.25rem;
      color: var(--muted);
      font-size: 0.85rem;
    }

    .fold:hover {
      color: var(--text);
    }

    .fold svg {
      width: 0.9rem;
      height: 0.9rem;
    }

    .fold[aria-expanded='true'] svg {
      rotate: 90deg;
    }

    .runs {
      flex: 1 1 100%;
      display: grid;
      gap: 0.5rem;
      margin: 0.2rem 0 0;
      padding: 0.7rem 0.9rem;
      border-radius: 10px;
      background: var(--raised);
      font-size: 0.86rem;
      list-style: none;
    }

    .runs li {
      display: grid;
      grid-template-columns: 6rem minmax(0, 1fr);
      gap: 0.1rem 0.8rem;
    }

    .runs p {
      grid-column: 2;
      margin: 0;
      overflow-wrap: anywhere;
    }

    .runs .tag {
      justify-self: start;
      background: var(--surface);
    }

    .runs .tag.ok {
      background: var(--ok-bg);
    }

    .runs .tag.bad {
      background: var(--danger-bg);
    }

    @media (max-width: 40rem) {
      .runs li {
        grid-template-columns: minmax(0, 1fr);
      }

      .runs p {
        grid-column: 1;
      }
    }
  `);

  protected override readonly causes = /^cron$/;

  protected override async load(): Promise<void> {
    const optional = async (method: string, params: Json) => (this.gateway.has(method) ? asObject(await this.ask(method, params)) : {});
    const [listed, status, channels] = await Promise.all([
      this.ask('cron.list', { includeDisabled: true, limit: JOBS, sortBy: 'nextRunAtMs' }),
      optional('cron.status', {}),
      optional('channels.status', { probe: false }),
    ]);
    this.jobs = asList(asObject(listed)['jobs']).map(asObject);
    this.total = asNumber(asObject(listed)['total']) ?? this.jobs.length;
    this.enabled = status['enabled'] !== false;
    this.channels = asList(channels['channelOrder']).filter((id): id is string => typeof id === 'string');
    if (this.open !== null) await this.#loadRuns(this.open, 0);
  }

  async #loadRuns(id: string, offset: number): Promise<void> {
    const answer = asObject(await this.ask('cron.runs', { id, limit: RUNS, offset }));
    if (this.open !== id) return;
    const entries = asList(answer['entries']).map(asObject);
    this.runs = { entries: offset === 0 ? entries : [...(this.runs?.entries ?? []), ...entries], next: asNumber(answer['nextOffset']) };
  }

  get #may(): boolean {
    return this.gateway.may('operator.admin') && this.gateway.has('cron.add');
  }

  protected override content() {
    const words = strings.cron;
    if (!this.ready) return nothing;
    const { editing } = this;
    return html`
      <div class="head">
        <p class="intro">${words.intro}</p>
        <span class="grow"></span>
        ${this.#may && editing === null ? html`<button class="button primary" data-testid="cron-new" @click=${() => this.#edit(null)}>${icons.plus}${words.add}</button>` : nothing}
      </div>
      ${this.enabled ? nothing : html`<div class="trouble" role="status">${icons.alert}<span>${words.off}</span></div>`}
      ${editing === null
        ? nothing
        : html`<oc-cron-form
            .draft=${editing.draft}
            .heading=${editing.job === null ? words.add : words.change}
            .channels=${this.channels}
            ?busy=${this.busy !== null}
            @save=${(event: CustomEvent<Json>) => void this.#save(event.detail)}
            @cancel=${() => this.#close()}
          ></oc-cron-form>`}
      <div class="done" role="status" data-testid="cron-said">${this.said}</div>
      ${this.jobs.length === 0 && editing === null
        ? html`<div class="empty" data-testid="no-jobs">
            <h3>${words.none}</h3>
            <p>${words.noneText}</p>
          </div>`
        : nothing}
      ${this.jobs.length === 0
        ? nothing
        : html`<ul class="list" data-testid="jobs">
            ${this.jobs.map((job) => this.#job(job))}
          </ul>`}
      ${this.total > this.jobs.length ? html`<p class="sub">${words.notAll(this.jobs.length, this.total)}</p>` : nothing}
    `;
  }

  #job(job: Json): TemplateResult {
    const words = strings.cron;
    const id = asText(job['id']) ?? '';
    const name = nameOf(job);
    const state = asObject(job['state']);
    const payload = asObject(job['payload']);
    const next = asNumber(state['nextRunAtMs']);
    const on = job['enabled'] === true;
    const running = asNumber(state['runningAtMs']) !== null;
    const open = this.open === id;
    const facts = [scheduleWords(asObject(job['schedule'])), !on || next === null ? null : words.next(ago(next), dateTime(next))];
    return html`<li class=${on ? '' : 'paused'} data-testid="job">
      <div class="main">
        <h3>${name} ${running ? html`<span class="tag warn">${words.running}</span>` : on ? nothing : html`<span class="tag">${words.paused}</span>`} ${this.#last(state)}</h3>
        <p class="sub">${facts.filter((fact) => fact !== null).join(' · ')}</p>
        <p class="sub what">${asText(payload['message']) ?? asText(payload['text']) ?? ''}</p>
        ${state['lastRunStatus'] === 'error' && asText(state['lastError']) ? html`<p class="sub bad">${asText(state['lastError'])}</p>` : nothing}
        <button class="fold" data-testid="job-runs" aria-expanded=${open ? 'true' : 'false'} @click=${() => void this.#fold(id)}>${icons.chevron}${words.runs}</button>
      </div>
      ${this.#may
        ? html`<div class="actions">
            <button class="button" data-testid="job-run" ?disabled=${this.busy !== null || running} @click=${() => void this.#run(id)}>${words.runNow}</button>
            <button class="button" data-testid="job-pause" ?disabled=${this.busy !== null} @click=${() => void this.#patch(job, { enabled: !on })}>${on ? words.pause : words.resume}</button>
            <button
              class="icon"
              aria-haspopup="menu"
              data-testid="job-menu"
              title=${strings.more}
              aria-label=${strings.moreAbout(name)}
              @click=${(event: Event) => this.#menu(event.currentTarget as HTMLElement, job)}
            >
              ${icons.more}
            </button>
          </div>`
        : nothing}
      ${open ? this.#history() : nothing}
    </li>`;
  }

  #last(state: Json) {
    const status = asText(state['lastRunStatus']);
    const at = asNumber(state['lastRunAtMs']);
    if (status === null || at === null) return nothing;
    return html`<span class="tag ${moodOf(status)}" title=${dateTime(at)}>${strings.cron.outcomes[status] ?? status}, ${ago(at)}</span>`;
  }

  #history() {
    const words = strings.cron;
    const { runs } = this;
    if (runs === null) return nothing;
    if (runs.entries.length === 0) return html`<div class="runs" data-testid="runs">${words.noRuns}</div>`;
    return html`<ol class="runs" data-testid="runs">
      ${runs.entries.map((entry) => this.#entry(entry))}
      ${runs.next === null ? nothing : html`<li><button class="button" @click=${() => void this.#loadRuns(this.open!, runs.next!)}>${words.moreRuns}</button></li>`}
    </ol>`;
  }

  #entry(entry: Json): TemplateResult {
    const words = strings.cron;
    const status = asText(entry['status']) ?? '';
    const at = asNumber(entry['runAtMs']) ?? asNumber(entry['ts']) ?? 0;
    const took = asNumber(entry['durationMs']);
    const session = asText(entry['sessionKey']);
    const delivery = asText(entry['deliveryStatus']);
    const undelivered = delivery !== null && delivery !== 'delivered' && delivery !== 'not-requested';
    return html`<li>
      <span class="tag ${moodOf(status)}">${words.outcomes[status] ?? status}</span>
      <span>
        ${dateTime(at)}${took === null ? nothing : html` · ${took < 1_000 ? `${took} ms` : duration(took)}`}
        ${session === null ? nothing : html` · <a href=${addressOf({ page: 'chat', session })}>${words.conversation}</a>`}
      </span>
      ${asText(entry['error']) ? html`<p class="bad">${asText(entry['error'])}</p>` : nothing}
      ${asText(entry['summary']) ? html`<p>${asText(entry['summary'])}</p>` : nothing}
      ${undelivered ? html`<p class="bad">${words.undelivered(asText(entry['deliveryError']))}</p>` : nothing}
    </li>`;
  }

  async #fold(id: string): Promise<void> {
    this.runs = null;
    this.open = this.open === id ? null : id;
    if (this.open !== null) await this.act(`runs ${id}`, () => this.#loadRuns(id, 0));
  }

  #edit(job: Json | null): void {
    this.said = null;
    this.editing = { job, draft: job === null ? emptyDraft() : draftOf(job) };
    void this.updateComplete.then(() => {
      const form = this.renderRoot.querySelector('oc-cron-form');
      form?.scrollIntoView({ block: 'nearest' });
      form?.focus();
    });
  }

  #close(): void {
    this.editing = null;
    void this.updateComplete.then(() => this.renderRoot.querySelector<HTMLElement>('[data-testid=cron-new]')?.focus());
  }

  async #save(job: Json): Promise<void> {
    const old = this.editing?.job ?? null;
    const done = old === null ? await this.act('add', () => this.ask('cron.add', { ...job, enabled: true })) : await this.#patch(old, job);
    if (!done) return;
    this.said = old === null ? strings.cron.added : strings.cron.changed;
    this.#close();
  }

  /** Changes a job as it was seen: what somebody else changed meanwhile is not written over. */
  #patch(job: Json, patch: Json): Promise<boolean> {
    const id = asText(job['id']) ?? '';
    const revision = asText(job['configRevision']);
    return this.act(id, () => this.ask('cron.update', { id, patch, ...(revision === null ? {} : { expectedConfigRevision: revision }) }));
  }

  async #run(id: string): Promise<void> {
    const words = strings.cron;
    let answer: Json = {};
    const done = await this.act(id, async () => (answer = asObject(await this.ask('cron.run', { id, mode: 'force' }))));
    if (done) this.said = answer['ran'] === false ? (words.notRun[asText(answer['reason']) ?? ''] ?? words.notStarted) : words.started(clockWithSeconds(Date.now()));
  }

  #menu(anchor: HTMLElement, job: Json): void {
    const id = asText(job['id']) ?? '';
    const remove = async () => {
      const sure = await ask({ title: strings.cron.removeTitle(nameOf(job)), text: strings.cron.removeText, confirm: strings.remove, danger: true });
      if (sure !== null) await this.act(id, () => this.ask('cron.remove', { id }));
    };
    openMenu(anchor, strings.moreAbout(nameOf(job)), [
      { label: strings.cron.change, icon: icons.edit, run: () => this.#edit(job) },
      { label: strings.remove, icon: icons.trash, danger: true, run: () => void remove() },
    ]);
  }
}

function nameOf(job: Json): string {
  return asText(job['displayName']) ?? asText(job['name']) ?? asText(job['id']) ?? '';
}

function moodOf(status: string): string {
  return status === 'ok' ? 'ok' : status === 'error' ? 'bad' : '';
}

/** When a job is due, in words. */
export function scheduleWords(schedule: Json): string {
  const words = strings.cron;
  const draft = draftOf({ schedule });
  const zone = asText(schedule['tz']);
  const inZone = zone === null ? '' : ` (${zone})`;
  switch (draft.kind) {
    case 'daily':
      return `${words.daily(words.dayNames[draft.days] ?? draft.days, draft.time)}${inZone}`;
    case 'every':
      return words.every(Number(draft.amount), draft.unit);
    case 'once': {
      const at = Date.parse(asText(schedule['at']) ?? '');
      return words.once(Number.isNaN(at) ? '?' : dateTime(at));
    }
    case 'cron':
      return `${draft.expr}${inZone}`;
  }
}

customElements.define('oc-page-cron', CronPage);
