// The golden frames of fixtures/frames, which the daemon's own tests are made from, pass the official schemas.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { it } from "node:test";
import { fileURLToPath } from "node:url";
import { eventCheck, eventFrame, paramsCheck, requestFrame, responseFrame, resultCheck } from "./lib/schemas.mjs";

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "../../fixtures/frames");
const ENVELOPE = { req: requestFrame, res: responseFrame, event: eventFrame };

/** Where we differ from the closed official schema on purpose, and what it then says. */
const DIFFERENCES = {
  // A degraded gateway says so, and why; the schema knows only `ok: true`.
  "health/response.degraded": /constant|additional/,
  // Keys of newer clients are ignored in `connect` and in methods that only read.
  "connect/request.control-ui": /additional/,
  "sessions.list/request.control-ui": /additional/,
  // What the activity page of a newer Control UI asks for.
  "sessions.list/request.activity": /additional|must be equal|match/,
  // An owner may approve some commands of a node only.
  "node.pair.approve/request.some": /additional/,
};

const frames = readdirSync(root).flatMap((subject) =>
  readdirSync(path.join(root, subject)).map((file) => ({
    subject,
    name: `${subject}/${file.replace(/\.json$/, "")}`,
    kind: file.split(".")[0],
    frame: JSON.parse(readFileSync(path.join(root, subject, file), "utf8")),
  })),
);

function check({ subject, kind, frame }) {
  const problems = [ENVELOPE[frame.type]?.(frame) ?? null];
  if (kind === "request") problems.push(paramsCheck(subject)?.(frame.params ?? {}) ?? null);
  if (kind === "response" && frame.ok) problems.push(resultCheck(subject)?.(frame.payload) ?? null);
  if (kind === "event") problems.push(eventCheck(subject)?.(frame.payload) ?? null);
  return problems.flatMap((found) => found ?? []).map((problem) => problem.text);
}

it("every golden v4 frame is as the official schemas want it, but for the listed differences", () => {
  const current = frames.filter(({ name }) => !name.endsWith(".v3"));
  assert.ok(current.length > 200, `only ${current.length} frames`);
  for (const frame of current) {
    const problems = check(frame);
    const expected = DIFFERENCES[frame.name];
    if (expected) assert.ok(problems.length > 0 && problems.every((text) => expected.test(text)), `${frame.name}: ${problems}`);
    else assert.deepEqual(problems, [], frame.name);
  }
});

it("what is refused in the golden frames is refused by the official validators too, but for our own limits", () => {
  const longer = new Set(["send/invalid.long-key", "sessions.describe/invalid.long-key"]);
  for (const { subject, name, kind, frame } of frames) {
    const validate = paramsCheck(subject);
    if (kind !== "invalid" || !validate) continue;
    assert.equal(validate(frame.params ?? {}) === null, longer.has(name), name);
  }
});
