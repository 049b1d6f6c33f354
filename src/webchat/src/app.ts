import { LitElement, html, nothing } from 'lit';
import { appStyles } from './app-styles';
import './chat/composer';
import { ChatController, MAIN, type View } from './chat/controller';
import type { RowAction } from './chat/message';
import { activeRun } from './chat/state';
import './chat/thread';
import { ownGateway, type Connection } from './gateway/client';
import { Credentials, takeToken } from './gateway/credentials';
import { forgetIdentity, loadIdentity, type DeviceIdentity } from './gateway/device';
import { browserName } from './shell/browser-name';
import './shell/countdown';
import './shell/gate';
import { icons } from './shell/icons';
import './shell/pill';
import './shell/sidebar';
import { strings } from './strings';
import { shared } from './styles/shared';

/** `<oc-app>`: the page. Owns the one connection, and decides what is shown. */
export class AppElement extends LitElement {
  static override properties = { view: { state: true }, menu: { state: true } };
  declare view: View;
  declare menu: boolean;

  #credentials = Credentials.ofBrowser();
  #identity: Promise<DeviceIdentity> | null = null;
  #controller: ChatController;

  constructor() {
    super();
    this.menu = false;
    this.#takeToken();
    this.#controller = new ChatController(
      {
        url: ownGateway(document.baseURI),
        credentials: this.#credentials,
        identity: () => (this.#identity ??= loadIdentity()),
        displayName: browserName(navigator.userAgent),
      },
      sessionOf(location.pathname),
    );
    this.view = this.#controller.view;
    this.#controller.subscribe((view) => (this.view = view));
  }

  static override styles = [shared, appStyles];

  override connectedCallback(): void {
    super.connectedCallback();
    window.addEventListener('online', this.#wake);
    document.addEventListener('visibilitychange', this.#wake);
    window.addEventListener('popstate', this.#navigated);
    window.addEventListener('hashchange', this.#hash);
    window.addEventListener('keydown', this.#key);
    this.#controller.client.start();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    window.removeEventListener('online', this.#wake);
    document.removeEventListener('visibilitychange', this.#wake);
    window.removeEventListener('popstate', this.#navigated);
    window.removeEventListener('hashchange', this.#hash);
    window.removeEventListener('keydown', this.#key);
    this.#controller.client.stop();
  }

  protected override firstUpdated(): void {
    // Where there is a keyboard, one can write at once; a phone would open its own over half of the page.
    if (matchMedia('(hover: hover)').matches) this.renderRoot.querySelector('oc-composer')?.focus();
  }

  protected override updated(): void {
    const answering = activeRun(this.view.chat) !== null;
    document.title = `${answering ? '… ' : ''}${this.view.agentName} · ${strings.appName}`;
  }

  protected override render() {
    const { view } = this;
    const { connection } = view;
    const main = connection.phase === 'online' ? connection.hello.mainSessionKey : MAIN;
    return html`
      <div class="side" ?data-open=${this.menu}>
        <oc-sidebar
          .sessions=${view.sessions}
          .current=${view.chat.sessionKey}
          .main=${main}
          .version=${view.version}
          .clients=${connection.phase === 'online' ? view.clients : 0}
          @new-session=${this.#newSession}
          @open-session=${(event: CustomEvent<string>) => this.#open(event.detail)}
        ></oc-sidebar>
      </div>
      ${this.menu ? html`<div class="shade" @click=${() => (this.menu = false)}></div>` : nothing}
      <main>${this.#header(view)} ${this.#body(view)}</main>
    `;
  }

  #header(view: View) {
    const label = this.menu ? strings.closeMenu : strings.openMenu;
    return html`<header>
      <button class="icon menu" aria-label=${label} title=${label} aria-expanded=${this.menu ? 'true' : 'false'} @click=${() => (this.menu = !this.menu)}>
        ${this.menu ? icons.close : icons.menu}
      </button>
      <h1>${view.agentEmoji ? html`<span aria-hidden="true">${view.agentEmoji}</span> ` : nothing}${view.agentName}</h1>
      ${view.model ? html`<span class="model" title=${view.model}>${view.model}</span>` : nothing}
      <span class="grow"></span>
      <oc-pill .connection=${view.connection}></oc-pill>
    </header>`;
  }

  #body(view: View) {
    const { connection } = view;
    const refusal = connection.phase === 'refused' ? connection.refusal : connection.phase === 'connecting' ? connection.after : null;
    if (refusal) {
      return html`<oc-gate
        .refusal=${refusal}
        .retryAt=${connection.phase === 'refused' ? connection.retryAt : null}
        ?trying=${connection.phase === 'connecting'}
        @token=${(event: CustomEvent<string>) => this.#token(event.detail)}
        @retry=${() => this.#controller.client.retryNow()}
        @new-identity=${() => void this.#newIdentity()}
      ></oc-gate>`;
    }
    const run = activeRun(view.chat);
    const online = connection.phase === 'online';
    const running = run === null || !online ? 'no' : run.live === 'stopping' ? 'stopping' : 'running';
    return html`
      ${this.#problems(view)}
      <oc-thread
        .chat=${view.chat}
        .agent=${view.agentName}
        .emoji=${view.agentEmoji}
        ?online=${online}
        @older=${() => void this.#controller.loadOlder()}
        @reload=${() => this.#controller.reload()}
        @idea=${(event: CustomEvent<string>) => this.#send(event.detail)}
        @row-action=${(event: CustomEvent<RowAction>) => this.#rowAction(event.detail)}
      ></oc-thread>
      ${this.#outage(connection)}
      <oc-composer
        .agent=${view.agentName}
        .session=${view.chat.sessionKey}
        .running=${running}
        ?online=${online}
        @send=${(event: CustomEvent<string>) => this.#send(event.detail)}
        @stop=${() => void this.#controller.stop()}
      ></oc-composer>
    `;
  }

  #problems(view: View) {
    return html`
      ${view.unhealthy ? html`<div class="banner warn" role="status">${icons.alert}<span>${view.unhealthy}</span></div>` : nothing}
      ${view.notice
        ? html`<div class="banner danger" role="alert">
            ${icons.alert}<span>${view.notice}</span>
            <button class="icon" aria-label=${strings.dismiss} title=${strings.dismiss} @click=${() => this.#controller.dismissNotice()}>${icons.close}</button>
          </div>`
        : nothing}
    `;
  }

  #outage(connection: Connection) {
    const words = strings.connection;
    const again = connection.phase === 'connecting' && connection.attempt > 0;
    if (connection.phase !== 'waiting' && !again) return nothing;
    const cause = connection.phase === 'waiting' ? connection.cause : null;
    return html`<div class="banner outage" role="status" data-testid="outage">
      <span>
        ${cause === null ? words.connecting : words.banner[cause]}
        ${connection.phase === 'waiting' ? connection.said : nothing}
        ${cause === 'unreachable' ? html`<code>${strings.startCommand}</code>.` : nothing}
        ${connection.phase === 'waiting' ? html`<span class="when">(<oc-countdown .until=${connection.retryAt}></oc-countdown>)</span>` : nothing}
      </span>
      <button class="button" ?disabled=${connection.phase !== 'waiting'} @click=${() => this.#controller.client.retryNow()}>${words.retryNow}</button>
    </div>`;
  }

  #send(text: string): void {
    this.#controller.send(text);
    this.renderRoot.querySelector('oc-thread')?.toLatest();
  }

  #rowAction({ action, row }: RowAction): void {
    if (action === 'retry') this.#controller.retry(row);
    else if (action === 'discard') this.#controller.discard(row);
    else this.#controller.askAgain(row);
  }

  #open(key: string): void {
    this.menu = false;
    history.pushState(null, '', key === MAIN ? document.baseURI : new URL(`chat/${encodeURIComponent(key)}`, document.baseURI));
    this.#controller.open(key);
    this.renderRoot.querySelector('oc-composer')?.focus();
  }

  #newSession(): void {
    const key = this.#controller.newSessionKey();
    if (key !== null) this.#open(key);
  }

  #token(secret: string): void {
    this.#credentials.setShared(secret);
    this.#controller.client.retryNow();
  }

  async #newIdentity(): Promise<void> {
    await forgetIdentity();
    this.#identity = null;
    this.#controller.client.retryNow();
  }

  #takeToken(): boolean {
    const token = takeToken(location, history);
    if (token !== null) this.#credentials.setShared(token);
    return token !== null;
  }

  #wake = (): void => {
    if (document.visibilityState === 'visible') this.#controller.client.wake();
  };

  #navigated = (): void => this.#controller.open(sessionOf(location.pathname));

  /** An address with a token that is opened in this same tab only changes the fragment. */
  #hash = (): void => {
    if (this.#takeToken()) this.#controller.client.retryNow();
  };

  #key = (event: KeyboardEvent): void => {
    if (event.key === 'Escape' && this.menu) this.menu = false;
  };
}

/** `/chat/<key>` below the page's base address names a session; anything else is the main one. */
export function sessionOf(path: string, base: string = document.baseURI): string {
  const root = new URL('.', base).pathname;
  const match = /^chat\/(.+)$/.exec(path.startsWith(root) ? path.slice(root.length) : '');
  if (!match) return MAIN;
  try {
    return decodeURIComponent(match[1] ?? MAIN);
  } catch {
    return MAIN;
  }
}

customElements.define('oc-app', AppElement);

declare global {
  interface HTMLElementTagNameMap {
    'oc-app': AppElement;
    'oc-composer': import('./chat/composer').ComposerElement;
    'oc-thread': import('./chat/thread').ThreadElement;
  }
}
