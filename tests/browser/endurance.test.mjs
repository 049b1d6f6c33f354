// A page that is open for weeks: a history of ten thousand messages, and answers that never end.
//
// OPENCLAW_STREAM_MINUTES streams for that long (tests/deep/webchat-stream); without it some hundred turns stand for it.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startModel } from '../conformance/lib/model.mjs';
import { RawClient } from '../conformance/lib/raw.mjs';
import { assertFaultless, launch, openPage } from './lib/browser.mjs';
import { Daemon } from './lib/daemon.mjs';
import { held, tasksDuring } from './lib/work.mjs';

const TOKEN = 'a-token-that-is-long-enough-to-be-strong-0123456789';
const MESSAGES = 10_000;
/** Enough to scroll for as long. */
const FEW = 1_500;
const MINUTES = Number(process.env.OPENCLAW_STREAM_MINUTES ?? 0);
/** Two times as many as the page keeps; then it forgets the older half. */
const WARM_TURNS = 300;
const TURNS = 300;
const REPLY = `## A plan\n\n${Array.from({ length: 12 }, (_, index) => `${index + 1}. item **number ${index + 1}** of the plan`).join('\n')}\n\n\`\`\`js\nconst answer = plan.map((item) => item.name);\n\`\`\`\n\nThe end.`;
/** One frame at 60 Hz. */
const FRAME_MS = 16.7;

describe('a page that is open for weeks', () => {
  let browser;
  let daemon;
  let model;
  let owner;

  before(async () => {
    browser = await launch();
    model = await startModel(REPLY);
    daemon = await (await Daemon.create({ ...model.config(), gateway: { mode: 'local', auth: { mode: 'token', token: TOKEN } } })).start();
    owner = new RawClient(`ws://127.0.0.1:${daemon.port}/`);
    await owner.connect({ token: TOKEN });
  });
  after(async () => {
    await browser?.close();
    await owner?.close();
    await daemon?.end();
    await model?.stop();
  });

  /** A conversation of so many messages, open in a page that has loaded all of it; and what scrolling through it costs. */
  const scrolled = async (count) => {
    const key = `agent:main:long-${count}`;
    await owner.request('chat.send', { sessionKey: key, message: 'the first of all', idempotencyKey: `long-${count}` });
    await owner.request('agent.wait', { runId: `long-${count}`, timeoutMs: 30_000 });
    for (let from = 0; from < count; from += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, index) => owner.request('chat.inject', { sessionKey: key, message: `message number ${from + index}, with a few words in it` })));
      owner.frames.length = 0;
    }
    const tab = await openPage(browser);
    const { page, chat } = tab;
    await page.goto(`${daemon.origin}/chat/${encodeURIComponent(key)}#token=${TOKEN}`);
    await chat.connected();
    await chat.answers.filter({ hasText: `message number ${count - 1},` }).waitFor();

    /** Scrolls by so many pixels a frame, until the beginning is in view or so many frames are over. */
    const scroll = (step, frames) =>
      page.evaluate(
        async ([step, limit]) => {
          const thread = document.querySelector('oc-app').shadowRoot.querySelector('oc-thread');
          const scroller = thread.shadowRoot.querySelector('.scroll');
          let frames = 0;
          let most = 0;
          // Pages of history come while somebody scrolls up without a pause.
          while (frames < limit && (step > 0 || thread.chat.olderOffset !== null || scroller.scrollTop > 0)) {
            scroller.scrollTop += step;
            await new Promise(requestAnimationFrame);
            frames += 1;
            if (frames % 20 === 0) most = Math.max(most, thread.shadowRoot.querySelectorAll('oc-message').length);
          }
          return { frames, most, rows: thread.chat.rows.length, first: thread.chat.rows[0].parts[0].text };
        },
        [step, frames],
      );
    const seen = await scroll(-900, 20_000);
    assert.equal(seen.first, 'the first of all');
    assert.ok(seen.rows >= count, `${seen.rows} rows were loaded`);
    assert.ok(seen.most < 600, `${seen.most} messages are drawn`);

    // All of it is there now. As fast as a hand can make it go, down again.
    let down;
    const tasks = await tasksDuring(browser, page, async () => (down = await scroll(240, 300)));
    const work = tasks.reduce((sum, ms) => sum + ms, 0) / down.frames;
    const dropped = tasks.filter((ms) => ms > FRAME_MS).length;
    console.log(`a history of ${seen.rows} rows: ${work.toFixed(1)} ms of work for each of ${down.frames} frames, ${dropped} tasks longer than a frame, the longest ${tasks[0].toFixed(0)} ms; at most ${seen.most} messages drawn`);
    return { tab, work, dropped };
  };

  it(`scrolls through ${MESSAGES} messages as through ${FEW}, and keeps its place`, async () => {
    // How long a frame takes is the machine's affair; that it does not depend on what is out of sight is the page's.
    const short = await scrolled(FEW);
    await short.tab.context.close();
    const { tab, work, dropped } = await scrolled(MESSAGES);
    const { page, chat } = tab;
    assert.ok(work < short.work * 2, `${work} ms of work for each frame; ${short.work} in a history of ${FEW}`);
    assert.ok(dropped <= short.dropped * 2 + 15, `${dropped} frames are dropped; ${short.dropped} in a history of ${FEW}`);
    await chat.screenshot('long-history');

    // Back at the end, the page forgets what nobody looks at.
    await page.getByRole('button', { name: 'Jump to the latest message' }).click();
    await page.waitForFunction(() => document.querySelector('oc-app').shadowRoot.querySelector('oc-thread').chat.rows.length <= 600);
    await chat.answers.filter({ hasText: `message number ${MESSAGES - 1},` }).waitFor();
    assertFaultless(tab);
    await tab.context.close();
  });

  it(`holds no more after ${MINUTES > 0 ? `${MINUTES} minutes` : `${TURNS} turns`} of answers than before`, async () => {
    const tab = await openPage(browser);
    const { page, chat } = tab;
    await page.goto(`${daemon.origin}/#token=${TOKEN}`);
    await chat.connected();
    let turns = 0;
    const turn = async () => {
      const runId = `turn-${(turns += 1)}`;
      await owner.request('chat.send', { sessionKey: 'main', message: `question number ${turns}`, idempotencyKey: runId });
      await owner.request('agent.wait', { runId, timeoutMs: 60_000 });
      owner.frames.length = 0;
    };
    const settled = async () => {
      await chat.questions.filter({ hasText: `question number ${turns}` }).waitFor();
      await chat.answered();
      const drawn = await page.evaluate(() => {
        const thread = document.querySelector('oc-app').shadowRoot.querySelector('oc-thread');
        const column = thread.shadowRoot.querySelector('.column');
        const comments = [...column.childNodes].filter((node) => node.nodeType === Node.COMMENT_NODE);
        return {
          rows: thread.chat.rows.length,
          messages: thread.shadowRoot.querySelectorAll('oc-message').length,
          chunks: column.querySelectorAll('oc-chunk').length,
          comments: comments.length,
        };
      });
      return { ...(await held(tab)), ...drawn };
    };
    // Until its first trimming a page grows: that is its history, not its past.
    while (turns < WARM_TURNS) await turn();
    const before = await settled();
    const until = Date.now() + MINUTES * 60_000;
    while (turns < WARM_TURNS + TURNS || Date.now() < until) await turn();
    const now = await settled();
    const mb = (bytes) => (bytes / 1e6).toFixed(2);
    console.log(`heap after ${WARM_TURNS} turns ${mb(before.heap)} MB, after ${turns} ${mb(now.heap)} MB; nodes ${before.nodes} and ${now.nodes}, rows ${before.rows} and ${now.rows}, marks ${before.comments} and ${now.comments} of ${before.chunks} and ${now.chunks} chunks`);
    assert.ok(now.heap - before.heap < 2e6, `the heap grew by ${mb(now.heap - before.heap)} MB`);
    // How many messages are drawn depends on where the history was last cut; each has its nodes, and each chunk two marks.
    const each = ({ nodes, messages }) => nodes / messages;
    assert.ok(each(now) < each(before) * 1.5, `${before.nodes} nodes with ${before.messages} messages became ${now.nodes} with ${now.messages}`);
    assert.ok(now.comments <= now.chunks * 2 + 10, `${now.comments} marks of ${now.chunks} chunks`);
    assert.ok(now.listeners < before.listeners * 1.3 + 100, `${before.listeners} listeners became ${now.listeners}`);
    assert.ok(now.rows <= 600, `${now.rows} rows`);
    assertFaultless(tab);
    await tab.context.close();
  });
});
