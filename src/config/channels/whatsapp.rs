//! `channels.whatsapp`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use openclaw_actors::channel::ChannelSetup;
use openclaw_actors::channel::settings::{AccountSettings, ChannelsSettings};
use openclaw_actors::channel::whatsapp::{FACTS, Program, Timing, WhatsAppSetup, number_of};
use openclaw_actors::sessions::route::account_id;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Common, Entry, World, enter, place_of};
use crate::lock::runtime_dir;
use crate::state_dir::StatePaths;

/// What runs the sidecar, unless said otherwise.
const NODE: &str = "node";

/// `channels.whatsapp`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct WhatsApp {
    /// The only account, or what all of them share.
    #[serde(flatten)]
    pub own: Account,
    /// Several accounts.
    pub accounts: BTreeMap<String, Account>,
    /// The one that is meant where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_account: Option<String>,
}

/// `channels.whatsapp.accounts.<id>`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Account {
    /// What accounts of all channels have.
    #[serde(flatten)]
    pub common: Common,
    /// Where the keys of the linked device are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_dir: Option<String>,
    /// Whether what the account's owner writes to themself is for us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub self_chat_mode: Option<bool>,
    /// Whether people see that their messages were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_read_receipts: Option<bool>,
    /// What runs the sidecar: Node.js 20 or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_path: Option<String>,
    /// A server of this host in place of WhatsApp, for tests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_socket_url: Option<String>,
}

/// Where the sidecar and what it needs are installed.
pub fn sidecar_dir(paths: &StatePaths) -> PathBuf {
    paths.gateway_dir.join("whatsapp")
}

impl WhatsApp {
    pub(super) fn enter(&self, world: &World<'_>, settings: &mut ChannelsSettings) {
        let (accounts, default) = (&self.accounts, self.default_account.as_ref());
        let has_own = self.own.auth_dir.is_some();
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
        let setup = self.setup(named, name, world);
        let setup = setup.map(|setup| Arc::new(setup) as Arc<dyn ChannelSetup>);
        let (mut common, enabled) = self.own.common.with(named.map(|account| &account.common));
        numbers(&mut common);
        common.account(&FACTS, enabled, setup, None)
    }

    fn setup(
        &self,
        named: Option<&Account>,
        name: &str,
        world: &World<'_>,
    ) -> Result<WhatsAppSetup, String> {
        let place = place_of(FACTS.id, named.map(|_| name));
        let own = named.unwrap_or(&self.own);
        let (paths, id) = (world.paths, account_id(name));
        let server = own.web_socket_url.as_ref();
        let server = server.or(self.own.web_socket_url.as_ref());
        if server.is_some_and(|server| !is_of_this_host(server)) {
            // Its certificate is what tells WhatsApp from anybody else.
            return Err(format!(
                "{place}.webSocketUrl must be an address of this host, such as ws://127.0.0.1:8080/ws; leave it out to use WhatsApp"
            ));
        }
        let node = own.node_path.as_ref().or(self.own.node_path.as_ref());
        let node = node.map_or_else(
            || PathBuf::from(NODE),
            |node| paths.expand(node, &paths.state_dir),
        );
        let auth_dir = match &own.auth_dir {
            Some(folder) => paths.expand(folder, &paths.state_dir),
            None => auth_dir(paths, &id),
        };
        Ok(WhatsAppSetup {
            account: id,
            auth_dir,
            // Not from the configuration: what is locked there holds for every gateway of this user.
            host_dir: runtime_dir(std::env::var_os("XDG_RUNTIME_DIR").as_deref()),
            program: Program {
                node,
                script: sidecar_dir(paths).join("sidecar.mjs"),
                ours: true,
            },
            server: server.cloned(),
            self_chat: own
                .self_chat_mode
                .or(self.own.self_chat_mode)
                .unwrap_or(false),
            read_receipts: own
                .send_read_receipts
                .or(self.own.send_read_receipts)
                .unwrap_or(true),
            timing: Timing::default(),
        })
    }
}

/// Where another gateway left a linked device, else in our own folder.
fn auth_dir(paths: &StatePaths, account: &str) -> PathBuf {
    let theirs = paths.state_dir.join("credentials/whatsapp").join(account);
    if theirs.join("creds.json").is_file() {
        return theirs;
    }
    sidecar_dir(paths).join("accounts").join(account)
}

fn is_of_this_host(url: &str) -> bool {
    let rest = ["ws://127.0.0.1:", "ws://localhost:", "ws://[::1]:"]
        .iter()
        .find_map(|head| url.strip_prefix(head));
    let port = rest.map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
    port.is_some_and(|port| port.parse::<u16>().is_ok())
}

/// Numbers are compared as `+` and digits, however they are written.
fn numbers(common: &mut Common) {
    let plain = |entry: &Entry| {
        let text = entry.to_string();
        let text = openclaw_actors::channel::policy::plain_id("whatsapp", &text);
        let text = text.strip_suffix("@s.whatsapp.net").unwrap_or(text);
        Entry::Text(number_of(text).unwrap_or_else(|| text.to_owned()))
    };
    let rules = common.groups.iter_mut().flat_map(BTreeMap::values_mut);
    let lists = rules.map(|rule| &mut rule.allow_from);
    let own = [&mut common.allow_from, &mut common.group_allow_from];
    for entry in lists.chain(own).flatten().flatten() {
        *entry = plain(entry);
    }
}
