//! What channels need of the configuration, as plain values.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::policy::{Policy, plain_id};
use super::text::Split;
use super::{AccountRef, ChannelSetup};

/// The accounts of one generation of the configuration.
#[derive(Debug, Clone, Default)]
pub struct ChannelsSettings {
    /// Every configured account, whether it can run or not.
    pub accounts: BTreeMap<AccountRef, Arc<AccountSettings>>,
    /// The account that is meant where none is named, by channel.
    pub defaults: BTreeMap<String, String>,
    /// Why none of them is started by itself; `None` when they are.
    pub held: Option<String>,
    /// Who may give commands anywhere (`commands.ownerAllowFrom`).
    pub command_owners: Vec<String>,
    /// Where agents may send to by themselves.
    pub reach: Reach,
}

/// Where a run that a chat began may send to, besides that chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Other chats of the same channel.
    pub other_chats: bool,
    /// Other channels.
    pub other_channels: bool,
}

impl Default for Reach {
    fn default() -> Self {
        Self {
            other_chats: true,
            other_channels: false,
        }
    }
}

impl ChannelsSettings {
    /// Whether somebody may give commands anywhere.
    pub fn is_owner(&self, account: &AccountRef, sender: &str) -> bool {
        let channel = &*account.channel;
        self.command_owners.iter().any(|owner| {
            // An id of another channel is another person.
            let scoped = owner
                .split_once(':')
                .is_none_or(|_| plain_id(channel, owner) != owner);
            scoped && plain_id(channel, owner).eq_ignore_ascii_case(sender)
        })
    }

    /// The account that a request means.
    ///
    /// # Errors
    ///
    /// In words, with the accounts that there are.
    pub fn find(&self, channel: &str, account: Option<&str>) -> Result<AccountRef, String> {
        let of_channel = || {
            self.accounts
                .keys()
                .filter(|known| &*known.channel == channel)
        };
        if of_channel().next().is_none() {
            let mut known: Vec<&str> = self.accounts.keys().map(|known| &*known.channel).collect();
            known.dedup();
            return Err(format!(
                "channel \"{channel}\" is not configured ({})",
                if known.is_empty() {
                    format!("no channel is; add channels.{channel} to openclaw.json")
                } else {
                    format!("configured: {}", known.join(", "))
                }
            ));
        }
        let wanted = account
            .map(str::trim)
            .filter(|account| !account.is_empty())
            .or_else(|| self.defaults.get(channel).map(String::as_str))
            .unwrap_or("default");
        of_channel()
            .find(|known| &*known.account == wanted)
            .cloned()
            .ok_or_else(|| {
                let names: Vec<&str> = of_channel().map(|known| &*known.account).collect();
                format!(
                    "channel \"{channel}\" has no account \"{wanted}\" (it has: {})",
                    names.join(", ")
                )
            })
    }
}

/// One account.
#[derive(Debug, Clone)]
pub struct AccountSettings {
    /// Its name for people.
    pub name: Option<String>,
    /// Whether it is to run.
    pub enabled: bool,
    /// How it connects, or what its configuration lacks, with the remedy.
    pub setup: Result<Arc<dyn ChannelSetup>, String>,
    /// Who may write to it.
    pub policy: Policy,
    /// How long answers are cut.
    pub split: Split,
    /// Where its secret comes from: `config`, `env`, `file`.
    pub token_source: Option<&'static str>,
}

impl AccountSettings {
    /// Whether a running transport of the one can go on as that of the other.
    pub fn same_transport(&self, other: &Self) -> bool {
        match (&self.setup, &other.setup) {
            (Ok(own), Ok(other)) => own.fingerprint() == other.fingerprint(),
            _ => false,
        }
    }
}
