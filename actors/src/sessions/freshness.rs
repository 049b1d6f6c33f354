//! When a conversation begins anew by itself (`session.reset*`). Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use crate::clock::Millis;

/// When a conversation is over. With both limits, the one that comes first counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResetRule {
    /// The local hour at which every conversation of the day before is over.
    pub daily_at: Option<u8>,
    /// The quiet time after which it is.
    pub idle: Option<Duration>,
}

/// The rules of a configuration: a channel's wins over that of a kind of conversation, which wins over
/// the general one.
#[derive(Debug, Clone)]
pub struct ResetRules {
    /// For all others.
    pub general: ResetRule,
    /// By kind: `direct`, `group`, `thread`.
    pub by_kind: BTreeMap<String, ResetRule>,
    /// By channel.
    pub by_channel: BTreeMap<String, ResetRule>,
    /// Where it is `daily_at`.
    pub zone: TimeZone,
}

impl Default for ResetRules {
    fn default() -> Self {
        Self {
            general: ResetRule::default(),
            by_kind: BTreeMap::new(),
            by_channel: BTreeMap::new(),
            zone: TimeZone::UTC,
        }
    }
}

impl ResetRules {
    /// The rule of a session by its canonical key, `agent:<agent>:<channel>:<kind>:<peer>` or another.
    pub fn of(&self, key: &str) -> ResetRule {
        let rest = key.splitn(3, ':').nth(2).unwrap_or_default();
        let mut parts = rest.split(':');
        let channel = parts.next().unwrap_or_default();
        let in_thread = rest.contains(":thread:") || rest.contains(":topic:");
        let kind = match parts.find(|part| matches!(*part, "group" | "channel")) {
            _ if in_thread => "thread",
            Some(_) => "group",
            None => "direct",
        };
        let own = self.by_channel.get(channel);
        *own.or_else(|| self.by_kind.get(kind))
            .unwrap_or(&self.general)
    }

    /// Whether a conversation that began at `began` and was last heard of at `active` is over.
    pub fn is_over(&self, rule: ResetRule, began: Millis, active: Millis, now: Millis) -> bool {
        let idle = rule.idle.is_some_and(|limit| now.since(active) >= limit);
        let daily = rule
            .daily_at
            .and_then(|hour| self.last_at(hour, now))
            .is_some_and(|reset| began < reset);
        idle || daily
    }

    /// The last time before `now` that it was `hour` o'clock. Where a change of the clock skips that
    /// hour, the time that follows the gap.
    fn last_at(&self, hour: u8, now: Millis) -> Option<Millis> {
        let local = Timestamp::from_millisecond(now.get())
            .ok()?
            .to_zoned(self.zone.clone());
        let at = |day: jiff::civil::Date| {
            let time = day.at(i8::try_from(hour).ok()?, 0, 0, 0);
            let zoned = time.to_zoned(self.zone.clone()).ok()?;
            Some(Millis(zoned.timestamp().as_millisecond()))
        };
        let today = at(local.date())?;
        if today <= now {
            return Some(today);
        }
        at(local.date().checked_sub(1.day()).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> Millis {
        Millis(time.parse::<Timestamp>().unwrap().as_millisecond())
    }

    fn rules(general: ResetRule, zone: &str) -> ResetRules {
        ResetRules {
            general,
            zone: TimeZone::get(zone).unwrap(),
            ..ResetRules::default()
        }
    }

    #[test]
    fn a_day_ends_at_its_local_hour() {
        let rule = ResetRule {
            daily_at: Some(4),
            idle: None,
        };
        let rules = rules(rule, "Europe/Berlin");
        let over = |began, now| rules.is_over(rule, at(began), at(began), at(now));
        // Summer: four o'clock is two o'clock UTC.
        assert!(!over("2026-07-01T01:59:00Z", "2026-07-01T01:59:59Z"));
        assert!(over("2026-07-01T01:59:00Z", "2026-07-01T02:00:00Z"));
        assert!(!over("2026-07-01T02:00:00Z", "2026-07-01T23:00:00Z"));
        assert!(over("2026-07-01T02:00:00Z", "2026-07-02T02:00:00Z"));
        // Winter: three o'clock UTC.
        assert!(!over("2026-12-01T03:00:00Z", "2026-12-02T02:59:59Z"));
        assert!(over("2026-12-01T03:00:00Z", "2026-12-02T03:00:00Z"));
    }

    #[test]
    fn quiet_ends_a_conversation_whichever_limit_comes_first() {
        let rule = ResetRule {
            daily_at: Some(4),
            idle: Some(Duration::from_mins(30)),
        };
        let rules = rules(rule, "UTC");
        let over =
            |active, now| rules.is_over(rule, at("2026-07-01T05:00:00Z"), at(active), at(now));
        assert!(!over("2026-07-01T10:00:00Z", "2026-07-01T10:29:59Z"));
        assert!(over("2026-07-01T10:00:00Z", "2026-07-01T10:30:00Z"));
        assert!(over("2026-07-02T03:59:00Z", "2026-07-02T04:00:00Z"));
        // A clock that went back ends nothing.
        assert!(!over("2026-07-01T10:00:00Z", "2026-07-01T09:00:00Z"));
    }

    #[test]
    fn the_nearest_rule_counts() {
        let idle = |minutes| ResetRule {
            daily_at: None,
            idle: Some(Duration::from_mins(minutes)),
        };
        let mut rules = rules(idle(1), "UTC");
        rules.by_kind.insert("group".into(), idle(2));
        rules.by_kind.insert("thread".into(), idle(3));
        rules.by_channel.insert("discord".into(), idle(4));
        for (key, minutes) in [
            ("agent:main:main", 1),
            ("agent:main:dashboard:1f", 1),
            ("agent:main:telegram:direct:7", 1),
            ("agent:main:telegram:group:7", 2),
            ("agent:main:slack:channel:7", 2),
            ("agent:main:telegram:group:7:topic:9", 3),
            ("agent:main:discord:group:7", 4),
        ] {
            assert_eq!(rules.of(key), idle(minutes), "{key}");
        }
    }
}
