// Steady work for so many minutes, and what it does to the daemon: see tests/deep/soak. Clients, model and platform
// are the packages of the other tests here; what the daemon uses is read from its own /metrics.
//
// The daemon has the bounds that everybody's has. What it keeps in memory up to one of them (the idempotency keys of a
// day, pages of its database) would fill for hours at this pace and look like growth: it is filled first, as fast as it
// goes. Conversations begin anew after some turns, as people's do; else each prompt is longer than the one before.
import { readFile, rm } from "node:fs/promises";
import path from "node:path";
import { startTelegramServer } from "@openclaw/crabline";
import { nonce, startDaemon, tempFolder } from "./lib/daemon.mjs";
import { newDevice } from "./lib/device.mjs";
import { startModel } from "./lib/model.mjs";
import { RawClient } from "./lib/raw.mjs";

const minutes = Number(process.argv[2] ?? 30);
const CONNECTIONS = 500;
const RUNS_A_MINUTE = 20;
const SESSIONS = 20;
/** Turns after which a conversation begins anew. */
const TURNS = 20;
/** `store.retention.idempotencyKeys` and `store.cacheBytes`, as they are without a word in the configuration. */
const KEYS = 10_000;
const CACHE = 8 * 1024 * 1024;
const TEXT = "It is a long story. ".repeat(200);
/** The first part of the time: nothing of it counts. In half an hour the sweeper's first look, after ten minutes, is in it. */
const WARM_UP = Math.max(0.4 * minutes, Math.min(0.5, minutes / 2));
/** Below this, a slope says more about the moment than about the daemon. */
const MIN_MINUTES_TO_JUDGE = 20;
const MAX_SLOPE_MB_PER_HOUR = 1;
const FIGURES = {
  "RSS, MB": (of) => of("process_resident_memory_bytes") / 1e6,
  descriptors: (of) => of("process_open_fds"),
  threads: (of) => of("process_threads"),
  connections: (of) => of("openclaw_connections"),
  "queued runs": (of) => of("openclaw_runs_queued"),
  "waiting on channels": (of) => of("openclaw_channel_waiting_in") + of("openclaw_channel_waiting_out"),
};

let started = Date.now();
const left = () => minutes * 60_000 - (Date.now() - started);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const counts = { runs: 0, "failed runs": 0, jobs: 0, "messages on the channel": 0, answers: 0, events: 0 };

const folder = await tempFolder("soak");
const platform = await startTelegramServer({ recorderPath: path.join(folder.path, "telegram.jsonl") });
const model = await startModel("It is done.");
const { botToken, endpoints, adminToken } = platform.manifest;
const daemon = await startDaemon({
  channels: true,
  config: {
    ...model.config(),
    channels: { telegram: { botToken, apiRoot: endpoints.apiRoot, allowFrom: [1001], streaming: "off" } },
    session: { reset: { mode: "idle", idleMinutes: 100_000 } },
  },
});
const address = `ws://127.0.0.1:${daemon.gatewayPort}`;

/** A client that reads everything and keeps nothing. */
async function client() {
  const socket = new RawClient(address);
  await socket.connect({ token: daemon.token, device: newDevice() });
  socket.frames.length = 0;
  socket.socket.removeAllListeners("message");
  socket.socket.on("message", () => counts.events++);
  return socket;
}

async function metrics() {
  const text = await (await fetch(`http://127.0.0.1:${daemon.gatewayPort}/metrics`)).text();
  return (name) => {
    let sum = 0;
    for (const line of text.split("\n")) {
      if (line.startsWith(`${name} `) || line.startsWith(`${name}{`)) sum += Number(line.slice(line.lastIndexOf(" ") + 1));
    }
    return sum;
  };
}

async function figures() {
  const of = await metrics();
  return Object.fromEntries(Object.entries(FIGURES).map(([name, read]) => [name, read(of)]));
}

/**
 * Fills what has a bound: a key for each call, a database of more bytes than its cache. Then a copy is made, which reads
 * every page.
 */
async function fill() {
  let calls = KEYS + 1_000;
  let rows = Math.ceil((2 * CACHE) / TEXT.length);
  const work = async () => {
    const one = new RawClient(address);
    await one.connect({ token: daemon.token, device });
    while (calls-- > 0) {
      await one.request("tools.invoke", { name: "sessions_list", args: {}, idempotencyKey: nonce("fill") });
      one.frames.length = 0;
    }
    while (rows-- > 0) {
      await one.request("chat.inject", { sessionKey: `agent:main:full-${rows % 50}`, message: TEXT });
      one.frames.length = 0;
    }
    return one;
  };
  const owner = new RawClient(address);
  await owner.connect({ token: daemon.token, device });
  for (let number = 0; number < 50; number++) await owner.request("sessions.create", { key: `agent:main:full-${number}` });
  owner.socket.close();
  const workers = await Promise.all(Array.from({ length: 16 }, work));
  await rm((await workers[0].request("backup.snapshot", {})).path);
  await Promise.all(workers.map((one) => one.close()));
  const of = await metrics();
  const bytes = of("openclaw_store_bytes");
  if (bytes < 2 * CACHE) throw new Error(`the database has ${bytes} bytes: its pages do not fill the memory that they may have`);
  const mb = (value) => (value / 1e6).toFixed(1);
  console.log(`filled in ${((Date.now() - started) / 1_000).toFixed(0)} s: ${KEYS} keys, a database of ${mb(bytes)} MB; RSS ${mb(of("process_resident_memory_bytes"))} MB`);
}

/**
 * Each connection has a buffer for writing, which stays as large as it once had to be (a few dozen kB). A busy host
 * does that to it now and then; here it is done before anything counts: many events at once for everybody.
 */
async function burst() {
  const one = new RawClient(address);
  await one.connect({ token: daemon.token, device });
  const asked = Array.from({ length: 30 }, (_, number) => {
    const text = { sessionKey: `agent:main:full-${number}`, message: TEXT.slice(0, 2_000) };
    return one.send("chat.inject", text).response();
  });
  const answers = await Promise.all(asked);
  if (!answers.every((answer) => answer.ok)) throw new Error(JSON.stringify(answers.find((answer) => !answer.ok)));
  await one.close();
}

/** Whole turns: a request, its acceptance, its end. */
async function runs() {
  for (let number = 0; left() > 5_000; number++) {
    const until = Date.now() + 60_000 / RUNS_A_MINUTE;
    const one = new RawClient(address);
    try {
      await one.connect({ token: daemon.token, device });
      const turn = Math.floor(number / SESSIONS);
      const run = one.send("agent", {
        message: turn % TURNS === TURNS - 1 ? "/new" : `turn ${number}`,
        sessionKey: `agent:main:soak-${number % SESSIONS}`,
        idempotencyKey: nonce("run"),
      });
      const answer = await run.response(2);
      counts[answer.payload?.status === "ok" ? "runs" : "failed runs"]++;
    } finally {
      one.socket.close();
    }
    await pause(Math.max(0, until - Date.now()));
  }
}

async function messages() {
  for (let number = 1; left() > 10_000; number++) {
    const text = number % TURNS === 0 ? "/new" : nonce("hello");
    const body = { chatId: 1001, fromId: 1001, fromName: "Ada", text };
    const answer = await fetch(endpoints.adminInboundUrl, {
      method: "POST",
      headers: { "content-type": "application/json", "x-crabline-admin-token": adminToken },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(await answer.text());
    counts["messages on the channel"]++;
    await pause(10_000);
  }
}

/** Megabytes, or whatever the values are, per hour: the line of least squares through the samples. */
function slope(samples, name) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const hours = samples.map(({ at }) => at / 3_600_000);
  const values = samples.map((sample) => sample[name]);
  const [x, y] = [mean(hours), mean(values)];
  const over = hours.reduce((sum, hour, index) => sum + (hour - x) * (values[index] - y), 0);
  return over / hours.reduce((sum, hour) => sum + (hour - x) ** 2, 0);
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

let failed = 0;
const device = newDevice();
const clients = [];
try {
  await fill();
  for (let batch = 0; batch < CONNECTIONS / 10; batch++) {
    clients.push(...(await Promise.all(Array.from({ length: 10 }, client))));
  }
  await burst();
  started = Date.now();
  const owner = new RawClient(address);
  await owner.connect({ token: daemon.token, device });
  await owner.request("cron.add", {
    name: "each second",
    schedule: { kind: "every", everyMs: 1_000 },
    sessionTarget: "isolated",
    wakeMode: "now",
    payload: { kind: "agentTurn", message: "tick" },
  });
  const samples = [];
  const every = Math.max(2_000, (minutes * 60_000) / 200);
  const sampling = (async () => {
    while (left() > 0) {
      await pause(Math.min(every, Math.max(0, left())));
      const sample = { at: Date.now() - started, ...(await figures()) };
      if (sample.at > WARM_UP * 60_000) samples.push(sample);
      owner.frames.length = 0;
    }
  })();
  const counting = (async () => {
    owner.socket.on("message", (data) => {
      const frame = JSON.parse(data);
      if (frame.event === "cron" && frame.payload.action === "finished") counts.jobs++;
    });
  })();
  await Promise.all([runs(), messages(), sampling, counting]);
  const recorded = await readFile(platform.manifest.recorderPath, "utf8");
  counts.answers = recorded.split("\n").filter((line) => line.includes("/sendMessage")).length;
  if (samples.length < 6) throw new Error("too few samples: let it run longer");
  console.log(`${minutes} min, ${CONNECTIONS} connections; ${samples.length} samples after ${WARM_UP.toFixed(1)} min`);
  console.log(Object.entries(counts).map(([name, count]) => `${name}: ${count}`).join(", "));
  const judged = minutes >= MIN_MINUTES_TO_JUDGE;
  for (const name of Object.keys(FIGURES)) {
    const quarter = Math.max(2, Math.floor(samples.length / 4));
    const [first, last] = [samples.slice(0, quarter), samples.slice(-quarter)].map((part) => median(part.map((s) => s[name])));
    const perHour = slope(samples, name);
    const memory = name.startsWith("RSS");
    // Medians of quarters: a descriptor that is open in one moment is no growth.
    const grows = memory ? perHour >= MAX_SLOPE_MB_PER_HOUR : last > first + 2;
    const verdict = !grows ? "ok" : memory && !judged ? "not judged: too short" : "GROWS";
    if (verdict === "GROWS") failed++;
    console.log(`${name.padEnd(20)} ${first.toFixed(1).padStart(8)} -> ${last.toFixed(1).padStart(8)}  ${perHour.toFixed(2).padStart(9)} /h  ${verdict}`);
  }
  // The work was done, or the figures say nothing.
  const wanted = { runs: 0.8 * RUNS_A_MINUTE * minutes, jobs: 0.5 * 60 * minutes, answers: counts["messages on the channel"] - 1 };
  for (const [name, least] of Object.entries(wanted)) {
    if (counts[name] < least) {
      console.log(`only ${counts[name]} ${name}, of ${Math.round(least)} or more`);
      failed++;
    }
  }
} catch (error) {
  console.error(error, daemon.output().slice(-4_000));
  failed++;
} finally {
  for (const one of clients) one.socket.terminate();
  await daemon.end();
  await model.mock.stop();
  await platform.close();
  await folder.remove();
}
console.log(failed === 0 ? "1 passed, 0 failed" : "0 passed, 1 failed");
process.exit(failed === 0 ? 0 : 1);
