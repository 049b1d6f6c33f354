/**
 * Markdown of an answer as safe HTML. What a model writes is untrusted: raw HTML is shown as text, pictures from
 * elsewhere become links (loading one would tell its server what was said), and DOMPurify has the last word.
 */
import DOMPurify from 'dompurify';
import { Marked, type Token, type Tokens } from 'marked';
import { strings } from '../strings';

export interface Block {
  /** The source of the block: as long as it is the same, so is what is shown. */
  raw: string;
  token: Token;
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function safeAddress(href: string): string | null {
  try {
    // Relative addresses would lead into this page; only whole ones are links.
    const url = new URL(href);
    return ['http:', 'https:', 'mailto:'].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

function link(href: string, label: string): string {
  const address = safeAddress(href);
  return address === null ? label : `<a href="${escape(address)}" target="_blank" rel="noopener noreferrer">${label}</a>`;
}

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html: (token: Tokens.HTML | Tokens.Tag) => ('block' in token && token.block ? `<p>${escape(token.text)}</p>` : escape(token.text)),
    image: ({ href, text }: Tokens.Image) => link(href, escape(text || strings.message.image)),
    link({ href, tokens }: Tokens.Link) {
      return link(href, this.parser.parseInline(tokens));
    },
    checkbox: ({ checked }: Tokens.Checkbox) => (checked ? '☑ ' : '☐ '),
    code({ text, lang }: Tokens.Code) {
      const name = (lang ?? '').split(/\s/)[0] ?? '';
      return (
        `<div class="code"><div class="code-head"><span>${escape(name)}</span>` +
        `<button type="button" class="copy">${strings.message.copy}</button></div>` +
        `<pre tabindex="0"><code>${escape(text)}</code></pre></div>`
      );
    },
  },
});

/** Splits a text into its top-level blocks; while it streams, only the last one changes. */
export function blocksOf(text: string): Block[] {
  return marked
    .lexer(text)
    .filter((token) => token.type !== 'space')
    .map((token) => ({ raw: token.raw, token }));
}

/** Renders one block. */
export function renderBlock(block: Block): DocumentFragment {
  return DOMPurify.sanitize(marked.parser([block.token]), {
    RETURN_DOM_FRAGMENT: true,
    ALLOWED_TAGS: [
      ...['p', 'br', 'strong', 'em', 'del', 'code', 'pre', 'blockquote', 'hr', 'ul', 'ol', 'li', 'a'],
      ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'table', 'thead', 'tbody', 'tr', 'th', 'td', 'div', 'span', 'button'],
    ],
    ALLOWED_ATTR: ['href', 'target', 'rel', 'class', 'type', 'tabindex', 'align', 'start'],
  });
}
