//! `bindings`: which agent answers which conversations.

use openclaw_actors::sessions::route::{self, PeerKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::agents::Agents;
use super::error::Issue;
use super::place::push_index;
use super::session::{DmScope, GroupScope};

/// One rule.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// What the rule is about; `acp` is read and has no effect.
    #[serde(default, rename = "type")]
    pub kind: BindingType,
    /// The agent that answers.
    pub agent_id: String,
    /// A note for those who read the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// What has to fit.
    #[serde(rename = "match")]
    pub matches: Match,
    /// How the sessions of such conversations are grouped, instead of what `session` says.
    #[serde(default)]
    pub session: Scopes,
}

/// `bindings[].type`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum BindingType {
    /// It gives conversations to an agent.
    #[default]
    Route,
    /// It gives one conversation to a program outside of the gateway.
    Acp,
}

/// `bindings[].match`. What is not named fits everything.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Match {
    /// The channel.
    #[schemars(length(min = 1))]
    pub channel: String,
    /// The account: the default one when absent, `*` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// The conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Peer>,
    /// The server (Discord).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guild_id: Option<String>,
    /// The workspace (Slack, Teams).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_id: Option<String>,
    /// One of these roles of the sender on that server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
}

/// One conversation.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// What it is.
    pub kind: Kind,
    /// The id that the channel gives it; `*` for all of this kind.
    #[schemars(length(min = 1))]
    pub id: String,
}

/// `bindings[].match.peer.kind`. Groups and rooms are not told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// With one person.
    Direct,
    /// The same, in the words of releases up to early 2026.
    Dm,
    /// With several.
    Group,
    /// A room.
    Channel,
}

/// `bindings[].session`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Scopes {
    /// Instead of `session.dmScope`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dm_scope: Option<DmScope>,
    /// Instead of `session.groupScope`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_scope: Option<GroupScope>,
}

/// The rules as the actors need them, each with the id of its agent as the configuration spells it.
pub fn routes(bindings: &[Binding], agents: &Agents) -> Vec<route::Binding> {
    let rule = |binding: &Binding| {
        let matches = &binding.matches;
        Some(route::Binding {
            agent: agent_of(binding, agents)?,
            channel: matches.channel.clone(),
            account: matches.account_id.clone().unwrap_or_default(),
            peer: matches
                .peer
                .as_ref()
                .map(|peer| (peer.kind.into(), peer.id.clone())),
            guild: matches.guild_id.clone(),
            team: matches.team_id.clone(),
            roles: matches.roles.clone(),
            dm_scope: binding.session.dm_scope.map(Into::into),
            group_scope: binding.session.group_scope.map(Into::into),
        })
    };
    let routes = bindings
        .iter()
        .filter(|rule| rule.kind == BindingType::Route);
    routes.filter_map(rule).collect()
}

/// The rules that name an agent which is not there: their conversations would go to another one.
pub(crate) fn check(bindings: &[Binding], agents: &Agents, issues: &mut Vec<Issue>) {
    for (index, binding) in bindings.iter().enumerate() {
        if binding.kind == BindingType::Route && agent_of(binding, agents).is_none() {
            let known: Vec<String> = agents.all().into_iter().map(|(id, _)| id).collect();
            issues.push(Issue::new(
                format!("{}.agentId", push_index("bindings", index)),
                format!(
                    "there is no agent {:?}; agents.list and agents.entries have {}",
                    binding.agent_id,
                    known.join(", ")
                ),
            ));
        }
    }
}

fn agent_of(binding: &Binding, agents: &Agents) -> Option<String> {
    let wanted = binding.agent_id.trim();
    let all = agents.all().into_iter().map(|(id, _)| id);
    all.into_iter().find(|id| id.eq_ignore_ascii_case(wanted))
}

impl From<Kind> for PeerKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Direct | Kind::Dm => Self::Direct,
            Kind::Group => Self::Group,
            Kind::Channel => Self::Channel,
        }
    }
}

impl From<DmScope> for route::DmScope {
    fn from(scope: DmScope) -> Self {
        match scope {
            DmScope::Main => Self::Main,
            DmScope::PerPeer => Self::PerPeer,
            DmScope::PerChannelPeer => Self::PerChannelPeer,
            DmScope::PerAccountChannelPeer => Self::PerAccountChannelPeer,
        }
    }
}

impl From<GroupScope> for route::GroupScope {
    fn from(scope: GroupScope) -> Self {
        match scope {
            GroupScope::Main => Self::Main,
            GroupScope::PerGroup => Self::PerGroup,
        }
    }
}
