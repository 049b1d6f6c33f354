// Which official schema checks what. Everything comes from @openclaw/gateway-protocol; nothing is written here
// but the places where a name does not follow from the method's name, compositions of official parts where the
// package has no schema for the whole, and the lists of what has none at all.
import * as validators from "@openclaw/gateway-protocol";
import { ProtocolSchemas } from "@openclaw/gateway-protocol/schema";
import { Type } from "typebox";
import { Compile } from "typebox/compile";

const compiled = new Map();

/** A validator over a schema: `check(value)` gives null, or a list of "pointer: message" texts. */
function checkerOf(name, schema) {
  let check = compiled.get(name);
  if (!check) {
    const program = Compile(schema);
    check = (value) =>
      program.Check(value)
        ? null
        : [...program.Errors(value)].map((e) => ({
            text: `${e.instancePath || "root"}: ${e.message}`,
            keyword: e.keyword,
          }));
    compiled.set(name, check);
  }
  return check;
}

function official(name) {
  const schema = ProtocolSchemas[name];
  if (!schema) throw new Error(`the package has no schema ${name}`);
  return checkerOf(name, schema);
}

const pascal = (method) =>
  method
    .split(/[.-]/)
    .map((word) => word[0].toUpperCase() + word.slice(1))
    .join("");

// Names that do not follow from the method's name.
const PARAMS_NAME = {
  "device.scopes.requestUpgrade": "ScopeUpgradeRequest",
  "device.scopes.waitUpgrade": "ScopeUpgradeWait",
  "agent.identity.get": "AgentIdentityParams",
  "exec.approvals.node.get": "ExecApprovalsNodeGetParams",
};
const RESULT_NAME = {
  "cron.get": "CronJob",
  "cron.update": "CronJob",
  "exec.approvals.get": "ExecApprovalsSnapshot",
  "exec.approvals.set": "ExecApprovalsSnapshot",
  "exec.approvals.node.get": "ExecApprovalsNodeSnapshot",
  "exec.approvals.node.set": "ExecApprovalsNodeSnapshot",
  "device.scopes.requestUpgrade": "ScopeUpgradeRegistration",
  "device.scopes.waitUpgrade": "ScopeUpgradeResult",
  "agent.identity.get": "AgentIdentityResult",
  "config.schema": "ConfigSchemaResponse",
};
// Whole results made of official parts.
const { CronJob, CronRunLogEntry, SessionRow, PresenceEntry, Snapshot } = ProtocolSchemas;
const page = (rows) => ({
  ...rows,
  total: Type.Integer({ minimum: 0 }),
  offset: Type.Integer({ minimum: 0 }),
  limit: Type.Integer({ minimum: 1, maximum: 200 }),
  hasMore: Type.Boolean(),
  nextOffset: Type.Union([Type.Integer(), Type.Null()]),
});
const RESULT_PARTS = {
  // What official clients read besides: the agent that the gateway runs it with, and the page.
  "cron.list": Type.Object(
    page({
      jobs: Type.Array(Type.Object({ ...CronJob.properties, effectiveAgentId: Type.String() }, { additionalProperties: false })),
      snapshotRevision: Type.String({ minLength: 1 }),
    }),
  ),
  "cron.runs": Type.Object(page({ entries: Type.Array(CronRunLogEntry) })),
  health: Snapshot.properties.health,
  "system-presence": Type.Array(PresenceEntry),
  "sessions.list": Type.Object({ ts: Type.Integer(), sessions: Type.Array(SessionRow) }),
  "sessions.describe": Type.Object({ session: Type.Union([SessionRow, Type.Null()]) }),
};

/** Methods whose answer to a cursor has a schema in the package, and whose pages have none. */
const RESULT_OF_CURSOR = new Set(["chat.history", "chat.startup"]);

/** Methods whose params have no schema in the package. */
export const PARAMS_WITHOUT_SCHEMA = new Set([
  "channels.outbox.list",
  "channels.outbox.resend",
  "channels.outbox.discard",
  "channels.pairing.remove",
  "channels.link",
  "exec.approval.list",
  "exec.approval.waitDecision",
  "backup.snapshot",
  "trust.audit.list",
  "health",
  "status",
  "system-presence",
  "system-event",
  "last-heartbeat",
  "set-heartbeats",
  "gateway.identity.get",
  "chat.startup",
  "node.pending.pull",
  "node.pluginSurface.refresh",
  "node.runnerInventory.update",
  "sessions.subscribe",
  "sessions.unsubscribe",
  "usage.cost",
  "usage.status",
  "voicewake.get",
  "voicewake.set",
]);

/** Methods whose result has no schema in the package. */
export const RESULTS_WITHOUT_SCHEMA = new Set([
  "poll",
  "message.action",
  "channels.outbox.list",
  "channels.outbox.resend",
  "channels.outbox.discard",
  "channels.pairing.remove",
  "channels.logout",
  "channels.start",
  "channels.link",
  "web.login.start",
  "web.login.wait",
  "channels.stop",
  "cron.status",
  "cron.remove",
  "cron.run",
  "wake",
  "models.authStatus",
  "sessions.usage",
  "usage.cost",
  "usage.status",
  "exec.approval.request",
  "exec.approval.list",
  "exec.approval.get",
  "exec.approval.resolve",
  "exec.approval.waitDecision",
  "backup.snapshot",
  "trust.audit.list",
  "sessions.preview",
  "sessions.patch",
  "sessions.reset",
  "sessions.compact",
  "sessions.abort",
  "sessions.send",
  "chat.inject",
  "device.pair.remove",
  "device.pair.rename",
  "device.token.revoke",
  "status",
  "system-event",
  "send",
  "agent",
  "agent.wait",
  "chat.send",
  "chat.abort",
  "chat.metadata",
  "sessions.subscribe",
  "sessions.unsubscribe",
  "sessions.messages.subscribe",
  "sessions.messages.unsubscribe",
  "last-heartbeat",
  "set-heartbeats",
  "config.get",
  "config.set",
  "config.apply",
  "config.patch",
  "gateway.identity.get",
  "node.invoke",
  "node.invoke.progress",
  "node.invoke.result",
  "node.pending.ack",
  "node.pending.pull",
  "node.pluginSurface.refresh",
  "node.pluginTools.update",
  "node.runnerInventory.update",
  "node.skills.update",
  "voicewake.get",
  "voicewake.set",
  "node.list",
  "node.describe",
  "node.rename",
  "node.pair.list",
  "node.pair.approve",
  "node.pair.reject",
  "node.pair.remove",
  "device.pair.list",
  "device.pair.approve",
  "device.pair.reject",
]);

const EVENT_SCHEMA = {
  chat: ProtocolSchemas.ChatEvent,
  agent: ProtocolSchemas.AgentEvent,
  "node.invoke.request": ProtocolSchemas.NodeInvokeRequestEvent,
  tick: ProtocolSchemas.TickEvent,
  shutdown: ProtocolSchemas.ShutdownEvent,
  "session.operation": ProtocolSchemas.SessionOperationEvent,
  health: Snapshot.properties.health,
  presence: Type.Object({ presence: Snapshot.properties.presence }),
  "device.pair.requested": ProtocolSchemas.DevicePairRequestedEvent,
  "device.pair.resolved": ProtocolSchemas.DevicePairResolvedEvent,
  "device.pair.setup.completed": ProtocolSchemas.DevicePairSetupCompletedEvent,
  "device.pair.setup.deliveryUncertain": ProtocolSchemas.DevicePairSetupDeliveryUncertainEvent,
};

/** Events whose payload has no schema in the package. */
export const EVENTS_WITHOUT_SCHEMA = new Set([
  "cron",
  "heartbeat",
  "exec.approval.requested",
  "exec.approval.resolved",
  "config.changed",
  "connect.challenge",
  "sessions.changed",
  "session.message",
  "node.invoke.cancel",
  "voicewake.changed",
  "node.pair.requested",
  "node.pair.resolved",
]);

/**
 * Payload keys that the official gateway puts on events beyond the package's own closed schema, and that official
 * clients read: they are taken off before the check.
 */
export const UPSTREAM_EXTRA_KEYS = {
  agent: ["sessionKey", "agentId", "sessionId", "lane", "session"],
};

/** How a method's params are checked: a function, null (listed as without a schema), or undefined (unknown). */
export function paramsCheck(method) {
  if (method === "connect") return official("ConnectParams");
  const name = PARAMS_NAME[method] ?? `${pascal(method)}Params`;
  // The exported validator where there is one: it has checks that its schema alone does not.
  const exported = validators[`validate${name}`];
  if (exported) {
    return (value) =>
      exported(value)
        ? null
        : exported.errors.map((e) => ({
            text: `${e.instancePath || "root"}: ${e.message}`,
            keyword: e.keyword,
          }));
  }
  if (ProtocolSchemas[name]) return official(name);
  return PARAMS_WITHOUT_SCHEMA.has(method) ? null : undefined;
}

/** How a method's result is checked; the same three answers. */
export function resultCheck(method) {
  if (method === "connect") return official("HelloOk");
  const name = RESULT_NAME[method] ?? `${pascal(method)}Result`;
  if (RESULT_OF_CURSOR.has(method)) {
    const check = official("ChatHistoryCursorResult");
    return (value) => (value?.kind === undefined ? null : check(value));
  }
  if (ProtocolSchemas[name]) return official(name);
  if (RESULT_PARTS[method]) return checkerOf(`${method} result`, RESULT_PARTS[method]);
  return RESULTS_WITHOUT_SCHEMA.has(method) ? null : undefined;
}

/** How an event's payload is checked; the same three answers. */
export function eventCheck(event) {
  const schema = EVENT_SCHEMA[event];
  if (!schema) return EVENTS_WITHOUT_SCHEMA.has(event) ? null : undefined;
  const check = checkerOf(`${event} event`, schema);
  const extra = UPSTREAM_EXTRA_KEYS[event];
  if (!extra) return check;
  return (payload) => check(without(payload, extra));
}

function without(value, keys) {
  if (value === null || typeof value !== "object") return value;
  const copy = { ...value };
  for (const key of keys) delete copy[key];
  return copy;
}

export const requestFrame = official("RequestFrame");
export const responseFrame = official("ResponseFrame");
export const eventFrame = official("EventFrame");
