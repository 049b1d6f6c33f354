// The generated contract in the hands of software that we did not write: tree-sitter reads the Swift (a check of its
// syntax, and no more), the Swift compiler where there is one, the TypeScript compiler takes the types and every golden frame with them, ajv the schemas.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, it } from "node:test";
import { fileURLToPath } from "node:url";
import { daemonBinary } from "./lib/daemon.mjs";

const require = createRequire(import.meta.url);
const here = path.dirname(fileURLToPath(import.meta.url));
const contract = path.join(here, "../../protocol");
const fixtures = path.join(here, "../../fixtures/frames");
const scratch = mkdtempSync(path.join(tmpdir(), "openclaw-contract-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

const frames = readdirSync(fixtures).flatMap((subject) =>
  readdirSync(path.join(fixtures, subject)).map((file) => ({
    subject,
    kind: file.split(".")[0],
    name: `${subject}/${file.replace(/\.json$/, "")}`,
    frame: JSON.parse(readFileSync(path.join(fixtures, subject, file), "utf8")),
  })),
);

/** Keys that are taken and ignored: the types do not offer them. */
const UNTYPED =
  /(request\.(array|null|control-ui|unknown-key)|chat\.history\/request\.v4-keys|chat\.startup\/request|sessions\.messages\.subscribe\/request\.agent)$/;
/** Growth of an answer as clients of generation 3 get it; types and schemas are those of the newest. */
const OLDER = /^chat\/event\.(delta|replace)\.v3$/;

it("tree-sitter finds no error in the Swift package", () => {
  const Parser = require("tree-sitter");
  const parser = new Parser();
  parser.setLanguage(require("tree-sitter-swift"));
  const problems = (source) => {
    const tree = parser.parse((index) => (index < source.length ? source.slice(index, index + 8192) : null));
    const found = [];
    const visit = (node) => {
      if (node.isError || node.isMissing) found.push(`line ${node.startPosition.row + 1}: ${node.text.slice(0, 80)}`);
      else for (const child of node.children) if (child.hasError || child.isMissing) visit(child);
    };
    visit(tree.rootNode);
    return found;
  };
  assert.notDeepEqual(problems("public struct A { public var a: }"), [], "a broken file is not seen");
  const folder = path.join(contract, "swift");
  const files = readdirSync(folder, { recursive: true }).filter((file) => file.endsWith(".swift"));
  assert.equal(files.length, 3);
  for (const file of files) {
    const source = readFileSync(path.join(folder, file), "utf8");
    assert.deepEqual(problems(source), [], file);
    // Nothing is unwrapped or tried by force.
    assert.doesNotMatch(source.replace(/\/\/.*$/gm, ""), /try!|as!|[\w)\]]!(?!=)/, file);
  }
});

const swift = spawnSync("swift", ["--version"], { encoding: "utf8" }).status === 0;

it("the Swift package compiles, and every golden frame comes through its types", { skip: swift ? false : "no `swift` on PATH" }, () => {
  const folder = path.join(scratch, "round-trip");
  mkdirSync(path.join(folder, "Sources/RoundTrip"), { recursive: true });
  writeFileSync(
    path.join(folder, "Package.swift"),
    `// swift-tools-version:5.9
import PackageDescription
let package = Package(
    name: "RoundTrip",
    platforms: [.macOS(.v10_15)],
    dependencies: [.package(name: "OpenClawProtocol", path: ${JSON.stringify(path.join(contract, "swift"))})],
    targets: [.executableTarget(name: "RoundTrip", dependencies: ["OpenClawProtocol"])]
)
`,
  );
  writeFileSync(
    path.join(folder, "Sources/RoundTrip/main.swift"),
    `import Foundation
import OpenClawProtocol
func again<T: Codable>(_ type: T.Type, _ data: Data) throws -> Data {
    try JSONEncoder().encode(try JSONDecoder().decode(type, from: data))
}
while let line = readLine() {
    let data = Data(line.utf8)
    let object = try JSONSerialization.jsonObject(with: data) as? [String: Any]
    let text: Data
    switch object?["type"] as? String {
    case "req": text = try again(RequestFrame.self, data)
    case "res": text = try again(ResponseFrame.self, data)
    default: text = try again(EventFrame.self, data)
    }
    print(String(decoding: text, as: UTF8.self))
}
`,
  );
  const taken = frames.filter(({ kind }) => kind !== "invalid").map(({ frame }) => frame);
  const input = taken.map((frame) => `${JSON.stringify(frame)}\n`).join("");
  const done = spawnSync("swift", ["run", "--package-path", folder, "RoundTrip"], { encoding: "utf8", input, maxBuffer: 1 << 28 });
  assert.equal(done.status, 0, done.stderr);
  // Swift leaves out what is null.
  const bare = (text) => JSON.parse(text, (_, value) => (value === null ? undefined : value));
  const back = done.stdout.trim().split("\n");
  assert.equal(back.length, taken.length);
  back.forEach((text, index) => assert.deepEqual(bare(text), bare(JSON.stringify(taken[index]))));
});

/** Runs the TypeScript compiler over a text that imports the generated types; what it says, by line. */
function compile(name, text) {
  const file = path.join(scratch, `${name}.ts`);
  writeFileSync(file, text);
  const done = spawnSync(
    process.execPath,
    [tsc(), "--strict", "--noEmit", "--exactOptionalPropertyTypes", "--target", "es2022", "--module", "nodenext",
      "--allowImportingTsExtensions", "--pretty", "false", file],
    { encoding: "utf8" },
  );
  return `${done.stdout}${done.stderr}`.split("\n").filter(Boolean);
}

function tsc() {
  const manifest = require.resolve("typescript/package.json");
  return path.join(path.dirname(manifest), JSON.parse(readFileSync(manifest, "utf8")).bin.tsc);
}

const source = path.join(contract, "typescript/gateway.ts");
const imports = `import type { ConnectParams, HelloOk, Methods, Request, Response, Event, RequestFrame, ResponseFrame } from ${JSON.stringify(source)};\n`;

it("every golden frame is of its TypeScript type", () => {
  const lines = frames
    .filter(({ kind }) => kind !== "invalid" && kind !== "refusal")
    .map(({ subject, name, frame }, index) => {
      if (UNTYPED.test(name) || OLDER.test(name)) return "";
      const type =
        frame.type === "event" ? `Event<${JSON.stringify(subject)}>`
        : subject === "connect" ? (frame.type === "req" ? 'Omit<RequestFrame, "params"> & { params: ConnectParams }' : "ResponseFrame")
        : frame.type === "req" ? `Request<${JSON.stringify(subject)}>`
        : `Response<${JSON.stringify(subject)}>`;
      return `// ${name}\nexport const f${index}: ${type} = ${JSON.stringify(frame)};\n`;
    });
  const text = imports + lines.join("");
  const where = (line) => {
    const number = Number(/\((\d+),/.exec(line)?.[1] ?? 0);
    return `${text.split("\n")[number - 2] ?? ""} ${line.replace(/^.*?: /, "")}`;
  };
  assert.deepEqual(compile("frames", text).map(where), []);
  assert.ok(lines.filter(Boolean).length > 300, `only ${lines.filter(Boolean).length} frames`);
});

it("what is broken does not compile", () => {
  const broken = [
    'export const a: Request<"chat.send"> = { type: "req", id: "1", method: "chat.send", params: { message: "x", idempotencyKey: "k" } };',
    'export const a: Request<"chat.send"> = { type: "req", id: "1", method: "chat.send", params: { sessionKey: "main", message: "x", idempotencyKey: "k", bogus: 1 } };',
    'export const a: Request = { type: "req", id: "1", method: "chat.sned" };',
    'export const a: Methods["health"]["result"] = 1;',
    'export const a: Event<"chat"> = { type: "event", event: "chat", payload: { runId: "r", sessionKey: "s", seq: 1, state: "nope" } };',
  ];
  broken.forEach((text, index) => assert.notDeepEqual(compile(`broken${index}`, imports + text), [], text));
});

it("ajv takes both schemas, and says the same of every golden frame", async () => {
  const { default: Ajv } = await import("ajv");
  const { default: Ajv2020 } = await import("ajv/dist/2020.js");
  const drafts = [
    [new Ajv({ strict: false, allErrors: true, logger: false }), "gateway.schema.json"],
    [new Ajv2020({ strict: false, allErrors: true, logger: false }), "gateway.2020-12.schema.json"],
  ];
  for (const [ajv, file] of drafts) {
    const schema = JSON.parse(readFileSync(path.join(contract, "schema", file), "utf8"));
    assert.ok(ajv.validateSchema(schema), `${file}: ${ajv.errorsText(ajv.errors)}`);
    ajv.addSchema(schema, "gateway");
    const compiled = new Map();
    const check = (pointer) => {
      if (!compiled.has(pointer)) compiled.set(pointer, ajv.compile({ $ref: `gateway#${pointer}` }));
      return compiled.get(pointer);
    };
    const row = (table, subject, part) => `/${table}/${subject}/${part}`;
    for (const { subject, kind, name, frame } of frames) {
      const pointer =
        subject === "connect" ? (frame.type === "req" ? "/frames/connect" : "/frames/hello-ok")
        : frame.type === "event" ? row("events", subject, "payload")
        : row("methods", subject, frame.type === "req" ? "params" : "result");
      if (frame.type === "res" && frame.payload === undefined) continue;
      const value = frame.type === "req" ? (frame.params ?? {}) : frame.payload;
      const validate = check(pointer);
      if (OLDER.test(name)) continue;
      assert.equal(validate(value), kind !== "invalid", `${file} ${name}: ${ajv.errorsText(validate.errors)}`);
    }
  }
});

it("the program prints the files of the repository, and says when a copy is of another version", () => {
  const openclaw = (...args) => spawnSync(daemonBinary(), ["protocol", ...args], { encoding: "utf8" });
  for (const word of ["schema", "swift", "typescript", "docs"]) {
    const fresh = openclaw(word, "--check", path.join(contract, word));
    assert.equal(fresh.status, 0, fresh.stderr);
    const out = path.join(scratch, word);
    assert.equal(openclaw(word, "--out", out).status, 0);
    assert.equal(openclaw(word, "--check", out).status, 0);
    const [file] = readdirSync(out, { recursive: true }).filter((name) => /\.\w+$/.test(name));
    writeFileSync(path.join(out, file), "old");
    const stale = openclaw(word, "--check", out);
    assert.equal(stale.status, 1);
    assert.match(stale.stderr, new RegExp(`openclaw protocol ${word} --out`));
  }
  assert.equal(openclaw("typescript").stdout, readFileSync(source, "utf8"));
});

it("the comparison with the official package is the committed one, and each difference has its reason", () => {
  const folder = path.join(here, "node_modules/@openclaw/gateway-protocol");
  const table = path.join(contract, "docs/compare.md");
  execFileSync(daemonBinary(), ["protocol", "compare", "--against", folder, "--check", table], { stdio: "pipe" });
});
