import { LitElement, css, html, type PropertyValues } from 'lit';
import { shared } from '../styles/shared';
import { strings } from '../strings';
import { copyText } from './clipboard';
import { blocksOf, renderBlock } from './markdown';

/**
 * `<oc-markdown>`: shows markdown and updates only the blocks that changed, so that a streaming answer keeps the
 * reader's selection and costs as much as its last paragraph.
 */
export class MarkdownElement extends LitElement {
  static override properties = { text: {}, streaming: { type: Boolean } };
  declare text: string;
  declare streaming: boolean;

  #shown: string[] = [];

  constructor() {
    super();
    this.text = '';
    this.streaming = false;
  }

  static override styles = [
    shared,
    css`
      :host {
        display: block;
        overflow-wrap: anywhere;
      }

      .block + .block {
        margin-top: 0.85em;
      }

      .block > * {
        margin: 0;
      }

      h1,
      h2,
      h3,
      h4,
      h5,
      h6 {
        font-size: 1.05em;
        font-weight: 650;
        line-height: 1.35;
      }

      h1 {
        font-size: 1.3em;
      }

      h2 {
        font-size: 1.15em;
      }

      ul,
      ol {
        padding-left: 1.4em;
      }

      ol {
        padding-left: 2em;
      }

      li + li,
      li > ul,
      li > ol {
        margin-top: 0.25em;
      }

      li > p {
        margin: 0 0 0.5em;
      }

      a {
        color: var(--accent);
        text-underline-offset: 2px;
      }

      blockquote {
        padding-left: 1em;
        border-left: 3px solid var(--line);
        color: var(--muted);
      }

      blockquote > p {
        margin: 0;
      }

      hr {
        border: 0;
        border-top: 1px solid var(--line);
      }

      :not(pre) > code {
        padding: 0.1em 0.35em;
        border-radius: 5px;
        background: var(--raised);
      }

      .code {
        border: 1px solid var(--line);
        border-radius: 12px;
        background: var(--code);
        overflow: hidden;
      }

      .code-head {
        display: flex;
        align-items: center;
        justify-content: space-between;
        min-height: 2.1rem;
        padding: 0 0.4rem 0 0.9rem;
        border-bottom: 1px solid var(--line);
        color: var(--muted);
        font-size: 0.78rem;
      }

      .copy {
        padding: 0.15rem 0.6rem;
        border-radius: 7px;
        font-size: 0.78rem;
      }

      .copy:hover {
        background: var(--raised);
        color: var(--text);
      }

      pre {
        margin: 0;
        padding: 0.8rem 0.9rem;
        overflow-x: auto;
        line-height: 1.5;
        tab-size: 4;
        white-space: pre;
        overflow-wrap: normal;
      }

      .hljs-comment,
      .hljs-quote,
      .hljs-meta {
        color: var(--muted);
      }

      .hljs-keyword,
      .hljs-selector-tag,
      .hljs-literal,
      .hljs-deletion {
        color: var(--code-keyword);
      }

      .hljs-string,
      .hljs-regexp,
      .hljs-addition,
      .hljs-attribute {
        color: var(--code-string);
      }

      .hljs-number,
      .hljs-symbol,
      .hljs-variable,
      .hljs-template-variable {
        color: var(--code-number);
      }

      .hljs-title,
      .hljs-section,
      .hljs-name,
      .hljs-built_in,
      .hljs-type,
      .hljs-attr {
        color: var(--code-name);
      }

      table {
        display: block;
        max-width: 100%;
        overflow-x: auto;
        border-collapse: collapse;
        font-size: 0.94em;
      }

      th,
      td {
        padding: 0.35rem 0.8rem;
        border: 1px solid var(--line);
      }

      th:not([align]) {
        text-align: start;
      }

      th {
        background: var(--raised);
        font-weight: 600;
      }

      .streaming .block:last-child > p:last-child::after,
      .streaming .block:last-child > ul > li:last-child::after,
      .streaming .block:last-child > ol > li:last-child::after {
        content: '';
        display: inline-block;
        width: 0.5em;
        height: 1em;
        margin-left: 0.15em;
        border-radius: 2px;
        background: var(--accent);
        vertical-align: -0.12em;
        animation: pulse 1.1s ease-in-out infinite;
      }

      @keyframes pulse {
        50% {
          opacity: 0.25;
        }
      }
    `,
  ];

  protected override render() {
    return html`<div class=${this.streaming ? 'streaming' : ''} @click=${this.#click}></div>`;
  }

  protected override updated(changed: PropertyValues<this>): void {
    if (changed.has('text')) this.#show();
    if (changed.has('text') || changed.has('streaming')) void this.#colour();
  }

  #show(): void {
    const host = this.renderRoot.firstElementChild!;
    const blocks = blocksOf(this.text);
    blocks.forEach((block, index) => {
      if (this.#shown[index] === block.raw) return;
      const old = host.children[index];
      const place = document.createElement('div');
      place.className = 'block';
      place.append(renderBlock(block));
      if (old) old.replaceWith(place);
      else host.append(place);
    });
    while (host.children.length > blocks.length) host.lastElementChild!.remove();
    this.#shown = blocks.map((block) => block.raw);
  }

  /** Colours code blocks that are complete: all, or all but the one that is being written. */
  async #colour(): Promise<void> {
    const blocks = [...this.renderRoot.firstElementChild!.children];
    const complete = this.streaming ? blocks.slice(0, -1) : blocks;
    const plain = complete.flatMap((block) => [...block.querySelectorAll('.code:not(.coloured)')]);
    if (plain.length === 0) return;
    const { highlight } = await import('./highlight');
    for (const block of plain) {
      const code = block.querySelector('code');
      if (!code || block.classList.contains('coloured')) continue;
      block.classList.add('coloured');
      const coloured = highlight(code.textContent ?? '', block.querySelector('.code-head span')?.textContent ?? '');
      if (coloured) code.replaceChildren(coloured);
    }
  }

  async #click(event: Event): Promise<void> {
    const button = (event.target as Element).closest('button.copy');
    const code = button?.closest('.code')?.querySelector('code');
    if (!button || !code) return;
    if (!(await copyText(code.textContent ?? ''))) return;
    button.textContent = strings.message.copied;
    setTimeout(() => (button.textContent = strings.message.copy), 1_600);
  }
}

customElements.define('oc-markdown', MarkdownElement);
