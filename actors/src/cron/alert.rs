//! Who is told that a job fails again and again, and when. Pure.
//!
//! Failures with one cause are one incident: it is told once, and its end is told once. Another cause is told again
//! after a while.

use std::time::Duration;

use openclaw_protocol::methods::cron::{
    AlertMode, CronAlert, CronDestination, CronFailureAlert, CronStatusName, DeliveryMode,
};
use serde::{Deserialize, Serialize};

use super::job::{Definition, Job, Outcome};
use crate::clock::Millis;

/// How many failures in a row are told, where nobody says.
const AFTER: u64 = 2;
/// How long another cause waits, where nobody says.
const COOLDOWN: Duration = Duration::from_hours(1);
/// Longest cause that is kept, characters.
const MAX_CAUSE: usize = 200;

/// The rules for all jobs (`cron.failureAlert`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertSettings {
    /// Whether they hold for jobs without rules of their own; `None` where only a job's own recipient is told.
    pub enabled: Option<bool>,
    /// The rules.
    pub rules: CronFailureAlert,
}

/// An incident that somebody was told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alerted {
    /// When.
    pub at: Millis,
    /// Its cause.
    pub cause: String,
}

/// Where a notice goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// To a web address.
    Webhook(String),
    /// To a chat, or the main conversation.
    Chat {
        /// The channel.
        channel: Option<String>,
        /// The recipient.
        to: Option<String>,
        /// The account that sends.
        account: Option<String>,
    },
}

/// What somebody is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Where.
    pub route: Route,
    /// How often it failed in a row; none where it runs again.
    pub failures: Option<u64>,
    /// The error.
    pub error: Option<String>,
}

impl Notice {
    /// The text for people. What went wrong may hold what only the owner may see, so it stays in the history.
    pub fn text(&self, name: &str) -> String {
        match self.failures {
            Some(times) => format!(
                "The job \"{name}\" failed {times} times in a row. Why: openclaw cron runs \"{name}\""
            ),
            None => format!("The job \"{name}\" runs again."),
        }
    }
}

/// What a run's end means for who is told; `job` is as it was, with its failures counted. The incident that is
/// open from now on is written into it.
pub fn judge(
    job: &mut Job,
    outcome: &Outcome,
    settings: &AlertSettings,
    now: Millis,
) -> Option<Notice> {
    let rules = rules(&job.definition, settings)?;
    match outcome.status {
        CronStatusName::Ok => job.alerted.take().map(|_| Notice {
            route: rules.route,
            failures: None,
            error: None,
        }),
        CronStatusName::Skipped => None,
        CronStatusName::Error => {
            let cause = cause(outcome.error.as_deref().unwrap_or_default());
            let told = job.alerted.as_ref();
            let again =
                told.is_none_or(|told| told.cause != cause && now.since(told.at) >= rules.cooldown);
            if job.errors < rules.after || !again {
                return None;
            }
            job.alerted = Some(Alerted { at: now, cause });
            Some(Notice {
                route: rules.route,
                failures: Some(job.errors),
                error: outcome.error.clone(),
            })
        }
    }
}

struct Rules {
    route: Route,
    after: u64,
    cooldown: Duration,
}

/// The rules that hold for a job: its own, else those for all, else those of whoever gets its answers.
fn rules(definition: &Definition, settings: &AlertSettings) -> Option<Rules> {
    let own = match &definition.failure_alert {
        Some(CronAlert::Off(_)) => return None,
        Some(CronAlert::On(own)) => Some(own),
        None => None,
    };
    let delivery = definition.delivery.as_ref();
    if own.is_none() {
        if settings.enabled == Some(false) {
            return None;
        }
        let quiet = delivery.is_some_and(|delivery| delivery.best_effort == Some(true));
        let announces = delivery.is_some_and(|delivery| {
            delivery.mode == DeliveryMode::Announce || delivery.failure_destination.is_some()
        });
        if quiet || (settings.enabled.is_none() && !announces) {
            return None;
        }
    }
    let common = &settings.rules;
    let own = own.cloned().unwrap_or_default();
    Some(Rules {
        route: route(definition, &own, common),
        after: own.after.or(common.after).unwrap_or(AFTER),
        cooldown: own
            .cooldown_ms
            .or(common.cooldown_ms)
            .map_or(COOLDOWN, Duration::from_millis),
    })
}

/// The job's own words win over those of its delivery, which win over those for all; without any, whoever gets its
/// answers is told.
fn route(definition: &Definition, own: &CronFailureAlert, common: &CronFailureAlert) -> Route {
    let destination = |rules: &CronFailureAlert| CronDestination {
        channel: rules.channel.clone(),
        to: rules.to.clone(),
        account_id: rules.account_id.clone(),
        mode: rules.mode,
    };
    let delivery = definition.delivery.clone().unwrap_or_default();
    let levels = [
        destination(own),
        delivery.failure_destination.clone().unwrap_or_default(),
        destination(common),
    ];
    let named = levels
        .iter()
        .any(|level| level.to.is_some() || level.channel.is_some());
    let first = |field: fn(&CronDestination) -> Option<String>| levels.iter().find_map(field);
    let mode = levels.iter().find_map(|level| level.mode);
    if mode == Some(AlertMode::Webhook)
        && let Some(to) = first(|level| level.to.clone())
    {
        return Route::Webhook(to);
    }
    if !named && delivery.mode == DeliveryMode::Announce {
        return Route::Chat {
            channel: delivery.channel,
            to: delivery.to,
            account: delivery.account_id,
        };
    }
    Route::Chat {
        channel: first(|level| level.channel.clone()),
        to: first(|level| level.to.clone()),
        account: first(|level| level.account_id.clone()),
    }
}

/// An error without its numbers, which are others each time.
fn cause(error: &str) -> String {
    let letters = error.chars().filter(|c| !c.is_ascii_digit());
    letters.take(MAX_CAUSE).collect()
}

#[cfg(test)]
mod tests {
    use openclaw_protocol::methods::cron::CronDelivery;

    use super::*;

    fn job(delivery: Option<CronDelivery>, own: Option<CronAlert>) -> Job {
        Job {
            definition: Definition {
                delivery,
                failure_alert: own,
                ..Definition::default()
            },
            ..Job::default()
        }
    }

    fn announce() -> CronDelivery {
        CronDelivery {
            mode: DeliveryMode::Announce,
            channel: Some("telegram".into()),
            to: Some("1".into()),
            ..CronDelivery::default()
        }
    }

    fn end(
        job: &mut Job,
        error: Option<&str>,
        settings: &AlertSettings,
        minute: i64,
    ) -> Option<Notice> {
        let mut outcome = Outcome::failed(error.unwrap_or_default());
        if error.is_none() {
            outcome.status = CronStatusName::Ok;
            outcome.error = None;
        }
        job.errors = if error.is_some() { job.errors + 1 } else { 0 };
        judge(job, &outcome, settings, Millis(minute * 60_000))
    }

    #[test]
    fn an_incident_is_told_once_and_so_is_its_end() {
        let settings = AlertSettings::default();
        let mut job = job(Some(announce()), None);
        assert_eq!(
            end(&mut job, Some("took 1 s"), &settings, 0),
            None,
            "once is no pattern"
        );
        let notice = end(&mut job, Some("took 2 s"), &settings, 1).unwrap();
        assert_eq!(notice.failures, Some(2));
        assert!(matches!(notice.route, Route::Chat { to: Some(to), .. } if to == "1"));
        assert_eq!(
            end(&mut job, Some("took 3 s"), &settings, 200),
            None,
            "the same cause"
        );
        assert_eq!(
            end(&mut job, Some("no disk"), &settings, 30),
            None,
            "too soon"
        );
        assert!(
            end(&mut job, Some("no disk"), &settings, 90).is_some(),
            "another cause, an hour later"
        );
        assert_eq!(end(&mut job, None, &settings, 91).unwrap().failures, None);
        assert_eq!(end(&mut job, None, &settings, 92), None);
    }

    #[test]
    fn nobody_is_told_where_nobody_asked_and_the_nearest_word_wins() {
        let settings = AlertSettings::default();
        let mut quiet = job(None, None);
        for minute in 0..5 {
            assert_eq!(end(&mut quiet, Some("x"), &settings, minute), None);
        }
        let mut off = job(Some(announce()), Some(CronAlert::Off(false)));
        off.errors = 9;
        assert_eq!(end(&mut off, Some("x"), &settings, 1), None);
        let own = CronFailureAlert {
            after: Some(1),
            mode: Some(AlertMode::Webhook),
            to: Some("https://example.org/own".into()),
            ..CronFailureAlert::default()
        };
        let common = AlertSettings {
            enabled: Some(false),
            rules: CronFailureAlert {
                to: Some("9".into()),
                channel: Some("irc".into()),
                ..CronFailureAlert::default()
            },
        };
        let mut told = job(Some(announce()), Some(CronAlert::On(own)));
        let notice = end(&mut told, Some("x"), &common, 1).unwrap();
        assert_eq!(
            notice.route,
            Route::Webhook("https://example.org/own".into())
        );
        let mut inherits = job(None, None);
        inherits.errors = 1;
        let on = AlertSettings {
            enabled: Some(true),
            ..common
        };
        let notice = end(&mut inherits, Some("sk-secret"), &on, 1).unwrap();
        assert!(
            matches!(&notice.route, Route::Chat { channel: Some(channel), .. } if channel == "irc")
        );
        assert!(
            !notice.text("Inbox").contains("sk-secret"),
            "what failed may be secret"
        );
    }
}
