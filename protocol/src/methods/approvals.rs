//! `exec.approval.*`: programs that wait for a person's yes; `exec.approvals.*`: the lasting rules.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::common::{EmptyParams, MAX_ID, MAX_TEXT, OkResult};
use crate::method::Access;
use crate::scope::Scope;

/// Longest command that is shown, characters.
pub const MAX_COMMAND: usize = 16_384;
/// Most agents with rules of their own.
pub const MAX_AGENTS: usize = 100;
/// Most rules of an agent.
pub const MAX_RULES: usize = 1_000;

crate::methods! {
    /// Asks for a decision; answered at once and again when it is there, or only then.
    ExecApprovalRequest => "exec.approval.request", Access::Operator(Scope::Approvals), effect, ExecApprovalRequestParams => ExecApprovalDecided;
    /// What waits for a decision.
    ExecApprovalList => "exec.approval.list", Access::Operator(Scope::Approvals), read, EmptyParams => Vec<PendingExecApproval>;
    /// One that waits.
    ExecApprovalGet => "exec.approval.get", Access::Operator(Scope::Approvals), read, ExecApprovalIdParams => PendingExecApproval;
    /// Decides.
    ExecApprovalResolve => "exec.approval.resolve", Access::Operator(Scope::Approvals), effect, ExecApprovalResolveParams => OkResult;
    /// Waits for a decision.
    ExecApprovalWaitDecision => "exec.approval.waitDecision", Access::Operator(Scope::Approvals), read, ExecApprovalIdParams => ExecApprovalDecided;
    /// The lasting rules.
    ExecApprovalsGet => "exec.approvals.get", Access::Operator(Scope::Admin), read, EmptyParams => ExecApprovalsSnapshot;
    /// Replaces the lasting rules.
    ExecApprovalsSet => "exec.approvals.set", Access::Operator(Scope::Admin), effect, ExecApprovalsSetParams => ExecApprovalsSnapshot;
    /// The rules that a node keeps itself.
    ExecApprovalsNodeGet => "exec.approvals.node.get", Access::Operator(Scope::Admin), read, ExecApprovalsNodeGetParams => ExecApprovalsNodeSnapshot;
    /// Replaces the rules that a node keeps itself.
    ExecApprovalsNodeSet => "exec.approvals.node.set", Access::Operator(Scope::Admin), effect, ExecApprovalsNodeSetParams => ExecApprovalsNodeSnapshot;
}

/// Parameters of `exec.approval.request`. Those that only upstream's hosts read are taken and ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecApprovalRequestParams {
    /// Names it; made here when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub id: Option<String>,
    /// The command as people read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_COMMAND))]
    pub command: Option<String>,
    /// The program and its arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_argv: Option<Vec<String>>,
    /// What a node would run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_run_plan: Option<Value>,
    /// Its variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<BTreeMap<String, String>>,
    /// Its folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text")]
    pub cwd: Option<Text>,
    /// The node that would run it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text")]
    pub node_id: Option<Text>,
    /// Where it would run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text")]
    pub host: Option<Text>,
    /// The rule that it fell under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text")]
    pub security: Option<Text>,
    /// The rule that it fell under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text")]
    pub ask: Option<Text>,
    /// What to warn of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text")]
    pub warning_text: Option<Text>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Value>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable_decisions: Option<Vec<String>>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_spans: Option<Vec<Value>>,
    /// The agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text")]
    pub agent_id: Option<Text>,
    /// The program's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text")]
    pub resolved_path: Option<Text>,
    /// The session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text")]
    pub session_key: Option<Text>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text")]
    pub session_id: Option<Text>,
    /// The run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text")]
    pub run_id: Option<Text>,
    /// The call of a tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text")]
    pub tool_call_id: Option<Text>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text")]
    pub turn_source_channel: Option<Text>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text")]
    pub turn_source_to: Option<Text>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text")]
    pub turn_source_account_id: Option<Text>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_source_thread_id: Option<Value>,
    /// Ignored: every connection with the scope may decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_reviewer_device_ids: Option<Vec<String>>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_delivery_route: Option<bool>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppress_delivery: Option<bool>,
    /// Ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver_to_approval_clients_only: Option<bool>,
    /// How long it waits, milliseconds; 120,000 when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_800_000))]
    pub timeout_ms: Option<u64>,
    /// Whether it is answered at once, and again with the decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub two_phase: Option<bool>,
}

/// A text or null.
pub type Text = super::common::Nullable<String>;

/// A decision, or that there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecApprovalDecided {
    /// What was asked.
    pub id: String,
    /// `allow-once`, `allow-always` or `deny`; null when its time ran out.
    pub decision: Text,
    /// When it was asked, milliseconds since the epoch.
    pub created_at_ms: u64,
    /// When its time is over.
    pub expires_at_ms: u64,
}

/// Names one that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecApprovalIdParams {
    /// Its id.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub id: String,
}

/// A program that waits for a yes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingExecApproval {
    /// Its id.
    pub id: String,
    /// What would run.
    pub request: ExecRequest,
    /// When it was asked, milliseconds since the epoch.
    pub created_at_ms: u64,
    /// When its time is over.
    pub expires_at_ms: u64,
}

/// What would run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecRequest {
    /// The command as people read it.
    pub command: String,
    /// The program and its arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command_argv: Vec<String>,
    /// Its folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Where: `gateway` or `node`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Which node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// The rule that it fell under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<String>,
    /// The rule that it fell under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<String>,
    /// The agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// The program's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_path: Option<String>,
    /// The session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// What to warn of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning_text: Option<String>,
    /// What may be decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_decisions: Vec<String>,
}

/// Parameters of `exec.approval.resolve`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecApprovalResolveParams {
    /// What is decided.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub id: String,
    /// `allow-once`, `allow-always` or `deny`.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub decision: String,
    /// Who decided, where a channel passes it on; ignored, the connection counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewer: Option<Value>,
    /// How long an `allow-always` holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3_650))]
    pub grant_expires_in_days: Option<u32>,
}

/// The lasting rules and their hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecApprovalsSnapshot {
    /// Where they are kept.
    pub path: String,
    /// Whether anything was ever decided.
    pub exists: bool,
    /// Changes with the rules; `exec.approvals.set` names the one that it replaces.
    pub hash: String,
    /// The rules.
    pub file: ExecRules,
    /// The rules of an agent without its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_defaults: Option<ResolvedExecRules>,
}

/// Parameters of `exec.approvals.node.get`; unknown keys are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecApprovalsNodeGetParams {
    /// The node: its device id.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub node_id: String,
}

/// Parameters of `exec.approvals.node.set`: one of `file` and `native`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecApprovalsNodeSetParams {
    /// The node: its device id.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub node_id: String,
    /// The rules of a node that keeps a file of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<ExecRules>,
    /// The rules of a node that has a list of patterns instead (Windows).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native: Option<NativeExecRules>,
    /// The hash of the rules that these replace; needed once there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub base_hash: Option<String>,
}

/// Rules as a list of patterns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NativeExecRules {
    /// What happens to what no rule names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_action: Option<NativeExecAction>,
    /// The rules; the first that fits counts.
    pub rules: Vec<NativeExecRule>,
}

/// What a rule of a list says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum NativeExecAction {
    /// It runs.
    Allow,
    /// It does not.
    Deny,
    /// Someone at the node is asked.
    Prompt,
}

/// One rule of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NativeExecRule {
    /// Which commands.
    #[schemars(length(min = 1))]
    pub pattern: String,
    /// What happens to them.
    pub action: NativeExecAction,
    /// In which shells; in all without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shells: Option<Vec<String>>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Off, it is kept without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// The rules that a node keeps: a file of them (`path`, `exists`, `hash`, `file`), a list of patterns (`enabled`, `hash`,
/// `defaultAction`, `rules`), or word that it keeps none (`enabled: false`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecApprovalsNodeSnapshot {
    /// Where the file is, on the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whether there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
    /// Changes with the rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// The rules of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<ExecRules>,
    /// The rules of an agent without its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_defaults: Option<ResolvedExecRules>,
    /// Whether the list counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The hash to name with the next change, where it is another than `hash`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_hash: Option<String>,
    /// What happens to what no rule names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_action: Option<NativeExecAction>,
    /// The rules of the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<NativeExecRule>>,
    /// What the node would refuse in a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraints: Option<NativeExecConstraints>,
    /// What the node says about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl ExecApprovalsNodeSnapshot {
    /// Whether it is one of the three forms that clients read.
    pub fn is_whole(&self) -> bool {
        let Self {
            path,
            exists,
            hash,
            file,
            resolved_defaults,
            enabled,
            base_hash,
            default_action,
            rules,
            constraints,
            message,
        } = self;
        let of_file = path.is_some() && exists.is_some() && hash.is_some() && file.is_some();
        let any_of_file =
            path.is_some() || exists.is_some() || file.is_some() || resolved_defaults.is_some();
        let any_of_list = base_hash.is_some()
            || default_action.is_some()
            || rules.is_some()
            || constraints.is_some();
        match enabled {
            None => of_file && !any_of_list && message.is_none(),
            Some(true) => {
                message.is_none()
                    && hash.is_some()
                    && default_action.is_some()
                    && rules.is_some()
                    && !any_of_file
            }
            Some(false) => !any_of_file && hash.is_none() && !any_of_list,
        }
    }
}

/// What a node would refuse in a list of rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NativeExecConstraints {
    /// A change that names no hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_hash_required: Option<bool>,
    /// Whether `defaultAction` may be `allow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_allow_allowed: Option<bool>,
    /// Whether a pattern that fits everything may be allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broad_allow_rules_allowed: Option<bool>,
    /// Whether shells and the like may be allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dangerous_allow_rules_allowed: Option<bool>,
}

/// Parameters of `exec.approvals.set`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecApprovalsSetParams {
    /// The rules.
    pub file: ExecRules,
    /// The hash of the rules that these replace; needed once there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub base_hash: Option<String>,
}

/// The lasting rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecRules {
    /// Always 1.
    #[schemars(range(min = 1, max = 1))]
    pub version: u8,
    /// A socket of upstream's; kept and unused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<ExecSocket>,
    /// The rules for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<ExecDefaults>,
    /// The rules of single agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = MAX_AGENTS))]
    pub agents: Option<BTreeMap<String, ExecAgentRules>>,
}

impl Default for ExecRules {
    fn default() -> Self {
        Self {
            version: 1,
            socket: None,
            defaults: None,
            agents: None,
        }
    }
}

/// A socket of upstream's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecSocket {
    /// Its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub path: Option<String>,
    /// Its secret, of nodes that have such a socket; never kept by the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub token: Option<String>,
}

/// The rules for all agents. Words that are not known mean the safest rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecDefaults {
    /// `deny`, `allowlist` or `full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub security: Option<String>,
    /// `off`, `on-miss` or `always`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub ask: Option<String>,
    /// What counts when nobody answers; here it is always `deny`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub ask_fallback: Option<String>,
    /// Kept and unused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_allow_skills: Option<bool>,
}

/// The rules of one agent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecAgentRules {
    /// `deny`, `allowlist` or `full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub security: Option<String>,
    /// `off`, `on-miss` or `always`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub ask: Option<String>,
    /// What counts when nobody answers; here it is always `deny`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub ask_fallback: Option<String>,
    /// Kept and unused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_allow_skills: Option<bool>,
    /// What is allowed for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_RULES))]
    pub allowlist: Option<Vec<ExecAllowed>>,
    /// Kept and unused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_RULES))]
    pub mcp_tools: Option<Vec<Value>>,
}

/// Something that is allowed for good.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecAllowed {
    /// Its id. Of an `allow-always` here: what exactly was allowed, as a digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_ID))]
    pub id: Option<String>,
    /// The program's file; `*` stands for any part of a name in an entry that a person wrote.
    #[schemars(length(max = MAX_TEXT))]
    pub pattern: String,
    /// `allow-always` for what was decided on a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub source: Option<String>,
    /// The command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_COMMAND))]
    pub command_text: Option<String>,
    /// Kept; an entry with it allows nothing here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub arg_pattern: Option<String>,
    /// When it was used last, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub last_used_at: Option<f64>,
    /// The command of that use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_COMMAND))]
    pub last_used_command: Option<String>,
    /// The file of that use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_TEXT))]
    pub last_resolved_path: Option<String>,
}

/// The rules of an agent without its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedExecRules {
    /// `deny`, `allowlist` or `full`.
    pub security: String,
    /// `off`, `on-miss` or `always`.
    pub ask: String,
    /// Always `deny`.
    pub ask_fallback: String,
    /// Always false.
    pub auto_allow_skills: bool,
}
