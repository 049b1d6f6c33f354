// Published attacks on pages of this kind, by the number of their list (see tests/integration/attacks/mod.rs).
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, describe, it } from 'node:test';
import { assertFaultless, launch, openPage } from './lib/browser.mjs';
import { Daemon } from './lib/daemon.mjs';

const TOKEN = 'a-token-that-is-long-enough-to-be-strong-0123456789';

/** Somebody who waits for the page to call, and writes down what it says. */
async function trap() {
  const heard = [];
  const server = net.createServer((socket) => {
    heard.push('a connection');
    socket.on('data', (data) => heard.push(data.toString()));
    socket.on('error', () => {});
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { heard, port: server.address().port, close: () => server.close() };
}

describe('attacks on the page', () => {
  let browser;
  let daemon;

  before(async () => {
    browser = await launch();
    daemon = await (await Daemon.create({ gateway: { mode: 'local', auth: { mode: 'token', token: TOKEN } } })).start();
  });
  after(async () => {
    await browser?.close();
    await daemon?.end();
  });

  it('attack 1: an address that names another gateway leads nowhere else, with and without a token', async () => {
    const evil = await trap();
    const known = await openPage(browser);
    await known.page.goto(`${daemon.origin}/#token=${TOKEN}`);
    await known.chat.connected();
    const url = `ws://127.0.0.1:${evil.port}/`;
    for (const address of [
      `/?gatewayUrl=${url}`,
      `/?gatewayUrl=${encodeURIComponent(url)}&session=main`,
      `/?gateway=${url}&url=${url}&wsUrl=${url}`,
      `/#gatewayUrl=${url}`,
      `/#token=${TOKEN}&gatewayUrl=${encodeURIComponent(url)}`,
      `/chat/agent:main:main?gatewayUrl=${url}`,
      `//127.0.0.1:${evil.port}/?gatewayUrl=${url}`,
    ]) {
      // A browser that the gateway knows, with everything that there is to steal.
      const tab = await openPage(browser, { context: known.context });
      await tab.page.goto(`${daemon.origin}${address}`);
      // Where the address could be taken for an answer, the page asks, and has told nobody anything.
      if (/\?gatewayUrl=/.test(address)) {
        await tab.page.getByTestId('elsewhere-host').getByText(url).waitFor();
        await tab.page.getByTestId('elsewhere-leave').click();
      }
      await tab.chat.connected();
      assertFaultless(tab);
      await tab.page.close();
    }
    assert.deepEqual(evil.heard, []);
    evil.close();
    assertFaultless(known);
    await known.context.close();
  });

  it('attack 36: markup in a message is shown as text, and nothing in it runs', async () => {
    const tab = await openPage(browser);
    await tab.page.goto(`${daemon.origin}/#token=${TOKEN}`);
    await tab.chat.connected();
    for (const payload of [
      '<img src=x onerror="window.pwned=1">',
      '<svg/onload=window.pwned=1><script>window.pwned=1</script>',
      '[click](javascript:window.pwned=1) ![x](x"onerror="window.pwned=1)',
      '<iframe srcdoc="<script>parent.pwned=1</script>"></iframe>',
      '```html\n<img src=x onerror=window.pwned=1>\n```',
    ]) {
      await tab.chat.send(payload);
      const answer = await tab.chat.answered();
      assert.notEqual(answer, '');
    }
    await tab.page.reload();
    await tab.chat.connected();
    await tab.chat.answers.nth(4).waitFor();
    const found = await tab.page.evaluate(() => {
      const roots = [document];
      const bad = [];
      while (roots.length > 0) {
        const root = roots.pop();
        for (const element of root.querySelectorAll('*')) {
          if (element.shadowRoot) roots.push(element.shadowRoot);
          if (root === document) continue;
          if (['IMG', 'IFRAME', 'SCRIPT', 'OBJECT', 'EMBED'].includes(element.tagName)) bad.push(element.outerHTML);
          for (const { name, value } of element.attributes) {
            if (name in HTMLElement.prototype && name.startsWith('on')) bad.push(element.outerHTML);
            if (/^\s*javascript:/i.test(value)) bad.push(element.outerHTML);
          }
        }
      }
      return { bad, pwned: window.pwned };
    });
    assert.deepEqual(found, { bad: [], pwned: undefined });
    // What was written can be read.
    await tab.chat.questions.filter({ hasText: '<img src=x onerror="window.pwned=1">' }).waitFor();
    assertFaultless(tab);
    await tab.context.close();
  });
});
