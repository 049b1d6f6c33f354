import { LitElement, css, html, nothing } from 'lit';
import { icons } from '../shell/icons';
import { shared } from '../styles/shared';
import { strings } from '../strings';
import type { ToolPart } from './content';

/** What a line has room for. */
const BRIEF = 90;
/** Longer output is cut; the agent has read it whole. */
const SHOWN = 20_000;

/** `<oc-tool-card>`: one thing that the agent did, folded until somebody wants to know. */
export class ToolCardElement extends LitElement {
  static override properties = { tool: { attribute: false } };
  declare tool: ToolPart;

  static override styles = [
    shared,
    css`
      :host {
        display: block;
      }

      details {
        border: 1px solid var(--line);
        border-radius: 12px;
        background: var(--surface);
        font-size: 0.88rem;
        overflow: hidden;
      }

      summary {
        display: flex;
        align-items: center;
        gap: 0.55rem;
        min-height: 2.3rem;
        padding: 0 0.8rem;
        cursor: pointer;
        list-style: none;
      }

      summary::-webkit-details-marker {
        display: none;
      }

      summary:hover {
        background: var(--raised);
      }

      summary svg {
        flex: none;
        width: 1rem;
        height: 1rem;
        color: var(--muted);
      }

      .fold {
        transition: rotate 0.12s;
      }

      details[open] .fold {
        rotate: 90deg;
      }

      .brief {
        flex: 1;
        overflow: hidden;
        color: var(--muted);
        font-family: var(--mono);
        font-size: 0.8rem;
        text-overflow: ellipsis;
        white-space: nowrap;
      }

      .state {
        flex: none;
        color: var(--muted);
        font-size: 0.78rem;
      }

      [data-state='failed'] .state {
        color: var(--danger);
      }

      .spin {
        flex: none;
        width: 0.85rem;
        height: 0.85rem;
        border: 2px solid var(--accent);
        border-right-color: transparent;
        border-radius: 50%;
        animation: turn 1s linear infinite;
      }

      @keyframes turn {
        to {
          rotate: 1turn;
        }
      }

      .inside {
        padding: 0.1rem 0.8rem 0.8rem;
        border-top: 1px solid var(--line);
      }

      h4 {
        margin: 0.6rem 0 0.25rem;
        color: var(--muted);
        font-size: 0.76rem;
        font-weight: 550;
      }

      pre {
        max-height: 20rem;
        margin: 0;
        padding: 0.6rem 0.8rem;
        border-radius: 9px;
        background: var(--code);
        font: 0.8rem/1.5 var(--mono);
        overflow: auto;
        overflow-wrap: anywhere;
        white-space: pre-wrap;
      }

      img {
        display: block;
        max-width: 100%;
        max-height: 20rem;
        margin-top: 0.5rem;
        border-radius: 9px;
      }
    `,
  ];

  protected override render() {
    const { tool } = this;
    const words = strings.tool;
    const output = tool.output === null ? null : tool.output.length > SHOWN ? `${tool.output.slice(0, SHOWN)}\n…` : tool.output;
    return html`<details data-state=${tool.state} data-testid="tool-card">
      <summary>
        ${tool.state === 'running' ? html`<i class="spin" aria-hidden="true"></i>` : tool.state === 'failed' ? icons.alert : icons.tool}
        <code>${tool.name}</code>
        <span class="brief">${briefInput(tool.input)}</span>
        <span class="state">${words[tool.state]}</span>
        <span class="fold">${icons.chevron}</span>
      </summary>
      <div class="inside">
        ${tool.input === '' ? nothing : html`<h4>${words.input}</h4><pre tabindex="0">${tool.input}</pre>`}
        ${output === null ? nothing : html`<h4>${words.output}</h4><pre tabindex="0">${output === '' ? words.nothing : output}</pre>`}
        ${tool.images.map((source) => html`<img src=${source} alt=${strings.message.image} loading="lazy" />`)}
      </div>
    </details>`;
  }
}

/** The arguments on one line: their values, where that says it. */
export function briefInput(input: string): string {
  let text = input;
  try {
    const value: unknown = JSON.parse(input);
    if (typeof value === 'object' && value !== null) {
      text = Object.values(value).map((part) => (typeof part === 'string' ? part : JSON.stringify(part))).join(' ');
    }
  } catch {
    // Not JSON: it is shown as it is.
  }
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > BRIEF ? `${line.slice(0, BRIEF)}…` : line;
}

customElements.define('oc-tool-card', ToolCardElement);
