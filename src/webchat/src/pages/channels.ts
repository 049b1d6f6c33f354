import { css, html, nothing, type TemplateResult } from 'lit';
import { ago } from '../format';
import { asList, asNumber, asObject, asText, type Json } from '../gateway/frames';
import { strings } from '../strings';
import { PageElement } from './page';

/** `<oc-page-channels>`: where messages come in from elsewhere, and whether they do. */
export class ChannelsPage extends PageElement {
  static override properties = { status: { state: true } };
  declare status: Json;

  constructor() {
    super();
    this.status = {};
  }

  static override styles = PageElement.pageStyles(css`
    .list h3 {
      display: flex;
      flex-wrap: wrap;
      align-items: center;
      gap: 0.5rem;
    }

    .bad {
      color: var(--danger);
    }
  `);

  protected override readonly causes = /^(health|config\.changed)$/;

  protected override async load(): Promise<void> {
    this.status = asObject(await this.ask('channels.status', { probe: false }));
  }

  protected override content() {
    const words = strings.channels;
    const order = asList(this.status['channelOrder']).filter((id): id is string => typeof id === 'string');
    if (!this.ready) return nothing;
    if (order.length === 0) {
      return html`<div class="empty" data-testid="no-channels">
        <h3>${words.none}</h3>
        <p>${words.noneText}</p>
        <button class="button" @click=${() => this.go('chat')}>${words.chatHere}</button>
      </div>`;
    }
    return html`<p class="intro">${words.intro}</p>
      <div class="page-list">${order.map((id) => this.#channel(id))}</div>`;
  }

  #channel(id: string): TemplateResult {
    const label = asText(asObject(this.status['channelLabels'])[id]) ?? id;
    const accounts = asList(asObject(this.status['channelAccounts'])[id]).map(asObject);
    return html`<section>
      <h2>${label}</h2>
      <ul class="list">
        ${accounts.map((account) => this.#account(id, account))}
      </ul>
    </section>`;
  }

  #account(channel: string, account: Json): TemplateResult {
    const words = strings.channels;
    const accountId = asText(account['accountId']) ?? 'default';
    const [word, mood] = stateOf(account);
    const problem = asText(account['lastError']) ?? asText(account['error']);
    const heard = asNumber(account['lastInboundAt']) ?? asNumber(account['lastConnectedAt']);
    const running = account['running'] === true;
    const method = running ? 'channels.stop' : 'channels.start';
    const may = this.gateway.has(method) && this.gateway.may('operator.admin');
    return html`<li>
      <div class="main">
        <h3>${asText(account['name']) ?? accountId} <span class="tag ${mood}">${words.states[word]}</span></h3>
        ${problem === null ? nothing : html`<p class="sub bad">${problem}</p>`}
        <p class="sub">${[asText(account['mode']), heard === null ? null : words.heard(ago(heard))].filter((fact) => fact !== null).join(' · ')}</p>
      </div>
      ${may
        ? html`<button class="button" ?disabled=${this.busy !== null} @click=${() => void this.act(`${channel} ${accountId}`, () => this.ask(method, { channel, accountId }))}>
            ${running ? words.stop : words.start}
          </button>`
        : nothing}
    </li>`;
  }
}

type State = 'off' | 'unset' | 'connected' | 'connecting' | 'failing' | 'stopped';

/** Connected is only what says so of itself; running is not yet connected. */
export function stateOf(account: Json): [State, '' | 'ok' | 'warn' | 'bad'] {
  if (account['enabled'] === false) return ['off', ''];
  if (account['configured'] === false) return ['unset', 'warn'];
  if (account['connected'] === true && account['healthState'] !== 'unhealthy') return ['connected', 'ok'];
  if (account['lastError'] || account['error'] || account['healthState'] === 'unhealthy') return ['failing', 'bad'];
  return account['running'] === true ? ['connecting', 'warn'] : ['stopped', ''];
}

customElements.define('oc-page-channels', ChannelsPage);
