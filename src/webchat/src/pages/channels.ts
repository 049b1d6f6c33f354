import { css, html, nothing, type TemplateResult } from 'lit';
import { ago, dateTime } from '../format';
import { asList, asNumber, asObject, asText, type Json } from '../gateway/frames';
import '../shell/countdown';
import { strings } from '../strings';
import { ask } from '../ui/dialog';
import { linkByQr } from './channel-login';
import { stateOf } from './channel-state';
import { PageElement, handed } from './page';
import './telegram-form';

/** Some that people ask for. */
const OTHERS = ['Discord', 'Slack', 'IRC'];
/** How often it is asked how the accounts are. */
const LOOK_MS = 3_000;

/** `<oc-page-channels>`: where messages come in from elsewhere, whether they do, and who asks to be heard. */
export class ChannelsPage extends PageElement {
  static override properties = { status: { state: true }, requests: { state: true } };
  declare status: Json;
  /** Strangers who wrote and wait to be let in. */
  declare requests: readonly Json[];

  constructor() {
    super();
    this.status = {};
    this.requests = [];
  }

  static override styles = PageElement.pageStyles(css`
    .waiting {
      border-color: var(--warn);
    }

    .list h3 {
      display: flex;
      flex-wrap: wrap;
      align-items: center;
      gap: 0.5rem;
    }

    .bad {
      color: var(--danger);
    }

    .link {
      text-decoration: underline;
      text-underline-offset: 3px;
    }

    details {
      margin-top: 0.3rem;
      font-size: 0.86rem;
    }

    details ul {
      margin: 0.3rem 0 0;
      padding-left: 1.1rem;
      color: var(--muted);
      overflow-wrap: anywhere;
    }
  `);

  protected override readonly causes = /^(health|config\.changed)$/;

  /** Connections come and go, and strangers write, without an event. */
  #look: ReturnType<typeof setInterval> | null = null;

  override connectedCallback(): void {
    super.connectedCallback();
    this.#look = setInterval(() => {
      if (this.online && document.visibilityState === 'visible' && this.busy === null) void this.reload();
    }, LOOK_MS);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    if (this.#look !== null) clearInterval(this.#look);
  }

  protected override async load(): Promise<void> {
    const [status, pairing] = await Promise.all([
      this.ask('channels.status', { probe: false }),
      this.gateway.has('channels.pairing.list') && this.gateway.may('operator.pairing') ? this.ask('channels.pairing.list', {}) : {},
    ]);
    this.status = asObject(status);
    this.requests = asList(asObject(pairing)['requests']).map(asObject);
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
        </div>
        ${this.#more(order)}`;
    }
    return html`<p class="intro">${words.intro}</p>
      ${this.requests.length === 0
        ? nothing
        : html`<section>
            <h2>${strings.devices.waiting}</h2>
            <ul class="list waiting" data-testid="channel-requests">
              ${this.requests.map((row) => this.#request(row))}
            </ul>
          </section>`}
      ${order.map((id) => this.#channel(id))} ${this.#more(order)}`;
  }

  /** What can be connected from here; everything else is in the settings. */
  #more(order: readonly string[]) {
    if (!this.gateway.has('config.patch') || !this.gateway.may('operator.admin')) return nothing;
    const words = strings.channels;
    const settings = () => {
      handed.search = 'channels.';
      this.go('config');
    };
    return html`<section>
      ${order.length === 0 ? nothing : html`<h2>${words.add}</h2>`}
      ${order.includes('telegram') ? nothing : html`<oc-telegram-form .gateway=${this.gateway} @connected=${() => void this.reload()}></oc-telegram-form>`}
      <p class="sub">${words.others(OTHERS.filter((name) => !order.includes(name.toLowerCase())).join(', '))} <button class="link" @click=${settings}>${strings.pages.config}</button></p>
    </section>`;
  }

  #request(row: Json): TemplateResult {
    const words = strings.channels;
    const params = { channel: asText(row['channel']) ?? '', accountId: asText(row['accountId']) ?? 'default', requestId: asText(row['requestId']) ?? '' };
    const metadata = asObject(row['metadata']);
    const username = asText(metadata['username']);
    const until = Date.parse(asText(row['expiresAt']) ?? '');
    const facts = [asText(row['channelLabel']), username === null ? null : `@${username}`, asText(row['senderId']), Number.isNaN(until) ? null : words.until(ago(until))];
    const code = asText(metadata['code']);
    return html`<li>
      <div class="main">
        <h3>${asText(row['senderLabel']) ?? params.requestId} ${code === null ? nothing : html`<span class="tag">${words.code(code)}</span>`}</h3>
        <p class="sub">${facts.filter((fact) => fact !== null).join(' · ')}</p>
        <p class="sub">${words.wantsIn}</p>
      </div>
      <div class="actions">
        <button
          class="button primary"
          data-testid="approve-sender"
          ?disabled=${this.busy !== null}
          @click=${() => void this.act(params.requestId, () => this.ask('channels.pairing.approve', { ...params, notify: row['notifySupported'] === true }))}
        >
          ${strings.devices.approve}
        </button>
        <button class="button" data-testid="dismiss-sender" ?disabled=${this.busy !== null} @click=${() => void this.act(params.requestId, () => this.ask('channels.pairing.dismiss', params))}>
          ${strings.devices.reject}
        </button>
      </div>
    </li>`;
  }

  #channel(id: string): TemplateResult {
    const label = asText(asObject(this.status['channelLabels'])[id]) ?? id;
    const accounts = asList(asObject(this.status['channelAccounts'])[id]).map(asObject);
    return html`<section>
      <h2>${label}</h2>
      <ul class="list" data-testid=${`channel-${id}`}>
        ${accounts.map((account) => this.#account(id, label, account))}
      </ul>
    </section>`;
  }

  #account(channel: string, label: string, account: Json): TemplateResult {
    const words = strings.channels;
    const accountId = asText(account['accountId']) ?? 'default';
    const [word, mood] = stateOf(account);
    const problem = asText(account['lastError']) ?? asText(account['error']);
    const heard = asNumber(account['lastInboundAt']) ?? asNumber(account['lastTransportActivityAt']) ?? asNumber(account['lastConnectedAt']);
    const bot = asText(asObject(asObject(account['probe'])['bot'])['username']);
    const waiting = [
      [asNumber(account['waitingInbound']), words.waitingIn],
      [asNumber(account['waitingOutbound']), words.waitingOut],
    ] as const;
    const facts = [
      bot === null ? null : `@${bot}`,
      asText(account['mode']),
      heard === null ? null : words.heard(ago(heard)),
      ...waiting.map(([many, say]) => (many === null || many === 0 ? null : say(many))),
    ];
    const retryAt = asNumber(account['nextRetryAt']);
    return html`<li data-state=${word}>
      <div class="main">
        <h3>${asText(account['name']) ?? accountId} <span class="tag ${mood}" data-testid="channel-state">${words.states[word]}</span></h3>
        <p class="sub">${words.todo[word]}</p>
        ${problem === null || word === 'connected' ? nothing : html`<p class="sub bad" data-testid="channel-problem">${problem}</p>`}
        ${word === 'failing' && retryAt !== null ? html`<p class="sub"><oc-countdown .until=${retryAt}></oc-countdown></p>` : nothing}
        <p class="sub">${facts.filter((fact) => fact !== null).join(' · ')}</p>
        ${this.#undelivered(account)}
      </div>
      <div class="actions">${this.#buttons(channel, label, accountId, account)}</div>
    </li>`;
  }

  #buttons(channel: string, label: string, accountId: string, account: Json): TemplateResult {
    const words = strings.channels;
    const admin = this.gateway.may('operator.admin');
    const running = account['running'] === true;
    const usable = account['configured'] !== false && account['enabled'] !== false;
    const method = running ? 'channels.stop' : 'channels.start';
    const key = `${channel} ${accountId}`;
    // A channel that is linked to somebody's own account, not to a bot's secret, says whether it is.
    const links = admin && this.gateway.has('web.login.start') && account['linked'] === false;
    const forget = async () => {
      const sure = await ask({ title: words.logoutTitle(label), text: words.logoutText, confirm: words.logout, danger: true });
      if (sure !== null) await this.act(key, () => this.ask('channels.logout', { channel, accountId }));
    };
    return html`
      ${links
        ? html`<button class="button primary" data-testid="link-qr" @click=${() => void linkByQr(this.gateway, label, `${channel}/${accountId}`).then(() => this.reload())}>${words.link}</button>`
        : nothing}
      ${admin && usable && this.gateway.has(method)
        ? html`<button class="button" data-testid=${running ? 'channel-stop' : 'channel-start'} ?disabled=${this.busy !== null} @click=${() => void this.act(key, () => this.ask(method, { channel, accountId }))}>
            ${running ? words.stop : words.start}
          </button>`
        : nothing}
      ${admin && account['linked'] === true && this.gateway.has('channels.logout')
        ? html`<button class="button" ?disabled=${this.busy !== null} @click=${() => void forget()}>${words.logout}</button>`
        : nothing}
    `;
  }

  #undelivered(account: Json) {
    const words = strings.channels;
    const rows = asList(account['undelivered']).map(asObject);
    if (rows.length === 0) return nothing;
    return html`<details>
      <summary>${words.undelivered(rows.length)}</summary>
      <ul>
        ${rows.map((row) => html`<li>${words.fates[asText(row['state']) ?? ''] ?? asText(row['state'])}: ${asText(row['to'])}, ${dateTime(asNumber(row['at']) ?? 0)}${asText(row['why']) ? html`. ${asText(row['why'])}` : nothing}</li>`)}
      </ul>
    </details>`;
  }
}

customElements.define('oc-page-channels', ChannelsPage);
