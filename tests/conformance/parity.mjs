// Which method is tested by which peer: `node tests/conformance/parity.mjs` writes protocol/docs/parity.md, `--check`
// says whether it is fresh. A peer counts where the tests that drive it name the method; what the official command
// lines call is not named by their tests, so the frames that they send stand in their own run only.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "../..");
const file = path.join(root, "protocol/docs/parity.md");

/** The text of every file below a folder whose name passes. */
function texts(folder, test) {
  return readdirSync(path.join(root, folder), { recursive: true })
    .filter((name) => test(String(name)) && !String(name).includes("node_modules"))
    .map((name) => readFileSync(path.join(root, folder, String(name)), "utf8"))
    .join("\n");
}

const conformance = (...names) => names.map((name) => readFileSync(path.join(root, "tests/conformance", name), "utf8")).join("\n");

/** Peers, and the tests that drive them. */
const PEERS = [
  ["Our socket, whole daemon", () => texts("tests/integration", (name) => name.endsWith(".rs"))],
  ["Official client library", () => conformance(...withClient())],
  ["Official node host", () => conformance("node-host.test.mjs")],
  ["Bare sockets, v3 and v4", () => conformance("raw.test.mjs")],
  ["The page, in a browser", () => texts("src/webchat/src", (name) => /\.tsx?$/.test(name) && !/\.test\./.test(name))],
];

/** The test files that use the official client library. */
function withClient() {
  return readdirSync(path.join(root, "tests/conformance")).filter(
    (name) =>
      name.endsWith(".test.mjs") &&
      /lib\/client\.mjs/.test(readFileSync(path.join(root, "tests/conformance", name), "utf8")),
  );
}

export function table() {
  const schema = JSON.parse(readFileSync(path.join(root, "protocol/schema/gateway.schema.json"), "utf8"));
  const peers = PEERS.map(([title, read]) => ({ title, text: read() }));
  const golden = (method) => {
    try {
      return readdirSync(path.join(root, "fixtures/frames", method)).length;
    } catch {
      return 0;
    }
  };
  const rows = Object.keys(schema.methods).map((method) => {
    const named = peers.map(({ text }) => (text.includes(`"${method}"`) || text.includes(`'${method}'`) ? "yes" : ""));
    return `| [\`${method}\`](methods.md#${method.replaceAll(".", "").toLowerCase()}) | ${golden(method)} | ${named.join(" | ")} |`;
  });
  return [
    "<!-- Written by tests/conformance/parity.mjs; do not edit. -->",
    "",
    "# Which method is tested by which peer",
    "",
    "Every method here is implemented. Each has golden frames, which the types, the schemas, ajv, the TypeScript compiler",
    "and the official validators read. A peer counts where the tests that drive it name the method; what the official",
    "command lines (of both generations) call is checked frame by frame in `tests/run conformance`, and not counted here.",
    "",
    `| Method | Golden frames | ${peers.map(({ title }) => title).join(" | ")} |`,
    `|---|---|${peers.map(() => "---|").join("")}`,
    ...rows,
    "",
  ].join("\n");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = table();
  if (process.argv[2] !== "--check") writeFileSync(file, text);
  else if (readFileSync(file, "utf8") !== text) {
    console.error(`${file} is stale: run \`node tests/conformance/parity.mjs\``);
    process.exit(1);
  }
}
