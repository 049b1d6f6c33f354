//! One request to the Bot API.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::wire::Answer;
use crate::channel::files::Form;
use crate::channel::request::{Failed, whole};
use crate::channel::{ChannelError, SendFailure};

/// Largest answer, bytes.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// Where the platform wants to be left alone and does not say for how long.
const UNSAID: Duration = Duration::from_secs(5);

/// The Bot API of one bot.
#[derive(Clone)]
pub(super) struct Api {
    http: reqwest::Client,
    root: String,
    token: SecretString,
}

/// Why a request gave nothing. No text of it holds the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ApiError {
    /// Nothing left for the platform.
    NotSent(String),
    /// It left, and no answer came.
    Lost(String),
    /// The platform said no.
    Answered {
        /// The status.
        code: u16,
        /// In its words.
        description: String,
        /// When to come again, seconds.
        retry_after: Option<u64>,
    },
}

impl Api {
    pub(super) fn new(http: reqwest::Client, root: &str, token: &SecretString) -> Self {
        Self {
            http,
            root: root.trim_end_matches('/').to_owned(),
            token: token.clone(),
        }
    }

    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        body: &Value,
        limit: Duration,
    ) -> Result<T, ApiError> {
        let request = self.method(method).json(body).timeout(limit);
        Self::answer(method, request).await
    }

    /// The same with a file.
    pub(super) async fn upload<T: DeserializeOwned>(
        &self,
        method: &str,
        form: Form,
        limit: Duration,
    ) -> Result<T, ApiError> {
        let (kind, body) = form.finish();
        let request = self.method(method).header("content-type", kind).body(body);
        Self::answer(method, request.timeout(limit)).await
    }

    fn method(&self, method: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/bot{}/{method}", self.root, self.token.expose_secret());
        self.http.post(url)
    }

    async fn answer<T: DeserializeOwned>(
        method: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<T, ApiError> {
        let response = request.send().await.map_err(Failed::from)?;
        let status = response.status().as_u16();
        let text = whole(response, MAX_ANSWER).await?;
        match serde_json::from_slice::<Answer<T>>(&text) {
            Ok(Answer {
                ok: true,
                result: Some(result),
                ..
            }) => Ok(result),
            Ok(answer) if !answer.ok => Err(ApiError::Answered {
                code: answer.error_code.unwrap_or(status),
                description: answer.description.unwrap_or_default(),
                retry_after: answer.parameters.and_then(|more| more.retry_after),
            }),
            Ok(_) | Err(_) if (200..300).contains(&status) => Err(ApiError::Lost(format!(
                "{method} was answered with what is no answer of the Bot API"
            ))),
            Ok(_) | Err(_) => Err(ApiError::Answered {
                code: status,
                description: format!("HTTP {status} without a reason"),
                retry_after: None,
            }),
        }
    }
}

impl Api {
    /// The bytes of a file, no more than so many.
    pub(super) async fn download(
        &self,
        path: &str,
        most: usize,
        limit: Duration,
    ) -> Result<Vec<u8>, ApiError> {
        let token = self.token.expose_secret();
        let url = format!("{}/file/bot{token}/{path}", self.root);
        let request = self.http.get(url).timeout(limit);
        let response = request.send().await.map_err(Failed::from)?;
        let status = response.status();
        if !status.is_success() {
            return Err(ApiError::Answered {
                code: status.as_u16(),
                description: "the file is not there".into(),
                retry_after: None,
            });
        }
        Ok(whole(response, most).await?)
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

impl ApiError {
    /// As the end of a transport.
    fn class(self) -> ChannelError {
        match self {
            Self::NotSent(why) => ChannelError::Transient(format!("Telegram cannot be reached: {why}")),
            Self::Lost(why) => ChannelError::Transient(format!("the connection to Telegram failed: {why}")),
            Self::Answered { code: 401 | 404, .. } => ChannelError::Auth(
                "Telegram does not know this bot token; set channels.telegram.botToken (or TELEGRAM_BOT_TOKEN) to the token that @BotFather gives, then: openclaw channels start telegram".into(),
            ),
            Self::Answered { code: 409, description, .. } => ChannelError::Conflict(format!(
                "another program receives the messages of this bot; end it, or give each its own bot ({description})"
            )),
            Self::Answered { code: 429, description, retry_after } => ChannelError::RateLimited {
                delay: retry_after.map_or(UNSAID, Duration::from_secs),
                why: format!("Telegram wants fewer requests ({description})"),
            },
            Self::Answered { code, description, .. } => {
                ChannelError::Transient(format!("Telegram answered {code}: {description}"))
            }
        }
    }

    /// As the end of a send. Only what the platform refused before doing anything is `NotSent`.
    pub(super) fn of_send(self) -> SendFailure {
        match self {
            Self::Lost(why) => SendFailure::Unknown(format!("no answer of Telegram came: {why}")),
            Self::Answered {
                code, description, ..
            } if code >= 500 => {
                SendFailure::Unknown(format!("Telegram answered {code}: {description}"))
            }
            error @ (Self::NotSent(_)
            | Self::Answered {
                code: 401 | 429, ..
            }) => SendFailure::NotSent(error.class()),
            Self::Answered {
                code, description, ..
            } => SendFailure::Refused(format!("Telegram answered {code}: {description}")),
        }
    }
}

impl From<ApiError> for ChannelError {
    fn from(error: ApiError) -> Self {
        error.class()
    }
}
