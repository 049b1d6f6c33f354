// The official Control UI (npm openclaw, dist/control-ui) in place of ours: `gateway.controlUi.root`.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { frames, launch, openPage } from './lib/browser.mjs';
import { Daemon } from './lib/daemon.mjs';

const TOKEN = 'a-token-that-is-long-enough-to-be-strong-0123456789';
const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../conformance/cli-v4/node_modules/openclaw/dist/control-ui');

for (const basePath of ['', '/claw']) {
  describe(`the official page at ${basePath || '/'}`, () => {
    let browser;
    let daemon;

    before(async () => {
      assert.ok(existsSync(path.join(ROOT, 'index.html')), `${ROOT} holds no page: npm ci in tests/conformance/cli-v4`);
      browser = await launch();
      const controlUi = { root: ROOT, ...(basePath === '' ? {} : { basePath }) };
      daemon = await (await Daemon.create({ gateway: { mode: 'local', auth: { mode: 'token', token: TOKEN }, controlUi } }, { ui: false })).start();
    });
    after(async () => {
      await browser?.close();
      await daemon?.end();
    });

    it('is served as it expects, connects and chats', async () => {
      const { page, faults, chat } = await openPage(browser);
      const answers = [];
      page.on('response', (response) => answers.push({ url: new URL(response.url()).pathname, status: response.status(), type: response.headers()['content-type'] ?? '' }));
      await page.goto(`${daemon.origin}${basePath}/#token=${TOKEN}`);
      const composer = page.locator('textarea:visible').first();
      await composer.waitFor();
      await chat.screenshot(`official-ui${basePath.replace('/', '-')}`);
      await composer.fill('hello from the official page');
      await composer.press('Enter');
      await page.getByText('hello from the official page').nth(1).waitFor();
      await chat.screenshot(`official-ui${basePath.replace('/', '-')}-answer`);

      const facts = answers.find(({ url }) => url === `${basePath}/control-ui-config.json`);
      assert.equal(facts?.status, 200);
      assert.match(facts.type, /^application\/json/);
      const scripts = answers.filter(({ url }) => url.startsWith(`${basePath}/assets/`) && url.endsWith('.js'));
      assert.ok(scripts.length > 0 && scripts.every(({ status, type }) => status === 200 && type.startsWith('text/javascript')), JSON.stringify(scripts));
      const refused = faults.filter((fault) => /content security policy|another origin|exception/i.test(fault));
      assert.deepEqual(refused, []);

      // An address inside of it is the page again.
      assert.notEqual(new URL(page.url()).pathname, `${basePath}/`);
      await page.reload();
      await page.locator('textarea:visible').first().waitFor();
      await page.getByText('hello from the official page').locator('visible=true').first().waitFor();
    });

    it('shows what went on, newest first', async () => {
      const { page, chat } = await openPage(browser);
      await page.goto(`${daemon.origin}${basePath}/activity#token=${TOKEN}`);
      await page.getByText('hello from the official page').locator('visible=true').first().waitFor();
      await chat.screenshot(`official-ui${basePath.replace('/', '-')}-activity`);
      const refused = frames.errors.filter(({ method }) => method === 'sessions.list');
      assert.deepEqual(refused, []);
      await page.close();
    });

    it('heard only frames that the official validators accept', () => {
      console.log(`the official page's ${frames}`);
      assert.ok(frames.framesIn > 0 && frames.framesOut > 0, 'no frame was recorded');
      // It asks for more than its own validators know (`models.list`, `chat.history`), and is answered.
      assert.deepEqual(frames.violations.filter((text) => !/ params were accepted although/.test(text)), []);
    });
  });
}
