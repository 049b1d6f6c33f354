//! One request to signal-cli: JSON-RPC over HTTP.

use std::cell::Cell;
use std::time::Duration;

use serde_json::{Value, json};

use crate::channel::request::{Failed, whole};
use crate::channel::{ChannelError, SendFailure};

/// Largest answer, bytes: a file comes as one.
const MAX_ANSWER: usize = 160 * 1024 * 1024;
/// Where Signal wants to be left alone and does not say for how long.
const UNSAID: Duration = Duration::from_mins(1);

/// What became of a message for somebody whom it certainly did not leave for.
const STAYED: [&str; 4] = [
    "RATE_LIMIT_FAILURE",
    "PROOF_REQUIRED_FAILURE",
    "UNREGISTERED_FAILURE",
    "IDENTITY_FAILURE",
];

// Numbers of signal-cli, beside those of JSON-RPC.
const USER: i64 = -1;
const UNTRUSTED: i64 = -4;
const LIMITED: i64 = -5;
const UNKNOWN_METHOD: i64 = -32_601;

/// The HTTP side of one signal-cli.
#[derive(Debug)]
pub(super) struct Api {
    http: reqwest::Client,
    root: String,
    limit: Duration,
    next: Cell<u64>,
}

/// Why a request gave nothing.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ApiError {
    /// Nothing left for signal-cli.
    NotSent(String),
    /// It left, and no answer came, or none that says anything.
    Lost(String),
    /// signal-cli answered with an error.
    Answered {
        /// Its number.
        code: i64,
        /// In its words.
        why: String,
        /// What became of it by recipient, where it says so.
        results: Vec<Value>,
        /// The time that it gave the message.
        timestamp: Option<u64>,
    },
}

impl Api {
    /// `limit` is how long a request may take: signal-cli answers when Signal's servers did.
    pub(super) fn new(http: reqwest::Client, root: &str, limit: Duration) -> Self {
        Self {
            http,
            root: root.trim_end_matches('/').to_owned(),
            limit,
            next: Cell::new(1),
        }
    }

    /// Where the stream of what comes in is.
    pub(super) fn events(&self) -> String {
        format!("{}/api/v1/events", self.root)
    }

    /// The client.
    pub(super) const fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Whether signal-cli answers, within so long.
    pub(super) async fn check(&self, limit: Duration) -> Result<(), ChannelError> {
        let url = format!("{}/api/v1/check", self.root);
        let asked = self.http.get(url).timeout(limit).send();
        let status = asked.await.map_err(|error| lost(error).class())?.status();
        match status.as_u16() {
            200..300 => Ok(()),
            // Something else listens there, or something in front of it wants to know who we are.
            status @ (400 | 401 | 403 | 404) => Err(ChannelError::Auth(format!(
                "no signal-cli answers at {} (HTTP {status}); set channels.signal.httpUrl to the address of signal-cli daemon --http, then: openclaw channels start signal",
                self.root
            ))),
            status => Err(ChannelError::Transient(format!(
                "signal-cli answers its check with HTTP {status}"
            ))),
        }
    }

    pub(super) async fn call(&self, method: &str, params: &Value) -> Result<Value, ApiError> {
        self.call_within(method, params, self.limit, MAX_ANSWER)
            .await
    }

    pub(super) async fn call_within(
        &self,
        method: &str,
        params: &Value,
        limit: Duration,
        most: usize,
    ) -> Result<Value, ApiError> {
        let id = self.next.get();
        self.next.set(id.wrapping_add(1));
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let request = self
            .http
            .post(format!("{}/api/v1/rpc", self.root))
            .header("content-type", "application/json")
            .body(body.to_string())
            .timeout(limit);
        let response = request.send().await.map_err(Failed::from)?;
        let status = response.status().as_u16();
        let text = whole(response, most).await?;
        let answer: Value = serde_json::from_slice(&text).unwrap_or_default();
        if answer.get("id").and_then(Value::as_u64) == Some(id)
            && let Some(result) = answer.get("result")
        {
            return Ok(result.clone());
        }
        match answer.get("error") {
            Some(error) => Err(answered(error)),
            None => Err(ApiError::Lost(format!("HTTP {status} without an answer"))),
        }
    }
}

fn answered(error: &Value) -> ApiError {
    let said = error.pointer("/data/response");
    let results = said.and_then(|said| said.get("results"));
    ApiError::Answered {
        code: error.get("code").and_then(Value::as_i64).unwrap_or(-32_603),
        why: (error.get("message").and_then(Value::as_str))
            .unwrap_or("no reason given")
            .to_owned(),
        results: results
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default(),
        timestamp: said
            .and_then(|said| said.get("timestamp"))
            .and_then(Value::as_u64),
    }
}

impl From<Failed> for ApiError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::NotSent(why) => Self::NotSent(why),
            Failed::Lost(why) => Self::Lost(why),
        }
    }
}

/// A failure of the request itself.
pub(super) fn lost(error: reqwest::Error) -> ApiError {
    Failed::from(error).into()
}

impl ApiError {
    /// Whether this signal-cli has no such method.
    pub(super) const fn is_unknown_method(&self) -> bool {
        matches!(
            self,
            Self::Answered {
                code: UNKNOWN_METHOD,
                ..
            }
        )
    }

    /// As the end of a transport.
    pub(super) fn class(self) -> ChannelError {
        match self {
            Self::NotSent(why) => {
                ChannelError::Transient(format!("signal-cli cannot be reached: {why}"))
            }
            Self::Lost(why) => {
                ChannelError::Transient(format!("the connection to signal-cli failed: {why}"))
            }
            Self::Answered { why, .. } if is_unlinked(&why) => unlinked(&why),
            Self::Answered { why, .. } => {
                ChannelError::Transient(format!("signal-cli answered: {why}"))
            }
        }
    }

    /// In words, for a person.
    pub(super) fn words(self) -> String {
        self.class().to_string()
    }

    /// As the end of a send. What may have left for anybody is never `NotSent`.
    pub(super) fn of_send(self) -> Result<String, SendFailure> {
        match self {
            Self::NotSent(why) => Err(SendFailure::NotSent(ChannelError::Transient(format!(
                "signal-cli cannot be reached: {why}"
            )))),
            Self::Lost(why) => Err(SendFailure::Unknown(format!(
                "no answer of signal-cli came: {why}"
            ))),
            Self::Answered {
                code,
                why,
                results,
                timestamp,
            } => of_answer(code, &why, &results, timestamp),
        }
    }
}

/// What became of a message by the words of its answer: one that reached somebody in a group was sent.
fn of_answer(
    code: i64,
    why: &str,
    results: &[Value],
    timestamp: Option<u64>,
) -> Result<String, SendFailure> {
    let kinds = || results.iter().filter_map(|row| row["type"].as_str());
    if let (true, Some(timestamp)) = (kinds().any(|kind| kind == "SUCCESS"), timestamp) {
        tracing::warn!(why, "a message of Signal did not reach everybody");
        return Ok(timestamp.to_string());
    }
    let limited = kinds().any(|kind| matches!(kind, "RATE_LIMIT_FAILURE"));
    let proof = kinds().any(|kind| kind == "PROOF_REQUIRED_FAILURE")
        || results.iter().any(|row| row["token"].is_string());
    // In a group it may have left for others, of whom nobody knows; they must not get it twice.
    let certain = kinds().all(|kind| STAYED.contains(&kind));
    if certain && (code == LIMITED || limited || proof) {
        let after = results
            .iter()
            .filter_map(|row| row["retryAfterSeconds"].as_u64());
        let delay = after.max().filter(|seconds| *seconds > 0);
        let words = if proof {
            "Signal asks for a captcha before it sends more: signal-cli submitRateLimitChallenge"
        } else {
            "Signal wants fewer messages"
        };
        return Err(SendFailure::NotSent(ChannelError::RateLimited {
            delay: delay.map_or(UNSAID, Duration::from_secs),
            why: words.into(),
        }));
    }
    if certain && kinds().any(|kind| kind == "UNREGISTERED_FAILURE") {
        return Err(SendFailure::Refused("they are not on Signal".into()));
    }
    if certain && (code == UNTRUSTED || kinds().any(|kind| kind == "IDENTITY_FAILURE")) {
        return Err(SendFailure::Refused(
            "their safety number changed, so Signal sends nothing until you trust the new one: signal-cli trust".into(),
        ));
    }
    let is_ours = code == USER || (-32_700..=-32_600).contains(&code) && code != -32_603;
    if is_ours && results.is_empty() {
        return Err(SendFailure::Refused(format!("signal-cli answered: {why}")));
    }
    Err(SendFailure::Unknown(format!("signal-cli answered: {why}")))
}

/// Whether these words of signal-cli say that the account is none of its own, or none any more.
pub(super) fn is_unlinked(why: &str) -> bool {
    let why = why.to_lowercase();
    [
        "specified account does not exist",
        "not registered",
        "requires valid account parameter",
        "authorization failed",
        "authorizationfailed",
    ]
    .iter()
    .any(|words| why.contains(words))
}

/// What an account that is not linked is told first.
const NO_ACCOUNT: &str = "signal-cli has no such account";

/// What is said where the account is not linked.
pub(super) fn unlinked(why: &str) -> ChannelError {
    ChannelError::Auth(format!(
        "{NO_ACCOUNT} ({why}); link it with your phone: openclaw channels login signal"
    ))
}

/// Whether that is what is missing.
pub(super) fn is_not_linked(error: &ChannelError) -> bool {
    matches!(error, ChannelError::Auth(why) if why.starts_with(NO_ACCOUNT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(error: &Value) -> Result<String, SendFailure> {
        answered(error).of_send()
    }

    fn failed(code: i64, kinds: &[&str]) -> Value {
        let results: Vec<Value> = kinds.iter().map(|kind| json!({ "type": kind })).collect();
        json!({ "code": code, "message": "Failed to send message",
            "data": { "response": { "results": results, "timestamp": 7 } } })
    }

    #[test]
    fn only_what_certainly_did_not_leave_is_tried_again() {
        assert_eq!(
            end(&failed(-3, &["SUCCESS", "NETWORK_FAILURE"])),
            Ok("7".into())
        );
        let unknown = end(&failed(-3, &["NETWORK_FAILURE"]));
        assert!(
            matches!(unknown, Err(SendFailure::Unknown(_))),
            "{unknown:?}"
        );
        for refused in [
            failed(-1, &["UNREGISTERED_FAILURE"]),
            failed(-4, &["IDENTITY_FAILURE"]),
            json!({ "code": -32_602, "message": "Specified account does not exist" }),
            json!({ "code": -1, "message": "Invalid group id" }),
        ] {
            let end = end(&refused);
            assert!(
                matches!(end, Err(SendFailure::Refused(_))),
                "{refused}: {end:?}"
            );
        }
        let inner = json!({ "code": -32_603, "message": "Internal error" });
        assert!(matches!(end(&inner), Err(SendFailure::Unknown(_))));
        let mut limited = failed(-5, &["RATE_LIMIT_FAILURE"]);
        limited["data"]["response"]["results"][0]["retryAfterSeconds"] = 40.into();
        let Err(SendFailure::NotSent(ChannelError::RateLimited { delay, .. })) = end(&limited)
        else {
            panic!("it is tried again later")
        };
        assert_eq!(delay, Duration::from_secs(40));
        // For one of a group it did not leave, for another one it may have.
        for kind in [
            "RATE_LIMIT_FAILURE",
            "UNREGISTERED_FAILURE",
            "IDENTITY_FAILURE",
        ] {
            let mixed = end(&failed(-5, &[kind, "NETWORK_FAILURE"]));
            assert!(matches!(mixed, Err(SendFailure::Unknown(_))), "{mixed:?}");
        }
    }
}
