// Signal's own mock server with what signal-cli 0.13 needs besides, and that signal-cli as a program. Servers and
// cryptography are Signal's, the client is the release; this file is the glue.
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { EventEmitter } from "node:events";
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const here = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const modules = path.join(here, "node_modules");
const mockRoot = path.join(modules, "@signalapp/mock-server");
const { Server } = require("@signalapp/mock-server");
const http = require(path.join(mockRoot, "src/server/http.js"));
const { Connection } = require(path.join(mockRoot, "src/server/ws/connection.js"));
const { Router } = require(path.join(mockRoot, "src/server/ws/router.js"));
const { signalservice: Proto } = require(path.join(mockRoot, "protos/compiled.js"));

const certificate = (name) => path.join(mockRoot, "certs", name);

/** The request that links a device comes over HTTP from signal-cli, and over a socket from Signal's own clients. */
function overHttp(createHandler) {
  return (server, options) => {
    const handler = createHandler(server, options);
    return async (req, res) => {
      if (req.method !== "PUT" || req.url !== "/v1/devices/link") return handler(req, res);
      const parts = [];
      for await (const part of req) parts.push(part);
      const socket = new EventEmitter();
      const { router } = new Connection(req, socket, server);
      const answer = await router.run({
        verb: "PUT",
        path: req.url,
        headers: [`authorization:${req.headers.authorization}`],
        body: Buffer.concat(parts),
      });
      res.writeHead(answer.status, { "content-type": "application/json" });
      res.end(Buffer.from(answer.body ?? ""));
    };
  };
}

/** Signal's servers refuse a socket of a device that they do not know; the mock takes it and closes it. */
function refuseUnknown(server) {
  const [taken] = server.https.listeners("upgrade");
  server.https.removeAllListeners("upgrade");
  server.https.on("upgrade", async (req, socket, head) => {
    const [, proof] = /^Basic (.+)$/.exec(req.headers.authorization ?? "") ?? [];
    const [, name, password] = /^([^:]*):(.*)$/.exec(Buffer.from(proof ?? "", "base64").toString()) ?? [];
    if (proof && !(await server.auth(name, password))) socket.end("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
    else taken(req, socket, head);
  });
}

/** What a phone does that unlinks a device: the servers know it no more, and end its connections. */
export async function unlink({ server }, phone, device) {
  await phone.unlink(device);
  await server.removeDevice(device.number, device.deviceId);
  for (const connection of server.webSockets.get(device) ?? []) connection.ws.close();
}

/** Starts the server; gives back it and what signal-cli has to know of it. */
export async function startMock(folder) {
  http.createHandler = overHttp(http.createHandler);
  // signal-cli does not acknowledge its address, and needs an id at each envelope.
  Connection.prototype.handleProvision = async function (id) {
    void this.send("PUT", "/v1/address", { body: Proto.ProvisioningUuid.encode({ uuid: id }).finish() }).catch(() => {});
    const { envelope } = await this.server.getProvisioningResponse(id);
    void this.send("PUT", "/v1/message", { body: envelope }).catch(() => {});
  };
  const encode = Proto.Envelope.encode;
  Proto.Envelope.encode = (envelope, writer) => encode({ ...envelope, serverGuid: envelope.serverGuid || randomUUID() }, writer);
  // Where Signal's own clients leave something out, signal-cli says null.
  const run = Router.prototype.run;
  Router.prototype.run = function (request) {
    // What an account can do is told at each start; the mock has no place for it.
    if (request.verb === "PUT" && request.path === "/v1/accounts/attributes") return { status: 200, headers: [], body: Buffer.from("{}") };
    if (request.verb !== "PUT" || !request.path?.startsWith("/v2/keys")) return run.call(this, request);
    const plain = JSON.parse(Buffer.from(request.body).toString(), (_, value) => value ?? undefined);
    return run.call(this, { ...request, body: Buffer.from(JSON.stringify(plain)) });
  };
  // What a socket did not take before it closed waits for the next one.
  Server.prototype.sendQueue = async function (device, socket) {
    const queue = this.messageQueue.get(device) ?? [];
    this.messageQueue.delete(device);
    for (const [index, entry] of queue.entries()) {
      try {
        await socket.sendMessage(entry.message);
        entry.resolve();
      } catch {
        this.messageQueue.set(device, [...queue.slice(index), ...(this.messageQueue.get(device) ?? [])]);
        return;
      }
    }
    await socket.sendMessage("empty").catch(() => {});
  };
  const server = new Server({ timeout: undefined, cdn3Path: path.join(folder, "cdn3"), updates2Path: path.join(folder, "updates2") });
  await server.listen(0, "127.0.0.1");
  refuseUnknown(server);
  const zk = JSON.parse(readFileSync(certificate("zk-params.json")));
  const root = JSON.parse(readFileSync(certificate("trust-root.json")));
  return {
    server,
    properties: {
      "mock.url": `https://127.0.0.1:${server.https.address().port}`,
      "mock.zk": zk.publicParams,
      "mock.generic": zk.genericPublicParams,
      "mock.backup": zk.backupPublicParams,
      "mock.root": root.publicKey,
    },
  };
}

/** A program that takes signal-cli's arguments and speaks to the mock; `java` is the home of a Java 21 or later. */
export function makeSignalCli({ folder, java, properties }) {
  const lib = path.join(modules, "signal-cli/signal-cli/lib");
  const jars = readdirSync(lib).filter((name) => name.endsWith(".jar"));
  const jar = (start) => path.join(lib, jars.find((name) => name.startsWith(start)));
  const shim = path.join(folder, "shim");
  mkdirSync(shim);
  const against = ["signal-service-java", "libsignal-client", "okhttp", "kotlin-stdlib"].map(jar).join(":");
  const sources = ["LiveConfig.java", "stub/ServiceEnvironment.java", "stub/ServiceEnvironmentConfig.java"];
  const compiled = path.join(folder, "compiled");
  mkdirSync(compiled);
  execFileSync("javac", ["--release", "17", "-d", compiled, "-cp", against, ...sources.map((name) => path.join(here, "shim", name))]);
  // Only the shim itself goes before signal-cli's classes.
  const place = "org/asamk/signal/manager/config";
  mkdirSync(path.join(shim, place), { recursive: true });
  for (const name of readdirSync(path.join(compiled, place)).filter((name) => name.startsWith("LiveConfig"))) {
    writeFileSync(path.join(shim, place, name), readFileSync(path.join(compiled, place, name)));
  }
  const trust = path.join(folder, "trust.bks");
  execFileSync(path.join(java, "bin/keytool"), [
    ...["-importcert", "-noprompt", "-alias", "ca", "-file", certificate("ca-cert.pem"), "-keystore", trust, "-storetype", "BKS"],
    ...["-storepass", "whisper", "-providerclass", "org.bouncycastle.jce.provider.BouncyCastleProvider", "-providerpath", jar("bcprov")],
  ]);
  const all = Object.entries({ ...properties, "mock.trust": trust });
  const flags = all.map(([name, value]) => `'-D${name}=${value}'`).join(" ");
  const program = path.join(folder, "signal-cli");
  writeFileSync(
    program,
    `#!/bin/sh\nexec '${java}/bin/java' --enable-native-access=ALL-UNNAMED -Xshare:auto -XX:TieredStopAtLevel=1 -cp '${shim}:${lib}/*' ${flags} org.asamk.signal.Main "$@"\n`,
  );
  chmodSync(program, 0o700);
  return program;
}
