//! One type per method; [`ALL`] is the table of them.

use crate::method::MethodSpec;

pub mod agent;
pub mod agents;
pub mod channels;
pub mod chat;
pub mod common;
pub mod config;
pub mod device;
pub mod logs;
pub mod message;
pub mod messaging;
pub mod models;
pub mod node;
pub mod sessions;
pub mod system;

/// Every method of the protocol that this gateway implements, by name.
pub static ALL: &[MethodSpec] = &[
    MethodSpec::of::<agent::Agent>(),
    MethodSpec::of::<agents::AgentIdentityGet>(),
    MethodSpec::of::<agent::AgentWait>(),
    MethodSpec::of::<agents::AgentsList>(),
    MethodSpec::of::<channels::ChannelsStatus>(),
    MethodSpec::of::<chat::ChatAbort>(),
    MethodSpec::of::<chat::ChatHistory>(),
    MethodSpec::of::<chat::ChatMetadata>(),
    MethodSpec::of::<chat::ChatSend>(),
    MethodSpec::of::<chat::ChatStartup>(),
    MethodSpec::of::<config::ConfigGet>(),
    MethodSpec::of::<device::DevicePairApprove>(),
    MethodSpec::of::<device::DevicePairList>(),
    MethodSpec::of::<device::DevicePairReject>(),
    MethodSpec::of::<system::GatewayIdentityGet>(),
    MethodSpec::of::<system::Health>(),
    MethodSpec::of::<system::LastHeartbeat>(),
    MethodSpec::of::<logs::LogsTail>(),
    MethodSpec::of::<models::ModelsList>(),
    MethodSpec::of::<node::NodeList>(),
    MethodSpec::of::<messaging::Send>(),
    MethodSpec::of::<sessions::SessionsDescribe>(),
    MethodSpec::of::<sessions::SessionsList>(),
    MethodSpec::of::<sessions::SessionsMessagesSubscribe>(),
    MethodSpec::of::<sessions::SessionsMessagesUnsubscribe>(),
    MethodSpec::of::<sessions::SessionsPreview>(),
    MethodSpec::of::<sessions::SessionsResolve>(),
    MethodSpec::of::<sessions::SessionsSubscribe>(),
    MethodSpec::of::<sessions::SessionsUnsubscribe>(),
    MethodSpec::of::<system::Status>(),
    MethodSpec::of::<system::SystemEvent>(),
    MethodSpec::of::<system::SystemPresence>(),
];
