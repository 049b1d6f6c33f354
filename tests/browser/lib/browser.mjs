// Chromium, and a page whose every fault is written down: console errors, exceptions, policy violations, requests to
// anywhere but its own origin, and every frame on its socket, checked by the official validators.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { FrameLog } from '../../conformance/lib/frames.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
export const OUT = path.resolve(here, '../out');

export const frames = new FrameLog();

/** @param hosts names that lead to this machine, as a hostile or a misconfigured DNS would make them */
export async function launch({ hosts = [] } = {}) {
  mkdirSync(OUT, { recursive: true });
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      ...(hosts.length > 0 ? [`--host-resolver-rules=${hosts.map((host) => `MAP ${host} 127.0.0.1`).join(',')}`] : []),
    ],
  });
}

/** What a browser says about a connection that cannot be made is no fault of the page. */
const EXPECTED = /WebSocket connection to .* failed/;

/**
 * A page with a profile of its own, unless `context` is given.
 *
 * @param gateways hosts of gateways that the page may speak to besides its own
 */
export async function openPage(browser, { context, gateways = [], ...options } = {}) {
  const own = context ?? (await browser.newContext({ viewport: { width: 1180, height: 780 }, locale: 'en-GB', ...options }));
  const page = await own.newPage();
  const faults = [];
  page.on('console', (message) => {
    const fault = message.type() === 'error' || /content security policy/i.test(message.text());
    if (fault && !EXPECTED.test(message.text())) faults.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => faults.push(`exception: ${error.message}`));
  const outside = (url) => {
    const host = new URL(page.url()).host;
    const target = new URL(url);
    return ['http:', 'https:', 'ws:', 'wss:'].includes(target.protocol) && host !== '' && target.host !== host && !gateways.includes(target.host);
  };
  page.on('request', (request) => {
    if (outside(request.url())) faults.push(`request to another origin: ${request.url()}`);
  });
  page.on('websocket', (socket) => {
    if (outside(socket.url())) faults.push(`socket to another origin: ${socket.url()}`);
    const record = frames.connection(socket.url());
    const text = (data) => (typeof data.payload === 'string' ? data.payload : data.payload.toString('utf8'));
    socket.on('framesent', (data) => record.fromClient(text(data)));
    socket.on('framereceived', (data) => record.fromGateway(text(data)));
  });
  // Policy violations inside shadow roots and workers do not always reach the console.
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      console.error(`content security policy: ${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  return { page, context: own, faults, chat: new Chat(page) };
}

export function assertFaultless(...pages) {
  for (const { faults } of pages) assert.deepEqual(faults, []);
}

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Fails when axe finds something serious that keeps people from using what the page shows now. */
export async function assertAccessible({ page }) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  const told = serious.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.target.flat().join(' ')).join(', ')}`);
  assert.deepEqual(told, []);
}

/** Prints what crossed the sockets of this file's pages; fails on the first frames that a validator refuses. */
export function assertFrames() {
  console.log(`WebChat ${frames}`);
  assert.ok(frames.framesIn > 0 && frames.framesOut > 0, 'no frame was recorded');
  assert.deepEqual(frames.violations.slice(0, 5), []);
}

/** What a person does in the chat, and sees. */
export class Chat {
  constructor(page) {
    this.page = page;
    this.composer = page.getByTestId('composer');
    this.answers = page.getByTestId('message-assistant');
    this.questions = page.getByTestId('message-user');
    this.gate = page.getByTestId('gate');
  }

  async connected(timeout = 15_000) {
    await this.page.locator('[data-testid=connection][data-phase=online]').waitFor({ timeout });
  }

  async disconnected() {
    await this.page.locator('[data-testid=connection]:not([data-phase=online])').waitFor();
  }

  async send(text) {
    await this.composer.fill(text);
    await this.composer.press('Enter');
    await this.questions.filter({ hasText: text }).last().waitFor();
  }

  /** Waits until nothing is being written any more, and gives back the last answer's text. */
  async answered(timeout = 30_000) {
    await this.page.locator('[data-testid=message-assistant]:not([data-live])').last().waitFor({ timeout });
    await this.page.locator('[data-testid=message-assistant][data-live]').waitFor({ state: 'detached', timeout });
    return this.answers.last().evaluate((article) => {
      const texts = [...article.querySelectorAll('oc-markdown')].map((markdown) => markdown.shadowRoot.firstElementChild.innerText);
      return texts.join('\n\n');
    });
  }

  /** From now on writes down each text that the last answer shows while it is being written. */
  async watch() {
    await this.page.evaluate(() => {
      const seen = (window.__seen = []);
      const look = () => {
        const thread = document.querySelector('oc-app').shadowRoot.querySelector('oc-thread');
        const rows = [...(thread?.shadowRoot.querySelectorAll('oc-message') ?? [])];
        const live = rows.map((row) => row.shadowRoot.querySelector('[data-live=streaming]')).filter(Boolean).at(-1);
        const text = live?.querySelector('oc-markdown')?.shadowRoot.textContent ?? '';
        if (text !== '' && text !== seen.at(-1)) seen.push(text);
        requestAnimationFrame(look);
      };
      look();
    });
  }

  seen() {
    return this.page.evaluate(() => window.__seen);
  }

  async screenshot(name) {
    await this.page.screenshot({ path: path.join(OUT, `${name}.png`) });
  }
}
