// Answers of a model in every wire format, a run that is stopped, and one that cannot start.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startModel } from '../conformance/lib/model.mjs';
import { assertAccessible, assertFaultless, assertFrames, launch, openPage } from './lib/browser.mjs';
import { Daemon } from './lib/daemon.mjs';

const TOKEN = 'a-token-that-is-long-enough-to-be-strong-0123456789';
const gateway = { mode: 'local', auth: { mode: 'token', token: TOKEN } };
const REPLY = `Here is **what I found**:\n\n${Array.from({ length: 40 }, (_, index) => `${index + 1}. item number ${index + 1}`).join('\n')}\n\nThe end.`;

describe('models', () => {
  let browser;
  let model;
  before(async () => {
    browser = await launch();
    model = await startModel(REPLY, { latency: 5 });
  });
  after(async () => {
    await browser?.close();
    await model?.stop();
  });

  const visit = async (config, work) => {
    const daemon = await (await Daemon.create({ ...config, gateway })).start();
    const tab = await openPage(browser);
    try {
      await tab.page.goto(`${daemon.origin}/#token=${TOKEN}`);
      await tab.chat.connected();
      await work({ ...tab, daemon });
      assertFaultless(tab);
    } finally {
      await tab.context.close();
      await daemon.end();
    }
  };

  for (const api of ['openai-completions', 'anthropic-messages', 'google-generative-ai', 'ollama']) {
    it(`shows an answer that a model streams as ${api}`, () =>
      visit(model.config(api), async ({ chat, page }) => {
        await chat.watch();
        await chat.send('What did you find?');
        const answer = await chat.answered();
        assert.match(answer, /what I found:[\s\S]*item number 40[\s\S]*The end\./);
        assert.equal(await page.locator('oc-markdown strong').last().innerText(), 'what I found');
        const seen = await chat.seen();
        assert.ok(seen.length > 1, `the answer was shown in ${seen.length} steps`);
        await chat.screenshot(`model-${api}`);
      }));
  }

  it('stops an answer and keeps what was written', async () => {
    const slow = await startModel(REPLY.repeat(4), { latency: 60 });
    try {
      await visit(slow.config(), async ({ chat, page }) => {
        await chat.send('Take your time.');
        await page.locator('[data-live=streaming] oc-markdown', { hasText: 'item number 3' }).waitFor();
        await page.getByTestId('stop').click();
        const answer = await chat.answered(10_000);
        assert.match(answer, /item number 3/);
        assert.doesNotMatch(answer, /The end/);
        await chat.answers.last().getByText('Stopped').waitFor();
        await page.getByTestId('stop').waitFor({ state: 'detached' });
        await chat.screenshot('stopped');
      });
    } finally {
      await slow.stop();
    }
  });

  it('takes up an answer that is being written when the page is opened again', async () => {
    const slow = await startModel(REPLY, { latency: 60 });
    try {
      await visit(slow.config(), async ({ chat, page }) => {
        await chat.send('Go on while I am away.');
        await page.locator('[data-live=streaming] oc-markdown', { hasText: 'item number 3' }).waitFor();
        await page.reload();
        await page.locator('[data-live=streaming] oc-markdown', { hasText: 'item number 3' }).waitFor();
        await page.getByTestId('stop').waitFor();
        assert.match(await chat.answered(), /item number 40[\s\S]*The end\./);
        assert.equal(await chat.answers.count(), 1);
        assert.equal(slow.requests().length, 1);
      });
    } finally {
      await slow.stop();
    }
  });

  it('says so when the gateway dies in the middle of an answer', async () => {
    const slow = await startModel(REPLY.repeat(4), { latency: 60 });
    try {
      await visit(slow.config(), async ({ chat, page, daemon }) => {
        await chat.send('Do not die.');
        await page.locator('[data-live=streaming] oc-markdown', { hasText: 'item number 2' }).waitFor();
        await daemon.stop('SIGKILL');
        await chat.disconnected();
        await daemon.start();
        await chat.connected(30_000);
        await page.locator('[data-live]').waitFor({ state: 'detached' });
        await page.getByTestId('run-error').getByText(/restart/).waitFor();
        assert.equal(await chat.questions.count(), 1);
        await chat.screenshot('interrupted');
        await page.reload();
        await chat.connected();
        await page.getByTestId('run-error').getByText(/restart/).waitFor();
        assert.equal(slow.requests().length, 1);
      });
    } finally {
      await slow.stop();
    }
  });

  it('shows why a run failed and what to configure', () =>
    visit({ agents: { defaults: { model: { primary: 'openai/gpt-5' } } } }, async ({ chat, page }) => {
      await chat.send('Is anybody there?');
      const problem = page.getByTestId('run-error');
      await problem.waitFor();
      assert.match(await problem.innerText(), /models\.providers\.openai|OPENAI_API_KEY/);
      await chat.screenshot('run-error');
      await assertAccessible({ page });
      await problem.getByTestId('failed-setup').click();
      await page.getByTestId('step-1').getByText('openai/gpt-5').waitFor();
    }));

  it('spoke and heard only frames that the official validators accept', () => assertFrames());
});
