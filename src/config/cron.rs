//! `cron`: jobs that run by the clock.

use std::collections::BTreeMap;

use openclaw_actors::cron::alert::AlertSettings;
use openclaw_actors::cron::misfire::{Misfire, Misfires};
use openclaw_actors::cron::webhook::WebhookSettings;
use openclaw_protocol::methods::cron::{AlertMode, CronFailureAlert};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::session::Age;

/// `cron`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Cron {
    /// Whether they do; they can be listed and changed all the same.
    pub enabled: bool,
    /// How long the conversation of a job stays that will not run again, such as `24h`; `false` is for
    /// ever.
    pub session_retention: Age,
    /// Whether regular times that were missed are passed over, for jobs that `misfire` does not name.
    pub skip_missed_jobs: bool,
    /// What becomes of regular times that were missed, by id or name of the job.
    pub misfire: BTreeMap<String, MisfireRule>,
    /// Sent as Bearer token to the web addresses that jobs call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_token: Option<String>,
    /// Which web addresses of this host and its networks jobs may call.
    pub webhook_ssrf_policy: WebhookPolicy,
    /// Who is told that jobs fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_alert: Option<FailureAlert>,
}

impl Default for Cron {
    fn default() -> Self {
        Self {
            enabled: true,
            session_retention: Age::For("24h".to_owned()),
            skip_missed_jobs: false,
            misfire: BTreeMap::new(),
            webhook_token: None,
            webhook_ssrf_policy: WebhookPolicy::default(),
            failure_alert: None,
        }
    }
}

/// What becomes of times that were missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MisfireRule {
    /// They are passed over.
    Skip,
    /// One run makes up for all.
    Once,
    /// Each has its run, up to the last 24.
    All,
}

/// `cron.webhookSsrfPolicy`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct WebhookPolicy {
    /// Names and numbers that may be called, wherever they are.
    pub allowed_hostnames: Vec<String>,
    /// Names that may not, with `*.` for all below one.
    pub blocked_hostnames: Vec<String>,
    /// Whether all of this host and its networks may be called.
    pub dangerously_allow_private_network: bool,
}

/// `cron.failureAlert`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct FailureAlert {
    /// Whether it holds for jobs without rules of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// After so many failures in a row; 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub after: Option<u64>,
    /// How long another cause waits, milliseconds; an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 31_536_000_000_u64))]
    pub cooldown_ms: Option<u64>,
    /// Ignored: what was passed over is never told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_skipped: Option<bool>,
    /// In a chat, or by a post.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<AlertMode>,
    /// The channel; `last` and none are the main conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The recipient there, or the web address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The account that sends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
}

impl Cron {
    /// What becomes of times that were missed.
    pub fn misfires(&self) -> Misfires {
        let rule = |rule: &MisfireRule| match rule {
            MisfireRule::Skip => Misfire::Skip,
            MisfireRule::Once => Misfire::Once,
            MisfireRule::All => Misfire::All,
        };
        let named = self.misfire.iter();
        Misfires {
            usual: if self.skip_missed_jobs {
                Misfire::Skip
            } else {
                Misfire::Once
            },
            named: named.map(|(job, of)| (job.clone(), rule(of))).collect(),
        }
    }

    /// Who is told that jobs fail.
    pub fn alerts(&self) -> AlertSettings {
        let Some(alert) = &self.failure_alert else {
            return AlertSettings::default();
        };
        AlertSettings {
            // A rule that says anything says that it holds.
            enabled: Some(alert.enabled.unwrap_or(true)),
            rules: CronFailureAlert {
                after: alert.after,
                channel: alert.channel.clone(),
                to: alert.to.clone(),
                cooldown_ms: alert.cooldown_ms,
                include_skipped: alert.include_skipped,
                mode: alert.mode,
                account_id: alert.account_id.clone(),
            },
        }
    }

    /// What posts to web addresses are judged by.
    pub fn webhook(&self) -> WebhookSettings {
        let token = self
            .webhook_token
            .as_ref()
            .filter(|token| !token.trim().is_empty());
        WebhookSettings {
            token: token.map(|token| SecretString::from(token.clone())),
            private: self.webhook_ssrf_policy.dangerously_allow_private_network,
            allowed: self.webhook_ssrf_policy.allowed_hostnames.clone(),
            blocked: self.webhook_ssrf_policy.blocked_hostnames.clone(),
        }
    }
}
