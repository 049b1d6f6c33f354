// The shell and every control page, as the owner's browser sees them: below a base path, at both widths, in both
// themes and languages.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { newDevice } from '../conformance/lib/device.mjs';
import { startModel } from '../conformance/lib/model.mjs';
import { RawClient } from '../conformance/lib/raw.mjs';
import { assertAccessible, assertFaultless, assertFrames, launch, openPage } from './lib/browser.mjs';
import { Daemon } from './lib/daemon.mjs';

const TOKEN = 'a-token-that-is-long-enough-to-be-strong-0123456789';
const PHONE = { viewport: { width: 390, height: 780 }, isMobile: true, hasTouch: true };

describe('the control pages', () => {
  let browser;
  let daemon;
  let desk;

  before(async () => {
    browser = await launch();
    const config = { gateway: { mode: 'local', auth: { mode: 'token', token: TOKEN }, controlUi: { basePath: '/claw' } } };
    daemon = await (await Daemon.create(config)).start();
    desk = await openPage(browser);
    await desk.page.goto(`${daemon.origin}/claw/#token=${TOKEN}`);
    await desk.chat.connected();
  });
  after(async () => {
    await browser?.close();
    await daemon?.end();
  });

  const open = async ({ page }, name) => {
    await page.getByTestId(`nav-${name}`).click();
    await page.waitForURL(`${daemon.origin}/claw/${name}`);
    await page.locator('[data-testid=page][aria-busy=false]').waitFor();
  };

  it('are found from the sidebar, each with an address that can be opened again', async () => {
    const names = await desk.page.locator('[data-testid^=nav-]').evaluateAll((links) => links.map((link) => link.dataset.testid.slice(4)));
    assert.ok(['overview', 'sessions', 'channels', 'devices', 'logs'].every((name) => names.includes(name)), names.join(' '));
    for (const name of names) {
      await open(desk, name);
      assert.equal(await desk.page.locator('h1').evaluate((title) => title === title.getRootNode().activeElement), true, `${name} takes the focus`);
      await desk.chat.screenshot(`page-${name}`);
      await assertAccessible(desk);
    }
    await desk.page.reload();
    await desk.page.locator('[data-testid=page][aria-busy=false]').waitFor();
    await desk.page.goBack();
    await desk.page.waitForURL(`${daemon.origin}/claw/${names.at(-2)}`);
    assertFaultless(desk);
  });

  it('are pleasant on a phone, in the dark, in both languages, behind a drawer that the keyboard can use', async () => {
    const tab = await openPage(browser, { ...PHONE, colorScheme: 'dark', reducedMotion: 'reduce' });
    await tab.page.goto(`${daemon.origin}/claw/#token=${TOKEN}`);
    await tab.chat.connected();
    const menu = tab.page.locator('button.menu');
    const names = await tab.page.locator('[data-testid^=nav-]').evaluateAll((links) => links.map((link) => link.dataset.testid.slice(4)));
    for (const language of ['en', 'zh']) {
      for (const name of names) {
        await menu.click();
        await tab.page.locator('.side[data-open]').waitFor();
        await open(tab, name);
        await tab.page.locator('.side:not([data-open])').waitFor({ state: 'attached' });
        assert.ok(await tab.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} scrolls sideways`);
        const overflowing = await tab.page.locator('[data-testid=page]').evaluate((page) => page.scrollWidth > page.clientWidth);
        assert.equal(overflowing, false, `${name} is wider than a phone`);
        await tab.chat.screenshot(`phone-dark-${language}-${name}`);
        await assertAccessible(tab);
      }
      await menu.click();
      await tab.page.getByTestId('language').click();
      await tab.page.keyboard.press('Escape');
    }
    await menu.click();
    await tab.chat.screenshot('phone-dark-drawer');
    await assertAccessible(tab);
    await tab.page.keyboard.press('Escape');
    await tab.page.locator('.side:not([data-open])').waitFor({ state: 'attached' });
    assert.equal(await menu.evaluate((button) => button === button.getRootNode().activeElement), true, 'the focus is back at the button');
    assertFaultless(tab);
    await tab.context.close();
  });

  it('show where the keyboard is, wherever it goes', async () => {
    const { page } = desk;
    const names = await page.locator('[data-testid^=nav-]').evaluateAll((links) => links.map((link) => link.dataset.testid.slice(4)));
    for (const name of names) {
      await open(desk, name);
      const places = new Set();
      for (let press = 0; press < 25; press += 1) {
        await page.keyboard.press('Tab');
        const seen = await page.evaluate(() => {
          let element = document.activeElement;
          while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
          const { outlineStyle, outlineWidth } = getComputedStyle(element);
          const visible = (outlineStyle !== 'none' && parseFloat(outlineWidth) >= 1) || element === document.body;
          return { name: `${element.tagName} ${element.dataset.testid ?? element.ariaLabel ?? element.textContent.trim().slice(0, 20)}`, visible };
        });
        assert.ok(seen.visible, `${name}: ${seen.name} has the focus, and nobody sees it`);
        places.add(seen.name);
      }
      assert.ok(places.size > 8, `${name}: the keyboard reaches ${[...places].join(', ')}`);
    }
    assertFaultless(desk);
  });

  it('speak Chinese at a click, and still do after a reload', async () => {
    await open(desk, 'devices');
    await desk.page.getByTestId('language').click();
    await desk.page.getByRole('heading', { name: '设备', exact: true }).waitFor();
    await desk.page.getByRole('heading', { name: '可以进入的设备' }).waitFor();
    await desk.page.reload();
    await desk.page.getByRole('heading', { name: '可以进入的设备' }).waitFor();
    assert.equal(await desk.page.evaluate(() => document.documentElement.lang), 'zh-CN');
    await desk.chat.screenshot('page-devices-zh');
    await desk.page.getByTestId('language').click();
    await desk.page.getByRole('heading', { name: 'Devices', exact: true }).waitFor();
  });

  it('overview: draws what is going on', async () => {
    await open(desk, 'overview');
    await desk.page.getByTestId('health').getByText('Everything is well').waitFor();
    await desk.page.locator('.tile', { hasText: 'Memory' }).locator('svg polyline').waitFor({ state: 'attached' });
    await desk.page.getByTestId('presence').getByText('webchat').first().waitFor();
  });

  it('devices: shows what waits, asks before what is sensitive, renames and removes', async () => {
    await open(desk, 'devices');
    const node = new RawClient(`ws://127.0.0.1:${daemon.port}/`);
    await node.connectNode({ token: TOKEN, device: newDevice(), displayName: 'shed', commands: ['camera.snap', 'canvas.present'] });
    const { page } = desk;
    await page.getByTestId('nav-devices').getByText('1', { exact: true }).waitFor();
    const waiting = page.getByTestId('pending').locator('li', { hasText: 'shed' }).first();
    await waiting.getByText('camera.snap').waitFor();
    await desk.chat.screenshot('devices-pending');
    await assertAccessible(desk);
    await waiting.getByTestId('approve').click();
    await page.getByRole('dialog').getByText('camera.snap').waitFor();
    await desk.chat.screenshot('devices-sensitive');
    await page.getByTestId('confirm').click();
    await page.getByTestId('nodes').getByText('camera.snap, canvas.present').waitFor();
    await page.getByTestId('pending').waitFor({ state: 'detached' });

    const shed = page.getByTestId('paired').locator('li', { hasText: 'shed' });
    await shed.getByTestId('device-menu').click();
    await page.getByRole('menuitem', { name: 'Rename' }).click();
    await page.getByLabel('Name', { exact: true }).fill('garden shed');
    await page.keyboard.press('Enter');
    await page.getByTestId('paired').getByText('garden shed').waitFor();
    await shed.getByTestId('device-menu').focus();
    await page.keyboard.press('Enter');
    await page.keyboard.press('End');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').getByText('Remove garden shed?').waitFor();
    await page.getByTestId('confirm').click();
    await page.getByTestId('paired').getByText('garden shed').waitFor({ state: 'detached' });
    await node.closed;
  });

  it('devices: says what is missing for a setup code, and shows the code as a picture once it is there', async () => {
    const { page } = desk;
    await page.getByTestId('make-code').click();
    await page.getByTestId('setup-code').getByRole('alert').waitFor();
    await page.getByTestId('setup-code').locator('input').fill('wss://gateway.example');
    await page.getByTestId('make-code').click();
    await page.getByTestId('qr').waitFor();
    assert.match(await page.getByTestId('code').innerText(), /^\S{20,}$/);
    assert.ok(await page.getByTestId('qr').evaluate((picture) => picture.decode().then(() => picture.naturalWidth > 20)));
    await desk.chat.screenshot('devices-code');
    assertFaultless(desk);
  });

  it('logs: follows, and filters by level and by words', async () => {
    await open(desk, 'logs');
    const lines = desk.page.getByTestId('log-lines').locator('li');
    await lines.first().waitFor();
    const all = await lines.count();
    await desk.page.getByTestId('log-filter').fill('gateway ready');
    await desk.page.getByTestId('log-lines').locator('li', { hasText: 'gateway ready' }).first().waitFor();
    assert.ok((await lines.count()) < all);
    await desk.page.getByTestId('log-level').selectOption('error');
    await lines.first().waitFor({ state: 'detached' });
    assertFaultless(desk);
  });

  it('settings: refuses what cannot be, shows each change before it is written, and writes it', async () => {
    await open(desk, 'config');
    const { page } = desk;
    await page.getByTestId('config-search').fill('messages.queue.cap');
    const field = page.getByTestId('section-messages').locator('input').first();
    await field.fill('many');
    await page.getByText('This is not a number.').waitFor();
    assert.equal(await page.getByTestId('config-review').isDisabled(), true);
    await field.fill('7');
    await desk.chat.screenshot('config-changed');
    await assertAccessible(desk);
    await page.getByTestId('config-review').click();
    await page.getByRole('dialog').getByText('messages.queue.cap: not set → 7').waitFor();
    await page.getByTestId('confirm').click();
    await page.getByTestId('config-done').waitFor();
    assert.equal(await field.inputValue(), '7');
  });

  it('channels: a newcomer connects a bot by its token', async () => {
    await open(desk, 'channels');
    const { page } = desk;
    await page.getByTestId('no-channels').waitFor();
    await page.getByTestId('telegram-token').fill('nonsense');
    await page.getByTestId('telegram-connect').click();
    await page.getByText('This is no bot token').waitFor();
    await desk.chat.screenshot('channels-newcomer');
    await assertAccessible(desk);
    await page.getByTestId('telegram-token').fill('123456789:AA-no-such-bot-but-as-long-as-one');
    await page.getByTestId('telegram-connect').click();
    // The daemon of this test starts no channel by itself.
    await page.getByTestId('channel-telegram').getByText('Press Start to let messages in.').waitFor();
    await page.getByTestId('telegram-token').waitFor({ state: 'detached' });
    assertFaultless(desk);
  });

  it('set-up: a newcomer names a model, sees that it answers, and talks to it', async () => {
    const model = await startModel('I am **real**.');
    try {
      await open(desk, 'setup');
      const { page, chat } = desk;
      await page.getByTestId('setup-save').click();
      await page.getByText('This provider needs a key.').waitFor();
      await assertAccessible(desk);
      await page.getByTestId('setup-provider').selectOption({ label: 'Another one (OpenAI-compatible)' });
      await page.getByTestId('setup-address').fill(`${model.mock.url}/v1`);
      await page.getByTestId('setup-key').fill('mock-key');
      await page.getByTestId('setup-model').fill('mock-model');
      await page.getByTestId('setup-save').click();
      await page.locator('[data-testid=setup-outcome][data-ok=yes]').waitFor();
      await page.locator('[data-testid=step-1][data-done=yes]').waitFor();
      await chat.screenshot('setup-done');
      await page.getByTestId('setup-chat').click();
      await chat.send('Are you real?');
      assert.match(await chat.answered(), /I am real/);
      // From now on the set-up is out of the way.
      await open(desk, 'setup');
      await page.getByTestId('setup-provider').waitFor({ state: 'detached' });
      await page.getByTestId('setup-another').click();
      await page.getByTestId('setup-provider').waitFor();
      await assertAccessible(desk);
      // And what was said is found by its words.
      await open(desk, 'sessions');
      await page.getByTestId('page').getByRole('searchbox').fill('real');
      await page.getByTestId('hits').getByText('I am real.').waitFor();
      await chat.screenshot('sessions-hits');
      await assertAccessible(desk);
      assertFaultless(desk);
    } finally {
      await model.stop();
    }
  });

  it('spoke and heard only frames that the official validators accept', () => assertFrames());
});
