//! The Events API: signed requests of the platform at a path of ours.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::translate::{self, Me};
use crate::channel::hooks::{Answer, Hooks, Request};
use crate::channel::{ChannelError, Link, hex};

/// How old a request may be: one that was heard on its way cannot be played again for ever.
const FRESH: Duration = Duration::from_mins(5);

/// Takes requests until the path is closed.
pub(super) async fn run(
    hooks: &Arc<Hooks>,
    secret: &SecretString,
    path: &str,
    me: &Me,
    link: &Link,
) -> ChannelError {
    let mut hook = hooks.open(path);
    link.connected(&me.name);
    while let Some(Request {
        headers,
        body,
        answer,
    }) = hook.next().await
    {
        let now = link.now().get() / 1_000;
        let told = match checked(&headers, &body, secret, now) {
            Ok(callback) => {
                link.alive();
                take(&callback, me, link).await
            }
            Err(refusal) => refusal,
        };
        let _ = answer.send(told);
    }
    ChannelError::Transient("the path of Slack's events was closed".into())
}

/// Takes the message of a callback that was proven to be one.
pub(super) async fn take(callback: &Value, me: &Me, link: &Link) -> Answer {
    if let Some(challenge) = callback.get("challenge").and_then(Value::as_str) {
        return Answer::of(200, challenge);
    }
    if !translate::is_ours(callback, me) {
        // Another account of the same app may be there.
        return Answer::of(401, "for another workspace");
    }
    let message = translate::inbound(callback, me);
    match link.take(message.into_iter().collect(), None).await {
        Ok(()) => Answer::of(200, ""),
        // It comes again.
        Err(refused) => {
            tracing::warn!(error = %refused, "an event of Slack is left to it");
            Answer::of(503, "come again later")
        }
    }
}

/// What a request says, if it was signed by the platform, and lately. `now` is in seconds.
pub(super) fn checked(
    headers: &BTreeMap<String, String>,
    body: &[u8],
    secret: &SecretString,
    now: i64,
) -> Result<Value, Answer> {
    let refused = |why: &str| Answer::of(401, why);
    let header = |name: &str| headers.get(name).map(String::as_str).unwrap_or_default();
    let stamp = header("x-slack-request-timestamp");
    let at: i64 = stamp.parse().map_err(|_| refused("not signed"))?;
    if now.abs_diff(at) > FRESH.as_secs() {
        return Err(refused("too old"));
    }
    let mut text = format!("v0:{stamp}:").into_bytes();
    text.extend_from_slice(body);
    let expected = format!(
        "v0={}",
        hex(&hmac(secret.expose_secret().as_bytes(), &text))
    );
    let told = header("x-slack-signature");
    if !bool::from(expected.as_bytes().ct_eq(told.as_bytes())) {
        return Err(refused("not signed with this secret"));
    }
    serde_json::from_slice(body).map_err(|_| Answer::of(400, "no JSON"))
}

/// HMAC-SHA-256 (RFC 2104).
pub(super) fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 64;
    let mut block = [0u8; BLOCK];
    if key.len() > BLOCK {
        let short = Sha256::digest(key);
        block[..short.len()].copy_from_slice(&short);
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let padded = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new()
        .chain_update(padded(0x36))
        .chain_update(text)
        .finalize();
    Sha256::new()
        .chain_update(padded(0x5c))
        .chain_update(inner)
        .finalize()
        .to_vec()
}
