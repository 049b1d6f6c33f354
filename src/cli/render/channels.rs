//! What is shown of channels.

use openclaw_protocol::methods::channel_outbox::ChannelsOutboxListResult;
use openclaw_protocol::methods::channels::{
    ChannelAccount, ChannelsPairingListResult, ChannelsStatusResult, Undelivered,
};

use super::Style;
use super::table::Columns;
use super::text::{Tone, plain};
use super::time::ago;

/// The accounts, and what did not arrive.
pub fn status(status: &ChannelsStatusResult, style: &Style) -> String {
    if status.channel_order.is_empty() {
        return "no channel is configured; see channels in openclaw.json\n".to_owned();
    }
    let mut table = Columns::new(style, &["account", "state", "heard", "what is to be known"]);
    let mut lost = String::new();
    for id in &status.channel_order {
        for account in status.channel_accounts.get(id).into_iter().flatten() {
            let name = format!("{id}/{}", account.account_id);
            let (tone, state) = state(account);
            let heard = account
                .last_transport_activity_at
                .map(|at| ago(style.now_ms, at));
            let heard = heard.unwrap_or_else(|| "never".into());
            table.toned(&[
                (&name, None),
                (&state, tone),
                (&heard, None),
                (&facts(account, style), None),
            ]);
            for piece in &account.undelivered {
                lost += &undelivered(&name, piece, style);
            }
        }
    }
    let mut out = table.keep_whole(0).render();
    if !lost.is_empty() {
        out += "\nnot delivered, or nobody knows; none of these is sent again by itself:\n";
        out += &lost;
        out += "decide: openclaw channels resend ID, or openclaw channels discard ID\n";
    }
    out
}

fn undelivered(account: &str, piece: &Undelivered, style: &Style) -> String {
    let why = piece.why.as_deref().map(plain);
    let why = why.map_or_else(String::new, |why| format!(" ({why})"));
    let (to, at) = (plain(&piece.to), ago(style.now_ms, piece.at));
    format!(
        "{account}: {} to {to}, {}, {at}: {}{why}\n",
        plain(&piece.id),
        plain(&piece.by),
        plain(&piece.state)
    )
}

/// What waits to be sent, and what did not arrive.
pub fn outbox(list: &ChannelsOutboxListResult, style: &Style) -> String {
    if list.messages.is_empty() {
        return "nothing waits to be sent, and nothing was lost\n".to_owned();
    }
    let mut table = Columns::new(style, &["id", "account", "to", "when", "state", "text"]);
    for message in &list.messages {
        let tone = match message.state.as_str() {
            "queued" | "sending" => Tone::Faint,
            "unknown" => Tone::Warn,
            _ => Tone::Bad,
        };
        let account = format!("{}/{}", message.channel, message.account_id);
        let when = ago(style.now_ms, message.at);
        let state = match &message.why {
            Some(why) => format!("{}: {why}", message.state),
            None => message.state.clone(),
        };
        table.toned(&[
            (&message.id, None),
            (&account, None),
            (&message.to, None),
            (&when, None),
            (&state, Some(tone)),
            (&message.text, None),
        ]);
    }
    let mut out = table.keep_whole(0).render();
    out += "unknown may have arrived: look at the chat, then openclaw channels resend ID, or discard ID\n";
    out
}

fn state(account: &ChannelAccount) -> (Option<Tone>, String) {
    let state = account.state.as_deref().unwrap_or("unknown");
    if account.enabled == Some(false) {
        return (Some(Tone::Faint), "disabled".into());
    }
    if account.configured == Some(false) {
        return (Some(Tone::Warn), "not configured".into());
    }
    let tone = match state {
        "connected" => Tone::Good,
        "stopped" => Tone::Faint,
        "connecting" => Tone::Warn,
        _ => Tone::Bad,
    };
    (Some(tone), state.to_owned())
}

fn facts(account: &ChannelAccount, style: &Style) -> String {
    let mut facts = Vec::new();
    let bot = account
        .probe
        .as_ref()
        .and_then(|probe| probe["bot"]["username"].as_str());
    facts.extend(bot.map(|name| match name.strip_prefix('+') {
        // A number is no handle.
        Some(_) => name.to_owned(),
        None => format!("@{name}"),
    }));
    facts.extend(account.last_error.clone());
    if let Some(at) = account.next_retry_at {
        let seconds = at.saturating_sub(style.now_ms) / 1_000;
        facts.push(format!("tries again in {seconds} s"));
    }
    let waits = |count: Option<u64>, what: &str| {
        count
            .filter(|count| *count > 0)
            .map(|count| format!("{count} {what}"))
    };
    facts.extend(waits(account.waiting_inbound, "being answered"));
    facts.extend(waits(account.waiting_outbound, "to be sent"));
    facts.join(", ")
}

/// A login that worked.
pub fn connected(channel: &str, account: &ChannelAccount) -> String {
    let bot = account
        .probe
        .as_ref()
        .and_then(|probe| probe["bot"]["username"].as_str());
    // A number and an address stand for themselves.
    let at = bot.is_some_and(|name| !name.starts_with('+') && !name.contains('@'));
    let at = if at { "@" } else { "" };
    let name = bot.map_or_else(String::new, |name| format!(" as {at}{}", plain(name)));
    format!(
        "{}/{} is connected{name}\n",
        plain(channel),
        plain(&account.account_id)
    )
}

/// Who asks to write.
pub fn pairing(list: &ChannelsPairingListResult, style: &Style) -> String {
    if list.requests.is_empty() {
        return "nobody waits\n".to_owned();
    }
    let mut table = Columns::new(style, &["account", "who", "id", "code", "until"]);
    for request in &list.requests {
        let facts = request.metadata.as_ref();
        let code = facts
            .and_then(|facts| facts.get("code"))
            .map_or("", String::as_str);
        let account = format!("{}/{}", request.channel, request.account_id);
        table.row(&[
            &account,
            &request.sender_label,
            &request.sender_id,
            code,
            &request.expires_at,
        ]);
    }
    let mut out = table.keep_whole(0).keep_whole(3).render();
    out += "let somebody in: openclaw pairing approve CODE\n";
    out
}
