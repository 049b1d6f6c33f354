//! `channels.irc`.

use std::collections::BTreeMap;
use std::sync::Arc;

use openclaw_actors::channel::ChannelSetup;
use openclaw_actors::channel::irc::{FACTS, IrcSetup, NickServ as Service, Timing, is_name, lower};
use openclaw_actors::channel::settings::{AccountSettings, ChannelsSettings};
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::{Common, Entry, World, enter, place_of, secret};
use crate::config::place::push_key;
use crate::config::secrets::SecretInput;

/// `channels.irc`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Irc {
    /// The only account, or what all of them share.
    #[serde(flatten)]
    pub own: Account,
    /// Several accounts.
    pub accounts: BTreeMap<String, Account>,
    /// The one that is meant where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_account: Option<String>,
}

/// `channels.irc.accounts.<id>`. What it leaves out is the channel's, but for passwords and the nick.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Account {
    /// What accounts of all channels have.
    #[serde(flatten)]
    pub common: Common,
    /// Name or address of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Its port; 6697, or 6667 without TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: Option<u16>,
    /// Whether the connection is encrypted; it is when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<bool>,
    /// Who we want to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nick: Option<String>,
    /// The user name; the nick when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realname: Option<String>,
    /// The server's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretInput>,
    /// A file that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<String>,
    /// Channels to be in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<Vec<String>>,
    /// What those of them ask for that are not open to everybody, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_keys: Option<BTreeMap<String, SecretInput>>,
    /// How the nick is proven to be ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nickserv: Option<NickServ>,
    /// Whether entries that are a nick alone count; anybody can take a nick.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dangerously_allow_name_matching: Option<bool>,
}

/// `channels.irc.nickserv`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct NickServ {
    /// Whether it is used; it is when it has a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Nick of the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The password of our nick.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretInput>,
    /// A file that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<String>,
    /// Whether the nick is registered first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub register: Option<bool>,
    /// With this address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub register_email: Option<String>,
}

impl Account {
    fn secret_inputs(&mut self, place: &str) -> Vec<(String, &mut SecretInput)> {
        let password = self.password.iter_mut();
        let nickserv = self.nickserv.iter_mut();
        let keys = self.channel_keys.iter_mut().flatten();
        let keys =
            keys.map(|(name, input)| (push_key(&format!("{place}.channelKeys"), name), input));
        password
            .map(|input| (format!("{place}.password"), input))
            .chain(nickserv.filter_map(|own| {
                let input = own.password.as_mut()?;
                Some((format!("{place}.nickserv.password"), input))
            }))
            .chain(keys)
            .collect()
    }
}

/// What of an account is text, with the variables of the default one.
struct Words<'a> {
    own: &'a Account,
    base: Option<&'a Account>,
    world: &'a World<'a>,
}

impl Words<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        // A variable is the default account's.
        self.base.is_none().then(|| self.world.env.get(name))?
    }

    /// A setting of the account, of its channel, or of a variable.
    fn get(&self, of: impl Fn(&Account) -> Option<String>, variable: &str) -> Option<String> {
        let found = of(self.own).or_else(|| self.base.and_then(&of));
        let found = found.or_else(|| self.variable(variable))?;
        Some(found.trim().to_owned()).filter(|text| !text.is_empty())
    }
}

impl Irc {
    pub(super) fn secret_inputs(&mut self) -> Vec<(String, &mut SecretInput)> {
        let own = self.own.secret_inputs("channels.irc");
        let accounts = self
            .accounts
            .iter_mut()
            .flat_map(|(name, account)| account.secret_inputs(&place_of(FACTS.id, Some(name))));
        own.into_iter().chain(accounts).collect()
    }

    pub(super) fn enter(&self, world: &World<'_>, settings: &mut ChannelsSettings) {
        let (accounts, default) = (&self.accounts, self.default_account.as_ref());
        // A host alone may be what several nicks share.
        let has_own = self.own.nick.is_some();
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
        let setup = self
            .setup(named, &place, world)
            .map(|setup| Arc::new(setup) as Arc<dyn ChannelSetup>);
        let (mut common, enabled) = self.own.common.with(named.map(|account| &account.common));
        let by_nick = own
            .dangerously_allow_name_matching
            .or(self.own.dangerously_allow_name_matching)
            .unwrap_or_default();
        masks(&mut common, by_nick);
        let source = setup.is_ok().then_some("config");
        common.account(&FACTS, enabled, setup, source)
    }

    fn setup(
        &self,
        named: Option<&Account>,
        place: &str,
        world: &World<'_>,
    ) -> Result<IrcSetup, String> {
        let own = named.unwrap_or(&self.own);
        let words = Words {
            own,
            base: named.map(|_| &self.own),
            world,
        };
        let host = words
            .get(|account| account.host.clone(), "IRC_HOST")
            .ok_or_else(|| format!("{place}.host is missing: the name of the IRC server"))?;
        let nick = own.nick.clone().or_else(|| words.variable("IRC_NICK"));
        let nick = nick.ok_or_else(|| {
            format!("{place}.nick is missing: the name that the assistant has on IRC")
        })?;
        if !is_name(&nick) {
            return Err(format!("{place}.nick: \"{nick}\" is no nick"));
        }
        let tls = words.get(|account| account.tls.map(|tls| tls.to_string()), "IRC_TLS");
        let tls = tls.is_none_or(|tls| !matches!(tls.as_str(), "false" | "0" | "no" | "off"));
        let port = words.get(
            |account| account.port.map(|port| port.to_string()),
            "IRC_PORT",
        );
        let port = match port {
            Some(port) => port
                .parse()
                .map_err(|_| format!("{place}.port: \"{port}\" is no port"))?,
            None if tls => 6_697,
            None => 6_667,
        };
        let username = words.get(|account| account.username.clone(), "IRC_USERNAME");
        let realname = words.get(|account| account.realname.clone(), "IRC_REALNAME");
        let password = secret(
            &format!("{place}.password"),
            own.password.as_ref(),
            own.password_file.as_ref(),
            named.is_none().then_some("IRC_PASSWORD"),
            world,
        )?;
        let keys = own.channel_keys.as_ref().or(self.own.channel_keys.as_ref());
        let keys = keys.into_iter().flatten().map(|(name, input)| {
            let place = push_key(&format!("{place}.channelKeys"), name);
            let found = secret(&place, Some(input), None, None, world)?;
            let (key, _) = found.ok_or_else(|| format!("{place} is empty"))?;
            let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != ',';
            if !key.expose_secret().chars().all(plain) {
                return Err(format!("{place} holds what no key of a channel can"));
            }
            Ok((lower(&room(name, &place)?), key))
        });
        Ok(IrcSetup {
            channels: channels(&words, place)?,
            keys: keys.collect::<Result<_, _>>()?,
            nickserv: nickserv(own, named.is_none(), place, world)?,
            username: user_name(&username.unwrap_or_else(|| nick.clone())),
            realname: realname.unwrap_or_else(|| "OpenClaw".to_owned()),
            password: password.map(|(password, _)| password),
            timing: Timing::default(),
            host,
            port,
            tls,
            nick,
        })
    }
}

/// A user name holds no signs that a server takes for something else.
fn user_name(text: &str) -> String {
    let plain: String = text
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c))
        .take(10)
        .collect();
    if plain.is_empty() {
        "openclaw".to_owned()
    } else {
        plain
    }
}

fn channels(words: &Words<'_>, place: &str) -> Result<Vec<String>, String> {
    let listed = words
        .own
        .channels
        .clone()
        .or_else(|| words.base.and_then(|base| base.channels.clone()));
    let listed = listed.unwrap_or_else(|| {
        let text = words.variable("IRC_CHANNELS").unwrap_or_default();
        let names = text.split([',', ' ']).filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    });
    let place = format!("{place}.channels");
    listed.iter().map(|name| room(name, &place)).collect()
}

/// A channel by its name; `#` may be left out.
fn room(name: &str, place: &str) -> Result<String, String> {
    let name = name.trim();
    let name = if name.starts_with(['#', '&', '+', '!']) {
        name.to_owned()
    } else {
        format!("#{name}")
    };
    if is_name(&name) {
        Ok(name)
    } else {
        Err(format!("{place}: \"{name}\" is no channel of IRC"))
    }
}

fn nickserv(
    own: &Account,
    is_default: bool,
    place: &str,
    world: &World<'_>,
) -> Result<Option<Service>, String> {
    let fallback = NickServ::default();
    let nickserv = own.nickserv.as_ref().unwrap_or(&fallback);
    if nickserv.enabled == Some(false) {
        return Ok(None);
    }
    let password = secret(
        &format!("{place}.nickserv.password"),
        nickserv.password.as_ref(),
        nickserv.password_file.as_ref(),
        is_default.then_some("IRC_NICKSERV_PASSWORD"),
        world,
    )?;
    let Some((password, _)) = password else {
        return Ok(None);
    };
    let service = nickserv.service.clone();
    let service = service.unwrap_or_else(|| "NickServ".to_owned());
    if !is_name(&service) {
        return Err(format!(
            "{place}.nickserv.service: \"{service}\" is no nick"
        ));
    }
    let variable = is_default.then(|| world.env.get("IRC_NICKSERV_REGISTER_EMAIL"));
    let email = nickserv.register_email.clone().or(variable.flatten());
    let register = match (nickserv.register, email) {
        (Some(true), Some(email)) if !email.contains(char::is_whitespace) => Some(email),
        (Some(true), _) => {
            return Err(format!(
                "{place}.nickserv.registerEmail is missing: the address to register the nick with"
            ));
        }
        _ => None,
    };
    Ok(Some(Service {
        service,
        password: SecretString::clone(&password),
        register,
    }))
}

/// People and rooms as servers name them: `nick!user@host`, in small letters.
fn masks(common: &mut Common, by_nick: bool) {
    let groups = common.groups.take().map(|groups| {
        let rules = groups.into_iter().map(|(name, mut rule)| {
            rule.allow_from = rule.allow_from.map(|list| people(&list, by_nick));
            (lower(&name), rule)
        });
        rules.collect()
    });
    common.groups = groups;
    for list in [&mut common.allow_from, &mut common.group_allow_from] {
        *list = list.take().map(|list| people(&list, by_nick));
    }
}

fn people(entries: &[Entry], by_nick: bool) -> Vec<Entry> {
    let mask = |entry: &Entry| {
        let text = entry.to_string();
        let text = text.trim();
        let text = text.strip_prefix("irc:").unwrap_or(text);
        let whole = match (text.contains('!'), text.contains('@')) {
            (true, true) => text.to_owned(),
            (true, false) => format!("{text}@*"),
            (false, true) => text.replacen('@', "!*@", 1),
            (false, false) if text == "*" => text.to_owned(),
            // A nick alone is anybody's.
            (false, false) if by_nick => format!("{text}!*@*"),
            (false, false) => return None,
        };
        // A mask of everybody names nobody.
        let whole = if whole.trim_matches(['*', '!', '@']).is_empty() {
            "*".to_owned()
        } else {
            whole
        };
        Some(Entry::Text(whole))
    };
    let (known, dropped): (Vec<_>, Vec<_>) = entries
        .iter()
        .map(|entry| (entry, mask(entry)))
        .partition(|(_, mask)| mask.is_some());
    for (entry, _) in dropped {
        tracing::warn!(
            %entry,
            "an entry of channels.irc is a nick alone, which anybody can take: write nick!user@host, or set dangerouslyAllowNameMatching"
        );
    }
    known.into_iter().filter_map(|(_, mask)| mask).collect()
}
