//! Which agent answers a message of a channel, and in which session: `bindings`, `session.scope`,
//! `session.dmScope`, `session.groupScope` and `session.identityLinks`. Pure.
//!
//! The forms of the keys are those of other gateways, so that their session lists and ours agree.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::keys::{self, SessionKey};
use crate::settings::Settings;

/// The account of a channel that has only one.
pub const DEFAULT_ACCOUNT: &str = "default";
/// Longest id of an agent or an account, bytes.
const MAX_ID: usize = 64;

/// What a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerKind {
    /// With one person.
    Direct,
    /// With several.
    Group,
    /// A room of a server or a team.
    Channel,
}

impl PeerKind {
    /// Its name in keys and in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Group => "group",
            Self::Channel => "channel",
        }
    }

    /// Bindings do not tell groups from rooms: channels do not agree on what is which.
    const fn binds(self, other: Self) -> bool {
        matches!(self, Self::Direct) == matches!(other, Self::Direct)
    }
}

/// One conversation, by the id that its channel gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer<'a> {
    /// What it is.
    pub kind: PeerKind,
    /// The person of a direct conversation, else the group or the room. A forum topic of Telegram is a
    /// group of its own, `<chat>:topic:<topic>`.
    pub id: &'a str,
}

/// Where a message came from, or goes to.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The channel's name.
    pub channel: &'a str,
    /// Its account; empty for the default one.
    pub account: &'a str,
    /// The conversation; none for what belongs to no conversation, which goes to the main session.
    pub peer: Option<Peer<'a>>,
    /// The conversation that this one is a part of: bindings of it count where it has none itself.
    pub parent: Option<Peer<'a>>,
    /// The thread inside of the conversation.
    pub thread: Option<&'a str>,
    /// The server (Discord).
    pub guild: Option<&'a str>,
    /// The workspace (Slack, Teams).
    pub team: Option<&'a str>,
    /// The sender's roles on that server.
    pub roles: &'a [&'a str],
}

impl<'a> Place<'a> {
    /// A conversation of a channel's account.
    pub const fn of(channel: &'a str, account: &'a str, kind: PeerKind, id: &'a str) -> Self {
        Self {
            channel,
            account,
            peer: Some(Peer { kind, id }),
            parent: None,
            thread: None,
            guild: None,
            team: None,
            roles: &[],
        }
    }
}

/// How direct conversations are grouped into sessions (`session.dmScope`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DmScope {
    /// All of them in the agent's main session.
    #[default]
    Main,
    /// One per person, over all channels.
    PerPeer,
    /// One per channel and person.
    PerChannelPeer,
    /// One per account, channel and person.
    PerAccountChannelPeer,
}

/// How group conversations are grouped into sessions (`session.groupScope`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GroupScope {
    /// Each has its own.
    #[default]
    PerGroup,
    /// All of them in the agent's main session.
    Main,
}

/// What decides about agent and session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteSettings {
    /// `session.dmScope`.
    pub dm_scope: DmScope,
    /// `session.groupScope`.
    pub group_scope: GroupScope,
    /// Names of people, and what they are called on their channels: `<peer>` or `<channel>:<peer>`.
    pub identity_links: BTreeMap<String, Vec<String>>,
    /// In the order of the configuration.
    pub bindings: Vec<Binding>,
}

/// A rule that gives conversations to an agent. What is not named matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Binding {
    /// The agent.
    pub agent: String,
    /// The channel.
    pub channel: String,
    /// The account; empty for the default one, `*` for all.
    pub account: String,
    /// The conversation; the id `*` stands for all of its kind.
    pub peer: Option<(PeerKind, String)>,
    /// The server.
    pub guild: Option<String>,
    /// The workspace.
    pub team: Option<String>,
    /// One of these roles.
    pub roles: Vec<String>,
    /// Instead of `session.dmScope`.
    pub dm_scope: Option<DmScope>,
    /// Instead of `session.groupScope`.
    pub group_scope: Option<GroupScope>,
}

/// What a binding was chosen by, the most exact first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MatchedBy {
    /// The conversation itself.
    Peer,
    /// The one that it is a part of.
    Parent,
    /// Its kind.
    Kind,
    /// The server and a role of the sender.
    Roles,
    /// The server.
    Guild,
    /// The workspace.
    Team,
    /// The account.
    Account,
    /// The channel.
    Channel,
    /// Nothing: the default agent answers.
    Default,
}

/// Who answers, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The session, with its agent.
    pub session: SessionKey,
    /// Why this agent.
    pub matched_by: MatchedBy,
    /// Whether it is the agent's main session, which several conversations may share.
    pub is_main: bool,
}

/// Finds who answers a message of `place`, and in which session.
///
/// Of the bindings of the channel and its account, the most exact one counts, of equals the first. One
/// of an agent that is not configured is passed over; the configuration refuses it before.
pub fn route(place: &Place<'_>, settings: &Settings) -> Route {
    let rules = &settings.routes;
    let found = rules
        .bindings
        .iter()
        .filter(|binding| settings.agent(&binding.agent).is_some())
        .filter_map(|binding| Some((binding.matches(place)?, binding)))
        .min_by_key(|(matched_by, _)| *matched_by);
    let agent = found.map_or(&settings.default_agent, |(_, binding)| &binding.agent);
    let binding = found.map(|(_, binding)| binding);
    let scopes = (
        binding
            .and_then(|own| own.dm_scope)
            .unwrap_or(rules.dm_scope),
        binding
            .and_then(|own| own.group_scope)
            .unwrap_or(rules.group_scope),
    );
    let session = key_in(agent, place, scopes, settings);
    Route {
        is_main: session.canonical == keys::main_session(agent, settings),
        session,
        matched_by: found.map_or(MatchedBy::Default, |(matched_by, _)| matched_by),
    }
}

/// The session of somebody whom nobody vouches for: the agent is chosen as for everybody, but no setting
/// brings them into a conversation with others than those who read theirs on the channel.
pub fn apart(place: &Place<'_>, settings: &Settings) -> SessionKey {
    let agent = route(place, settings).session.agent;
    let rest = match place.peer {
        Some(peer) if !matches!(peer.kind, PeerKind::Direct) => {
            let thread = place.thread.map(str::trim).filter(|id| !id.is_empty());
            let thread = thread.map(|id| format!(":thread:{}", id.to_lowercase()));
            shared(place, peer) + &thread.unwrap_or_default()
        }
        peer => {
            let id = peer.map_or("", |peer| peer.id.trim()).to_lowercase();
            let id = if id.is_empty() { "unknown" } else { &id };
            let (channel, account) = (channel_of(place), account_id(place.account));
            format!("{channel}:{account}:direct:{id}")
        }
    };
    SessionKey {
        canonical: format!("agent:{agent}:{rest}").into(),
        agent,
    }
}

/// The session of an agent for a conversation, as the general settings say it.
pub fn session_key(agent: &str, place: &Place<'_>, settings: &Settings) -> SessionKey {
    let rules = &settings.routes;
    key_in(agent, place, (rules.dm_scope, rules.group_scope), settings)
}

fn key_in(
    agent: &str,
    place: &Place<'_>,
    (dm, group): (DmScope, GroupScope),
    settings: &Settings,
) -> SessionKey {
    let rest = place
        .peer
        .filter(|_| !settings.global_scope)
        .and_then(|peer| {
            if matches!(peer.kind, PeerKind::Direct) {
                direct(place, peer.id.trim(), dm, &settings.routes.identity_links)
            } else {
                (group == GroupScope::PerGroup).then(|| shared(place, peer))
            }
        });
    let thread = place.thread.map(str::trim).filter(|id| !id.is_empty());
    let canonical: Arc<str> = match (rest, thread) {
        (Some(rest), None) => format!("agent:{agent}:{rest}").into(),
        (Some(rest), Some(thread)) => {
            format!("agent:{agent}:{rest}:thread:{}", thread.to_lowercase()).into()
        }
        (None, Some(thread)) if !settings.global_scope => {
            let main = keys::main_session(agent, settings);
            format!("{main}:thread:{}", thread.to_lowercase()).into()
        }
        (None, _) => keys::main_session(agent, settings),
    };
    SessionKey {
        canonical,
        agent: agent.to_owned(),
    }
}

/// The end of the key of a direct conversation; `None` for the main session.
fn direct(
    place: &Place<'_>,
    peer: &str,
    scope: DmScope,
    links: &BTreeMap<String, Vec<String>>,
) -> Option<String> {
    if scope == DmScope::Main || peer.is_empty() {
        return None;
    }
    let person = linked(place.channel, peer, links).unwrap_or(peer);
    let person = person.to_lowercase();
    let channel = channel_of(place);
    Some(match scope {
        DmScope::Main => return None,
        DmScope::PerPeer => format!("direct:{person}"),
        DmScope::PerChannelPeer => format!("{channel}:direct:{person}"),
        DmScope::PerAccountChannelPeer => {
            format!("{channel}:{}:direct:{person}", account_id(place.account))
        }
    })
}

/// The end of the key of a conversation with several. Some channels' ids differ by case alone.
fn shared(place: &Place<'_>, peer: Peer<'_>) -> String {
    let channel = channel_of(place);
    let id = peer.id.trim();
    let exact = match peer.kind {
        PeerKind::Group => matches!(channel.as_str(), "signal" | "matrix"),
        PeerKind::Channel => channel == "matrix",
        PeerKind::Direct => false,
    };
    let id = match id {
        "" => "unknown".to_owned(),
        id if exact => id.to_owned(),
        id => id.to_lowercase(),
    };
    format!("{channel}:{}:{id}", peer.kind.name())
}

fn channel_of(place: &Place<'_>) -> String {
    let channel = place.channel.trim().to_lowercase();
    if channel.is_empty() {
        "unknown".to_owned()
    } else {
        channel
    }
}

/// The name under which `session.identityLinks` knows a person.
fn linked<'a>(
    channel: &str,
    peer: &str,
    links: &'a BTreeMap<String, Vec<String>>,
) -> Option<&'a str> {
    let own = peer.to_lowercase();
    let scoped = format!("{}:{own}", channel.trim().to_lowercase());
    let is_peer = |id: &String| {
        let id = id.trim().to_lowercase();
        id == own || id == scoped
    };
    links
        .iter()
        .map(|(name, ids)| (name.trim(), ids))
        .find(|(name, ids)| !name.is_empty() && ids.iter().any(is_peer))
        .map(|(name, _)| name)
}

/// The id of an account as keys hold it.
pub fn account_id(written: &str) -> String {
    let written = written.trim().to_lowercase();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    let mut id = String::new();
    for c in written.chars() {
        if plain(c) {
            id.push(c);
        } else if !id.ends_with('-') {
            id.push('-');
        }
    }
    // An id that is fine as it is keeps dashes at its end.
    let changed = id != written;
    let id = if changed { id.trim_matches('-') } else { &id };
    let id = id.get(..MAX_ID).unwrap_or(id);
    if id.is_empty() { DEFAULT_ACCOUNT } else { id }.to_owned()
}

impl Binding {
    /// How exactly it matches; `None` when it does not.
    fn matches(&self, place: &Place<'_>) -> Option<MatchedBy> {
        let channel = self.channel.trim();
        let any_account = self.account.trim() == "*";
        if channel.is_empty() || !channel.eq_ignore_ascii_case(place.channel.trim()) {
            return None;
        }
        if !any_account && account_id(&self.account) != account_id(place.account) {
            return None;
        }
        let same = |rule: &Option<String>, here: Option<&str>| {
            let rule = rule.as_deref().map_or("", str::trim);
            rule.is_empty() || here.is_some_and(|here| here.trim() == rule)
        };
        let role = |role: &String| place.roles.contains(&role.as_str());
        let roles_fit = self.roles.is_empty() || self.roles.iter().any(role);
        if !(same(&self.guild, place.guild) && same(&self.team, place.team) && roles_fit) {
            return None;
        }
        let named = |name: &Option<String>| name.as_deref().is_some_and(|id| !id.trim().is_empty());
        let Some((kind, id)) = &self.peer else {
            return Some(match (named(&self.guild), self.roles.is_empty()) {
                (true, false) => MatchedBy::Roles,
                (true, true) => MatchedBy::Guild,
                _ if named(&self.team) => MatchedBy::Team,
                _ if any_account => MatchedBy::Channel,
                _ => MatchedBy::Account,
            });
        };
        let fits = |peer: Option<Peer<'_>>, id: &str| {
            peer.is_some_and(|peer| kind.binds(peer.kind) && (id == "*" || peer.id.trim() == id))
        };
        match id.trim() {
            "*" => fits(place.peer, "*").then_some(MatchedBy::Kind),
            id if fits(place.peer, id) => Some(MatchedBy::Peer),
            id => fits(place.parent, id).then_some(MatchedBy::Parent),
        }
    }
}

#[cfg(test)]
mod tests;
