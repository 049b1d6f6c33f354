//! `channels.telegram`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openclaw_actors::channel::ChannelSetup;
use openclaw_actors::channel::settings::{AccountSettings, ChannelsSettings};
use openclaw_actors::channel::telegram::{API_ROOT, FACTS, TelegramSetup, Webhook};
use schemars::JsonSchema;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use super::streaming::Streaming;
use super::{Common, Found, World, enter, place_of, secret};
use crate::config::secrets::SecretInput;

/// The variable that holds the default account's token.
const VARIABLE: &str = "TELEGRAM_BOT_TOKEN";
/// Between two looks at whether a webhook is reached.
const LOOK: Duration = Duration::from_secs(30);

/// `channels.telegram`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Telegram {
    /// The only account, or what all of them share.
    #[serde(flatten)]
    pub own: Account,
    /// Several accounts.
    pub accounts: BTreeMap<String, Account>,
    /// The one that is meant where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_account: Option<String>,
}

/// `channels.telegram.accounts.<id>`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Account {
    /// What accounts of all channels have.
    #[serde(flatten)]
    pub common: Common,
    /// The bot's token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bot_token: Option<SecretInput>,
    /// A file that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<String>,
    /// Where the Bot API is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_root: Option<String>,
    /// How answers are shown while they are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streaming: Option<Streaming>,
    /// The address at which Telegram hands messages over; it is asked for them without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_url: Option<String>,
    /// What its requests are proven by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_secret: Option<SecretInput>,
    /// Where they arrive here; the path of the address when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_path: Option<String>,
}

impl Account {
    fn secret_inputs(&mut self, place: &str) -> Vec<(String, &mut SecretInput)> {
        let named = [
            ("botToken", self.bot_token.as_mut()),
            ("webhookSecret", self.webhook_secret.as_mut()),
        ];
        let named = named.into_iter();
        named
            .filter_map(|(key, input)| Some((format!("{place}.{key}"), input?)))
            .collect()
    }

    /// The webhook of this account; each bot has its own.
    fn webhook(&self, place: &str, world: &World<'_>) -> Result<Option<Webhook>, String> {
        let Some(url) = self.webhook_url.as_deref().map(str::trim) else {
            return Ok(None);
        };
        let rest = url.strip_prefix("https://");
        let rest = rest.ok_or_else(|| {
            format!(
                "{place}.webhookUrl must begin with https://, where Telegram reaches this gateway"
            )
        })?;
        let own = rest.find('/').map_or("/", |at| &rest[at..]);
        let path = self.webhook_path.as_deref().map_or(own, str::trim);
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
        if !path.starts_with('/') || path.len() < 2 || !path.chars().all(plain) {
            return Err(format!(
                "{place}.webhookUrl needs a path of its own, such as https://gateway.example.org/telegram-webhook"
            ));
        }
        let key = format!("{place}.webhookSecret");
        let found = secret(&key, self.webhook_secret.as_ref(), None, None, world)?;
        let (secret, _) = found.ok_or_else(|| {
            format!("{key} is missing: some 32 letters and digits that nobody guesses, by which requests of Telegram are known")
        })?;
        let text = secret.expose_secret();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if !(16..=256).contains(&text.len()) || !text.chars().all(plain) {
            return Err(format!(
                "{key} must have 16 to 256 letters, digits, - and _"
            ));
        }
        Ok(Some(Webhook {
            url: url.to_owned(),
            path: path.to_owned(),
            look: LOOK,
            secret,
        }))
    }
}

impl Telegram {
    pub(super) fn secret_inputs(&mut self) -> Vec<(String, &mut SecretInput)> {
        let own = self.own.secret_inputs("channels.telegram");
        let accounts = self
            .accounts
            .iter_mut()
            .flat_map(|(name, account)| account.secret_inputs(&place_of(FACTS.id, Some(name))));
        own.into_iter().chain(accounts).collect()
    }

    pub(super) fn enter(&self, world: &World<'_>, settings: &mut ChannelsSettings) {
        let (accounts, default) = (&self.accounts, self.default_account.as_ref());
        let has_own = self.own.bot_token.is_some() || self.own.token_file.is_some();
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
        // The channel's own token is the default account's; no other account borrows it.
        let token = Self::token(own, named.is_none(), &place, world);
        let root = own.api_root.as_ref().or(self.own.api_root.as_ref());
        let root = root.map_or(API_ROOT, |root| root.trim());
        let is_url = root.starts_with("https://") || root.starts_with("http://");
        let (setup, source) = match token {
            _ if !is_url => (
                Err(format!(
                    "{place}.apiRoot must begin with https:// or http://"
                )),
                None,
            ),
            Err(problem) => (Err(problem), None),
            Ok(None) => (
                Err(format!(
                    "{place}.botToken is missing: get one from @BotFather in Telegram, and put it there or into {VARIABLE}"
                )),
                None,
            ),
            Ok(Some((token, source))) => {
                let streaming = own.streaming.as_ref().or(self.own.streaming.as_ref());
                let setup = own.webhook(&place, world).map(|webhook| {
                    let setup = TelegramSetup {
                        drafts: !streaming.is_some_and(Streaming::is_off),
                        webhook,
                        ..TelegramSetup::new(token, root)
                    };
                    Arc::new(setup) as Arc<dyn ChannelSetup>
                });
                (setup, Some(source))
            }
        };
        let (common, enabled) = self.own.common.with(named.map(|account| &account.common));
        common.account(&FACTS, enabled, setup, source)
    }

    fn token(
        own: &Account,
        is_default: bool,
        place: &str,
        world: &World<'_>,
    ) -> Result<Found, String> {
        secret(
            &format!("{place}.botToken"),
            own.bot_token.as_ref(),
            own.token_file.as_ref(),
            is_default.then_some(VARIABLE),
            world,
        )
    }
}
