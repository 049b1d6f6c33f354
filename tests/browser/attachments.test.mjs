// Pictures and files: chosen, pasted and dropped; given to the model; shown again after a reload; refused in words.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { startModel } from '../conformance/lib/model.mjs';
import { assertAccessible, assertFaultless, assertFrames, launch, openPage } from './lib/browser.mjs';
import { Daemon } from './lib/daemon.mjs';

const TOKEN = 'a-token-that-is-long-enough-to-be-strong-0123456789';
/** A red dot of one pixel. */
const DOT = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==';

/** Hands files to the page as the system's clipboard or a dragged file would. */
function give(page, kind, files) {
  return page.evaluate(
    ([event, list]) => {
      const data = new DataTransfer();
      for (const { name, type, content } of list) data.items.add(new File([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))], name, { type }));
      const composer = document.querySelector('oc-app').shadowRoot.querySelector('oc-composer').shadowRoot;
      const target = event === 'paste' ? composer.querySelector('textarea') : composer.querySelector('.box');
      const made = event === 'paste' ? new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }) : new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true });
      target.dispatchEvent(made);
    },
    [kind, files],
  );
}

describe('attachments', () => {
  let browser;
  let daemon;
  let model;
  let tab;

  before(async () => {
    browser = await launch();
    model = await startModel('I see a red dot.');
    const config = model.config();
    config.models.providers.mock.models[0].input = ['text', 'image', 'document'];
    config.agents.defaults.mediaMaxMb = 1;
    daemon = await (await Daemon.create({ ...config, gateway: { mode: 'local', auth: { mode: 'token', token: TOKEN } } })).start();
    tab = await openPage(browser, { acceptDownloads: true });
    await tab.page.goto(`${daemon.origin}/#token=${TOKEN}`);
    await tab.chat.connected();
  });
  after(async () => {
    await browser?.close();
    await daemon?.end();
    await model?.stop();
  });

  const asked = () => model.requests().at(-1).body.messages.at(-1).content;

  it('gives a pasted picture and a dropped text to the model', async () => {
    const { page, chat } = tab;
    await give(page, 'paste', [{ name: 'dot.png', type: 'image/png', content: DOT }]);
    await give(page, 'drop', [{ name: 'notes.csv', type: 'text/csv', content: btoa('a,b\n1,2') }]);
    await page.locator('.files li').nth(1).waitFor();
    await chat.screenshot('attachments-composer');
    await assertAccessible(tab);
    await chat.send('what is this?');
    assert.match(await chat.answered(), /red dot/);
    const content = asked();
    assert.match(content[0].text, /what is this\?[\s\S]*<file name="notes.csv">\na,b\n1,2/);
    assert.equal(content[1].image_url.url, `data:image/png;base64,${DOT}`);
  });

  it('shows them again after a reload, and saves what it got', async () => {
    const { page, chat } = tab;
    await page.reload();
    await chat.connected();
    const picture = page.getByTestId('picture');
    await picture.waitFor();
    assert.equal(await picture.evaluate((image) => image.decode().then(() => image.naturalWidth)), 1);
    await chat.screenshot('attachments-history');
    await assertAccessible(tab);
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByTestId('file').click()]);
    assert.equal(download.suggestedFilename(), 'notes.csv');
    assert.equal(await readFile(await download.path(), 'utf8'), 'a,b\n1,2');
  });

  it('sends files alone, and edits a message together with its files', async () => {
    const { page, chat } = tab;
    await page.getByTestId('files').setInputFiles({ name: 'alone.md', mimeType: 'text/markdown', buffer: Buffer.from('# alone') });
    await page.locator('.files li').waitFor();
    await page.getByTestId('send').click();
    await chat.questions.filter({ hasText: 'alone.md' }).waitFor();
    await chat.answered();
    assert.match(JSON.stringify(asked()), /# alone/);
    const first = chat.questions.first();
    await first.hover();
    await first.getByTestId('edit').click();
    await page.locator('.files li').nth(1).waitFor();
    await chat.send('once more');
    await chat.answered();
    assert.match(JSON.stringify(asked()), new RegExp(`once more[\\s\\S]*${DOT.slice(0, 40)}`));
  });

  it('says in words what it does not take', async () => {
    const { page, chat } = tab;
    const large = Buffer.alloc(1_048_577, 'x');
    await page.getByTestId('files').setInputFiles({ name: 'large.txt', mimeType: 'text/plain', buffer: large });
    await page.locator('.note[data-bad]', { hasText: 'large.txt' }).waitFor();
    await page.getByTestId('files').setInputFiles({ name: 'tool.zip', mimeType: 'application/zip', buffer: Buffer.from([0x50, 0x4b, 3, 4, 0, 0xff]) });
    await page.locator('.files li').waitFor();
    await chat.composer.fill('unpack this');
    await chat.composer.press('Enter');
    const refused = page.locator('[data-delivery=failed]');
    await refused.waitFor();
    assert.match(await refused.innerText(), /tool\.zip[\s\S]*convert it/);
    await chat.screenshot('attachments-refused');
    await refused.getByRole('button', { name: 'Discard' }).click();
  });

  it('had no fault, and every frame was valid', () => {
    assertFaultless(tab);
    assertFrames();
  });
});
