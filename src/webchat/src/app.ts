import { LitElement, html, nothing } from 'lit';
import { keyed } from 'lit/directives/keyed.js';
import { appStyles } from './app-styles';
import type { ArtifactQuestion } from './chat/artifacts';
import { DEFAULT_MAX_BYTES, type Attachment } from './chat/attachments';
import './chat/composer';
import { ChatController, type View } from './chat/controller';
import { textOf } from './chat/content';
import type { RowAction } from './chat/message';
import './chat/model-picker';
import { activeRun, type Row } from './chat/state';
import './chat/thread';
import type { Connection } from './gateway/client';
import { Credentials, takeToken } from './gateway/credentials';
import { forgetIdentity, loadIdentity, type DeviceIdentity } from './gateway/device';
import { Confirmed, namedGateway, ownGateway, type Place } from './gateway/place';
import { loadPage } from './pages/load';
import type { PageElement } from './pages/page';
import { browserName } from './shell/browser-name';
import './shell/countdown';
import './shell/elsewhere';
import './shell/gate';
import { icons } from './shell/icons';
import './shell/pill';
import { MAIN, addressOf, offeredPages, routeOf, type PageName, type Route } from './shell/routes';
import type { SessionChange } from './shell/session-list';
import './shell/session-list';
import './shell/sidebar';
import { watchWaiting, type Waiting } from './shell/waiting';
import { language, strings } from './strings';
import { shared } from './styles/shared';

/** `<oc-app>`: the page. Owns the one connection, and decides what is shown. */
export class AppElement extends LitElement {
  static override properties = {
    view: { state: true },
    menu: { state: true },
    route: { state: true },
    shown: { state: true },
    waiting: { state: true },
    asking: { state: true },
  };
  declare view: View;
  /** The drawer of a narrow screen. */
  declare menu: boolean;
  declare route: Route;
  /** The control page that is open. */
  declare shown: { name: PageName; element: PageElement } | null;
  declare waiting: Waiting;
  /** The address names another gateway, and the person has not agreed to it yet. */
  declare asking: boolean;

  #place: Place;
  #confirmed = new Confirmed();
  /** A token that came with the name of a gateway that was not agreed to yet. */
  #heldToken: string | null = null;
  #credentials: Credentials;
  #identity: Promise<DeviceIdentity> | null = null;
  #controller: ChatController;
  #stopWaiting: (() => void) | null = null;

  constructor() {
    super();
    this.menu = false;
    this.shown = null;
    this.waiting = {};
    const named = namedGateway(location.search, document.baseURI);
    this.#place = named ?? ownGateway(document.baseURI);
    this.#credentials = Credentials.ofBrowser(this.#place.suffix);
    this.asking = named !== null && !this.#confirmed.has(named);
    this.#takeToken();
    this.route = routeOf(location.pathname, document.baseURI);
    this.#controller = new ChatController(
      {
        url: this.#place.url,
        credentials: this.#credentials,
        identity: () => (this.#identity ??= loadIdentity(this.#place.suffix)),
        displayName: browserName(navigator.userAgent),
      },
      this.route.page === 'chat' ? this.route.session : MAIN,
      Date.now,
      this.#place.suffix,
    );
    this.view = this.#controller.view;
    this.#controller.subscribe((view) => (this.view = view));
    void this.#show();
  }

  static override styles = [shared, appStyles];

  override connectedCallback(): void {
    super.connectedCallback();
    window.addEventListener('online', this.#wake);
    document.addEventListener('visibilitychange', this.#wake);
    window.addEventListener('popstate', this.#navigated);
    window.addEventListener('hashchange', this.#hash);
    window.addEventListener('keydown', this.#key);
    this.#stopWaiting = watchWaiting(this.#controller.port, (waiting) => (this.waiting = waiting));
    if (!this.asking) this.#controller.client.start();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    window.removeEventListener('online', this.#wake);
    document.removeEventListener('visibilitychange', this.#wake);
    window.removeEventListener('popstate', this.#navigated);
    window.removeEventListener('hashchange', this.#hash);
    window.removeEventListener('keydown', this.#key);
    this.#stopWaiting?.();
    this.#controller.client.stop();
  }

  protected override firstUpdated(): void {
    this.#focusInside();
  }

  protected override updated(): void {
    const answering = activeRun(this.view.chat) !== null;
    const title = this.route.page === 'chat' ? this.view.agentName : strings.pages[this.route.page];
    document.title = `${answering ? '… ' : ''}${title} · ${strings.appName}`;
    if (this.shown) this.shown.element.online = this.view.connection.phase === 'online';
  }

  protected override render() {
    // Another language is another page, over the same conversation.
    return keyed(language, html`${this.#side()} <main>${this.#header()} ${this.#body()}</main>`);
  }

  #side() {
    const { view, route } = this;
    const { connection } = view;
    const online = connection.phase === 'online';
    const main = online ? connection.hello.mainSessionKey : MAIN;
    const { port } = this.#controller;
    return html`
      <div class="side" id="side" ?data-open=${this.menu} ?inert=${!this.menu && narrow()}>
        <oc-sidebar
          .pages=${offeredPages(port.has)}
          .page=${route.page}
          .waiting=${this.waiting}
          .version=${view.version}
          .clients=${online ? view.clients : 0}
          .elsewhere=${this.#place.suffix === '' || this.asking ? null : this.#place.host}
          @leave=${this.#leave}
          @open-page=${(event: CustomEvent<PageName>) => this.#go({ page: event.detail })}
          @language=${this.#languageChanged}
        >
          <oc-session-list
            .sessions=${view.sessions}
            .current=${route.page === 'chat' ? view.chat.sessionKey : ''}
            .main=${main}
            .search=${view.search}
            ?canPatch=${port.has('sessions.patch')}
            ?canDelete=${port.has('sessions.delete') && port.may('operator.admin')}
            ?canStart=${main !== MAIN}
            @new-session=${this.#newSession}
            @open-session=${(event: CustomEvent<string>) => this.#go({ page: 'chat', session: event.detail })}
            @search-sessions=${(event: CustomEvent<string>) => this.#controller.search(event.detail)}
            @session-change=${(event: CustomEvent<SessionChange>) => void this.#change(event.detail)}
          ></oc-session-list>
        </oc-sidebar>
      </div>
      ${this.menu ? html`<div class="shade" @click=${() => this.#closeMenu()}></div>` : nothing}
    `;
  }

  #header() {
    const { view, route } = this;
    const label = this.menu ? strings.closeMenu : strings.openMenu;
    return html`<header>
      <button class="icon menu" aria-label=${label} title=${label} aria-expanded=${this.menu ? 'true' : 'false'} aria-controls="side" @click=${this.#toggleMenu}>
        ${this.menu ? icons.close : icons.menu}
      </button>
      ${route.page === 'chat'
        ? html`<h1 tabindex="-1">${view.agentEmoji ? html`<span aria-hidden="true">${view.agentEmoji}</span> ` : nothing}${view.agentName}</h1>
            ${this.#model()}`
        : html`<h1 tabindex="-1">${strings.pages[route.page]}</h1>`}
      <span class="grow"></span>
      <oc-pill .connection=${view.connection}></oc-pill>
    </header>`;
  }

  #model() {
    const { view } = this;
    const key = view.chat.sessionKey;
    const main = view.connection.phase === 'online' ? view.connection.hello.mainSessionKey : MAIN;
    const row = view.sessions.find((session) => session.key === (key === MAIN ? main : key));
    return html`<oc-model-picker
      .models=${view.models}
      .model=${row?.model ?? view.model}
      ?fixed=${!this.#controller.port.has('sessions.patch')}
      @choose-model=${(event: CustomEvent<string | null>) => void this.#controller.patchSession(key, { model: event.detail })}
    ></oc-model-picker>`;
  }

  #body() {
    const { view, route } = this;
    const { connection } = view;
    if (this.asking) return html`<oc-elsewhere .place=${this.#place} @confirm=${this.#confirm} @leave=${this.#leave}></oc-elsewhere>`;
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
    if (route.page !== 'chat') {
      const element = this.shown?.name === route.page ? this.shown.element : nothing;
      return html`${this.#problems()} <div class="place" @go=${this.#goFromPage} @click=${this.#followLink}>${element}</div> ${this.#outage(connection)}`;
    }
    return this.#chat();
  }

  #chat() {
    const { view } = this;
    const { connection } = view;
    const run = activeRun(view.chat);
    const online = connection.phase === 'online';
    const running = run === null || !online ? 'no' : run.live === 'stopping' ? 'stopping' : 'running';
    const unset = online && /(^|\/)echo$/.test(view.model ?? '');
    const maxBytes = online ? (connection.hello.attachmentMaxBytes ?? (connection.hello.takesAttachments ? DEFAULT_MAX_BYTES : null)) : null;
    return html`
      ${this.#problems()}
      <oc-thread
        .chat=${view.chat}
        .agent=${view.agentName}
        .emoji=${view.agentEmoji}
        ?online=${online}
        ?unset=${unset}
        @older=${() => void this.#controller.loadOlder()}
        @reload=${() => this.#controller.reload()}
        @trim=${() => this.#controller.trim()}
        @idea=${(event: CustomEvent<string>) => this.#send(event.detail, [])}
        @setup=${() => this.#go({ page: 'setup' })}
        @row-action=${(event: CustomEvent<RowAction>) => this.#rowAction(event.detail)}
        @artifact=${({ detail }: CustomEvent<ArtifactQuestion>) => detail.answer(this.#controller.artifact(detail.id))}
      ></oc-thread>
      ${this.#outage(connection)}
      ${unset && view.chat.rows.length > 0
        ? html`<div class="banner" role="status" data-testid="echo-hint">
            <span>${strings.empty.unset}</span>
            <button class="button" @click=${() => this.#go({ page: 'setup' })}>${strings.empty.setup}</button>
          </div>`
        : nothing}
      <oc-composer
        .agent=${view.agentName}
        .session=${view.chat.sessionKey + this.#place.suffix}
        .running=${running}
        .commands=${view.commands}
        .maxBytes=${maxBytes}
        ?online=${online}
        @send=${(event: CustomEvent<{ text: string; attachments: Attachment[] }>) => this.#send(event.detail.text, event.detail.attachments)}
        @stop=${() => void this.#controller.stop()}
        @edit-last=${this.#editLast}
      ></oc-composer>
    `;
  }

  #problems() {
    const { view } = this;
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
        ${cause === 'unreachable' && this.#place.suffix !== ''
          ? html`${strings.elsewhere.origin} <code>${strings.gate.origin.snippet(location.origin)}</code>`
          : nothing}
        ${connection.phase === 'waiting' ? html`<span class="when">(<oc-countdown .until=${connection.retryAt}></oc-countdown>)</span>` : nothing}
      </span>
      <button class="button" ?disabled=${connection.phase !== 'waiting'} @click=${() => this.#controller.client.retryNow()}>${words.retryNow}</button>
    </div>`;
  }

  #send(text: string, attachments: readonly Attachment[]): void {
    this.#controller.send(text, attachments);
    this.renderRoot.querySelector('oc-thread')?.toLatest();
  }

  #rowAction({ action, row }: RowAction): void {
    if (action === 'retry') this.#controller.retry(row);
    else if (action === 'discard') this.#controller.discard(row);
    else if (action === 'edit') void this.#edit(row);
    else if (action === 'setup') this.#go({ page: 'setup' });
    else if (action === 'take-back') void this.#controller.stop(row);
    else this.#controller.askAgain(row);
  }

  #editLast(): void {
    const last = this.view.chat.rows.findLast((row) => row.role === 'user' && textOf(row.parts) !== '');
    if (last) void this.#edit(last);
  }

  /** Puts a message back into the field, its files too. */
  async #edit(row: Row): Promise<void> {
    const files = await this.#controller.files(row);
    this.renderRoot.querySelector('oc-composer')?.edit(textOf(row.parts), files);
  }

  /** Opens a page or a conversation under its own address. */
  #go(route: Route): void {
    this.menu = false;
    history.pushState(null, '', new URL(addressOf(route), document.baseURI));
    this.#enter(route);
  }

  #goFromPage = (event: Event): void => {
    const { detail } = event as CustomEvent<PageName | 'chat'>;
    this.#go(detail === 'chat' ? { page: 'chat', session: MAIN } : { page: detail });
  };

  /** A link of a page to another place of this page needs no loading. */
  #followLink = (event: MouseEvent): void => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    const link = event.composedPath().find((target): target is HTMLAnchorElement => target instanceof HTMLAnchorElement);
    if (!link || link.download !== '' || link.target !== '' || !link.href.startsWith(document.baseURI)) return;
    event.preventDefault();
    this.#go(routeOf(new URL(link.href).pathname, document.baseURI));
  };

  #enter(route: Route): void {
    this.route = route;
    if (route.page === 'chat') this.#controller.open(route.session);
    void this.#show().then(() => this.updateComplete.then(() => this.#focusInside()));
  }

  /** Loads the control page of the route, if it is one. */
  async #show(): Promise<void> {
    const { page } = this.route;
    if (page === 'chat') {
      this.shown = null;
      return;
    }
    try {
      const element = await loadPage(page);
      if (this.route.page !== page) return;
      element.gateway = this.#controller.port;
      element.online = this.view.connection.phase === 'online';
      this.shown = { name: page, element };
    } catch {
      // The page's file is gone: the gateway was updated since this page was loaded.
      location.reload();
    }
  }

  /** Where there is a keyboard, one can write at once; a phone would open its own over half of the page. */
  #focusInside(): void {
    if (this.route.page !== 'chat') this.renderRoot.querySelector('h1')?.focus({ preventScroll: true });
    else if (matchMedia('(hover: hover)').matches) this.renderRoot.querySelector('oc-composer')?.focus();
  }

  #toggleMenu = (): void => {
    this.menu = !this.menu;
    if (this.menu) void this.updateComplete.then(() => this.renderRoot.querySelector<HTMLElement>('oc-session-list')?.shadowRoot?.querySelector('button')?.focus());
  };

  #closeMenu(): void {
    this.menu = false;
    this.renderRoot.querySelector<HTMLElement>('.menu')?.focus();
  }

  #newSession(): void {
    const key = this.#controller.newSessionKey();
    if (key !== null) this.#go({ page: 'chat', session: key });
  }

  async #change(change: SessionChange): Promise<void> {
    const gone = 'remove' in change || change.patch['archived'] === true;
    const done = 'remove' in change ? await this.#controller.deleteSession(change.key) : await this.#controller.patchSession(change.key, change.patch);
    if (done && gone && this.view.chat.sessionKey === change.key) this.#go({ page: 'chat', session: MAIN });
  }

  #languageChanged = (): void => {
    // Pages read their words when they render: a new element does.
    void this.#show();
    this.requestUpdate();
  };

  #token(secret: string): void {
    this.#credentials.setShared(secret);
    this.#controller.client.retryNow();
  }

  async #newIdentity(): Promise<void> {
    await forgetIdentity(this.#place.suffix);
    this.#identity = null;
    this.#controller.client.retryNow();
  }

  #takeToken(): boolean {
    const token = takeToken(location, history);
    if (this.asking) this.#heldToken = token ?? this.#heldToken;
    else if (token !== null) this.#credentials.setShared(token);
    return token !== null;
  }

  #confirm = (): void => {
    this.#confirmed.add(this.#place);
    this.asking = false;
    if (this.#heldToken !== null) this.#credentials.setShared(this.#heldToken);
    this.#heldToken = null;
    this.#controller.client.start();
    void this.updateComplete.then(() => this.#focusInside());
  };

  /** The page's own gateway, from the beginning: nothing of the other one is left in it. */
  #leave = (): void => location.replace(new URL('./', document.baseURI));

  #wake = (): void => {
    if (document.visibilityState !== 'visible') return;
    this.#controller.client.wake();
    this.#controller.look();
  };

  #navigated = (): void => {
    const { url } = namedGateway(location.search, document.baseURI) ?? ownGateway(document.baseURI);
    // An address of another gateway, or of none: another page.
    if (url !== this.#place.url) location.reload();
    else this.#enter(routeOf(location.pathname, document.baseURI));
  };

  /** An address with a token that is opened in this same tab only changes the fragment. */
  #hash = (): void => {
    if (this.#takeToken() && !this.asking) this.#controller.client.retryNow();
  };

  #key = (event: KeyboardEvent): void => {
    if (event.key === 'Escape' && this.menu) this.#closeMenu();
  };
}

/** Whether the sidebar is a drawer. */
function narrow(): boolean {
  return matchMedia('(max-width: 56rem)').matches;
}

customElements.define('oc-app', AppElement);

declare global {
  interface HTMLElementTagNameMap {
    'oc-app': AppElement;
    'oc-composer': import('./chat/composer').ComposerElement;
    'oc-thread': import('./chat/thread').ThreadElement;
  }
}
