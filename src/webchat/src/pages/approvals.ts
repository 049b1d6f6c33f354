import { css, html, nothing, type TemplateResult } from 'lit';
import { asList, asNumber, asObject, asText, type Json } from '../gateway/frames';
import '../shell/countdown';
import { strings } from '../strings';
import { PageElement } from './page';

type Decision = 'allow-once' | 'allow-always' | 'deny';

/** `<oc-page-approvals>`: commands that an agent wants to run, and waits to be allowed. */
export class ApprovalsPage extends PageElement {
  static override properties = { rows: { state: true } };
  declare rows: readonly Json[];

  constructor() {
    super();
    this.rows = [];
  }

  static override styles = PageElement.pageStyles(css`
    .card {
      display: flex;
      flex-direction: column;
      gap: 0.7rem;
    }

    dl {
      display: grid;
      grid-template-columns: auto minmax(0, 1fr);
      gap: 0.2rem 0.9rem;
      margin: 0;
      font-size: 0.86rem;
    }

    dt {
      color: var(--muted);
    }

    dd {
      margin: 0;
      overflow-wrap: anywhere;
    }

    .when {
      color: var(--muted);
      font-size: 0.82rem;
    }
  `);

  protected override readonly causes = /^exec\.approval\./;

  protected override async load(): Promise<void> {
    const answer = await this.ask('exec.approval.list');
    this.rows = (Array.isArray(answer) ? answer : asList(asObject(answer)['approvals'])).map(asObject);
  }

  protected override content() {
    const words = strings.approvals;
    if (!this.ready) return nothing;
    if (this.rows.length === 0) {
      return html`<div class="empty" data-testid="no-approvals">
        <h3>${words.none}</h3>
        <p>${words.noneText}</p>
      </div>`;
    }
    return html`<p class="intro">${words.intro}</p>
      ${this.rows.map((row) => this.#row(row))}`;
  }

  #row(row: Json): TemplateResult {
    const words = strings.approvals;
    const id = asText(row['id']) ?? '';
    const request = asObject(row['request']);
    const until = asNumber(row['expiresAtMs']) ?? 0;
    const facts: [string, string | null][] = [
      [words.folder, asText(request['cwd'])],
      [words.host, asText(request['host'])],
      [words.program, asText(request['resolvedPath'])],
      [words.agent, asText(request['agentId'])],
      [words.session, asText(request['sessionKey'])],
    ];
    const button = (decision: Decision, style: string) => html`<button
      class="button ${style}"
      data-testid=${decision}
      ?disabled=${this.busy !== null}
      @click=${() => void this.act(id, () => this.ask('exec.approval.resolve', { id, decision }))}
    >
      ${words.decisions[decision]}
    </button>`;
    return html`<article class="card" data-testid="approval">
      <h2>${words.wants}</h2>
      <pre tabindex="0">${commandOf(request)}</pre>
      <dl>${facts.map(([name, fact]) => (fact === null || fact === '' ? nothing : html`<dt>${name}</dt><dd>${fact}</dd>`))}</dl>
      <div class="head">
        ${button('allow-once', 'primary')} ${button('allow-always', '')} ${button('deny', '')}
        <span class="grow"></span>
        ${until === 0 ? nothing : html`<span class="when">${words.until(new Date(until))}</span>`}
      </div>
    </article>`;
  }
}

/** The command as it is run: the arguments where they are told apart, else the line. */
export function commandOf(request: Json): string {
  const argv = asList(request['argv'] ?? request['commandArgv']).filter((part): part is string => typeof part === 'string');
  const line = asText(request['command']);
  return line ?? argv.map((part) => (/^[\w@%+=:,./-]+$/.test(part) ? part : JSON.stringify(part))).join(' ');
}

customElements.define('oc-page-approvals', ApprovalsPage);
