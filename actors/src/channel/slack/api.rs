//! One request to the Web API.

use std::time::Duration;

use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::channel::request::{Failed, whole};
use crate::channel::{Attached, ChannelError, SendFailure};

/// Largest answer, bytes.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// Where the platform wants to be left alone and does not say for how long.
const UNSAID: u64 = 30;
/// Errors that say that a token is none, or none any more.
const UNKNOWN: &[&str] = &[
    "invalid_auth",
    "not_authed",
    "account_inactive",
    "token_revoked",
    "token_expired",
    "org_login_required",
    "team_access_not_granted",
    "not_allowed_token_type",
];
/// Errors that say that the app lacks a right. It may have others: what it may not do in one place says
/// nothing of the next.
const LACKING: &[&str] = &["no_permission", "missing_scope"];
/// Errors after which nobody can say whether something happened.
const UNSURE: &[&str] = &[
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
    "team_added_to_org",
];

/// The Web API of one app.
#[derive(Clone)]
pub(super) struct Api {
    http: reqwest::Client,
    root: String,
    /// How long a request may take.
    limit: Duration,
}

/// Why a request gave nothing. No text of it holds a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ApiError {
    /// Nothing left for the platform.
    NotSent(String),
    /// It left, and no answer came, or one that says nothing.
    Lost(String),
    /// The platform wants to be left alone.
    Limited(Duration),
    /// The app may not do that.
    Lacking(String),
    /// The platform said no.
    Refused(String),
}

impl Api {
    pub(super) fn new(http: reqwest::Client, root: &str, limit: Duration) -> Self {
        Self {
            http,
            root: root.trim_end_matches('/').to_owned(),
            limit,
        }
    }

    pub(super) async fn call(
        &self,
        token: &SecretString,
        method: &str,
        body: &Value,
    ) -> Result<Value, ApiError> {
        let kind = "application/json; charset=utf-8";
        self.ask(token, method, kind, body.to_string()).await
    }

    /// The same with a form, for methods that take no JSON.
    pub(super) async fn form(
        &self,
        token: &SecretString,
        method: &str,
        fields: &[(&str, &str)],
    ) -> Result<Value, ApiError> {
        let query = reqwest::Url::parse_with_params("http://x/", fields);
        let body = query.ok().and_then(|url| Some(url.query()?.to_owned()));
        let kind = "application/x-www-form-urlencoded";
        self.ask(token, method, kind, body.unwrap_or_default())
            .await
    }

    /// Hands the bytes of a file to the address that the platform gave for them, which proves itself.
    pub(super) async fn upload(&self, url: &str, bytes: Bytes) -> Result<(), ApiError> {
        if !serves(&self.root, url) {
            return Err(ApiError::Lost("Slack does not say where to".into()));
        }
        let request = self.http.post(url).body(bytes).timeout(self.limit * 2);
        let request = request.header("content-type", "application/octet-stream");
        let answer = request.send().await.map_err(Failed::from)?;
        if !answer.status().is_success() {
            let status = answer.status().as_u16();
            return Err(ApiError::Lost(format!("it answered {status}")));
        }
        Ok(())
    }

    async fn ask(
        &self,
        token: &SecretString,
        method: &str,
        kind: &str,
        body: String,
    ) -> Result<Value, ApiError> {
        let request = self
            .http
            .post(format!("{}/{method}", self.root))
            .bearer_auth(token.expose_secret())
            .header("content-type", kind)
            .body(body)
            .timeout(self.limit);
        let response = request.send().await.map_err(Failed::from)?;
        let status = response.status().as_u16();
        if status == 429 {
            let after = response.headers().get("retry-after");
            let after = after.and_then(|after| after.to_str().ok()?.trim().parse().ok());
            return Err(ApiError::Limited(Duration::from_secs(
                after.unwrap_or(UNSAID),
            )));
        }
        let text = whole(response, MAX_ANSWER).await?;
        let answer: Value = serde_json::from_slice(&text).unwrap_or_default();
        let error = answer.get("error").and_then(Value::as_str);
        match (answer.get("ok").and_then(Value::as_bool), error) {
            (Some(true), _) => Ok(answer),
            (Some(false), Some("ratelimited")) => {
                Err(ApiError::Limited(Duration::from_secs(UNSAID)))
            }
            (Some(false), Some(error)) if UNSURE.contains(&error) => {
                Err(ApiError::Lost(error.to_owned()))
            }
            (Some(false), Some(error)) if LACKING.contains(&error) => {
                let needed = answer.get("needed").and_then(Value::as_str);
                let needed = needed.map_or_else(String::new, |needed| format!(": {needed}"));
                Err(ApiError::Lacking(format!("{error}{needed}")))
            }
            (Some(false), Some(error)) => Err(ApiError::Refused(error.to_owned())),
            _ => Err(ApiError::Lost(format!("HTTP {status} without a reason"))),
        }
    }
}

impl Api {
    /// The bytes of a file, no more than so many.
    pub(super) async fn download(
        &self,
        token: &SecretString,
        file: &Attached,
        most: usize,
    ) -> Result<Vec<u8>, String> {
        if !serves(&self.root, &file.id) {
            return Err("Slack does not hand it on".into());
        }
        let request = self.http.get(&file.id).bearer_auth(token.expose_secret());
        let response = request.timeout(self.limit).send().await;
        let response = response.map_err(|error| Failed::from(error).why())?;
        let status = response.status();
        let kind = response.headers().get("content-type");
        let is_page = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        // Who may not read it is shown the page where people log in.
        if is_page && file.mime.as_deref() != Some("text/html") {
            return Err("the Slack app lacks the scope files:read".into());
        }
        if !status.is_success() {
            return Err(format!("Slack answered {}", status.as_u16()));
        }
        whole(response, most).await.map_err(Failed::why)
    }
}

fn lacking(error: &str) -> String {
    format!(
        "the Slack app may not do that ({error}); add the scope below OAuth & Permissions of your app at api.slack.com/apps, and install it again"
    )
}

/// Whether a file's address may be asked with the token: it is Slack's own.
pub(super) fn serves(root: &str, address: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(address) else {
        return false;
    };
    let host = url.host_str().unwrap_or_default();
    let is_slack = host == "slack.com" || host.ends_with(".slack.com");
    let own = reqwest::Url::parse(root).map(|own| own.origin());
    (is_slack && url.scheme() == "https") || own.is_ok_and(|own| own == url.origin())
}

impl From<Failed> for ApiError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::NotSent(why) => Self::NotSent(why),
            Failed::Lost(why) => Self::Lost(why),
        }
    }
}

impl ApiError {
    /// As the end of a transport; `key` is where the token is configured.
    pub(super) fn class(self, key: &str) -> ChannelError {
        match self {
            Self::NotSent(why) => {
                ChannelError::Transient(format!("Slack cannot be reached: {why}"))
            }
            Self::Lost(why) => {
                ChannelError::Transient(format!("the connection to Slack failed: {why}"))
            }
            Self::Limited(delay) => ChannelError::RateLimited {
                delay,
                why: "Slack wants fewer requests".into(),
            },
            Self::Refused(error) if UNKNOWN.contains(&error.as_str()) => {
                ChannelError::Auth(format!(
                    "Slack does not accept the token ({error}); set channels.slack.{key} to the one that api.slack.com/apps shows for your app, then: openclaw channels start slack"
                ))
            }
            Self::Lacking(error) => ChannelError::Auth(format!(
                "{}, then: openclaw channels start slack",
                lacking(&error)
            )),
            Self::Refused(error) => ChannelError::Transient(format!("Slack answered: {error}")),
        }
    }

    /// As the end of a send. Only what the platform refused before doing anything is `NotSent`.
    pub(super) fn of_send(self) -> SendFailure {
        match self {
            Self::Lost(why) => SendFailure::Unknown(format!("no answer of Slack came: {why}")),
            Self::Lacking(error) => SendFailure::Refused(lacking(&error)),
            Self::Refused(error) if !UNKNOWN.contains(&error.as_str()) => {
                SendFailure::Refused(format!("Slack answered: {error}"))
            }
            error => SendFailure::NotSent(error.class("botToken")),
        }
    }
}
