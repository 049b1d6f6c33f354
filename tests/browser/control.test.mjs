// The pages that do things elsewhere: jobs by the clock, accounts on channels (the platform is npm @openclaw/crabline),
// and commands of connected nodes.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { newDevice } from '../conformance/lib/device.mjs';
import { startModel } from '../conformance/lib/model.mjs';
import { RawClient } from '../conformance/lib/raw.mjs';
import { startTelegramServer } from '../conformance/lib/telegram.mjs';
import { assertAccessible, assertFaultless, assertFrames, launch, openPage } from './lib/browser.mjs';
import { Daemon } from './lib/daemon.mjs';

const TOKEN = 'a-token-that-is-long-enough-to-be-strong-0123456789';
const PHONE = { viewport: { width: 390, height: 780 }, isMobile: true, hasTouch: true, colorScheme: 'dark' };
/** One red dot. */
const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==';

describe('pages that do things elsewhere', () => {
  let browser;
  let daemon;
  let desk;
  let folder;
  let model;
  let platform;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'openclaw-crabline-'));
    [browser, model, platform] = await Promise.all([
      launch(),
      startModel('Three letters, none of them urgent.', {
        teach: (mock) => mock.onMessage(/break down/, { error: { message: 'no such thing', type: 'invalid_request_error' }, status: 400 }),
      }),
      startTelegramServer({ recorderPath: path.join(folder, 'telegram.jsonl') }),
    ]);
    const { botToken, endpoints } = platform.manifest;
    const telegram = { apiRoot: endpoints.apiRoot, accounts: { default: { name: 'Helper', botToken }, spare: { botToken: '1:no-such-bot' } } };
    const config = { gateway: { mode: 'local', auth: { mode: 'token', token: TOKEN } }, ...model.config(), channels: { telegram } };
    daemon = await (await Daemon.create(config)).start();
    desk = await openPage(browser);
    await desk.page.goto(`${daemon.origin}/#token=${TOKEN}`);
    await desk.chat.connected();
  });
  after(async () => {
    await browser?.close();
    await Promise.all([daemon?.end(), model?.stop(), platform?.close()]);
    await rm(folder, { recursive: true, force: true });
  });

  const open = async ({ page }, name) => {
    await page.getByTestId(`nav-${name}`).click();
    await page.waitForURL(`${daemon.origin}/${name}`);
    await page.locator('[data-testid=page][aria-busy=false]').waitFor();
  };
  const job = (name) => desk.page.getByTestId('job').filter({ hasText: name });

  it('schedule: makes a job by hand, runs it, and shows what came of it', async () => {
    await open(desk, 'cron');
    const { page } = desk;
    await page.getByTestId('no-jobs').waitFor();
    await page.getByTestId('cron-new').click();
    await page.getByTestId('cron-save').click();
    await page.getByText('Give it a name.').waitFor();
    assert.equal(await page.getByTestId('cron-name').evaluate((field) => field === field.getRootNode().activeElement), true, 'the focus is in the field that is wrong');
    await page.getByTestId('cron-name').fill('Morning inbox');
    await page.getByTestId('cron-text').fill('Summarise my inbox.');
    await page.getByTestId('cron-time').fill('08:30');
    await page.getByTestId('cron-days').selectOption('1-5');
    await page.getByTestId('cron-zone').fill('Europe/Zurich');
    await desk.chat.screenshot('cron-form');
    await assertAccessible(desk);
    await page.getByTestId('cron-save').click();
    await page.getByText('The job is there.').waitFor();
    await job('Morning inbox').getByText('08:30, Monday to Friday (Europe/Zurich)').waitFor();

    await job('Morning inbox').getByTestId('job-run').click();
    await job('Morning inbox').locator('.tag.ok', { hasText: 'done' }).waitFor();
    await job('Morning inbox').getByTestId('job-runs').click();
    await page.getByTestId('runs').getByText('Three letters, none of them urgent.').waitFor();
    await desk.chat.screenshot('cron-runs');
    await assertAccessible(desk);
    await page.getByTestId('runs').getByRole('link', { name: 'conversation' }).click();
    await desk.chat.answers.filter({ hasText: 'none of them urgent' }).waitFor();
    assertFaultless(desk);
  });

  it('schedule: shows a failure as one, changes a job, pauses it and ends it', async () => {
    await open(desk, 'cron');
    const { page } = desk;
    await page.getByTestId('cron-new').click();
    await page.getByTestId('cron-name').fill('Trouble');
    await page.getByTestId('cron-text').fill('Please break down.');
    await page.getByTestId('cron-kind').selectOption('every');
    await page.getByTestId('cron-amount').fill('3');
    await page.getByTestId('cron-answer').selectOption('stays');
    await page.getByTestId('cron-save').click();
    await job('Trouble').getByText('every 3 hours').waitFor();
    await job('Trouble').getByTestId('job-run').click();
    await job('Trouble').locator('.tag.bad', { hasText: 'failed' }).waitFor();

    await job('Trouble').getByTestId('job-menu').click();
    await page.getByRole('menuitem', { name: 'Change' }).click();
    assert.equal(await page.getByTestId('cron-amount').inputValue(), '3');
    assert.equal(await page.getByTestId('cron-text').inputValue(), 'Please break down.');
    await page.getByTestId('cron-kind').selectOption('cron');
    await page.getByTestId('cron-expr').fill('99 99 * * *');
    await page.getByTestId('cron-save').click();
    await page.getByTestId('problem').waitFor();
    await page.getByTestId('cron-expr').fill('0 9 1 * *');
    await page.getByTestId('cron-save').click();
    await page.getByText('The job is changed.').waitFor();
    await job('Trouble').getByText('0 9 1 * *').waitFor();

    await job('Trouble').getByTestId('job-pause').click();
    await job('Trouble').getByText('paused', { exact: true }).waitFor();
    const phone = await openPage(browser, PHONE);
    await phone.page.goto(`${daemon.origin}/cron#token=${TOKEN}`);
    await phone.page.getByTestId('jobs').waitFor();
    assert.ok(await phone.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing is wider than a phone');
    await phone.chat.screenshot('phone-dark-cron');
    await assertAccessible(phone);
    assertFaultless(phone);
    await phone.context.close();

    await job('Trouble').getByTestId('job-menu').click();
    await page.getByRole('menuitem', { name: 'Delete' }).click();
    await page.getByTestId('confirm').click();
    await job('Trouble').waitFor({ state: 'detached' });
    assertFaultless(desk);
  });

  it('channels: says in words how each account is and what to do, and starts and stops it', async () => {
    await open(desk, 'channels');
    const { page } = desk;
    const account = (name) => page.getByTestId('channel-telegram').locator('li', { hasText: name });
    await account('Helper').getByText('Press Start to let messages in.').waitFor();
    await account('Helper').getByTestId('channel-start').click();
    await account('Helper').getByText('Messages come in and answers go out.').waitFor();
    await account('spare').getByTestId('channel-start').click();
    await page.locator('[data-testid=channel-telegram] li[data-state=parked]', { hasText: 'spare' }).waitFor();
    assert.match(await account('spare').getByTestId('channel-problem').innerText(), /token/i);
    await desk.chat.screenshot('channels');
    await assertAccessible(desk);
    await account('Helper').getByTestId('channel-stop').click();
    await account('Helper').getByText('Press Start to let messages in.').waitFor();
    await account('Helper').getByTestId('channel-start').click();
    await account('Helper').getByText('Messages come in and answers go out.').waitFor();
    assertFaultless(desk);
  });

  it('channels: shows a stranger who asks, and lets them in', async () => {
    const { adminToken, endpoints } = platform.manifest;
    const write = (text) =>
      fetch(endpoints.adminInboundUrl, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-crabline-admin-token': adminToken },
        body: JSON.stringify({ chatId: 2002, fromId: 2002, fromName: 'Bob', text }),
      });
    assert.ok((await write('hello')).ok);
    const { page } = desk;
    const bob = page.getByTestId('channel-requests').locator('li', { hasText: 'Bob' });
    await bob.getByText('Wants to write to your agent.').waitFor();
    await desk.chat.screenshot('channels-request');
    await assertAccessible(desk);
    await bob.getByTestId('approve-sender').click();
    await bob.waitFor({ state: 'detached' });
    assert.ok((await write('and now?')).ok);
    await page.goto(daemon.origin);
    await desk.chat.questions.filter({ hasText: 'and now?' }).waitFor();
    assertFaultless(desk);
  });

  it('devices: uses a command of a node, and shows the picture that it takes', async () => {
    const node = new RawClient(`ws://127.0.0.1:${daemon.port}/`);
    await node.connectNode({ token: TOKEN, device: newDevice(), displayName: 'shed', commands: ['camera.snap', 'canvas.present'] });
    const { page } = desk;
    await open(desk, 'devices');
    await page.getByTestId('pending').locator('li', { hasText: 'shed' }).first().getByTestId('approve').click();
    await page.getByTestId('confirm').click();
    await page.getByTestId('nodes').locator('li', { hasText: 'shed' }).getByTestId('use-node').click();
    await page.getByTestId('node-command').selectOption('camera.snap');
    await page.getByTestId('node-params').fill('{ not json');
    await page.getByTestId('node-run').click();
    await page.getByTestId('node-problem').waitFor();

    const answerTo = async (payload, seen) => {
      const { payload: asked } = await node.event('node.invoke.request', ({ id }) => !seen.has(id));
      seen.add(asked.id);
      await node.request('node.invoke.result', { id: asked.id, nodeId: asked.nodeId, ...payload });
      return asked;
    };
    const seen = new Set();
    await page.getByTestId('node-params').fill('{"facing":"back"}');
    const [asked] = await Promise.all([
      answerTo({ ok: true, payloadJSON: JSON.stringify({ format: 'png', base64: PNG, width: 1, height: 1 }) }, seen),
      page.getByTestId('node-run').click(),
    ]);
    assert.deepEqual(JSON.parse(asked.paramsJSON), { facing: 'back' });
    await page.getByTestId('node-picture').waitFor();
    assert.equal(await page.getByTestId('node-picture').evaluate((picture) => picture.decode().then(() => picture.naturalWidth)), 1);
    await desk.chat.screenshot('node-picture');
    await assertAccessible(desk);

    await Promise.all([answerTo({ ok: false, error: { code: 'UNAVAILABLE', message: 'the camera is in use' } }, seen), page.getByTestId('node-run').click()]);
    await page.getByTestId('node-problem').getByText('the camera is in use').waitFor();
    await page.keyboard.press('Escape');
    await page.getByTestId('node-command').waitFor({ state: 'detached' });
    await node.close();
    assertFaultless(desk);
  });

  it('spoke and heard only frames that the official validators accept', () => assertFrames());
});
