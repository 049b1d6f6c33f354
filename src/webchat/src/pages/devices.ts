import { css, html, nothing, type TemplateResult } from 'lit';
import { ago } from '../format';
import { asList, asNumber, asObject, asText, type Json } from '../gateway/frames';
import { icons } from '../shell/icons';
import { strings } from '../strings';
import { ask } from '../ui/dialog';
import { openMenu, type MenuItem } from '../ui/menu';
import { nameOf, scopeWords, sensitive, texts } from './device-facts';
import { PageElement } from './page';
import { useNode } from './node-use';
import './setup-code';

/** `<oc-page-devices>`: who may come in, who waits at the door, and what connected nodes offer. */
export class DevicesPage extends PageElement {
  static override properties = { pending: { state: true }, paired: { state: true }, nodes: { state: true }, surfaces: { state: true } };
  declare pending: readonly Json[];
  declare paired: readonly Json[];
  declare nodes: readonly Json[];
  /** What nodes ask to be used for. */
  declare surfaces: readonly Json[];

  constructor() {
    super();
    this.pending = [];
    this.paired = [];
    this.nodes = [];
    this.surfaces = [];
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

    .asks {
      margin: 0.35rem 0 0;
      padding-left: 1.1rem;
      font-size: 0.88rem;
    }

    .asks .risky {
      color: var(--danger);
    }
  `);

  protected override readonly causes = /^(device\.pair\.|node\.pair\.|presence$)/;

  protected override async load(): Promise<void> {
    const optional = async (method: string) => (this.gateway.has(method) ? asObject(await this.ask(method)) : {});
    const [devices, nodes, surfaces] = await Promise.all([this.ask('device.pair.list'), optional('node.list'), optional('node.pair.list')]);
    const rows = (value: unknown) => asList(value).map(asObject);
    this.pending = rows(asObject(devices)['pending']);
    this.paired = rows(asObject(devices)['paired']).sort((one, other) => seen(other) - seen(one));
    this.nodes = rows(nodes['nodes']);
    this.surfaces = rows(surfaces['pending']);
  }

  protected override content() {
    const words = strings.devices;
    const waiting = this.pending.length + this.surfaces.length;
    return html`
      ${waiting === 0
        ? nothing
        : html`<section>
            <h2>${words.waiting}</h2>
            <ul class="list waiting" data-testid="pending">
              ${this.pending.map((row) => this.#request(row))} ${this.surfaces.map((row) => this.#surface(row))}
            </ul>
          </section>`}
      <section>
        <h2>${words.paired}</h2>
        <ul class="list" data-testid="paired">
          ${this.paired.map((row) => this.#device(row))}
        </ul>
      </section>
      ${this.nodes.length === 0
        ? nothing
        : html`<section>
            <h2>${words.nodes}</h2>
            <ul class="list" data-testid="nodes">
              ${this.nodes.map((row) => this.#node(row))}
            </ul>
          </section>`}
      ${this.gateway.has('device.pair.setupCode') && this.gateway.may('operator.admin')
        ? html`<section><h2>${words.add}</h2><oc-setup-code .gateway=${this.gateway}></oc-setup-code></section>`
        : nothing}
    `;
  }

  #buttons(id: string, approve: () => unknown, reject: () => Promise<unknown>): TemplateResult {
    const words = strings.devices;
    return html`<div class="actions">
      <button class="button primary" data-testid="approve" ?disabled=${this.busy !== null} @click=${approve}>${words.approve}</button>
      <button class="button" data-testid="reject" ?disabled=${this.busy !== null} @click=${() => void this.act(id, reject)}>${words.reject}</button>
    </div>`;
  }

  #request(row: Json): TemplateResult {
    const requestId = asText(row['requestId']) ?? '';
    const scopes = texts(row['scopes']);
    const facts = [asText(row['platform']), asText(row['browserOrigin']), asText(row['remoteIp']), ago(asNumber(row['ts']) ?? Date.now())];
    return html`<li>
      <div class="main">
        <h3>${nameOf(row)} <span class="tag warn">${row['isRepair'] === true ? strings.devices.asksMore : strings.devices.isNew}</span></h3>
        <p class="sub">${facts.filter((fact) => fact).join(' · ')}</p>
        <ul class="asks">
          ${scopeWords(texts(row['roles']), scopes).map((word) => html`<li class=${word.risky ? 'risky' : ''}>${word.text}</li>`)}
        </ul>
      </div>
      ${this.#buttons(
        requestId,
        () => void this.act(requestId, () => this.ask('device.pair.approve', { requestId })),
        () => this.ask('device.pair.reject', { requestId }),
      )}
    </li>`;
  }

  #surface(row: Json): TemplateResult {
    const requestId = asText(row['requestId']) ?? '';
    const commands = texts(row['commands']);
    const risky = commands.filter(sensitive);
    const approve = async () => {
      const sure = risky.length === 0 || (await ask({ title: strings.devices.sensitiveTitle(nameOf(row)), text: strings.devices.sensitiveText, points: risky, confirm: strings.devices.approve, danger: true }));
      if (sure !== null) await this.act(requestId, () => this.ask('node.pair.approve', { requestId }));
    };
    return html`<li>
      <div class="main">
        <h3>${nameOf(row)} <span class="tag warn">${strings.devices.offers}</span></h3>
        <p class="sub">${[asText(row['platform']), asText(row['remoteIp'])].filter((fact) => fact).join(' · ')}</p>
        <ul class="asks">
          ${commands.map((command) => html`<li class=${sensitive(command) ? 'risky' : ''}><code>${command}</code></li>`)}
        </ul>
      </div>
      ${this.#buttons(requestId, () => void approve(), () => this.ask('node.pair.reject', { requestId }))}
    </li>`;
  }

  #device(row: Json): TemplateResult {
    const words = strings.devices;
    const mine = this.gateway.hello?.deviceId === row['deviceId'];
    const last = seen(row);
    const roles = texts(row['roles']).join(', ');
    const facts = [asText(row['platform']), roles, asText(row['remoteIp']), last === 0 ? null : words.seen(ago(last))];
    return html`<li>
      <div class="main">
        <h3>
          ${nameOf(row)} ${row['connected'] === true ? html`<span class="tag ok">${words.connected}</span>` : nothing}
          ${mine ? html`<span class="tag">${words.thisBrowser}</span>` : nothing}
        </h3>
        <p class="sub">${facts.filter((fact) => fact).join(' · ')}</p>
      </div>
      <button
        class="icon"
        aria-haspopup="menu"
        data-testid="device-menu"
        title=${strings.more}
        aria-label=${strings.moreAbout(nameOf(row))}
        @click=${(event: Event) => this.#menu(event.currentTarget as HTMLElement, row)}
      >
        ${icons.more}
      </button>
    </li>`;
  }

  #menu(anchor: HTMLElement, row: Json): void {
    const words = strings.devices;
    const deviceId = asText(row['deviceId']) ?? '';
    const items: MenuItem[] = [];
    if (this.gateway.has('device.pair.rename')) items.push({ label: strings.rename, icon: icons.edit, run: () => void this.#rename(deviceId, row) });
    for (const role of texts(row['roles'])) {
      if (this.gateway.has('device.token.rotate')) items.push({ label: words.rotate(role), icon: icons.refresh, run: () => void this.#token('rotate', deviceId, role, row) });
      if (this.gateway.has('device.token.revoke')) items.push({ label: words.revoke(role), icon: icons.stop, danger: true, run: () => void this.#token('revoke', deviceId, role, row) });
    }
    if (this.gateway.has('device.pair.remove')) items.push({ label: words.remove, icon: icons.trash, danger: true, run: () => void this.#remove(deviceId, row) });
    openMenu(anchor, strings.moreAbout(nameOf(row)), items);
  }

  async #rename(deviceId: string, row: Json): Promise<void> {
    const label = await ask({ title: strings.rename, field: { label: strings.devices.name, value: nameOf(row), maxLength: 64 }, confirm: strings.save });
    if (label !== null && label !== '') await this.act(deviceId, () => this.ask('device.pair.rename', { deviceId, label }));
  }

  async #token(action: 'rotate' | 'revoke', deviceId: string, role: string, row: Json): Promise<void> {
    const words = strings.devices;
    const [title, text] = action === 'rotate' ? [words.rotate(role), words.rotateText] : [words.revoke(role), words.revokeText];
    const sure = await ask({ title: `${title}: ${nameOf(row)}`, text, confirm: title, danger: true });
    if (sure !== null) await this.act(deviceId, () => this.ask(`device.token.${action}`, { deviceId, role }));
  }

  async #remove(deviceId: string, row: Json): Promise<void> {
    const words = strings.devices;
    const sure = await ask({ title: words.removeTitle(nameOf(row)), text: words.removeText, confirm: words.remove, danger: true });
    if (sure !== null) await this.act(deviceId, () => this.ask('device.pair.remove', { deviceId }));
  }

  #node(row: Json): TemplateResult {
    const words = strings.devices;
    const state = asText(row['approvalState']) ?? '';
    const commands = texts(row['commands']);
    // Programs are asked for by agents, and approved one by one on their own page.
    const callable = commands.filter((command) => !command.startsWith('system.run'));
    const usable = row['connected'] === true && callable.length > 0 && this.gateway.has('node.invoke') && this.gateway.may('operator.write');
    return html`<li>
      <div class="main">
        <h3>
          ${nameOf(row)} ${row['connected'] === true ? html`<span class="tag ok">${words.connected}</span>` : html`<span class="tag">${words.away}</span>`}
          ${state === 'approved' || state === '' ? nothing : html`<span class="tag warn">${words.notApproved}</span>`}
        </h3>
        <p class="sub">${[asText(row['platform']), asText(row['modelIdentifier']), asText(row['version'])].filter((fact) => fact).join(' · ')}</p>
        <p class="sub">${commands.length === 0 ? words.noCommands : commands.join(', ')}</p>
      </div>
      ${usable
        ? html`<button
            class="button"
            data-testid="use-node"
            @click=${() => useNode(this.gateway, { nodeId: asText(row['nodeId']) ?? '', name: nameOf(row), commands: callable })}
          >
            ${words.use}
          </button>`
        : nothing}
    </li>`;
  }
}

function seen(row: Json): number {
  const tokens = asList(row['tokens']).map((token) => asNumber(asObject(token)['lastUsedAtMs']) ?? 0);
  return Math.max(asNumber(row['lastSeenAtMs']) ?? 0, ...tokens, row['connected'] === true ? Date.now() : 0);
}

customElements.define('oc-page-devices', DevicesPage);
