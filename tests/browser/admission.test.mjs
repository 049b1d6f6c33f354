// Every way in which a gateway refuses a browser, and the way out that the page shows.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { RawClient } from '../conformance/lib/raw.mjs';
import { assertAccessible, assertFaultless, assertFrames, launch, openPage } from './lib/browser.mjs';
import { Daemon } from './lib/daemon.mjs';

const TOKEN = 'a-token-that-is-long-enough-to-be-strong-0123456789';
const gateway = (more = {}) => ({ gateway: { mode: 'local', auth: { mode: 'token', token: TOKEN }, ...more } });
const FOREIGN = 'gateway.foreign.test';
const LISTED = 'gateway.listed.test';

describe('admission', () => {
  let browser;
  let daemon;

  const start = async (config) => {
    daemon = await (await Daemon.create(config)).start();
    return daemon;
  };

  before(async () => {
    browser = await launch({ hosts: [FOREIGN, LISTED] });
  });
  after(async () => {
    await browser?.close();
    await daemon?.end();
  });

  it('asks for a missing token, explains a wrong one, and lets the right one in', async () => {
    await start(gateway());
    const tab = await openPage(browser);
    await tab.page.goto(daemon.origin);
    await tab.page.locator('[data-testid=gate][data-kind=token]').waitFor();
    await tab.chat.screenshot('gate-token');
    await assertAccessible(tab);
    await tab.page.getByTestId('token').fill('not the token');
    await tab.page.getByTestId('token').press('Enter');
    await tab.page.locator('[data-testid=gate][data-code=AUTH_TOKEN_MISMATCH]').waitFor();
    await tab.page.getByTestId('token').fill(TOKEN);
    await tab.page.getByTestId('token').press('Enter');
    await tab.chat.connected();
    await tab.chat.send('let in');
    await tab.chat.answered();
    assertFaultless(tab);
    await tab.context.close();
  });

  it('never takes a token from the query, and no gateway without asking', async () => {
    const tab = await openPage(browser);
    await tab.page.goto(`${daemon.origin}/?gatewayUrl=ws://127.0.0.1:9/`);
    await tab.page.getByTestId('elsewhere-leave').click();
    await tab.page.locator('[data-testid=gate][data-kind=token]').waitFor();
    assertFaultless(tab);
    const refused = await fetch(`${daemon.origin}/?token=${TOKEN}`);
    assert.equal(refused.status, 400);
    const said = await refused.text();
    assert.match(said, /behind #/);
    assert.ok(!said.includes(TOKEN));
    await tab.context.close();
  });

  it('shows out a browser whose device was removed, and lets it in again with the token', async () => {
    const known = await openPage(browser);
    await known.page.goto(`${daemon.origin}/#token=${TOKEN}`);
    await known.chat.connected();
    // A tab that has only the device's own token.
    const tab = await openPage(browser, { context: known.context });
    await known.page.close();
    await tab.page.goto(daemon.origin);
    await tab.chat.connected();
    const owner = new RawClient(`ws://127.0.0.1:${daemon.port}/`);
    await owner.connect({ token: TOKEN });
    const { paired } = await owner.request('device.pair.list', {});
    const mine = paired.filter((device) => device.connected && device.clientId === 'webchat-ui');
    assert.equal(mine.length, 1);
    await owner.request('device.pair.remove', { deviceId: mine[0].deviceId });
    await owner.close();
    await tab.page.locator('[data-testid=gate][data-kind=token]').waitFor();
    await tab.chat.screenshot('gate-removed');
    await tab.page.getByTestId('token').fill(TOKEN);
    await tab.page.getByTestId('token').press('Enter');
    await tab.chat.connected();
    assertFaultless(known, tab);
    await tab.context.close();
  });

  it('refuses a page under a foreign name and names the origin to allow', async () => {
    const tab = await openPage(browser);
    await tab.page.goto(`http://${FOREIGN}:${daemon.port}/#token=${TOKEN}`);
    await tab.page.locator('[data-testid=gate][data-kind=origin]').waitFor();
    const snippet = await tab.page.getByTestId('command').innerText();
    assert.match(snippet, new RegExp(`allowedOrigins: \\["http://${FOREIGN}:${daemon.port}"\\]`));
    await tab.chat.screenshot('gate-origin');
    await assertAccessible(tab);
    assertFaultless(tab);
    await tab.context.close();
    await daemon.end();
  });

  it('works on a plain-http page, where the browser has no WebCrypto', async () => {
    daemon = await Daemon.create();
    const listed = await Daemon.create(gateway({ controlUi: { allowedOrigins: [`http://${LISTED}:${daemon.port}`] } }));
    listed.port = daemon.port;
    await daemon.end();
    daemon = await listed.start();
    const tab = await openPage(browser);
    await tab.page.goto(`http://${LISTED}:${daemon.port}/#token=${TOKEN}`);
    assert.equal(await tab.page.evaluate(() => isSecureContext), false);
    await tab.chat.connected();
    await tab.chat.send('no WebCrypto here');
    await tab.chat.answered();
    await tab.page.reload();
    await tab.chat.connected();
    await tab.chat.questions.filter({ hasText: 'no WebCrypto here' }).waitFor();
    assertFaultless(tab);
    await tab.context.close();
    await daemon.end();
  });

  it('waits for its approval with the exact command, and goes on by itself once it is given', async () => {
    await start(gateway({ nodes: { pairing: { autoApproveLocal: false } } }));
    const tab = await openPage(browser);
    await tab.page.goto(`${daemon.origin}/#token=${TOKEN}`);
    await tab.page.locator('[data-testid=gate][data-kind=pairing]').waitFor();
    const requestId = await tab.page.getByTestId('request-id').innerText();
    const command = await tab.page.getByTestId('command').innerText();
    assert.equal(command, `openclaw devices approve ${requestId}`);
    await tab.chat.screenshot('gate-pairing');
    await assertAccessible(tab);
    await daemon.cli(...command.split(' ').slice(1));
    await tab.chat.connected();
    assertFaultless(tab);
    await tab.context.close();
  });

  it('spoke and heard only frames that the official validators accept', () => assertFrames());
});
