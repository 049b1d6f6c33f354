//! Accounts on channels: as a daemon gets them, and as their status is read.

use std::sync::Arc;

use openclaw_actors::channel::policy::{AllowList, DmPolicy, Policy};
use openclaw_actors::channel::settings::{AccountSettings, ChannelsSettings};
use openclaw_actors::channel::text::Split;
use openclaw_actors::channel::{AccountRef, ChannelSetup};
use serde_json::{Value, json};

use super::PATIENCE;
use super::daemon::Plan;
use super::model::Model;
use super::socket::Socket;

/// A daemon with one account on a channel, to which these people may write.
pub(crate) fn plan(model: &Model, setup: impl ChannelSetup + 'static, people: &[&str]) -> Plan {
    let facts = setup.facts();
    let account = AccountSettings {
        name: None,
        enabled: true,
        setup: Ok(Arc::new(setup)),
        policy: Policy {
            dm: DmPolicy::Pairing,
            allow_from: AllowList::of(facts.id, people.iter().copied()),
            ..Policy::default()
        },
        split: Split {
            limit: facts.text_limit,
        },
        token_source: Some("config"),
    };
    let mut channels = ChannelsSettings::default();
    let who = AccountRef::new(facts.id, "default");
    channels.accounts.insert(who, Arc::new(account));
    channels.defaults.insert(facts.id.into(), "default".into());
    let mut plan = Plan::with_model(model);
    plan.settings.channels = Arc::new(channels);
    plan
}

/// The row of the channel's account, once it is so.
pub(crate) async fn row_when(
    client: &mut Socket,
    channel: &str,
    holds: impl Fn(&Value) -> bool,
) -> Value {
    let mut last = Value::Null;
    let looking = async {
        loop {
            let mut status = client.call("channels.status", json!({})).await;
            last = status["channelAccounts"][channel][0].take();
            if holds(&last) {
                return last.clone();
            }
            super::look_again().await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, looking).await;
    found.unwrap_or_else(|_| panic!("another state of {channel} did not come: {last}"))
}

/// The row of the channel's account, once it is in this state.
pub(crate) async fn in_state(client: &mut Socket, channel: &str, state: &str) -> Value {
    row_when(client, channel, |row| row["state"] == state).await
}
