//! `channels.imessage`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use openclaw_actors::channel::ChannelSetup;
use openclaw_actors::channel::imessage::{FACTS, IMessageSetup, Timing, Way, place};
use openclaw_actors::channel::settings::{AccountSettings, ChannelsSettings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Common, Entry, World, enter, place_of};

/// Where Messages keeps files.
const ROOT: &str = "/Users/*/Library/Messages/Attachments";
/// How old a message may be that came while nobody listened, minutes.
const CATCH_UP: u64 = 120;

/// `channels.imessage`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct IMessage {
    /// The only account, or what all of them share.
    #[serde(flatten)]
    pub own: Account,
    /// Several accounts: several users of Macs.
    pub accounts: BTreeMap<String, Account>,
    /// The one that is meant where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_account: Option<String>,
}

/// `service`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Service {
    /// iMessage alone.
    Imessage,
    /// SMS alone.
    Sms,
    /// As Messages would.
    Auto,
}

/// `sendTransport`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SendTransport {
    /// The bridge where it runs, else `AppleScript`.
    Auto,
    /// The bridge alone.
    Bridge,
    /// `AppleScript` alone.
    Applescript,
}

/// `catchup`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CatchUp {
    /// Whether what came while the gateway was down is answered; it is when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// How old it may be, minutes; 120 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 720))]
    pub max_age_minutes: Option<u64>,
}

/// `channels.imessage.accounts.<id>`. What it leaves out is the channel's.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Account {
    /// What accounts of all channels have.
    #[serde(flatten)]
    pub common: Common,
    /// The program: `imsg` on this Mac or on that of `remoteHost`, or a program here that reaches one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cli_path: Option<String>,
    /// The database of Messages, where it is not the usual one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_path: Option<String>,
    /// A Mac that ssh reaches without a question: `user@mac`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_host: Option<String>,
    /// By which service somebody is written to who has no chat yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// How messages are sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_transport: Option<SendTransport>,
    /// The country of numbers without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Whether files that come are read; they are when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_attachments: Option<bool>,
    /// Where such files may lie; `*` is any one folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachment_roots: Option<Vec<String>>,
    /// The same on the Mac of `remoteHost`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_attachment_roots: Option<Vec<String>>,
    /// How long `imsg` may take to say how it is, milliseconds; 30,000 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1_000, max = 600_000))]
    pub probe_timeout_ms: Option<u64>,
    /// What becomes of what came while the gateway was down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catchup: Option<CatchUp>,
}

impl Account {
    fn over(&self, base: &Self) -> Self {
        let (own, base) = (self.clone(), base.clone());
        Self {
            common: own.common.over(&base.common),
            cli_path: own.cli_path.or(base.cli_path),
            db_path: own.db_path.or(base.db_path),
            remote_host: own.remote_host.or(base.remote_host),
            service: own.service.or(base.service),
            send_transport: own.send_transport.or(base.send_transport),
            region: own.region.or(base.region),
            include_attachments: own.include_attachments.or(base.include_attachments),
            attachment_roots: own.attachment_roots.or(base.attachment_roots),
            remote_attachment_roots: own.remote_attachment_roots.or(base.remote_attachment_roots),
            probe_timeout_ms: own.probe_timeout_ms.or(base.probe_timeout_ms),
            catchup: own.catchup.or(base.catchup),
        }
    }
}

impl IMessage {
    pub(super) fn enter(&self, world: &World<'_>, settings: &mut ChannelsSettings) {
        let (accounts, default) = (&self.accounts, self.default_account.as_ref());
        // A path alone may be what several users share.
        let has_own = self.own.db_path.is_some();
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
            None => self.own.clone(),
        };
        let groups = places(&mut own.common);
        let setup = setup(&own, groups, &place, world)
            .map(|setup| Arc::new(setup) as Arc<dyn ChannelSetup>);
        let source = setup.is_ok().then_some("config");
        own.common.account(&FACTS, enabled, setup, source)
    }
}

fn setup(
    own: &Account,
    groups: BTreeSet<String>,
    place: &str,
    world: &World<'_>,
) -> Result<IMessageSetup, String> {
    let host = match own.remote_host.as_deref().map(str::trim) {
        None | Some("") => None,
        // It becomes an argument of ssh.
        Some(host) if host.starts_with('-') || host.contains(char::is_whitespace) => {
            return Err(format!(
                "{place}.remoteHost: \"{host}\" is no host, such as user@mac.local"
            ));
        }
        Some(host) => Some(host.to_owned()),
    };
    let program = own.cli_path.as_deref().map_or("imsg", str::trim);
    let way = way(program, host.as_ref(), world);
    let is_here = host.is_none();
    let roots = if is_here {
        &own.attachment_roots
    } else {
        &own.remote_attachment_roots
    };
    let roots = roots.clone().unwrap_or_else(|| vec![ROOT.to_owned()]);
    if let Some(root) = roots.iter().find(|root| !root.starts_with('/')) {
        return Err(format!(
            "{place}: \"{root}\" among the attachment roots does not begin with /"
        ));
    }
    let catch_up = own.catchup.clone().unwrap_or_default();
    let age = Duration::from_mins(catch_up.max_age_minutes.unwrap_or(CATCH_UP));
    let fallback = Timing::default();
    Ok(IMessageSetup {
        database: own.db_path.as_ref().map(|path| match &way {
            Way::Here { .. } if is_here => expand(path, world).display().to_string(),
            _ => path.clone(),
        }),
        way,
        service: own.service.map(|service| {
            match service {
                Service::Imessage => "imessage",
                Service::Sms => "sms",
                Service::Auto => "auto",
            }
            .to_owned()
        }),
        region: own.region.clone(),
        transport: own.send_transport.map(|transport| {
            match transport {
                SendTransport::Auto => "auto",
                SendTransport::Bridge => "bridge",
                SendTransport::Applescript => "applescript",
            }
            .to_owned()
        }),
        files: own.include_attachments != Some(false),
        roots,
        files_host: host,
        groups,
        catch_up: (catch_up.enabled != Some(false)).then_some(age),
        timing: Timing {
            probe: own
                .probe_timeout_ms
                .map_or(fallback.probe, Duration::from_millis),
            ..fallback
        },
    })
}

fn expand(path: &str, world: &World<'_>) -> PathBuf {
    world.paths.expand(path, &world.paths.state_dir)
}

/// With a Mac elsewhere, `cliPath` is the program there, unless it is a file here: one that reaches it.
fn way(program: &str, host: Option<&String>, world: &World<'_>) -> Way {
    let is_path = program.contains('/');
    let here = if is_path {
        expand(program, world)
    } else {
        PathBuf::from(program)
    };
    match host {
        Some(host) if !is_path || !Path::new(&here).is_file() => Way::Ssh {
            host: host.clone(),
            program: program.to_owned(),
        },
        _ => Way::Here { program: here },
    }
}

/// Writes people and chats as messages have them; gives back the chats that are groups.
fn places(common: &mut Common) -> BTreeSet<String> {
    let people = |list: &mut Option<Vec<Entry>>| {
        for entry in list.iter_mut().flatten() {
            let text = match entry {
                Entry::Text(text) => text.clone(),
                // A number without its sign.
                Entry::Number(number) => format!("+{number}"),
            };
            if text.trim() == "*" {
                continue;
            }
            if let Some(handle) = place(&text) {
                *entry = Entry::Text(handle);
            } else {
                tracing::warn!(
                    entry = text,
                    "an entry of channels.imessage is nobody: write +447700900123 or ann@example.org"
                );
            }
        }
    };
    people(&mut common.allow_from);
    people(&mut common.group_allow_from);
    let groups = common.groups.take().map(|groups| {
        let rules = groups.into_iter().map(|(id, mut rule)| {
            people(&mut rule.allow_from);
            (place(&id).unwrap_or(id), rule)
        });
        rules.collect::<BTreeMap<_, _>>()
    });
    let named = groups.iter().flat_map(BTreeMap::keys);
    let named = named.filter(|id| *id != "*").cloned().collect();
    common.groups = groups;
    named
}
