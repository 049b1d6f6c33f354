// A newcomer's way: start the gateway without any configuration, open the printed address, chat.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { assertAccessible, assertFaultless, assertFrames, launch, openPage } from './lib/browser.mjs';
import { Daemon } from './lib/daemon.mjs';

const LONG = Array.from({ length: 15 }, (_, index) => `Point ${index + 1} of what I have in mind.`).join(' ');

describe('a first start without configuration', () => {
  let browser;
  let daemon;
  let first;

  before(async () => {
    browser = await launch();
    daemon = await (await Daemon.create()).start();
    first = await openPage(browser);
  });
  after(async () => {
    await browser?.close();
    await daemon?.end();
  });

  it('opens under the printed address, which then no longer shows the token', async () => {
    const address = await daemon.address();
    await first.page.goto(address);
    await first.chat.connected();
    assert.equal(first.page.url(), `${daemon.origin}/`);
    assert.equal(await first.page.evaluate(() => history.length), 2);
    await first.page.getByTestId('empty').waitFor();
    await first.chat.screenshot('empty-light');
    await assertAccessible(first);
  });

  it('streams an answer to a message', async () => {
    await first.chat.watch();
    await first.chat.send(`Hello there. ${LONG}`);
    const answer = await first.chat.answered();
    assert.match(answer, /Point 15/);
    const seen = await first.chat.seen();
    assert.ok(seen.length > 1, `the answer was shown in ${seen.length} steps`);
    assert.ok(seen[0].length < answer.length, 'the first thing shown was the whole answer');
    await first.chat.screenshot('chat-light');
    await assertAccessible(first);
  });

  it('says how to configure a model instead of the echo', async () => {
    await first.chat.send('hi');
    assert.match(await first.chat.answered(), /model/i);
  });

  it('keeps the conversation over a reload, and needs no token any more', async () => {
    const before = await first.chat.questions.count();
    await first.page.reload();
    await first.chat.connected();
    await first.chat.questions.nth(before - 1).waitFor();
    assert.equal(await first.chat.questions.count(), before);
    assert.equal(await first.chat.answers.count(), before);
    // A new tab of the same browser has no token in its session and shows the same.
    const second = await openPage(browser, { context: first.context });
    await second.page.goto(daemon.origin);
    await second.chat.connected();
    await second.chat.questions.nth(before - 1).waitFor();
    await second.page.close();
    assertFaultless(second);
  });

  it('shows what another tab writes, in both', async () => {
    const second = await openPage(browser, { context: first.context });
    await second.page.goto(daemon.origin);
    await second.chat.connected();
    await second.chat.send('written in the second tab');
    await second.chat.answered();
    await first.chat.questions.filter({ hasText: 'written in the second tab' }).waitFor();
    await first.chat.answered();
    assert.equal(await first.chat.questions.filter({ hasText: 'written in the second tab' }).count(), 1);
    assert.equal(await first.chat.answers.count(), await second.chat.answers.count());
    await second.page.close();
    assertFaultless(second);
  });

  it('keeps conversations apart, each under an address of its own', async () => {
    const { page, chat } = first;
    const before = await chat.questions.count();
    await page.getByRole('button', { name: 'New conversation' }).click();
    await page.getByTestId('empty').waitFor();
    await page.waitForURL(/\/chat\/agent/);
    await chat.send('something else altogether');
    await chat.answered();
    await page.reload();
    await chat.connected();
    await chat.questions.filter({ hasText: 'something else altogether' }).waitFor();
    assert.equal(await chat.questions.count(), 1);
    await page.getByRole('link', { name: 'something else altogether' }).waitFor();
    await chat.screenshot('sessions');
    await page.getByRole('link', { name: 'Main conversation' }).click();
    await chat.questions.nth(before - 1).waitFor();
    assert.equal(await chat.questions.filter({ hasText: 'something else altogether' }).count(), 0);
    assert.equal(await chat.questions.count(), before);
    await page.goBack();
    await chat.questions.filter({ hasText: 'something else altogether' }).waitFor();
    await page.goForward();
    await chat.questions.nth(before - 1).waitFor();
  });

  for (const signal of ['SIGTERM', 'SIGKILL']) {
    it(`comes back by itself after ${signal}, and delivers once what was written meanwhile`, async () => {
      const text = `written while the gateway was away (${signal})`;
      const before = await first.chat.questions.count();
      const asked = [];
      first.page.on('websocket', (socket) => {
        socket.on('framesent', ({ payload }) => {
          const frame = JSON.parse(payload);
          if (frame.method === 'chat.history') asked.push(frame.params);
        });
      });
      await daemon.stop(signal);
      await first.chat.disconnected();
      await first.page.getByTestId('outage').waitFor();
      await first.chat.send(text);
      await first.page.locator('[data-testid=message-user][data-delivery=sending]').waitFor();
      await first.chat.screenshot(`outage-${signal.toLowerCase()}`);
      await daemon.start();
      await first.chat.connected(30_000);
      await first.chat.answered();
      assert.ok(asked.length > 0 && asked.every(({ cursor, limit }) => cursor !== undefined && limit === undefined), `asked only for what came since: ${JSON.stringify(asked)}`);
      await first.page.reload();
      await first.chat.connected();
      await first.chat.questions.nth(before).waitFor();
      assert.equal(await first.chat.questions.filter({ hasText: text }).count(), 1);
      assert.equal(await first.chat.questions.count(), before + 1);
    });
  }

  it('is pleasant in the dark and on a phone', async () => {
    const state = await first.context.storageState({ indexedDB: true });
    for (const [name, options] of [
      ['chat-dark', { colorScheme: 'dark' }],
      ['chat-phone', { viewport: { width: 390, height: 780 }, isMobile: true, hasTouch: true }],
    ]) {
      const other = await openPage(browser, { ...options, storageState: { cookies: state.cookies, origins: [] } });
      await other.page.goto(`${daemon.origin}/#${(await tokenOf(daemon)).slice(1)}`);
      await other.chat.connected();
      await other.chat.answers.last().waitFor();
      assert.ok(await other.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} scrolls sideways`);
      await other.chat.screenshot(name);
      await assertAccessible(other);
      assertFaultless(other);
      await other.context.close();
    }
  });

  it('had no fault: nothing on the console, no policy violation, no other origin', () => assertFaultless(first));

  it('spoke and heard only frames that the official validators accept', () => assertFrames());
});

/** `#token=...` as `openclaw dashboard` prints it. */
async function tokenOf(daemon) {
  const { stdout } = await daemon.cli('dashboard', '--no-open');
  const found = /#token=\S+/.exec(stdout);
  assert.ok(found, `dashboard printed no token:\n${stdout}`);
  return found[0];
}
