//! The webhook: requests of the platform at a path of ours. Each is answered when its message is stored;
//! what is not comes again.

use std::collections::BTreeMap;

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;
use tokio::time::{Instant, sleep_until};

use super::translate::Me;
use super::{Telegram, Webhook};
use crate::channel::hooks::{Answer, Request};
use crate::channel::{ChannelError, Link};

/// Where the platform proves itself.
const PROOF: &str = "x-telegram-bot-api-secret-token";

/// Takes requests until something fails. Whether the platform can reach us is looked at from time to time:
/// that is the sign of life of a time without messages.
pub(super) async fn run(
    telegram: &Telegram,
    own: &Webhook,
    me: &Me,
    link: &Link,
) -> Result<std::convert::Infallible, ChannelError> {
    // Open before the platform hears of it.
    let mut hook = telegram.hooks.open(&own.path);
    let limit = telegram.pace.limit;
    let body = json!({
        "url": own.url,
        "secret_token": own.secret.expose_secret(),
        "allowed_updates": ["message"],
        "drop_pending_updates": false,
    });
    telegram
        .api
        .call::<bool>("setWebhook", &body, limit)
        .await?;
    link.connected(me.name());
    let since = link.now().get() / 1_000;
    let mut look = Instant::now() + own.look;
    loop {
        tokio::select! {
            request = hook.next() => {
                let Some(Request { headers, body, answer }) = request else {
                    return Err(ChannelError::Transient("the path of Telegram's webhook was closed".into()));
                };
                // Whoever asked may be gone; then it comes again.
                let _ = answer.send(taken(telegram, own, (&headers, &body), me, link).await);
            }
            () = sleep_until(look) => {
                let info: Value = telegram.api.call("getWebhookInfo", &json!({}), limit).await?;
                link.alive();
                judge(&info, own, since, link)?;
                look = Instant::now() + own.look;
            }
        }
    }
}

async fn taken(
    telegram: &Telegram,
    own: &Webhook,
    (headers, body): (&BTreeMap<String, String>, &[u8]),
    me: &Me,
    link: &Link,
) -> Answer {
    let proof = headers.get(PROOF).map(String::as_str).unwrap_or_default();
    let secret = own.secret.expose_secret();
    if !bool::from(secret.as_bytes().ct_eq(proof.as_bytes())) {
        return Answer::of(401, "not sent with this secret");
    }
    let Ok(update) = serde_json::from_slice::<Value>(body) else {
        return Answer::of(400, "no JSON");
    };
    link.alive();
    match telegram.take(vec![update], me, link).await {
        Ok(_) => Answer::of(200, ""),
        Err(error) => {
            tracing::warn!(%error, "an update of Telegram is left to it");
            Answer::of(503, "come again later")
        }
    }
}

/// What the platform says of how it reaches us.
fn judge(info: &Value, own: &Webhook, since: i64, link: &Link) -> Result<(), ChannelError> {
    let url = info["url"].as_str().unwrap_or_default();
    if url != own.url {
        return Err(ChannelError::Conflict(
            "another program has set another webhook for this bot, or none; end it, or give each its own bot".into(),
        ));
    }
    let failed = info["last_error_date"].as_i64().unwrap_or_default();
    if failed >= since
        && let Some(why) = info["last_error_message"].as_str()
        && info["pending_update_count"].as_u64() > Some(0)
    {
        link.trouble(&format!(
            "Telegram cannot reach {url} ({why}); see what stands in front of the gateway (channels.telegram.webhookUrl)"
        ));
    }
    Ok(())
}
