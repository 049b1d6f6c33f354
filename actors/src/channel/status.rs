//! How the channels are, as clients see it. Pure.

use std::collections::BTreeMap;

use openclaw_protocol::methods::channels::{ChannelAccount, ChannelMeta, ChannelsStatusResult};
use serde_json::{Value, json};

use super::account::{AccountStatus, Board};
use super::settings::{AccountSettings, ChannelsSettings};
use super::state::Phase;
use super::{AccountRef, Facts};

/// Every account of one channel, or of all.
pub fn result(
    settings: &ChannelsSettings,
    board: &Board,
    only: Option<&str>,
    ts: u64,
) -> ChannelsStatusResult {
    let mut result = ChannelsStatusResult {
        ts,
        ..ChannelsStatusResult::default()
    };
    for (who, own) in &settings.accounts {
        let id = who.channel.to_string();
        if only.is_some_and(|only| only != id) {
            continue;
        }
        if !result.channel_order.contains(&id) {
            name(&mut result, &id, facts(own));
            let default = settings.defaults.get(&id).cloned();
            let default = default.unwrap_or_else(|| who.account.to_string());
            result
                .channel_default_account_id
                .insert(id.clone(), default);
        }
        let row = account(who, own, &status_of(board, who));
        result.channel_accounts.entry(id).or_default().push(row);
    }
    for id in &result.channel_order {
        let accounts = result
            .channel_accounts
            .get(id)
            .map_or(&[][..], Vec::as_slice);
        let default = result.channel_default_account_id.get(id);
        result
            .channels
            .insert(id.clone(), summary(accounts, default));
    }
    result
}

fn facts(settings: &AccountSettings) -> Option<&'static Facts> {
    settings.setup.as_ref().ok().map(|setup| setup.facts())
}

fn name(result: &mut ChannelsStatusResult, id: &str, facts: Option<&'static Facts>) {
    let label = facts.map_or_else(|| capitalised(id), |facts| facts.label.to_owned());
    let detail = facts.map_or_else(|| label.clone(), |facts| facts.detail_label.to_owned());
    let image = facts.and_then(|facts| facts.system_image);
    result.channel_order.push(id.to_owned());
    result.channel_labels.insert(id.to_owned(), label.clone());
    result
        .channel_detail_labels
        .insert(id.to_owned(), detail.clone());
    if let Some(image) = image {
        result
            .channel_system_images
            .insert(id.to_owned(), image.to_owned());
    }
    result.channel_meta.push(ChannelMeta {
        id: id.to_owned(),
        label,
        detail_label: detail,
        system_image: image.map(str::to_owned),
    });
}

/// A channel's name where none of its accounts can be opened.
pub fn capitalised(id: &str) -> String {
    if id == "irc" {
        return "IRC".into();
    }
    let mut letters = id.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().collect::<String>() + letters.as_str())
        .unwrap_or_default()
}

fn status_of(board: &Board, who: &AccountRef) -> AccountStatus {
    board
        .0
        .get(who)
        .map(|status| (*status.load()).clone())
        .unwrap_or_default()
}

fn account(who: &AccountRef, settings: &AccountSettings, status: &AccountStatus) -> ChannelAccount {
    let connected = status.phase == Phase::Connected;
    let lacking = settings.setup.as_ref().err();
    ChannelAccount {
        account_id: who.account.to_string(),
        name: settings.name.clone(),
        enabled: Some(settings.enabled),
        configured: Some(lacking.is_none()),
        linked: status.linked,
        running: Some(!matches!(status.phase, Phase::Stopped | Phase::Parked)),
        connected: Some(connected),
        reconnect_attempts: Some(status.attempts),
        last_connected_at: status.connected_at,
        last_error: lacking.cloned().or_else(|| status.error.clone()),
        health_state: Some(health(settings, status).to_owned()),
        last_start_at: status.started_at,
        last_stop_at: status.stopped_at,
        last_inbound_at: status.inbound_at,
        last_outbound_at: status.outbound_at,
        last_probe_at: status.probe_at,
        mode: facts(settings).map(|facts| facts.mode.to_owned()),
        dm_policy: Some(settings.policy.dm.as_str().to_owned()),
        allow_from: Some(settings.policy.allow_from.entries()),
        probe: status
            .identity
            .as_ref()
            .map(|name| json!({ "ok": connected, "bot": { "username": name } })),
        last_transport_activity_at: status.transport_at,
        token_source: settings.token_source.map(str::to_owned),
        state: Some(status.phase.as_str().to_owned()),
        generation: Some(status.generation),
        next_retry_at: status.retry_at,
        waiting_inbound: Some(status.waiting_in as u64),
        waiting_outbound: Some(status.waiting_out as u64),
        undelivered: status.undelivered.clone(),
    }
}

/// One word for an account's health.
fn health(settings: &AccountSettings, status: &AccountStatus) -> &'static str {
    match status.phase {
        _ if !settings.enabled => "disabled",
        _ if settings.setup.is_err() => "not-configured",
        Phase::Connected => "healthy",
        Phase::Connecting => "connecting",
        Phase::Backoff | Phase::Parked => "unhealthy",
        Phase::Stopped => "stopped",
    }
}

/// One channel in short: as its default account is.
fn summary(accounts: &[ChannelAccount], default: Option<&String>) -> Value {
    let chosen = accounts
        .iter()
        .find(|account| Some(&account.account_id) == default)
        .or_else(|| accounts.first());
    let Some(account) = chosen else {
        return json!({});
    };
    let mut summary = json!({
        "configured": account.configured,
        "running": account.running,
        "connected": account.connected,
        "healthState": account.health_state,
    });
    if let (Value::Object(summary), Some(error)) = (&mut summary, &account.last_error) {
        summary.insert("lastError".into(), error.clone().into());
    }
    summary
}

/// What `health` says of the channels: rows by id, their order, their names.
pub struct HealthRows {
    /// Rows by id.
    pub channels: BTreeMap<String, Value>,
    /// Ids in the order to show.
    pub order: Vec<String>,
    /// Names by id.
    pub labels: BTreeMap<String, String>,
}

/// What `health` says of the channels. Everyone may read it, so it holds no id of a person.
pub fn health_rows(settings: &ChannelsSettings, board: &Board) -> HealthRows {
    let ChannelsStatusResult {
        mut channels,
        channel_order,
        channel_labels,
        channel_accounts,
        ..
    } = result(settings, board, None, 0);
    for (id, row) in &mut channels {
        let accounts = channel_accounts.get(id).map_or(&[][..], Vec::as_slice);
        let short = accounts.iter().map(|account| {
            let row = json!({
                "accountId": account.account_id,
                "connected": account.connected,
                "running": account.running,
                "healthState": account.health_state,
                "undelivered": account.undelivered.len(),
            });
            (account.account_id.clone(), row)
        });
        let short: serde_json::Map<String, Value> = short.collect();
        if let Value::Object(row) = row {
            row.insert("accounts".into(), Value::Object(short));
        }
    }
    HealthRows {
        channels,
        order: channel_order,
        labels: channel_labels,
    }
}
