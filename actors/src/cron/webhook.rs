//! Ends of runs, posted to web addresses.
//!
//! Addresses of this host and its networks are refused unless the configuration names them: a job can be made by an
//! agent that read something on the web. Redirects are not followed. A receiver knows a post that comes again, after
//! a restart in between, by its `Idempotency-Key`.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use secrecy::{ExposeSecret as _, SecretString};

use crate::agent::tools::web::Client;

/// Longest wait for a receiver.
const LIMIT: Duration = Duration::from_secs(30);

/// What posts are judged by (`cron.webhookToken`, `cron.webhookSsrfPolicy`).
#[derive(Debug, Clone, Default)]
pub struct WebhookSettings {
    /// Sent as Bearer token.
    pub token: Option<SecretString>,
    /// Whether addresses of this host and its networks may be posted to.
    pub private: bool,
    /// Names and numbers that may be posted to, wherever they are.
    pub allowed: Vec<String>,
    /// Names that may not, with `*.` for all below one.
    pub blocked: Vec<String>,
}

impl WebhookSettings {
    /// Whether this address may be one of this host and its networks.
    ///
    /// # Errors
    ///
    /// Why it may not be posted to at all.
    fn judge(&self, to: &str) -> Result<bool, String> {
        let url = Url::parse(to.trim()).map_err(|_| "it is no web address".to_owned())?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it holds credentials; put them into cron.webhookToken".into());
        }
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let blocked = |name: &String| match name.strip_prefix("*.") {
            Some(above) => bare
                .strip_suffix(above)
                .is_some_and(|rest| rest.ends_with('.')),
            None => name.eq_ignore_ascii_case(bare),
        };
        if self.blocked.iter().any(blocked) {
            return Err("cron.webhookSsrfPolicy.blockedHostnames has it".into());
        }
        Ok(self.private
            || self
                .allowed
                .iter()
                .any(|name| name.eq_ignore_ascii_case(bare)))
    }
}

/// Why a post is not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct NotPosted {
    /// In words.
    pub text: String,
    /// Whether the receiver may have it all the same.
    pub may_have_left: bool,
}

/// Posts JSON.
///
/// # Errors
///
/// [`NotPosted`].
pub async fn post(
    to: &str,
    body: Vec<u8>,
    key: &str,
    settings: &WebhookSettings,
) -> Result<(), NotPosted> {
    let not = |text: String| NotPosted {
        text,
        may_have_left: false,
    };
    let refused = |why: String| not(format!("the webhook was not called: {why}"));
    let private = settings.judge(to).map_err(refused)?;
    let client = Client::for_posts(private).map_err(not)?;
    let request = client.post(to).map_err(|error| {
        refused(format!(
            "{error}; a receiver that you trust goes into cron.webhookSsrfPolicy.allowedHostnames"
        ))
    })?;
    let mut request = request
        .timeout(LIMIT)
        .header(CONTENT_TYPE, "application/json")
        .header("idempotency-key", key)
        .body(body);
    if let Some(token) = &settings.token {
        request = request.header(AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
    }
    match request.send().await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => {
            let status = answer.status().as_u16();
            Err(not(format!("the webhook answered {status}")))
        }
        Err(error) if error.is_connect() || error.is_builder() => Err(not(
            "the webhook cannot be reached; a receiver of this host or its networks has to be in cron.webhookSsrfPolicy.allowedHostnames".into(),
        )),
        Err(_) => Err(NotPosted {
            text: "the webhook did not answer in time; it may have it".into(),
            may_have_left: true,
        }),
    }
}
