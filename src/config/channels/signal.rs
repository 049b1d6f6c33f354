//! `channels.signal`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openclaw_actors::channel::ChannelSetup;
use openclaw_actors::channel::settings::{AccountSettings, ChannelsSettings};
use openclaw_actors::channel::signal::{FACTS, Managed, SignalSetup, Timing, Way, place};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Common, Entry, World, enter, place_of};

/// How long signal-cli may take to start, unless said otherwise: a Java program, on a small machine.
const STARTUP_MS: u64 = 120_000;
/// Where one that is not started here listens, unless said otherwise.
const PORT: u16 = 8_080;

/// `channels.signal`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Signal {
    /// The only account, or what all of them share.
    #[serde(flatten)]
    pub own: Account,
    /// Several accounts.
    pub accounts: BTreeMap<String, Account>,
    /// The one that is meant where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_account: Option<String>,
}

/// When signal-cli takes messages from Signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiveMode {
    /// While somebody listens; what comes before stays with Signal.
    OnConnection,
    /// As soon as it runs.
    OnStart,
    /// When it is told to, which the gateway never does: the same as `on-connection`.
    Manual,
}

/// `channels.signal.accounts.<id>`. What it leaves out is the channel's, but for the number.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Account {
    /// What accounts of all channels have.
    #[serde(flatten)]
    pub common: Common,
    /// Our number, with its country: `+447700900001`.
    #[serde(rename = "account", skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// Our id.
    #[serde(rename = "accountUuid", skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Where a signal-cli listens that runs elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_url: Option<String>,
    /// The address on which signal-cli listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_host: Option<String>,
    /// Its port.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub http_port: Option<u16>,
    /// The program, where it is not on the PATH as `signal-cli`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cli_path: Option<String>,
    /// The folder with signal-cli's own data, where it is not its usual one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_path: Option<String>,
    /// Whether the gateway runs signal-cli; it does where `httpUrl` is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_start: Option<bool>,
    /// How long signal-cli may take to start, milliseconds; 120,000 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1_000, max = 600_000))]
    pub startup_timeout_ms: Option<u64>,
    /// When signal-cli takes messages from Signal; `on-connection` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive_mode: Option<ReceiveMode>,
    /// Whether files are left where they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_attachments: Option<bool>,
    /// Whether stories are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_stories: Option<bool>,
    /// Whether people see that what they wrote is being answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_read_receipts: Option<bool>,
    /// The same as the keys above, as newer configurations have them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
}

/// `transport`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Transport {
    /// Who runs signal-cli: `managed-native` or `external-native`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Where it listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// As in the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_host: Option<String>,
    /// As in the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub http_port: Option<u16>,
    /// As in the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cli_path: Option<String>,
    /// As in the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_path: Option<String>,
    /// As in the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1_000, max = 600_000))]
    pub startup_timeout_ms: Option<u64>,
    /// As in the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive_mode: Option<ReceiveMode>,
    /// As in the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_stories: Option<bool>,
}

impl Account {
    /// These settings over those of the channel; `transport` wins over the older keys of its level.
    fn over(&self, base: &Self) -> Self {
        let (own, base) = (self.flat(), base.flat());
        Self {
            common: own.common.over(&base.common),
            number: own.number,
            uuid: own.uuid,
            http_url: own.http_url.or(base.http_url),
            http_host: own.http_host.or(base.http_host),
            http_port: own.http_port.or(base.http_port),
            cli_path: own.cli_path.or(base.cli_path),
            config_path: own.config_path.or(base.config_path),
            auto_start: own.auto_start.or(base.auto_start),
            startup_timeout_ms: own.startup_timeout_ms.or(base.startup_timeout_ms),
            receive_mode: own.receive_mode.or(base.receive_mode),
            ignore_attachments: own.ignore_attachments.or(base.ignore_attachments),
            ignore_stories: own.ignore_stories.or(base.ignore_stories),
            send_read_receipts: own.send_read_receipts.or(base.send_read_receipts),
            transport: own.transport.or(base.transport),
        }
    }

    fn flat(&self) -> Self {
        let mut own = self.clone();
        let Some(transport) = self.transport.clone() else {
            return own;
        };
        match transport.kind.as_deref() {
            Some("managed-native") => own.auto_start = Some(true),
            Some(_) => own.auto_start = Some(false),
            None => {}
        }
        own.http_url = transport.url.or(own.http_url);
        own.http_host = transport.http_host.or(own.http_host);
        own.http_port = transport.http_port.or(own.http_port);
        own.cli_path = transport.cli_path.or(own.cli_path);
        own.config_path = transport.config_path.or(own.config_path);
        own.startup_timeout_ms = transport.startup_timeout_ms.or(own.startup_timeout_ms);
        own.receive_mode = transport.receive_mode.or(own.receive_mode);
        own.ignore_stories = transport.ignore_stories.or(own.ignore_stories);
        own
    }

    fn is_one(&self) -> bool {
        let texts = [&self.number, &self.http_url, &self.cli_path];
        texts.into_iter().any(Option::is_some) || self.transport.is_some()
    }
}

impl Signal {
    pub(super) fn enter(&self, world: &World<'_>, settings: &mut ChannelsSettings) {
        let (accounts, default) = (&self.accounts, self.default_account.as_ref());
        // Where signal-cli is may be what several numbers share.
        let has_own = self.own.number.is_some() || accounts.is_empty() && self.own.is_one();
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
        let mut levels = [Some(&self.own), named].into_iter().flatten();
        let enabled = levels.all(|own| own.common.enabled != Some(false));
        let mut own = match named {
            Some(account) => account.over(&self.own),
            None => self.own.flat(),
        };
        let named_people = places(&mut own.common);
        let setup = setup(&own, named_people, (name, &place), world)
            .and_then(|setup| self.alone(setup, &place))
            .map(|setup| Arc::new(setup) as Arc<dyn ChannelSetup>);
        let source = setup.is_ok().then_some("config");
        own.common.account(&FACTS, enabled, setup, source)
    }

    /// Several numbers have a signal-cli each, which may share a folder: each serves its own number only,
    /// because two of them cannot have the same one.
    fn alone(&self, mut setup: SignalSetup, key: &str) -> Result<SignalSetup, String> {
        if let Way::Managed(own) = &mut setup.way
            && self.accounts.len() + usize::from(self.own.number.is_some()) > 1
        {
            let lacking =
                || format!("{key}.account: several numbers are configured; say which one this is");
            own.only = Some(setup.account.clone().ok_or_else(lacking)?);
        }
        Ok(setup)
    }
}

fn setup(
    own: &Account,
    named: BTreeSet<String>,
    (name, key): (&str, &str),
    world: &World<'_>,
) -> Result<SignalSetup, String> {
    let account = match own.number.as_deref().map(str::trim) {
        None | Some("") => None,
        Some(written) => Some(
            place(written)
                .filter(|number| number.starts_with('+'))
                .ok_or_else(|| {
                    format!(
                        "{key}.account: \"{written}\" is no number with its country, such as +447700900001"
                    )
                })?,
        ),
    };
    let uuid = own.uuid.as_deref().and_then(place);
    Ok(SignalSetup {
        name: name.to_owned(),
        way: way(own, key, world)?,
        account,
        uuid: uuid.and_then(|id| id.strip_prefix("uuid:").map(str::to_owned)),
        read_receipts: own.send_read_receipts.unwrap_or_default(),
        ignore_files: own.ignore_attachments.unwrap_or_default(),
        named,
        timing: Timing::default(),
    })
}

fn way(own: &Account, key: &str, world: &World<'_>) -> Result<Way, String> {
    let kind = (own.transport.as_ref()).and_then(|transport| transport.kind.as_deref());
    if let Some(kind) = kind.filter(|kind| !matches!(*kind, "managed-native" | "external-native")) {
        return Err(format!(
            "{key}.transport.kind: \"{kind}\" is not supported; use \"managed-native\", or \"external-native\" with the url of a signal-cli daemon --http"
        ));
    }
    let url = own.http_url.as_deref().map(str::trim);
    if let Some(url) = url
        && !url.starts_with("http://")
        && !url.starts_with("https://")
    {
        return Err(format!("{key}.httpUrl must begin with http:// or https://"));
    }
    let host = own.http_host.as_deref().map_or("127.0.0.1", str::trim);
    if !own.auto_start.unwrap_or(url.is_none()) {
        let own_url = || format!("http://{host}:{}", own.http_port.unwrap_or(PORT));
        return Ok(Way::External {
            url: url.map_or_else(own_url, str::to_owned),
        });
    }
    let (host, port) = match url.and_then(|url| url.parse::<actix_web::http::Uri>().ok()) {
        Some(uri) => (
            uri.host().unwrap_or(host).to_owned(),
            uri.port_u16().or(own.http_port),
        ),
        None => (host.to_owned(), own.http_port),
    };
    let program = own.cli_path.as_deref().map_or("signal-cli", str::trim);
    let expand = |path: &str| world.paths.expand(path, &world.paths.state_dir);
    let mode = match own.receive_mode {
        Some(ReceiveMode::OnStart) => "on-start",
        _ => "on-connection",
    };
    Ok(Way::Managed(Managed {
        only: None,
        program: if program.contains('/') {
            expand(program)
        } else {
            program.into()
        },
        config: own.config_path.as_deref().map(expand),
        host,
        port,
        startup: Duration::from_millis(own.startup_timeout_ms.unwrap_or(STARTUP_MS)),
        receive_mode: mode.to_owned(),
        ignore_stories: own.ignore_stories.unwrap_or(true),
    }))
}

/// Writes people and groups as messages have them; gives back those that are named by their id.
fn places(common: &mut Common) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    let mut people = |list: &mut Option<Vec<Entry>>| {
        let Some(entries) = list else { return };
        for entry in entries.iter_mut() {
            let text = match entry {
                Entry::Text(text) => text.clone(),
                // A number without its sign.
                Entry::Number(number) => format!("+{number}"),
            };
            if text.trim() == "*" {
                continue;
            }
            let Some(id) = place(&text) else {
                tracing::warn!(
                    entry = text,
                    "an entry of channels.signal is nobody: write +447700900123 or uuid:..."
                );
                continue;
            };
            if id.starts_with("uuid:") {
                named.insert(id.clone());
            }
            *entry = Entry::Text(id);
        }
    };
    people(&mut common.allow_from);
    people(&mut common.group_allow_from);
    let groups = common.groups.take().map(|groups| {
        let rules = groups.into_iter().map(|(id, mut rule)| {
            people(&mut rule.allow_from);
            (place(&id).unwrap_or(id), rule)
        });
        rules.collect()
    });
    common.groups = groups;
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_keys_win_over_older_ones_and_accounts_over_the_channel() {
        let channel: Signal = serde_json::from_value(serde_json::json!({
            "httpUrl": "http://127.0.0.1:9", "cliPath": "one", "allowFrom": ["*", 447_700_900_123_i64],
            "accounts": { "a": { "account": "+447700900001",
                "transport": { "kind": "managed-native", "cliPath": "two" } } }
        }))
        .unwrap();
        let mut own = channel.accounts["a"].over(&channel.own);
        assert_eq!(
            (own.auto_start, own.cli_path.as_deref()),
            (Some(true), Some("two"))
        );
        let named = places(&mut own.common);
        assert!(named.is_empty());
        let people: Vec<String> = own
            .common
            .allow_from
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(people, ["*", "+447700900123"]);
    }
}
