//! `channels.slack`.

use std::collections::BTreeMap;
use std::sync::Arc;

use openclaw_actors::channel::ChannelSetup;
use openclaw_actors::channel::settings::{AccountSettings, ChannelsSettings};
use openclaw_actors::channel::slack::{API_ROOT, FACTS, SlackSetup, Timing, Way};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::discord::{Dm, Guild, Room, add};
use super::streaming::Streaming;
use super::{Common, World, enter, place_of, secret};
use crate::config::secrets::SecretInput;

/// Where requests of the platform arrive, unless said otherwise.
const PATH: &str = "/slack/events";

/// `channels.slack`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Slack {
    /// The only account, or what all of them share.
    #[serde(flatten)]
    pub own: Account,
    /// Several accounts.
    pub accounts: BTreeMap<String, Account>,
    /// The one that is meant where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_account: Option<String>,
}

/// `mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// Socket Mode.
    Socket,
    /// The Events API.
    Http,
}

/// `channels.slack.accounts.<id>`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Account {
    /// What accounts of all channels have.
    #[serde(flatten)]
    pub common: Common,
    /// How messages come in; by socket when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The bot's token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bot_token: Option<SecretInput>,
    /// The app's token, for the socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_token: Option<SecretInput>,
    /// What requests are signed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_secret: Option<SecretInput>,
    /// Where requests arrive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_path: Option<String>,
    /// Where the Web API is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_root: Option<String>,
    /// Direct messages, as older configurations have them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dm: Option<Dm>,
    /// Channels by id, or `*`; where there is any, no other one is listened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<BTreeMap<String, Room>>,
    /// Whether only messages that name us count, where a channel does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_mention: Option<bool>,
    /// How answers are shown while they are written; not at all when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streaming: Option<Streaming>,
}

impl Account {
    fn secret_inputs(&mut self, place: &str) -> Vec<(String, &mut SecretInput)> {
        let named = [
            ("botToken", self.bot_token.as_mut()),
            ("appToken", self.app_token.as_mut()),
            ("signingSecret", self.signing_secret.as_mut()),
        ];
        let named = named.into_iter();
        named
            .filter_map(|(key, input)| Some((format!("{place}.{key}"), input?)))
            .collect()
    }
}

impl Slack {
    pub(super) fn secret_inputs(&mut self) -> Vec<(String, &mut SecretInput)> {
        let own = self.own.secret_inputs("channels.slack");
        let accounts = self
            .accounts
            .iter_mut()
            .flat_map(|(name, account)| account.secret_inputs(&place_of(FACTS.id, Some(name))));
        own.into_iter().chain(accounts).collect()
    }

    pub(super) fn enter(&self, world: &World<'_>, settings: &mut ChannelsSettings) {
        let (accounts, default) = (&self.accounts, self.default_account.as_ref());
        let has_own = self.own.bot_token.is_some();
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
        let around = Guild {
            require_mention: own.require_mention.or(self.own.require_mention),
            ..Guild::default()
        };
        if let Some(rooms) = own.channels.as_ref().or(self.own.channels.as_ref()) {
            let owners = common.owners();
            let rules = rooms
                .iter()
                .map(|(id, room)| (id.clone(), room.rule(&around, &owners)));
            add(&mut common, rules);
        }
        common.account(&FACTS, enabled, setup, source)
    }

    fn setup(
        &self,
        named: Option<&Account>,
        place: &str,
        world: &World<'_>,
    ) -> Result<(SlackSetup, &'static str), String> {
        let own = named.unwrap_or(&self.own);
        let variable = world.env.get("SLACK_API_URL");
        let root = own.api_root.as_ref().or(self.own.api_root.as_ref());
        let root = root.or(variable.as_ref());
        let root = root.map_or(API_ROOT, |root| root.trim());
        if !root.starts_with("https://") && !root.starts_with("http://") {
            return Err(format!(
                "{place}.apiRoot must begin with https:// or http://"
            ));
        }
        // Tokens of the channel are the default account's; no other account borrows them.
        let found = |key: &str, input: Option<&SecretInput>, variable: &'static str, how: &str| {
            let variable = named.is_none().then_some(variable);
            let found = secret(&format!("{place}.{key}"), input, None, variable, world)?;
            found.ok_or_else(|| format!("{place}.{key} is missing: {how}"))
        };
        let (bot_token, source) = found(
            "botToken",
            own.bot_token.as_ref(),
            "SLACK_BOT_TOKEN",
            "the token xoxb-... that api.slack.com/apps shows when the app is installed (or SLACK_BOT_TOKEN)",
        )?;
        let way = match own.mode.or(self.own.mode).unwrap_or(Mode::Socket) {
            Mode::Socket => {
                let (token, _) = found(
                    "appToken",
                    own.app_token.as_ref(),
                    "SLACK_APP_TOKEN",
                    "an app-level token xapp-... with connections:write (or SLACK_APP_TOKEN); without Socket Mode, mode: \"http\"",
                )?;
                Way::Socket { app_token: token }
            }
            Mode::Http => {
                let (signing_secret, _) = found(
                    "signingSecret",
                    own.signing_secret.as_ref(),
                    "SLACK_SIGNING_SECRET",
                    "the Signing Secret below Basic Information of the app (or SLACK_SIGNING_SECRET)",
                )?;
                Way::Http {
                    signing_secret: SecretString::clone(&signing_secret),
                    path: path(
                        own.webhook_path.as_ref().or(self.own.webhook_path.as_ref()),
                        place,
                    )?,
                }
            }
        };
        let setup = SlackSetup {
            bot_token,
            way,
            drafts: (own.streaming.as_ref())
                .or(self.own.streaming.as_ref())
                .is_some_and(Streaming::is_on),
            api_root: root.to_owned(),
            timing: Timing::default(),
        };
        Ok((setup, source))
    }
}

fn path(written: Option<&String>, place: &str) -> Result<String, String> {
    let path = written.map_or(PATH, |path| path.trim());
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
    if path.len() < 2 || !path.starts_with('/') || !path.chars().all(plain) {
        return Err(format!(
            "{place}.webhookPath: \"{path}\" is no path, such as {PATH}"
        ));
    }
    Ok(path.to_owned())
}
