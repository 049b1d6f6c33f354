//! Which method is served how: one line each, here and in the owner's table.

use actix::Addr;
use openclaw_protocol::methods::{
    agent, agents, approvals, artifacts, audit, backup, channel_outbox, channels, chat, commands,
    config, cron, device, device_scopes, device_setup, heartbeat, logs, messaging, models, node,
    node_invoke, node_side, session_changes, session_search, session_starts, sessions, system,
    tools, usage, web_login,
};

use super::table::Table;
use crate::agent::AgentRunner;
use crate::approvals::Approvals;
use crate::audit::Audit;
use crate::channel::supervisor::Channels;
use crate::config::ConfigActor;
use crate::cron::Scheduler;
use crate::dedupe::Dedupe;
use crate::heartbeat::Heart;
use crate::logs::Logs;
use crate::node::Nodes;
use crate::pairing::PairingRegistry;
use crate::presence::Presence;
use crate::session::dispatch::Dispatch;
use crate::sessions::Sessions;
use crate::sweep::Sweeper;

/// The methods as sessions see them: answered from a published view, or routed.
pub fn dispatch() -> Dispatch {
    Dispatch::default()
        .snapshot::<system::Health>()
        .snapshot::<system::Status>()
        .snapshot::<system::SystemPresence>()
        .snapshot::<heartbeat::LastHeartbeat>()
        .routed::<heartbeat::SetHeartbeats>()
        .routed::<heartbeat::Wake>()
        .snapshot::<agents::AgentsList>()
        .snapshot::<agents::AgentIdentityGet>()
        .routed::<agents::AgentsFilesList>()
        .routed::<agents::AgentsFilesGet>()
        .routed::<agents::AgentsFilesSet>()
        .snapshot::<models::ModelsAuthStatus>()
        .snapshot::<models::ModelsList>()
        .snapshot::<config::ConfigGet>()
        .routed::<config::ConfigSchema>()
        .routed::<config::ConfigSchemaLookup>()
        .routed::<config::ConfigSet>()
        .routed::<config::ConfigApply>()
        .routed::<config::ConfigPatch>()
        .routed::<models::ModelsProbe>()
        .snapshot::<channels::ChannelsStatus>()
        .routed::<channels::ChannelsStart>()
        .routed::<channels::ChannelsStop>()
        .routed::<channels::ChannelsLogout>()
        .routed::<web_login::ChannelsLink>()
        .routed::<web_login::WebLoginStart>()
        .routed::<web_login::WebLoginWait>()
        .routed::<channel_outbox::ChannelsOutboxList>()
        .routed::<channel_outbox::ChannelsOutboxResend>()
        .routed::<channel_outbox::ChannelsOutboxDiscard>()
        .routed::<channels::ChannelsPairingList>()
        .routed::<channels::ChannelsPairingApprove>()
        .routed::<channels::ChannelsPairingDismiss>()
        .routed::<channels::ChannelsPairingRemove>()
        .snapshot::<node::NodeList>()
        .snapshot::<node::NodeDescribe>()
        .snapshot::<chat::ChatMetadata>()
        .snapshot::<commands::CommandsList>()
        .routed::<system::SystemEvent>()
        .routed::<system::GatewayIdentityGet>()
        .routed::<agent::Agent>()
        .routed::<agent::AgentWait>()
        .routed::<tools::ToolsCatalog>()
        .routed::<tools::ToolsEffective>()
        .routed::<tools::ToolsInvoke>()
        .routed::<approvals::ExecApprovalGet>()
        .routed::<approvals::ExecApprovalList>()
        .routed::<approvals::ExecApprovalRequest>()
        .routed::<approvals::ExecApprovalResolve>()
        .routed::<approvals::ExecApprovalWaitDecision>()
        .routed::<approvals::ExecApprovalsGet>()
        .routed::<approvals::ExecApprovalsSet>()
        .routed::<approvals::ExecApprovalsNodeGet>()
        .routed::<approvals::ExecApprovalsNodeSet>()
        .routed::<chat::ChatSend>()
        .routed::<chat::ChatAbort>()
        .routed::<chat::ChatHistory>()
        .routed::<chat::ChatStartup>()
        .routed::<artifacts::ArtifactsList>()
        .routed::<usage::SessionsUsage>()
        .routed::<usage::UsageCost>()
        .routed::<usage::UsageStatus>()
        .routed::<artifacts::ArtifactsGet>()
        .routed::<artifacts::ArtifactsDownload>()
        .routed::<session_changes::ChatInject>()
        .routed::<messaging::Send>()
        .routed::<messaging::Poll>()
        .routed::<messaging::MessageAction>()
        .routed::<sessions::SessionsList>()
        .routed::<sessions::SessionsSubscribe>()
        .routed::<sessions::SessionsUnsubscribe>()
        .routed::<sessions::SessionsMessagesSubscribe>()
        .routed::<sessions::SessionsMessagesUnsubscribe>()
        .routed::<sessions::SessionsDescribe>()
        .routed::<sessions::SessionsResolve>()
        .routed::<sessions::SessionsPreview>()
        .routed::<session_changes::SessionsAbort>()
        .routed::<session_changes::SessionsDelete>()
        .routed::<session_starts::SessionsCreate>()
        .routed::<session_starts::SessionsSend>()
        .routed::<session_search::SessionsSearch>()
        .routed::<session_changes::SessionsPatch>()
        .routed::<session_changes::SessionsReset>()
        .routed::<session_changes::SessionsCompact>()
        .routed::<logs::LogsTail>()
        .routed::<audit::AuditList>()
        .routed::<backup::BackupSnapshot>()
        .routed::<device::DevicePairList>()
        .routed::<device::DevicePairApprove>()
        .routed::<device::DevicePairReject>()
        .routed::<device::DevicePairRemove>()
        .routed::<device::DevicePairRename>()
        .routed::<device_setup::DevicePairSetupCode>()
        .routed::<device_setup::DevicePairSetupStatus>()
        .routed::<device_scopes::DeviceScopesRequestUpgrade>()
        .routed::<device_scopes::DeviceScopesWaitUpgrade>()
        .routed::<device::DeviceTokenRotate>()
        .routed::<device::DeviceTokenRevoke>()
        .routed::<node::NodePairList>()
        .routed::<node::NodePairApprove>()
        .routed::<node::NodePairReject>()
        .routed::<node::NodePairRemove>()
        .routed::<node::NodeRename>()
        .routed::<node_invoke::NodeInvoke>()
        .routed::<node_invoke::NodeInvokeProgress>()
        .routed::<node_invoke::NodeInvokeResult>()
        .routed::<cron::CronList>()
        .routed::<cron::CronStatus>()
        .routed::<cron::CronGet>()
        .routed::<cron::CronRuns>()
        .routed::<cron::CronAdd>()
        .routed::<cron::CronUpdate>()
        .routed::<cron::CronRemove>()
        .routed::<cron::CronRun>()
        .routed::<node_side::NodeEvent>()
        .routed::<node_side::NodePendingAck>()
        .routed::<node_side::NodePendingDrain>()
        .routed::<node_side::NodePendingEnqueue>()
        .routed::<node_side::NodePendingPull>()
        .routed::<node_side::NodePluginSurfaceRefresh>()
        .routed::<node_side::NodePluginToolsUpdate>()
        .routed::<node_side::NodeRunnerInventoryUpdate>()
        .routed::<node_side::NodeSkillsUpdate>()
        .routed::<node_side::SkillsBins>()
        .routed::<node_side::VoicewakeGet>()
        .routed::<node_side::VoicewakeSet>()
}

/// The owners of routed methods.
pub struct Owners {
    /// The gate in front of methods with an idempotency key.
    pub dedupe: Addr<Dedupe>,
    /// Runs.
    pub runner: Addr<AgentRunner>,
    /// What may run on this host.
    pub approvals: Addr<Approvals>,
    /// Conversations.
    pub sessions: Addr<Sessions>,
    /// Presence.
    pub presence: Addr<Presence>,
    /// Device trust.
    pub pairing: Addr<PairingRegistry>,
    /// The log file.
    pub logs: Addr<Logs>,
    /// The trail of trust decisions.
    pub audit: Addr<Audit>,
    /// Copies of the database.
    pub sweeper: Addr<Sweeper>,
    /// The configuration and its file.
    pub config: Addr<ConfigActor>,
    /// Jobs that run by the clock.
    pub scheduler: Addr<Scheduler>,
    /// Agents that look after things by themselves.
    pub heart: Addr<Heart>,
    /// The accounts on channels.
    pub channels: Addr<Channels>,
    /// The connected nodes.
    pub nodes: Addr<Nodes>,
}

/// Who serves what.
pub fn table(owners: &Owners) -> Table {
    let Owners {
        dedupe,
        runner,
        approvals: exec,
        sessions,
        presence,
        pairing,
        logs,
        audit: trail,
        sweeper,
        config: file,
        nodes,
        scheduler,
        heart,
        channels: accounts,
    } = owners;
    Table::default()
        .on::<system::SystemEvent>(presence.clone())
        .on::<system::GatewayIdentityGet>(pairing.clone())
        .on::<agent::Agent>(dedupe.clone())
        .on::<agent::AgentWait>(runner.clone())
        .on::<agents::AgentsFilesList>(runner.clone())
        .on::<agents::AgentsFilesGet>(runner.clone())
        .on::<agents::AgentsFilesSet>(runner.clone())
        .on::<tools::ToolsCatalog>(runner.clone())
        .on::<tools::ToolsEffective>(runner.clone())
        .on::<tools::ToolsInvoke>(dedupe.clone())
        .on::<approvals::ExecApprovalGet>(exec.clone())
        .on::<approvals::ExecApprovalList>(exec.clone())
        .on::<approvals::ExecApprovalRequest>(exec.clone())
        .on::<approvals::ExecApprovalResolve>(exec.clone())
        .on::<approvals::ExecApprovalWaitDecision>(exec.clone())
        .on::<approvals::ExecApprovalsGet>(exec.clone())
        .on::<approvals::ExecApprovalsSet>(exec.clone())
        .on::<approvals::ExecApprovalsNodeGet>(nodes.clone())
        .on::<approvals::ExecApprovalsNodeSet>(nodes.clone())
        .on::<chat::ChatSend>(dedupe.clone())
        .on::<chat::ChatAbort>(runner.clone())
        .on::<chat::ChatHistory>(sessions.clone())
        .on::<chat::ChatStartup>(sessions.clone())
        .on::<artifacts::ArtifactsList>(sessions.clone())
        .on::<usage::SessionsUsage>(sessions.clone())
        .on::<usage::UsageCost>(sessions.clone())
        .on::<usage::UsageStatus>(sessions.clone())
        .on::<artifacts::ArtifactsGet>(sessions.clone())
        .on::<artifacts::ArtifactsDownload>(sessions.clone())
        .on::<session_changes::ChatInject>(sessions.clone())
        .on::<messaging::Send>(dedupe.clone())
        .on::<messaging::Poll>(dedupe.clone())
        .on::<messaging::MessageAction>(dedupe.clone())
        .on::<sessions::SessionsList>(sessions.clone())
        .on::<sessions::SessionsSubscribe>(sessions.clone())
        .on::<sessions::SessionsUnsubscribe>(sessions.clone())
        .on::<sessions::SessionsMessagesSubscribe>(sessions.clone())
        .on::<sessions::SessionsMessagesUnsubscribe>(sessions.clone())
        .on::<sessions::SessionsDescribe>(sessions.clone())
        .on::<sessions::SessionsResolve>(sessions.clone())
        .on::<sessions::SessionsPreview>(sessions.clone())
        .on::<session_changes::SessionsAbort>(runner.clone())
        .on::<session_changes::SessionsDelete>(runner.clone())
        .on::<session_starts::SessionsCreate>(dedupe.clone())
        .on::<session_starts::SessionsSend>(dedupe.clone())
        .on::<session_search::SessionsSearch>(sessions.clone())
        .on::<session_changes::SessionsPatch>(sessions.clone())
        .on::<session_changes::SessionsReset>(runner.clone())
        .on::<session_changes::SessionsCompact>(runner.clone())
        .on::<logs::LogsTail>(logs.clone())
        .on::<audit::AuditList>(trail.clone())
        .on::<backup::BackupSnapshot>(sweeper.clone())
        .on::<config::ConfigSchema>(file.clone())
        .on::<config::ConfigSchemaLookup>(file.clone())
        .on::<config::ConfigSet>(file.clone())
        .on::<config::ConfigApply>(file.clone())
        .on::<config::ConfigPatch>(file.clone())
        .on::<models::ModelsProbe>(runner.clone())
        .on::<channels::ChannelsStart>(accounts.clone())
        .on::<channels::ChannelsStop>(accounts.clone())
        .on::<channels::ChannelsLogout>(accounts.clone())
        .on::<web_login::ChannelsLink>(accounts.clone())
        .on::<web_login::WebLoginStart>(accounts.clone())
        .on::<web_login::WebLoginWait>(accounts.clone())
        .on::<channel_outbox::ChannelsOutboxList>(accounts.clone())
        .on::<channel_outbox::ChannelsOutboxResend>(accounts.clone())
        .on::<channel_outbox::ChannelsOutboxDiscard>(accounts.clone())
        .on::<channels::ChannelsPairingList>(accounts.clone())
        .on::<channels::ChannelsPairingApprove>(accounts.clone())
        .on::<channels::ChannelsPairingDismiss>(accounts.clone())
        .on::<channels::ChannelsPairingRemove>(accounts.clone())
        .on::<device::DevicePairList>(pairing.clone())
        .on::<device::DevicePairApprove>(pairing.clone())
        .on::<device::DevicePairReject>(pairing.clone())
        .on::<device::DevicePairRemove>(pairing.clone())
        .on::<device::DevicePairRename>(pairing.clone())
        .on::<device_setup::DevicePairSetupCode>(pairing.clone())
        .on::<device_setup::DevicePairSetupStatus>(pairing.clone())
        .on::<device_scopes::DeviceScopesRequestUpgrade>(pairing.clone())
        .on::<device_scopes::DeviceScopesWaitUpgrade>(pairing.clone())
        .on::<device::DeviceTokenRotate>(pairing.clone())
        .on::<device::DeviceTokenRevoke>(pairing.clone())
        .on::<node::NodePairList>(pairing.clone())
        .on::<node::NodePairApprove>(pairing.clone())
        .on::<node::NodePairReject>(pairing.clone())
        .on::<node::NodePairRemove>(pairing.clone())
        .on::<node::NodeRename>(pairing.clone())
        .on::<node_invoke::NodeInvoke>(dedupe.clone())
        .on::<node_invoke::NodeInvokeProgress>(nodes.clone())
        .on::<node_invoke::NodeInvokeResult>(nodes.clone())
        .on::<cron::CronList>(scheduler.clone())
        .on::<cron::CronStatus>(scheduler.clone())
        .on::<cron::CronGet>(scheduler.clone())
        .on::<cron::CronRuns>(scheduler.clone())
        .on::<cron::CronAdd>(scheduler.clone())
        .on::<cron::CronUpdate>(scheduler.clone())
        .on::<cron::CronRemove>(scheduler.clone())
        .on::<cron::CronRun>(scheduler.clone())
        .on::<heartbeat::SetHeartbeats>(heart.clone())
        .on::<heartbeat::Wake>(heart.clone())
        .on::<node_side::NodeEvent>(nodes.clone())
        .on::<node_side::NodePendingAck>(nodes.clone())
        .on::<node_side::NodePendingDrain>(nodes.clone())
        .on::<node_side::NodePendingEnqueue>(nodes.clone())
        .on::<node_side::NodePendingPull>(nodes.clone())
        .on::<node_side::NodePluginSurfaceRefresh>(nodes.clone())
        .on::<node_side::NodePluginToolsUpdate>(nodes.clone())
        .on::<node_side::NodeRunnerInventoryUpdate>(nodes.clone())
        .on::<node_side::NodeSkillsUpdate>(nodes.clone())
        .on::<node_side::SkillsBins>(nodes.clone())
        .on::<node_side::VoicewakeGet>(nodes.clone())
        .on::<node_side::VoicewakeSet>(nodes.clone())
}

/// The events that this gateway emits.
pub const EVENTS: &[&str] = &[
    "agent",
    "chat",
    "config.changed",
    "connect.challenge",
    "cron",
    "device.pair.requested",
    "device.pair.resolved",
    "device.pair.setup.completed",
    "device.pair.setup.deliveryUncertain",
    "exec.approval.requested",
    "exec.approval.resolved",
    "health",
    "heartbeat",
    "node.invoke.cancel",
    "node.invoke.request",
    "node.pair.requested",
    "node.pair.resolved",
    "presence",
    "session.message",
    "session.operation",
    "sessions.changed",
    "shutdown",
    "tick",
    "voicewake.changed",
];

/// Contracts beyond methods and events.
pub const CAPABILITIES: &[&str] = &["published-model-catalog"];
