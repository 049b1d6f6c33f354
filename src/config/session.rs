//! `session`: how conversations map to sessions.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cron::Cron;
use super::error::Issue;
use super::heartbeat::interval;

/// `session`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Session {
    /// Whether everyone shares one session.
    pub scope: SessionScope,
    /// The last part of an agent's main session key.
    pub main_key: String,
    /// How direct conversations are grouped.
    pub dm_scope: DmScope,
    /// How group conversations are grouped.
    pub group_scope: GroupScope,
    /// One person's peers on several channels.
    pub identity_links: BTreeMap<String, Vec<String>>,
    /// When a session begins anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset: Option<Reset>,
    /// The same, by kind of conversation.
    pub reset_by_type: BTreeMap<String, Reset>,
    /// The same, by channel.
    pub reset_by_channel: BTreeMap<String, Reset>,
    /// Messages that begin a session anew.
    pub reset_triggers: Vec<String>,
    /// Older form of `reset.idleMinutes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub idle_minutes: Option<u64>,
    /// How long conversations stay that programs began for one request.
    pub maintenance: Maintenance,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            scope: SessionScope::PerSender,
            main_key: "main".to_owned(),
            dm_scope: DmScope::Main,
            group_scope: GroupScope::PerGroup,
            identity_links: BTreeMap::new(),
            reset: None,
            reset_by_type: BTreeMap::new(),
            reset_by_channel: BTreeMap::new(),
            reset_triggers: vec!["/new".to_owned(), "/reset".to_owned()],
            idle_minutes: None,
            maintenance: Maintenance::default(),
        }
    }
}

/// `session.maintenance`. Other gateways apply it to every conversation; here those of people stay
/// until they are deleted.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Maintenance {
    /// Whether anything is deleted at all.
    pub mode: MaintenanceMode,
    /// How long one stays in which nothing happens, such as `30d` or `12h`; a number is days, `false` is
    /// for ever.
    pub prune_after: Age,
    /// Most of them; the oldest go.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_entries: u32,
}

impl Default for Maintenance {
    fn default() -> Self {
        Self {
            mode: MaintenanceMode::Enforce,
            prune_after: Age::For("30d".to_owned()),
            max_entries: 500,
        }
    }
}

/// `session.maintenance.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MaintenanceMode {
    /// They go.
    Enforce,
    /// They stay.
    Warn,
}

/// How long something stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Age {
    /// A number with a unit, such as `30d`.
    For(String),
    /// Days.
    Days(#[schemars(range(max = 36_500))] u32),
    /// `false`: for ever.
    Switch(bool),
}

impl Age {
    /// How long; `None` for ever.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn duration(&self) -> Result<Option<Duration>, &'static str> {
        match self {
            Self::For(text) => interval(text)
                .filter(|age| !age.is_zero())
                .map(Some)
                .ok_or("is not a time such as \"24h\" or \"30d\"; false keeps them for ever"),
            Self::Days(0) | Self::Switch(true) => {
                Err("must be a time such as \"24h\" or \"30d\", or false to keep them for ever")
            }
            Self::Days(days) => Ok(Some(Duration::from_hours(u64::from(*days) * 24))),
            Self::Switch(false) => Ok(None),
        }
    }
}

/// Adds what is wrong with how long conversations stay.
pub(super) fn check(session: &Session, cron: &Cron, issues: &mut Vec<Issue>) {
    let ages = [
        (
            "session.maintenance.pruneAfter",
            &session.maintenance.prune_after,
        ),
        ("cron.sessionRetention", &cron.session_retention),
    ];
    for (place, age) in ages {
        if let Err(wrong) = age.duration() {
            issues.push(Issue::new(place, wrong));
        }
    }
}

/// `session.scope`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SessionScope {
    /// Each sender has a session.
    PerSender,
    /// All share one.
    Global,
}

/// `session.dmScope`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DmScope {
    /// All direct conversations share the main session.
    Main,
    /// One per person, over all channels.
    PerPeer,
    /// One per channel and person.
    PerChannelPeer,
    /// One per account, channel and person.
    PerAccountChannelPeer,
}

/// `session.groupScope`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GroupScope {
    /// All group conversations share the main session.
    Main,
    /// Each has its own.
    PerGroup,
}

/// When a session begins anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Reset {
    /// The rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<ResetMode>,
    /// The local hour of the daily reset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 23))]
    pub at_hour: Option<u8>,
    /// The quiet time of the idle reset, in minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub idle_minutes: Option<u64>,
}

/// `session.reset.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ResetMode {
    /// Never by itself.
    None,
    /// Every day at `atHour`.
    Daily,
    /// After `idleMinutes` of quiet.
    Idle,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_times_days_or_for_ever() {
        let age = |json5: &str| json5::from_str::<Age>(json5).unwrap().duration();
        assert_eq!(age("'24h'"), Ok(Some(Duration::from_hours(24))));
        assert_eq!(age("30"), Ok(Some(Duration::from_hours(720))));
        assert_eq!(age("false"), Ok(None));
        for wrong in ["''", "'soon'", "0", "'0d'", "true"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_age_is_named_with_its_place() {
        let session = Session {
            maintenance: json5::from_str("{ pruneAfter: 'soon' }").unwrap(),
            ..Session::default()
        };
        let cron = json5::from_str("{ sessionRetention: true }").unwrap();
        let mut issues = Vec::new();
        check(&session, &cron, &mut issues);
        let told: Vec<String> = issues.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 2);
        assert!(
            told[0].starts_with("session.maintenance.pruneAfter"),
            "{told:?}"
        );
        assert!(told[1].contains("cron.sessionRetention"), "{told:?}");
    }
}
