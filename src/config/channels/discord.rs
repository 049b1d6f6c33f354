//! `channels.discord`.

use std::collections::BTreeMap;
use std::sync::Arc;

use openclaw_actors::channel::ChannelSetup;
use openclaw_actors::channel::discord::{API_ROOT, DiscordSetup, FACTS, LIMIT};
use openclaw_actors::channel::settings::{AccountSettings, ChannelsSettings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::streaming::Streaming;
use super::{Common, DmPolicy, Entry, GroupPolicy, GroupRule, World, enter, place_of, secret};
use crate::config::secrets::SecretInput;

/// The variable that holds the default account's token.
const VARIABLE: &str = "DISCORD_BOT_TOKEN";

/// `channels.discord`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Discord {
    /// The only account, or what all of them share.
    #[serde(flatten)]
    pub own: Account,
    /// Several accounts.
    pub accounts: BTreeMap<String, Account>,
    /// The one that is meant where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_account: Option<String>,
}

/// `channels.discord.accounts.<id>`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Account {
    /// What accounts of all channels have.
    #[serde(flatten)]
    pub common: Common,
    /// The bot's token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretInput>,
    /// A file that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<String>,
    /// Where the API is, without its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_root: Option<String>,
    /// Direct messages, as older configurations have them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dm: Option<Dm>,
    /// Servers by id, or `*`; where there is any, no other one is listened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guilds: Option<BTreeMap<String, Guild>>,
    /// How answers are shown while they are written; not at all when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streaming: Option<Streaming>,
}

/// `dm`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Dm {
    /// Whether they are listened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// In place of `dmPolicy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<DmPolicy>,
    /// In place of `allowFrom`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_from: Option<Vec<Entry>>,
}

impl Dm {
    /// What it says, where the newer keys say nothing.
    pub(super) fn into_common(self, common: &mut Common) {
        if self.enabled == Some(false) {
            common.dm_policy = Some(DmPolicy::Disabled);
        }
        common.dm_policy = common.dm_policy.or(self.policy);
        common.allow_from = common.allow_from.take().or(self.allow_from);
    }
}

/// `guilds.<id>`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Guild {
    /// Whether only messages that name us count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_mention: Option<bool>,
    /// Who may write there; everybody when left out, and `roles` too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<Entry>>,
    /// Roles by id, whose members may write there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<Entry>>,
    /// Channels by id, or `*`; where there is any, no other one is listened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<BTreeMap<String, Room>>,
}

/// `guilds.<id>.channels.<id>`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Room {
    /// Whether it is listened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The same, as older configurations have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<bool>,
    /// Whether only messages that name us count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_mention: Option<bool>,
    /// Who may write there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<Entry>>,
    /// Roles by id, whose members may write there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<Entry>>,
    /// What every run there begins with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
}

impl Room {
    /// As a rule of a group, with what it takes from the place that it is in. Who is named in
    /// `allowFrom` keeps their rights there.
    pub(super) fn rule(&self, around: &Guild, owners: &[Entry]) -> GroupRule {
        let users = self.users.as_ref().or(around.users.as_ref()).cloned();
        let roles = self.roles.as_ref().or(around.roles.as_ref()).cloned();
        let everybody = || vec![Entry::Text("*".into())];
        let mut users = match (users, &roles) {
            (Some(users), _) => users,
            (None, Some(_)) => Vec::new(),
            (None, None) => everybody(),
        };
        users.extend(owners.iter().cloned());
        GroupRule {
            enabled: self.enabled.or(self.allow),
            require_mention: self.require_mention.or(around.require_mention),
            group_policy: None,
            allow_from: Some(users),
            roles: roles.unwrap_or_default(),
            system_prompt: self.system_prompt.clone(),
        }
    }
}

/// Adds rooms to the groups of an account. A room is open where it names nobody; where it does, that
/// counts, also with an open account.
pub(super) fn add(common: &mut Common, rules: impl IntoIterator<Item = (String, GroupRule)>) {
    let is_open = matches!(common.group_policy, Some(GroupPolicy::Open));
    let groups = common.groups.get_or_insert_default();
    groups.extend(rules.into_iter().map(|(id, mut rule)| {
        rule.group_policy = is_open.then_some(GroupPolicy::Allowlist);
        (id, rule)
    }));
}

/// Servers and their channels as groups: `<channel>`, `<server>/*`, `*`.
fn groups(guilds: &BTreeMap<String, Guild>, owners: &[Entry]) -> BTreeMap<String, GroupRule> {
    let mut groups = BTreeMap::new();
    for (id, guild) in guilds {
        let rooms = guild.channels.iter().flatten();
        let mut everywhere = Room {
            enabled: guild.channels.as_ref().map(BTreeMap::is_empty),
            ..Room::default()
        };
        for (name, room) in rooms {
            if name == "*" {
                everywhere = room.clone();
            } else {
                groups.insert(name.clone(), room.rule(guild, owners));
            }
        }
        let place = if id == "*" {
            "*".to_owned()
        } else {
            format!("{id}/*")
        };
        groups.insert(place, everywhere.rule(guild, owners));
    }
    groups
}

impl Discord {
    pub(super) fn secret_inputs(&mut self) -> Vec<(String, &mut SecretInput)> {
        let own = self.own.token.iter_mut();
        let own = own.map(|input| ("channels.discord.token".to_owned(), input));
        let accounts = self.accounts.iter_mut().filter_map(|(name, account)| {
            let place = place_of(FACTS.id, Some(name));
            Some((format!("{place}.token"), account.token.as_mut()?))
        });
        own.chain(accounts).collect()
    }

    pub(super) fn enter(&self, world: &World<'_>, settings: &mut ChannelsSettings) {
        let (accounts, default) = (&self.accounts, self.default_account.as_ref());
        let has_own = self.own.token.is_some() || self.own.token_file.is_some();
        enter(
            settings,
            &FACTS,
            accounts,
            default,
            has_own,
            |account, name| self.account(account, name, world),
        );
    }

    fn account(&self, named: Option<&Account>, name: &str, world: &World<'_>) -> AccountSettings {
        let place = place_of(FACTS.id, named.map(|_| name));
        let own = named.unwrap_or(&self.own);
        let (setup, source) = match self.setup(named, &place, world) {
            Ok((setup, source)) => (Ok(Arc::new(setup) as Arc<dyn ChannelSetup>), Some(source)),
            Err(lacking) => (Err(lacking), None),
        };
        let (mut common, enabled) = self.own.common.with(named.map(|account| &account.common));
        if let Some(dm) = own.dm.clone().or_else(|| self.own.dm.clone()) {
            dm.into_common(&mut common);
        }
        if let Some(guilds) = own.guilds.as_ref().or(self.own.guilds.as_ref()) {
            let owners = common.owners();
            add(&mut common, groups(guilds, &owners));
        }
        common.account(&FACTS, enabled, setup, source)
    }

    fn setup(
        &self,
        named: Option<&Account>,
        place: &str,
        world: &World<'_>,
    ) -> Result<(DiscordSetup, &'static str), String> {
        let own = named.unwrap_or(&self.own);
        let root = own.api_root.as_ref().or(self.own.api_root.as_ref());
        let root = root.map_or(API_ROOT, |root| root.trim());
        if !root.starts_with("https://") && !root.starts_with("http://") {
            return Err(format!(
                "{place}.apiRoot must begin with https:// or http://"
            ));
        }
        // The channel's own token is the default account's; no other account borrows it.
        let token = secret(
            &format!("{place}.token"),
            own.token.as_ref(),
            own.token_file.as_ref(),
            named.is_none().then_some(VARIABLE),
            world,
        )?;
        let Some((token, source)) = token else {
            return Err(format!(
                "{place}.token is missing: make a bot at discord.com/developers, switch on its Message Content Intent, and put its token there or into {VARIABLE}"
            ));
        };
        let streaming = own.streaming.as_ref().or(self.own.streaming.as_ref());
        let setup = DiscordSetup {
            token,
            drafts: streaming.is_some_and(Streaming::is_on),
            api_root: root.to_owned(),
            limit: LIMIT,
        };
        Ok((setup, source))
    }
}
