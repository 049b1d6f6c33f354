// Which method is tested by which peer, from the frames that the tests record:
//
//   node tests/conformance/parity.mjs                 writes protocol/docs/parity.md from tests/conformance/parity.json
//   node tests/conformance/parity.mjs --check         says whether it is fresh
//   node tests/conformance/parity.mjs --seen DIR      says whether the run that recorded into DIR (OPENCLAW_PARITY_DIR)
//                                                     saw every call that parity.json has of the peers that took part
//   node tests/conformance/parity.mjs --record DIR    takes what that run saw into parity.json, and writes the table
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "../..");
const file = path.join(root, "protocol/docs/parity.md");
const recorded = path.join(root, "tests/conformance/parity.json");

/** Peers, and what a person calls them. */
const PEERS = [
  ["official-library", "Official client library"],
  ["official-cli-v4", "Official command line, v4"],
  ["official-cli-v3", "Official command line, v3"],
  ["official-node", "Official node host"],
  ["official-ui", "Official Control UI"],
  ["page", "Our page, in a browser"],
  ["bare", "Bare sockets, v3 and v4"],
  ["daemon", "Our socket, whole daemon"],
];

const json = (name) => JSON.parse(readFileSync(name, "utf8"));
const methods = () => Object.keys(json(path.join(root, "protocol/schema/gateway.schema.json")).methods);

/** What the processes of a run saw: peer to methods, of those that are this gateway's. */
function run(folder) {
  const known = new Set(methods());
  const all = {};
  for (const name of readdirSync(folder).filter((name) => name.endsWith(".json"))) {
    for (const [peer, called] of Object.entries(json(path.join(folder, name)))) {
      all[peer] = [...new Set([...(all[peer] ?? []), ...called.filter((method) => known.has(method))])].sort();
    }
  }
  return all;
}

export function table() {
  const calls = json(recorded);
  const peers = PEERS.filter(([peer]) => calls[peer]?.length > 0);
  const unrecorded = PEERS.filter((peer) => !peers.includes(peer)).map(([, title]) => title);
  const golden = (method) => {
    try {
      return readdirSync(path.join(root, "fixtures/frames", method)).length;
    } catch {
      return 0;
    }
  };
  const rows = methods().map((method) => {
    const called = peers.map(([peer]) => (calls[peer]?.includes(method) ? "yes" : ""));
    return { method, called, by: called.filter(Boolean).length };
  });
  const without = rows.filter(({ by }) => by === 0).map(({ method }) => `\`${method}\``);
  return [
    "<!-- Written by tests/conformance/parity.mjs; do not edit. -->",
    "",
    "# Which method is tested by which peer",
    "",
    "Every method here is implemented. Each has golden frames, which the types, the schemas, ajv, the TypeScript compiler",
    "and the official validators read. A peer counts where it called the method and was answered, in frames that a test",
    "run recorded and checked (`tests/conformance/parity.json`); `tests/run` says so when a call is not seen any more.",
    without.length === 0
      ? "Each method is called by at least one of them."
      : `No call of these was recorded yet: ${without.join(", ")}.`,
    ...(unrecorded.length === 0
      ? []
      : [`Not recorded yet, though \`tests/run conformance\` drives them and checks their frames: ${unrecorded.join("; ")}.`]),
    "",
    `| Method | Golden frames | ${peers.map(([, title]) => title).join(" | ")} |`,
    `|---|---|${peers.map(() => "---|").join("")}`,
    ...rows.map(
      ({ method, called }) =>
        `| [\`${method}\`](methods.md#${method.replaceAll(".", "").toLowerCase()}) | ${golden(method)} | ${called.join(" | ")} |`,
    ),
    "",
  ].join("\n");
}

function fail(text) {
  console.error(text);
  process.exit(1);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [what, folder] = process.argv.slice(2);
  if (what === "--check") {
    if (readFileSync(file, "utf8") !== table()) fail(`${file} is stale: run \`node tests/conformance/parity.mjs\``);
  } else if (what === "--seen") {
    const calls = json(recorded);
    const missing = Object.entries(run(folder)).flatMap(([peer, seen]) =>
      (calls[peer] ?? []).filter((method) => !seen.includes(method)).map((method) => `${peer}: ${method}`),
    );
    if (missing.length > 0) {
      fail(`calls that were not seen in this run:\n${missing.join("\n")}\nif that is meant: node tests/conformance/parity.mjs --record ${folder}`);
    }
    console.log("every call of tests/conformance/parity.json by the peers of this run was seen");
  } else {
    if (what === "--record") {
      const calls = { ...json(recorded), ...run(folder) };
      const lines = PEERS.map(([peer]) => `  ${JSON.stringify(peer)}: ${JSON.stringify(calls[peer] ?? [])}`);
      writeFileSync(recorded, `{\n${lines.join(",\n")}\n}\n`);
    }
    writeFileSync(file, table());
  }
}
