//! One type per method; [`ALL`] is the table of them, [`visit`] the same with the types.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::method::{Method, MethodContract, MethodSpec};

pub mod agent;
pub mod agents;
pub mod approvals;
pub mod artifacts;
pub mod audit;
pub mod backup;
pub mod channel_outbox;
pub mod channels;
pub mod chat;
pub mod commands;
pub mod common;
pub mod config;
pub mod cron;
pub mod cron_parts;
pub mod device;
pub mod device_scopes;
pub mod device_setup;
pub mod heartbeat;
pub mod logs;
pub mod message;
pub mod messaging;
pub mod models;
pub mod node;
pub mod node_invoke;
pub mod node_side;
pub mod session_changes;
pub mod session_row;
pub mod session_search;
pub mod session_starts;
pub mod sessions;
pub mod system;
pub mod tools;
pub mod usage;
pub mod web_login;

/// Something that is done once per method, with its types at hand.
pub trait Visitor {
    /// Called for each method in the order of [`ALL`].
    fn method<M>(&mut self)
    where
        M: Method<Params: Serialize, Result: DeserializeOwned>;
}

macro_rules! table {
    ($($method:path),+ $(,)?) => {
        /// Every method of the protocol that this gateway implements, by name.
        pub static ALL: &[MethodSpec] = &[$(MethodSpec::of::<$method>()),+];

        /// What the published contract says besides, in the order of [`ALL`].
        pub static CONTRACTS: &[MethodContract] = &[$(MethodContract::of::<$method>()),+];

        /// Calls the visitor once per method.
        pub fn visit(visitor: &mut impl Visitor) {
            $(visitor.method::<$method>();)+
        }
    };
}

table![
    agent::Agent,
    agents::AgentIdentityGet,
    agent::AgentWait,
    agents::AgentsFilesGet,
    agents::AgentsFilesList,
    agents::AgentsFilesSet,
    agents::AgentsList,
    artifacts::ArtifactsDownload,
    artifacts::ArtifactsGet,
    artifacts::ArtifactsList,
    backup::BackupSnapshot,
    web_login::ChannelsLink,
    channels::ChannelsLogout,
    channel_outbox::ChannelsOutboxDiscard,
    channel_outbox::ChannelsOutboxList,
    channel_outbox::ChannelsOutboxResend,
    channels::ChannelsPairingApprove,
    channels::ChannelsPairingDismiss,
    channels::ChannelsPairingList,
    channels::ChannelsPairingRemove,
    channels::ChannelsStart,
    channels::ChannelsStatus,
    channels::ChannelsStop,
    chat::ChatAbort,
    chat::ChatHistory,
    session_changes::ChatInject,
    chat::ChatMetadata,
    chat::ChatSend,
    chat::ChatStartup,
    commands::CommandsList,
    config::ConfigApply,
    config::ConfigGet,
    config::ConfigPatch,
    config::ConfigSchema,
    config::ConfigSchemaLookup,
    config::ConfigSet,
    cron::CronAdd,
    cron::CronGet,
    cron::CronList,
    cron::CronRemove,
    cron::CronRun,
    cron::CronRuns,
    cron::CronStatus,
    cron::CronUpdate,
    device::DevicePairApprove,
    device::DevicePairList,
    device::DevicePairReject,
    device::DevicePairRemove,
    device::DevicePairRename,
    device_setup::DevicePairSetupCode,
    device_setup::DevicePairSetupStatus,
    device_scopes::DeviceScopesRequestUpgrade,
    device_scopes::DeviceScopesWaitUpgrade,
    device::DeviceTokenRevoke,
    device::DeviceTokenRotate,
    approvals::ExecApprovalGet,
    approvals::ExecApprovalList,
    approvals::ExecApprovalRequest,
    approvals::ExecApprovalResolve,
    approvals::ExecApprovalWaitDecision,
    approvals::ExecApprovalsGet,
    approvals::ExecApprovalsNodeGet,
    approvals::ExecApprovalsNodeSet,
    approvals::ExecApprovalsSet,
    system::GatewayIdentityGet,
    system::Health,
    heartbeat::LastHeartbeat,
    logs::LogsTail,
    messaging::MessageAction,
    models::ModelsAuthStatus,
    models::ModelsList,
    models::ModelsProbe,
    node::NodeDescribe,
    node_side::NodeEvent,
    node_invoke::NodeInvoke,
    node_invoke::NodeInvokeProgress,
    node_invoke::NodeInvokeResult,
    node::NodeList,
    node::NodePairApprove,
    node::NodePairList,
    node::NodePairReject,
    node::NodePairRemove,
    node_side::NodePendingAck,
    node_side::NodePendingDrain,
    node_side::NodePendingEnqueue,
    node_side::NodePendingPull,
    node_side::NodePluginSurfaceRefresh,
    node_side::NodePluginToolsUpdate,
    node::NodeRename,
    node_side::NodeRunnerInventoryUpdate,
    node_side::NodeSkillsUpdate,
    messaging::Poll,
    messaging::Send,
    session_changes::SessionsAbort,
    session_changes::SessionsCompact,
    session_starts::SessionsCreate,
    session_changes::SessionsDelete,
    sessions::SessionsDescribe,
    sessions::SessionsList,
    sessions::SessionsMessagesSubscribe,
    sessions::SessionsMessagesUnsubscribe,
    session_changes::SessionsPatch,
    sessions::SessionsPreview,
    session_changes::SessionsReset,
    sessions::SessionsResolve,
    session_search::SessionsSearch,
    session_starts::SessionsSend,
    sessions::SessionsSubscribe,
    sessions::SessionsUnsubscribe,
    usage::SessionsUsage,
    heartbeat::SetHeartbeats,
    node_side::SkillsBins,
    system::Status,
    system::SystemEvent,
    system::SystemPresence,
    tools::ToolsCatalog,
    tools::ToolsEffective,
    tools::ToolsInvoke,
    audit::AuditList,
    usage::UsageCost,
    usage::UsageStatus,
    node_side::VoicewakeGet,
    node_side::VoicewakeSet,
    heartbeat::Wake,
    web_login::WebLoginStart,
    web_login::WebLoginWait,
];
