// @vitest-environment happy-dom
import { describe, expect, it } from 'vitest';
import { blocksOf, renderBlock } from './markdown';

function html(text: string): string {
  const place = document.createElement('div');
  for (const block of blocksOf(text)) place.append(renderBlock(block));
  return place.innerHTML;
}

describe('markdown', () => {
  it('shows raw HTML as text', () => {
    const shown = html('<img src=x onerror=alert(1)>\n\ninline <b onclick="x()">b</b>');
    expect(shown).not.toMatch(/<(img|b)\b/);
    expect(shown).toContain('&lt;img');
  });

  it('never loads a picture from elsewhere', () => {
    expect(html('![alt](https://evil.example/x.png)')).toContain('<a href="https://evil.example/x.png"');
  });

  it('drops addresses that are not links', () => {
    for (const address of ['javascript:alert(1)', 'data:text/html,x', '/settings', 'vbscript:x']) {
      expect(html(`[go](${address})`)).not.toContain('<a');
    }
  });

  it('opens links away from the page without telling where they come from', () => {
    expect(html('[go](https://example.org)')).toContain('target="_blank"');
    expect(html('[go](https://example.org)')).toContain('rel="noopener noreferrer"');
  });

  it('escapes code and its language', () => {
    const shown = html('```"><script>\n<script>alert(1)</script>\n```');
    expect(shown).not.toContain('<script');
    expect(shown).toContain('&lt;script&gt;alert(1)');
  });

  it('changes only the last block while a text grows', () => {
    const before = blocksOf('one\n\ntwo');
    const after = blocksOf('one\n\ntwo and more');
    expect(after[0]?.raw).toBe(before[0]?.raw);
    expect(after).toHaveLength(before.length);
  });
});
