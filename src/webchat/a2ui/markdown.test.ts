import { describe, expect, it } from 'vitest';
import { markdown } from './markdown.ts';

describe('text of a surface', () => {
  it('has headings, lists, emphasis and code', () => {
    expect(markdown('## Title')).toBe('<h2>Title</h2>');
    expect(markdown('*small*')).toBe('<p><em>small</em></p>');
    expect(markdown('- one\n- **two**')).toBe('<ul><li>one</li><li><strong>two</strong></li></ul>');
    expect(markdown('a\nb\n\nc `d`')).toBe('<p>a<br>b</p><p>c <code>d</code></p>');
    expect(markdown('')).toBe('');
  });

  it('has no markup of its own', () => {
    const text = '<img src=x onerror="x"> [a](javascript:x) ![b](c) `<b>` **<i>**';
    const html = markdown(text);
    expect(html).not.toMatch(/<(?!\/?(p|code|strong)>)/);
    expect(html).not.toMatch(/href|src="/);
  });
});
