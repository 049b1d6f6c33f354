// Shows A2UI v0.8 surfaces with the published renderer. The app that shows this page tells it what to draw
// (`openclawA2UI.applyMessages`), and what the person does goes back through the bridge that the canvas host puts into
// each page (`OpenClaw.sendUserAction`).
import { ContextProvider } from '@lit/context';
import { Data, type Events, type Types } from '@a2ui/lit/0.8';
import * as UI from '@a2ui/lit/ui';
import { css, html, LitElement, nothing } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { markdown } from './markdown.ts';
import { theme } from './theme.ts';

interface Action {
  name: string;
  surfaceId: string;
  sourceComponentId: string;
  timestamp: string;
  context: Record<string, unknown>;
}

interface Api {
  /** Draws what these messages say; gives the ids of the surfaces that there are then. */
  applyMessages(messages: Types.ServerToClientMessage[]): { ok: true; surfaces: string[] };
  /** Takes everything away. */
  reset(): { ok: true };
  /** The ids of the surfaces that there are. */
  getSurfaces(): string[];
}

declare global {
  var openclawA2UI: Api;
  var openclawSendUserAction: ((action: Action) => string | false) | undefined;
}

type ActionEvent = Events.StateEvent<'a2ui.action'>;

class Page extends LitElement {
  static override styles = css`
    :host {
      display: grid;
      gap: 16px;
      max-width: 720px;
      margin: 0 auto;
    }
    [role='status'] {
      color: GrayText;
      font-size: 14px;
    }
  `;

  readonly #processor = Data.createSignalA2uiMessageProcessor();
  #status = '';

  constructor() {
    super();
    new ContextProvider(this, { context: UI.Context.themeContext, initialValue: theme });
    new ContextProvider(this, { context: UI.Context.markdown, initialValue: async (text: string) => markdown(text) });
    const ids = () => [...this.#processor.getSurfaces().keys()];
    globalThis.openclawA2UI = {
      applyMessages: (messages) => {
        this.#processor.processMessages(messages);
        this.requestUpdate();
        return { ok: true, surfaces: ids() };
      },
      reset: () => {
        this.#processor.clearSurfaces();
        this.#say('');
        return { ok: true };
      },
      getSurfaces: ids,
    };
    addEventListener('openclaw:a2ui-action-status', (event) => {
      const { ok, error } = (event as CustomEvent<{ ok: boolean; error?: string }>).detail ?? {};
      this.#say(ok ? 'Sent.' : `Not sent: ${error ?? 'nobody takes it'}`);
    });
  }

  #say(status: string): void {
    this.#status = status;
    this.requestUpdate();
  }

  /** What the person did, with the values that its context names. */
  #act(event: ActionEvent, surfaceId: string): void {
    const { action, dataContextPath, sourceComponent, sourceComponentId } = event.detail;
    const context: Record<string, unknown> = {};
    for (const { key, value } of action.context ?? []) {
      if (value.path !== undefined && sourceComponent) {
        const path = this.#processor.resolvePath(value.path, dataContextPath);
        context[key] = plain(this.#processor.getData(sourceComponent, path, surfaceId));
      } else {
        context[key] = value.literalString ?? value.literalNumber ?? value.literalBoolean ?? null;
      }
    }
    const sent = globalThis.openclawSendUserAction?.({
      name: action.name,
      surfaceId,
      sourceComponentId,
      timestamp: new Date().toISOString(),
      context,
    });
    this.#say(sent ? 'Sending …' : 'This page is not shown by an app that takes actions.');
  }

  override render() {
    const surfaces = [...this.#processor.getSurfaces()].filter(([, surface]) => surface.rootComponentId);
    return html`${repeat(
      surfaces,
      ([id]) => id,
      ([id, surface]) => html`<a2ui-surface
        id=${id}
        .surfaceId=${id}
        .surface=${surface}
        .processor=${this.#processor}
        @a2uiaction=${(event: ActionEvent) => this.#act(event, id)}
      ></a2ui-surface>`,
    )}${this.#status === '' ? nothing : html`<p role="status">${this.#status}</p>`}`;
  }
}

/** Data of the model without the maps that it is kept in. */
function plain(value: unknown): unknown {
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, inner]) => [key, plain(inner)]));
  if (Array.isArray(value)) return value.map(plain);
  return value;
}

customElements.define('openclaw-a2ui', Page);
