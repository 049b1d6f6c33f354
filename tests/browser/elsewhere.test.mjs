// The page and its gateway at different addresses: a page that is served elsewhere, and one that is pointed at another
// gateway than its own. Two daemons, each with a secret that the other must never hear.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe, it } from 'node:test';
import { assertAccessible, assertFaultless, assertFrames, launch, openPage } from './lib/browser.mjs';
import { Daemon, freePort } from './lib/daemon.mjs';

const HOME = 'the-secret-of-the-first-gateway-0123456789-abcdef';
/** A name of this machine that no gateway knows. */
const FOREIGN = 'elsewhere.foreign.test';
const AWAY = 'the-secret-of-the-second-gateway-9876543210-fedcba';

/** The page's files, served by somebody who is no gateway. */
async function serveFiles(port, from) {
  const server = http.createServer(async (request, response) => {
    const answer = await fetch(new URL(request.url, from), { headers: { accept: request.headers.accept ?? '*/*' } });
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') });
    response.end(Buffer.from(await answer.arrayBuffer()));
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return server;
}

/** Every text that the page sends, by the host that it is sent to. */
function listen({ page }) {
  const said = new Map();
  page.on('websocket', (socket) => {
    const { host } = new URL(socket.url());
    if (!said.has(host)) said.set(host, []);
    socket.on('framesent', ({ payload }) => said.get(host).push(String(payload)));
  });
  return {
    to: (daemon) => (said.get(new URL(daemon.origin).host) ?? []).join('\n'),
    hosts: () => [...said.keys()],
  };
}

/** The secrets that a browser got from its gateways, by their place. */
const kept = ({ page }) => page.evaluate(() => Object.fromEntries(Object.entries(localStorage).filter(([name]) => name.startsWith('openclaw.device-token'))));
const deviceOf = (frames) => JSON.parse(frames.split('\n').find((text) => text.includes('"connect"'))).params.device.id;
const socketOf = (daemon) => daemon.origin.replace('http', 'ws') + '/';
const hostOf = (daemon) => new URL(daemon.origin).host;

describe('a page and a gateway at different addresses', () => {
  let browser;
  let home;
  let away;
  let files;

  before(async () => {
    browser = await launch({ hosts: [FOREIGN] });
    const config = (token, allowedOrigins = []) => ({ gateway: { mode: 'local', auth: { mode: 'token', token }, controlUi: { allowedOrigins } } });
    home = await (await Daemon.create(config(HOME))).start();
    const port = await freePort();
    away = await (await Daemon.create(config(AWAY, [home.origin, `http://127.0.0.1:${port}`]))).start();
    files = await serveFiles(port, home.origin);
  });
  after(async () => {
    await browser?.close();
    files?.closeAllConnections();
    files?.close();
    await Promise.all([home?.end(), away?.end()]);
  });

  it('asks before it goes to another gateway, tells it no secret of the first, and finds the way back', async () => {
    const tab = await openPage(browser, { gateways: [hostOf(away)] });
    const said = listen(tab);
    await tab.page.goto(`${home.origin}/#token=${HOME}`);
    await tab.chat.connected();
    await tab.chat.send('said at home');
    await tab.chat.answered();

    await tab.page.goto(`${home.origin}/?gatewayUrl=${encodeURIComponent(socketOf(away))}`);
    await tab.page.getByTestId('elsewhere-host').getByText(socketOf(away)).waitFor();
    await tab.chat.screenshot('elsewhere');
    await assertAccessible(tab);
    assert.deepEqual(said.hosts(), [hostOf(home)], 'nobody was told before the person agreed');
    await tab.page.getByTestId('elsewhere-confirm').click();
    await tab.page.locator('[data-testid=gate][data-kind=token]').waitFor();
    await tab.page.getByTestId('token').fill(AWAY);
    await tab.page.getByTestId('token').press('Enter');
    await tab.chat.connected();
    await tab.page.getByTestId('at').getByText(hostOf(away)).waitFor();
    await tab.chat.send('said away');
    await tab.chat.answered();
    assert.equal(await tab.chat.questions.filter({ hasText: 'said at home' }).count(), 0);

    // The address says where one is, on every page, and is not asked about twice.
    await tab.page.getByTestId('nav-overview').click();
    await tab.page.waitForURL(`${home.origin}/overview?gatewayUrl=${encodeURIComponent(socketOf(away))}`);
    await tab.page.reload();
    await tab.page.getByTestId('health').getByText('Everything is well').waitFor();
    await tab.chat.screenshot('elsewhere-overview');
    await assertAccessible(tab);

    const tokens = await kept(tab);
    const homeToken = tokens['openclaw.device-token'].split(' ')[1];
    const awayToken = tokens[`openclaw.device-token@${socketOf(away)}`].split(' ')[1];
    for (const secret of [HOME, homeToken]) assert.ok(!said.to(away).includes(secret), 'a secret of the first gateway was told to the second');
    assert.notEqual(deviceOf(said.to(away)), deviceOf(said.to(home)), 'each gateway sees another device');

    await tab.page.getByTestId('back').click();
    await tab.page.waitForURL(`${home.origin}/`);
    await tab.chat.connected();
    await tab.chat.questions.filter({ hasText: 'said at home' }).waitFor();
    for (const secret of [AWAY, awayToken]) assert.ok(!said.to(home).includes(secret), 'a secret of the second gateway was told to the first');
    assertFaultless(tab);
    await tab.context.close();
  });

  it('works from files that no gateway serves, with the token behind #', async () => {
    const tab = await openPage(browser, { gateways: [hostOf(away)] });
    const said = listen(tab);
    const { port } = files.address();
    await tab.page.goto(`http://127.0.0.1:${port}/?gatewayUrl=${socketOf(away)}#token=${AWAY}`);
    await tab.page.getByTestId('elsewhere-confirm').waitFor();
    assert.ok(!tab.page.url().includes(AWAY), 'the token is out of the address bar at once');
    assert.deepEqual(said.hosts(), []);
    await tab.page.getByTestId('elsewhere-confirm').click();
    await tab.chat.connected();
    await tab.chat.send('from far away');
    await tab.chat.answered();
    assert.deepEqual(said.hosts(), [hostOf(away)]);
    assertFaultless(tab);
    await tab.context.close();
  });

  it('drops the token of a gateway that was not agreed to', async () => {
    const tab = await openPage(browser);
    const said = listen(tab);
    await tab.page.goto(`${home.origin}/?gatewayUrl=${socketOf(away)}#token=${AWAY}`);
    await tab.page.getByTestId('elsewhere-leave').click();
    await tab.page.locator('[data-testid=gate][data-kind=token]').waitFor();
    assert.deepEqual(said.hosts(), [hostOf(home)]);
    assert.ok(!said.to(home).includes(AWAY));
    assert.equal(await tab.page.evaluate(() => JSON.stringify([{ ...sessionStorage }, { ...localStorage }]).includes('the-secret-of')), false);
    assertFaultless(tab);
    await tab.context.close();
  });

  it('says what to do where the other gateway does not accept pages from here', async () => {
    const tab = await openPage(browser, { gateways: [hostOf(home)] });
    const here = `http://${FOREIGN}:${away.port}`;
    await tab.page.goto(`${here}/?gatewayUrl=${socketOf(home)}#token=${HOME}`);
    await tab.page.getByTestId('elsewhere-confirm').click();
    await tab.page.getByTestId('outage').getByText(`allowedOrigins: ["${here}"]`).waitFor();
    await tab.chat.screenshot('elsewhere-refused');
    await assertAccessible(tab);
    assertFaultless(tab);
    await tab.context.close();
  });

  it('spoke and heard only frames that the official validators accept', () => assertFrames());
});
