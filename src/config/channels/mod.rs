//! `channels`: conversations on other platforms. One file per channel; what they share is here.

#![cfg_attr(
    not(feature = "channels"),
    allow(
        dead_code,
        unused_imports,
        unused_mut,
        unused_variables,
        reason = "what only some channels need"
    )
)]

#[cfg(feature = "discord")]
mod discord;
#[cfg(feature = "imessage")]
mod imessage;
#[cfg(feature = "irc")]
mod irc;
#[cfg(feature = "signal")]
mod signal;
#[cfg(feature = "slack")]
mod slack;
#[cfg(any(feature = "discord", feature = "slack", feature = "telegram"))]
mod streaming;
#[cfg(feature = "telegram")]
mod telegram;
#[cfg(test)]
mod tests;
#[cfg(feature = "whatsapp")]
mod whatsapp;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use openclaw_actors::channel::policy::{
    AllowList, DmPolicy as Dm, GroupPolicy as Group, GroupRule as Rule, Policy,
};
use openclaw_actors::channel::settings::{AccountSettings, ChannelsSettings};
use openclaw_actors::channel::text::Split;
use openclaw_actors::channel::{AccountRef, ChannelSetup, Facts};
use openclaw_actors::sessions::route::{DEFAULT_ACCOUNT, account_id};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::place::push_key;
use super::secrets::SecretInput;
use super::{Environment, Loaded};
use crate::state_dir::{StatePaths, read_bounded};
#[cfg(feature = "whatsapp")]
pub use whatsapp::sidecar_dir;

/// Largest file with a token, bytes.
const MAX_TOKEN_FILE: u64 = 4 * 1024;
/// What another gateway keeps in the state directory for its channels.
const FOREIGN: &[&str] = &["telegram", "credentials", "agents/main/sessions"];

/// The block `channels` of these: for each its feature, its key, its type, and `secret_inputs` where it has
/// secrets.
macro_rules! blocks {
    ($($(#[$words:meta])* $feature:literal $name:ident: $block:ty $(, $secrets:ident)?;)+) => {
        /// `channels`.
        #[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(default, rename_all = "camelCase")]
        pub struct Channels {
            $(
                $(#[$words])*
                #[cfg(feature = $feature)]
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $name: Option<$block>,
            )+
        }

        impl Channels {
            /// Every place that can hold a secret.
            pub(super) fn secret_inputs(&mut self) -> Vec<(String, &mut SecretInput)> {
                let mut all = Vec::new();
                $($(
                    #[cfg(feature = $feature)]
                    all.extend(self.$name.iter_mut().flat_map(|own| own.$secrets()));
                )?)+
                all
            }

            /// Adds the accounts of all of them.
            fn enter(&self, world: &World<'_>, settings: &mut ChannelsSettings) {
                $(
                    #[cfg(feature = $feature)]
                    if let Some(own) = &self.$name {
                        own.enter(world, settings);
                    }
                )+
            }
        }
    };
}

// One line for each channel.
blocks! {
    /// Discord.
    "discord" discord: discord::Discord, secret_inputs;
    /// Slack.
    "slack" slack: slack::Slack, secret_inputs;
    /// iMessage.
    "imessage" imessage: imessage::IMessage;
    /// IRC.
    "irc" irc: irc::Irc, secret_inputs;
    /// Signal.
    "signal" signal: signal::Signal;
    /// Telegram.
    "telegram" telegram: telegram::Telegram, secret_inputs;
    /// WhatsApp.
    "whatsapp" whatsapp: whatsapp::WhatsApp;
}

/// `commands`: who may give commands.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Commands {
    /// Anywhere: `telegram:123`, or an id alone.
    pub owner_allow_from: Vec<Entry>,
}

/// An id of a person or a group, which people write as text or as a number.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Entry {
    /// As text.
    Text(String),
    /// As a number.
    Number(i64),
}

impl std::fmt::Display for Entry {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => out.write_str(text),
            Self::Number(number) => number.fmt(out),
        }
    }
}

/// `dmPolicy`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DmPolicy {
    /// A stranger gets a code that the owner approves.
    Pairing,
    /// Only those who are named.
    Allowlist,
    /// Everyone.
    Open,
    /// Nobody.
    Disabled,
}

impl From<DmPolicy> for Dm {
    fn from(policy: DmPolicy) -> Self {
        match policy {
            DmPolicy::Pairing => Self::Pairing,
            DmPolicy::Allowlist => Self::Allowlist,
            DmPolicy::Open => Self::Open,
            DmPolicy::Disabled => Self::Disabled,
        }
    }
}

/// `groupPolicy`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GroupPolicy {
    /// From everyone there.
    Open,
    /// From those who are named.
    Allowlist,
    /// From nobody.
    Disabled,
}

impl From<GroupPolicy> for Group {
    fn from(policy: GroupPolicy) -> Self {
        match policy {
            GroupPolicy::Open => Self::Open,
            GroupPolicy::Allowlist => Self::Allowlist,
            GroupPolicy::Disabled => Self::Disabled,
        }
    }
}

/// `groups.<id>`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct GroupRule {
    /// Whether it is listened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether only messages that name us count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_mention: Option<bool>,
    /// In place of the account's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_policy: Option<GroupPolicy>,
    /// In place of the account's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_from: Option<Vec<Entry>>,
    /// Roles of a server, as its channel has them.
    #[serde(skip)]
    pub roles: Vec<Entry>,
    /// What every run there begins with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
}

/// What accounts of all channels have. What an account leaves out is the channel's.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Common {
    /// Whether it is to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Its name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What becomes of direct messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dm_policy: Option<DmPolicy>,
    /// Who may write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_from: Option<Vec<Entry>>,
    /// What becomes of messages in groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_policy: Option<GroupPolicy>,
    /// Who may write in groups; `allowFrom` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_allow_from: Option<Vec<Entry>>,
    /// Groups by id, or `*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<BTreeMap<String, GroupRule>>,
    /// Longest message of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 64, max = 100_000))]
    pub text_chunk_limit: Option<usize>,
}

fn names(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(ToString::to_string).collect()
}

fn list(channel: &str, entries: &[Entry]) -> AllowList {
    let names = names(entries);
    AllowList::of(channel, names.iter().map(String::as_str))
}

impl Common {
    /// The settings of an account (of the default one, where the channel's own are meant) and whether it is on.
    fn with(&self, account: Option<&Self>) -> (Self, bool) {
        let is_on = |common: &Self| common.enabled != Some(false);
        match account {
            Some(account) => (account.over(self), is_on(self) && is_on(account)),
            None => (self.clone(), is_on(self)),
        }
    }

    /// Whoever is named as somebody who may write; everybody is nobody in particular.
    fn owners(&self) -> Vec<Entry> {
        let people = [&self.allow_from, &self.group_allow_from];
        let people = people.into_iter().flatten().flatten();
        people
            .filter(|entry| entry.to_string() != "*")
            .cloned()
            .collect()
    }

    /// These settings over those of the channel.
    fn over(&self, base: &Self) -> Self {
        let (own, base) = (self.clone(), base.clone());
        Self {
            enabled: own.enabled,
            name: own.name,
            dm_policy: own.dm_policy.or(base.dm_policy),
            allow_from: own.allow_from.or(base.allow_from),
            group_policy: own.group_policy.or(base.group_policy),
            group_allow_from: own.group_allow_from.or(base.group_allow_from),
            groups: own.groups.or(base.groups),
            text_chunk_limit: own.text_chunk_limit.or(base.text_chunk_limit),
        }
    }

    fn policy(&self, channel: &str) -> Policy {
        let rule = |rule: &GroupRule| Rule {
            enabled: rule.enabled,
            require_mention: rule.require_mention,
            allow_from: rule
                .allow_from
                .as_ref()
                .map(|entries| list(channel, entries)),
            roles: names(&rule.roles).into_iter().collect(),
            policy: rule.group_policy.map(Into::into),
            system_prompt: rule.system_prompt.clone(),
        };
        let groups = self.groups.iter().flatten();
        Policy {
            dm: self.dm_policy.map(Into::into).unwrap_or_default(),
            allow_from: self
                .allow_from
                .as_ref()
                .map(|entries| list(channel, entries))
                .unwrap_or_default(),
            group: self.group_policy.map(Into::into).unwrap_or_default(),
            group_allow_from: self
                .group_allow_from
                .as_ref()
                .map(|entries| list(channel, entries)),
            groups: groups.map(|(id, own)| (id.clone(), rule(own))).collect(),
        }
    }

    fn account(
        &self,
        facts: &'static Facts,
        enabled: bool,
        setup: Result<Arc<dyn ChannelSetup>, String>,
        token_source: Option<&'static str>,
    ) -> AccountSettings {
        let limit = self.text_chunk_limit.unwrap_or(facts.text_limit);
        AccountSettings {
            name: self.name.clone(),
            enabled,
            setup,
            policy: self.policy(facts.id),
            split: Split {
                limit: limit.min(facts.text_limit),
            },
            token_source,
        }
    }
}

/// A secret, and where it comes from.
type Found = Option<(SecretString, &'static str)>;

/// A secret of the configuration, of a file, or of a variable.
fn secret(
    place: &str,
    input: Option<&SecretInput>,
    file: Option<&String>,
    variable: Option<&str>,
    world: &World<'_>,
) -> Result<Found, String> {
    if let Some(input) = input {
        let found = input
            .secret()
            .map_err(|fault| format!("{place}: {fault}"))?;
        if let Some(secret) = found {
            return Ok(Some((secret.clone(), "config")));
        }
    }
    if let Some(file) = file {
        let path = world.paths.expand(file, &world.paths.state_dir);
        let text = read_bounded(&path, MAX_TOKEN_FILE);
        let text = text.map_err(|error| format!("{place}File: {error}"))?;
        let text = text.ok_or_else(|| format!("{place}File: {} does not exist", path.display()))?;
        return Ok(Some((text.trim().to_owned().into(), "file")));
    }
    let found = variable.and_then(|name| world.env.get(name));
    Ok(found.map(|text| (text.trim().to_owned().into(), "env")))
}

/// What accounts are resolved with.
struct World<'a> {
    env: &'a Environment<'a>,
    paths: &'a StatePaths,
}

/// The accounts of a configuration.
pub fn settings(loaded: &Loaded, env: &Environment<'_>) -> ChannelsSettings {
    let world = World {
        env,
        paths: &loaded.paths,
    };
    let mut settings = ChannelsSettings {
        held: held(loaded),
        command_owners: names(&loaded.config.commands.owner_allow_from),
        reach: loaded.config.tools.reach(),
        ..ChannelsSettings::default()
    };
    loaded.config.channels.enter(&world, &mut settings);
    settings
}

/// The configuration path of an account; of the channel, whose own settings are its default account.
fn place_of(channel: &str, account: Option<&str>) -> String {
    match account {
        None => format!("channels.{channel}"),
        Some(name) => push_key(&format!("channels.{channel}.accounts"), name),
    }
}

/// Adds a channel's accounts: each named one, and the channel's own settings as the default one where
/// `has_own` says that they are an account.
fn enter<A>(
    settings: &mut ChannelsSettings,
    facts: &'static Facts,
    accounts: &BTreeMap<String, A>,
    default: Option<&String>,
    has_own: bool,
    resolve: impl Fn(Option<&A>, &str) -> AccountSettings,
) {
    let mut add = |name: &str, account: Option<&A>| {
        let id = account_id(name);
        let who = AccountRef::new(facts.id, &id);
        settings
            .accounts
            .insert(who, Arc::new(resolve(account, name)));
    };
    for (name, account) in accounts {
        add(name, Some(account));
    }
    let named = accounts
        .keys()
        .any(|name| account_id(name) == DEFAULT_ACCOUNT);
    if !named && (has_own || accounts.is_empty()) {
        add(DEFAULT_ACCOUNT, None);
    }
    let first = settings
        .accounts
        .keys()
        .find(|who| &*who.channel == facts.id)
        .map(|who| who.account.to_string());
    let has_default = settings
        .accounts
        .contains_key(&AccountRef::new(facts.id, DEFAULT_ACCOUNT));
    let chosen = default.map(|name| account_id(name));
    let chosen = chosen.or_else(|| has_default.then(|| DEFAULT_ACCOUNT.to_owned()));
    if let Some(chosen) = chosen.or(first) {
        settings.defaults.insert(facts.id.to_owned(), chosen);
    }
}

/// Why no account is started that this gateway never ran.
fn held(loaded: &Loaded) -> Option<String> {
    let switches = &loaded.switches;
    if switches.skip_channels {
        return Some("OPENCLAW_SKIP_CHANNELS is set".into());
    }
    let state = &loaded.paths.state_dir;
    let is_there = |name: &&&str| Path::new(state).join(name).is_dir();
    let foreign = FOREIGN
        .iter()
        .find(is_there)
        .filter(|_| !switches.adopt_channels)?;
    Some(format!(
        "another gateway used {} ({foreign}/ is there), and two must not receive for one account; stop that one, then run `openclaw channels start`, or start with --adopt-channels",
        state.display()
    ))
}
