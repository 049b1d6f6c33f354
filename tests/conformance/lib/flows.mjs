// Runs a set of flows against a daemon, then all of them again with the daemon stopped, when each has to fail: a
// flow that passes then was never about the daemon.
import assert from "node:assert/strict";
import { appendFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { nonce, startDaemon } from "./daemon.mjs";
import { startModel } from "./model.mjs";

/**
 * @param {string} name
 * @param {{config?: object, setup?: (c: object) => Promise<void>, teardown?: (c: object) => Promise<void>,
 *   flows: Record<string, (c: object) => Promise<void>>}} what
 *   `config` is added to the daemon's. Flows get `{daemon, model, reply}`, and what `setup` adds to it; `reply` is a word that only this run's model says.
 */
export function runFlows(name, { config = {}, setup, teardown, flows }) {
  describe(name, () => {
    const context = {};
    before(async () => {
      context.reply = nonce("reply");
      context.model = await startModel(`The word is ${context.reply}, and it takes a few chunks to say it.`);
      context.daemon = await startDaemon({ config: { ...context.model.config(), ...config } });
      await setup?.(context);
    });
    after(async () => {
      await teardown?.(context);
      await context.daemon?.end();
      await context.model?.stop();
    });

    for (const [flow, run] of Object.entries(flows)) {
      it(flow, () => run(context));
    }
    it("every frame of these connections is as the official validators want it", (t) => reportFrames(t, context.daemon.log));

    describe("with the daemon stopped, each of them fails", () => {
      before(async () => {
        const how = await context.daemon.stop();
        assert.deepEqual(how, { code: 0, signal: null }, `SIGTERM ends it well; it said:\n${context.daemon.output()}`);
      });
      for (const [flow, run] of Object.entries(flows)) {
        it(flow, () => assert.rejects(run(context)));
      }
    });
  });
}

/** Prints the count of checked frames, keeps it for the lane's sum, and fails on any violation. */
export function reportFrames(t, log) {
  t.diagnostic(String(log));
  if (process.env.OPENCLAW_FRAME_COUNTS) {
    appendFileSync(process.env.OPENCLAW_FRAME_COUNTS, `${log.framesIn} ${log.framesOut} ${log.violations.length}\n`);
  }
  assert.ok(log.framesIn > 0 && log.framesOut > 0, "some frames crossed the tap");
  assert.equal(log.violations.length, 0, log.violations.join("\n"));
}
