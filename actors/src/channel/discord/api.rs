//! One request to the REST API, within the platform's limits.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::time::Instant;

use crate::channel::files::Form;
use crate::channel::request::{Failed, whole};
use crate::channel::{ChannelError, SendFailure};

/// Largest answer, bytes.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// Where the platform wants to be left alone and does not say for how long.
const UNSAID: Duration = Duration::from_secs(5);
/// A wait for a limit that is worth making within a request.
const SHORT: Duration = Duration::from_secs(3);
/// Most places whose limits are remembered.
const MAX_LIMITS: usize = 500;

/// What is done with a path.
#[derive(Debug, Clone, Copy)]
pub(super) enum Method {
    /// It is read.
    Get,
    /// Something is made there.
    Post,
    /// It is there from now on.
    Put,
    /// It changes.
    Patch,
    /// It goes.
    Delete,
}

/// The API of one bot.
#[derive(Clone)]
pub(super) struct Api {
    http: reqwest::Client,
    root: String,
    token: SecretString,
    /// How long a request may take.
    limit: Duration,
    /// Paths that may not be asked before then; the empty one is all of them.
    limits: Rc<RefCell<BTreeMap<String, Instant>>>,
}

/// Why a request gave nothing. No text of it holds the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ApiError {
    /// Nothing left for the platform.
    NotSent(String),
    /// It left, and no answer came.
    Lost(String),
    /// The platform wants to be left alone.
    Limited(Duration),
    /// The platform said no.
    Answered {
        /// The status.
        status: u16,
        /// In its words, with its own number.
        why: String,
    },
}

impl Api {
    pub(super) fn new(
        http: reqwest::Client,
        root: &str,
        token: &SecretString,
        limit: Duration,
    ) -> Self {
        Self {
            http,
            root: format!("{}/v10", root.trim_end_matches('/')),
            token: token.clone(),
            limit,
            limits: Rc::default(),
        }
    }

    /// The token, for the gateway.
    pub(super) const fn token(&self) -> &SecretString {
        &self.token
    }

    /// How long a request may take.
    pub(super) const fn limit(&self) -> Duration {
        self.limit
    }

    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ApiError> {
        let body = body.map(|body| ("application/json".to_owned(), body.to_string().into()));
        self.ask(method, path, body, self.limit).await
    }

    /// Posts a form with a file.
    pub(super) async fn upload(&self, path: &str, form: Form) -> Result<Value, ApiError> {
        let limit = self.limit * 2;
        self.ask(Method::Post, path, Some(form.finish()), limit)
            .await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<(String, Bytes)>,
        limit: Duration,
    ) -> Result<Value, ApiError> {
        self.room(path).await?;
        let url = format!("{}{path}", self.root);
        let mut request = match method {
            Method::Get => self.http.get(url),
            Method::Post => self.http.post(url),
            Method::Put => self.http.put(url),
            Method::Patch => self.http.patch(url),
            Method::Delete => self.http.delete(url),
        };
        if let Some((kind, body)) = body {
            request = request.header("content-type", kind).body(body);
        } else if matches!(method, Method::Post | Method::Put) {
            request = request.header("content-length", "0");
        }
        let request = request
            .header(
                "authorization",
                format!("Bot {}", self.token.expose_secret()),
            )
            .header("user-agent", "DiscordBot (openclaw, 1)")
            .timeout(limit);
        let response = request.send().await.map_err(Failed::from)?;
        let status = response.status().as_u16();
        self.note(path, response.headers());
        let text = whole(response, MAX_ANSWER).await?;
        let answer: Value = serde_json::from_slice(&text).unwrap_or_default();
        match status {
            200..300 => Ok(answer),
            429 => {
                let after = answer.get("retry_after").and_then(Value::as_f64);
                let delay = after.map_or(UNSAID, seconds);
                let everywhere = answer.get("global").and_then(Value::as_bool) == Some(true);
                self.hold(if everywhere { "" } else { path }, delay);
                Err(ApiError::Limited(delay))
            }
            status => {
                let words = answer.get("message").and_then(Value::as_str);
                let number = answer
                    .get("code")
                    .and_then(Value::as_i64)
                    .unwrap_or_default();
                let words = words.unwrap_or("no reason given");
                Err(ApiError::Answered {
                    status,
                    why: format!("{words} ({status}, {number})"),
                })
            }
        }
    }

    /// The bytes of a file that came with a message, no more than so many. Its address proves itself, so
    /// the token stays here.
    pub(super) async fn download(&self, url: &str, most: usize) -> Result<Vec<u8>, String> {
        if !url.starts_with("https://") {
            return Err("Discord does not say where it is".into());
        }
        let response = self.http.get(url).timeout(self.limit).send().await;
        let response = response.map_err(|error| Failed::from(error).why())?;
        if !response.status().is_success() {
            return Err(format!(
                "Discord answered {} (its address is valid for a day)",
                response.status().as_u16()
            ));
        }
        whole(response, most).await.map_err(Failed::why)
    }

    /// Waits until the path may be asked, where that is soon.
    async fn room(&self, path: &str) -> Result<(), ApiError> {
        let until = {
            let limits = self.limits.borrow();
            limits.get(path).max(limits.get("")).copied()
        };
        let now = Instant::now();
        let Some(until) = until.filter(|until| *until > now) else {
            return Ok(());
        };
        let wait = until - now;
        if wait > SHORT {
            return Err(ApiError::Limited(wait));
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// The last request that a path allowed was made.
    fn note(&self, path: &str, headers: &HeaderMap) {
        let number = |name: &str| headers.get(name)?.to_str().ok()?.parse::<f64>().ok();
        if number("x-ratelimit-remaining") == Some(0.0)
            && let Some(after) = number("x-ratelimit-reset-after")
        {
            self.hold(path, seconds(after));
        }
    }

    fn hold(&self, path: &str, delay: Duration) {
        let now = Instant::now();
        let mut limits = self.limits.borrow_mut();
        if limits.len() >= MAX_LIMITS {
            limits.retain(|_, until| *until > now);
        }
        limits.insert(path.to_owned(), now + delay);
    }
}

fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or(UNSAID)
}

impl From<Failed> for ApiError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::NotSent(why) => Self::NotSent(why),
            Failed::Lost(why) => Self::Lost(why),
        }
    }
}

/// What is said where the token is not known.
pub(super) fn unknown_token() -> ChannelError {
    ChannelError::Auth(
        "Discord does not know this bot token; set channels.discord.token (or DISCORD_BOT_TOKEN) to the one that the Developer Portal shows after Reset Token, then: openclaw channels start discord".into(),
    )
}

impl ApiError {
    /// As the end of a transport.
    pub(super) fn class(self) -> ChannelError {
        match self {
            Self::NotSent(why) => {
                ChannelError::Transient(format!("Discord cannot be reached: {why}"))
            }
            Self::Lost(why) => {
                ChannelError::Transient(format!("the connection to Discord failed: {why}"))
            }
            Self::Limited(delay) => ChannelError::RateLimited {
                delay,
                why: "Discord wants fewer requests".into(),
            },
            Self::Answered { status: 401, .. } => unknown_token(),
            Self::Answered { why, .. } => {
                ChannelError::Transient(format!("Discord answered: {why}"))
            }
        }
    }

    /// As the end of a send. Only what the platform refused before doing anything is `NotSent`.
    pub(super) fn of_send(self) -> SendFailure {
        match self {
            Self::Lost(why) => SendFailure::Unknown(format!("no answer of Discord came: {why}")),
            Self::Answered { status, why } if status >= 500 => {
                SendFailure::Unknown(format!("Discord answered: {why}"))
            }
            error @ (Self::NotSent(_) | Self::Limited(_) | Self::Answered { status: 401, .. }) => {
                SendFailure::NotSent(error.class())
            }
            Self::Answered { why, .. } => SendFailure::Refused(format!("Discord answered: {why}")),
        }
    }
}
