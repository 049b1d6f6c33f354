//! Which method is served how, and by whom: one line each.

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

/// The owners of routed methods.
pub struct Owners {
    /// The gate in front of methods with an idempotency key; it knows who does the work.
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

/// Makes [`dispatch`] and [`table`] from one list: under `published` the methods that a session answers
/// from what their owner published last, under each field of [`Owners`] those that it serves. Who may
/// call a method stands where it is declared, in `openclaw_protocol::methods`.
macro_rules! serves {
    (published { $($read:path,)+ } $($owner:ident { $($method:path,)+ })+) => {
        /// The methods as sessions see them: answered from a published view, or routed.
        pub fn dispatch() -> Dispatch {
            Dispatch::default()
                $(.snapshot::<$read>())+
                $($(.routed::<$method>())+)+
        }

        /// Who serves what.
        pub fn table(owners: &Owners) -> Table {
            Table::default()
                $($(.on::<$method>(owners.$owner.clone()))+)+
        }
    };
}

serves! {
    published {
        agents::AgentIdentityGet,
        agents::AgentsList,
        channels::ChannelsStatus,
        chat::ChatMetadata,
        commands::CommandsList,
        config::ConfigGet,
        heartbeat::LastHeartbeat,
        models::ModelsAuthStatus,
        models::ModelsList,
        node::NodeDescribe,
        node::NodeList,
        system::Health,
        system::Status,
        system::SystemPresence,
    }
    dedupe {
        agent::Agent,
        chat::ChatSend,
        messaging::MessageAction,
        messaging::Poll,
        messaging::Send,
        node_invoke::NodeInvoke,
        session_starts::SessionsCreate,
        session_starts::SessionsSend,
        tools::ToolsInvoke,
    }
    runner {
        agent::AgentWait,
        agents::AgentsFilesGet,
        agents::AgentsFilesList,
        agents::AgentsFilesSet,
        chat::ChatAbort,
        models::ModelsProbe,
        session_changes::SessionsAbort,
        session_changes::SessionsCompact,
        session_changes::SessionsDelete,
        session_changes::SessionsReset,
        tools::ToolsCatalog,
        tools::ToolsEffective,
    }
    approvals {
        approvals::ExecApprovalGet,
        approvals::ExecApprovalList,
        approvals::ExecApprovalRequest,
        approvals::ExecApprovalResolve,
        approvals::ExecApprovalWaitDecision,
        approvals::ExecApprovalsGet,
        approvals::ExecApprovalsSet,
    }
    sessions {
        artifacts::ArtifactsDownload,
        artifacts::ArtifactsGet,
        artifacts::ArtifactsList,
        chat::ChatHistory,
        chat::ChatStartup,
        session_changes::ChatInject,
        session_changes::SessionsPatch,
        session_search::SessionsSearch,
        sessions::SessionsDescribe,
        sessions::SessionsList,
        sessions::SessionsMessagesSubscribe,
        sessions::SessionsMessagesUnsubscribe,
        sessions::SessionsPreview,
        sessions::SessionsResolve,
        sessions::SessionsSubscribe,
        sessions::SessionsUnsubscribe,
        usage::SessionsUsage,
        usage::UsageCost,
        usage::UsageStatus,
    }
    presence {
        system::SystemEvent,
    }
    pairing {
        device::DevicePairApprove,
        device::DevicePairList,
        device::DevicePairReject,
        device::DevicePairRemove,
        device::DevicePairRename,
        device::DeviceTokenRevoke,
        device::DeviceTokenRotate,
        device_scopes::DeviceScopesRequestUpgrade,
        device_scopes::DeviceScopesWaitUpgrade,
        device_setup::DevicePairSetupCode,
        device_setup::DevicePairSetupStatus,
        node::NodePairApprove,
        node::NodePairList,
        node::NodePairReject,
        node::NodePairRemove,
        node::NodeRename,
        system::GatewayIdentityGet,
    }
    logs {
        logs::LogsTail,
    }
    audit {
        audit::AuditList,
    }
    sweeper {
        backup::BackupSnapshot,
    }
    config {
        config::ConfigApply,
        config::ConfigPatch,
        config::ConfigSchema,
        config::ConfigSchemaLookup,
        config::ConfigSet,
    }
    scheduler {
        cron::CronAdd,
        cron::CronGet,
        cron::CronList,
        cron::CronRemove,
        cron::CronRun,
        cron::CronRuns,
        cron::CronStatus,
        cron::CronUpdate,
    }
    heart {
        heartbeat::SetHeartbeats,
        heartbeat::Wake,
    }
    channels {
        channel_outbox::ChannelsOutboxDiscard,
        channel_outbox::ChannelsOutboxList,
        channel_outbox::ChannelsOutboxResend,
        channels::ChannelsLogout,
        channels::ChannelsPairingApprove,
        channels::ChannelsPairingDismiss,
        channels::ChannelsPairingList,
        channels::ChannelsPairingRemove,
        channels::ChannelsStart,
        channels::ChannelsStop,
        web_login::ChannelsLink,
        web_login::WebLoginStart,
        web_login::WebLoginWait,
    }
    nodes {
        approvals::ExecApprovalsNodeGet,
        approvals::ExecApprovalsNodeSet,
        node_invoke::NodeInvokeProgress,
        node_invoke::NodeInvokeResult,
        node_side::NodeEvent,
        node_side::NodePendingAck,
        node_side::NodePendingDrain,
        node_side::NodePendingEnqueue,
        node_side::NodePendingPull,
        node_side::NodePluginSurfaceRefresh,
        node_side::NodePluginToolsUpdate,
        node_side::NodeRunnerInventoryUpdate,
        node_side::NodeSkillsUpdate,
        node_side::SkillsBins,
        node_side::VoicewakeGet,
        node_side::VoicewakeSet,
    }
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
