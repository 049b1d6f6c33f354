//! `agents.defaults.heartbeat` and `heartbeat` of an agent: agents that look after things by themselves.
//!
//! As upstream has it: what an agent says goes before the defaults, and where any agent says something,
//! only those that do have a heartbeat. Where nothing is said at all, nobody has one: it costs money.

use std::time::Duration;

use jiff::tz::TimeZone;
use openclaw_actors::heartbeat::hours::{DAY, Hours, minute_of_day};
use openclaw_actors::heartbeat::state::{Plan, Target};
use openclaw_actors::heartbeat::{ACK_MAX_CHARS, EVERY, PROMPT};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::agents::{AgentEntry, Agents};
use super::error::Issue;

/// Shortest time between two.
const SHORTEST: Duration = Duration::from_mins(1);

/// When an agent looks after things by itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Heartbeat {
    /// How often, such as `30m` or `1h30m`; a bare number is minutes, `0m` is never. 30 minutes when
    /// unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<String>,
    /// The hours in which it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_hours: Option<ActiveHours>,
    /// What it is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Another model than the agent's: `provider/model`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Where its answer goes: `last` (the main conversation), `none`, or a channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Who gets it on that channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The account that sends it there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// With at most this many characters beside `HEARTBEAT_OK`, an answer is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100_000))]
    pub ack_max_chars: Option<u32>,
}

/// Some hours of every day.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ActiveHours {
    /// When they begin, such as `08:00`; the day's beginning when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// When they end, such as `22:00`; the day's end (`24:00`) when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// `user` (`agents.defaults.userTimezone`), `local`, or an IANA name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}

impl Heartbeat {
    fn over(&self, defaults: &Self) -> Self {
        let of = |own: &Option<String>, base: &Option<String>| own.clone().or_else(|| base.clone());
        Self {
            every: of(&self.every, &defaults.every),
            active_hours: self
                .active_hours
                .clone()
                .or_else(|| defaults.active_hours.clone()),
            prompt: of(&self.prompt, &defaults.prompt),
            model: of(&self.model, &defaults.model),
            target: of(&self.target, &defaults.target),
            to: of(&self.to, &defaults.to),
            account_id: of(&self.account_id, &defaults.account_id),
            ack_max_chars: self.ack_max_chars.or(defaults.ack_max_chars),
        }
    }

    /// What is meant; `None` where it is never. What is wrong comes with its place in the block.
    fn plan(self, agents: &Agents) -> Result<Option<Plan>, (&'static str, String)> {
        let every = match &self.every {
            None => EVERY,
            Some(text) => interval(text).ok_or_else(|| {
                let message = format!("{text:?} is not a time such as 30m or 1h30m");
                ("every", message)
            })?,
        };
        if every.is_zero() {
            return Ok(None);
        }
        if every < SHORTEST {
            return Err(("every", "must be a minute or more (or 0m for never)".into()));
        }
        let hours = self
            .active_hours
            .map(|hours| hours.read(agents.defaults.user_timezone.as_deref()))
            .transpose()?;
        let target = match self.target.as_deref() {
            None | Some("last") => Target::Main,
            Some("none") => Target::Nobody,
            Some(channel) => Target::Channel {
                channel: channel.to_owned(),
                to: self
                    .to
                    .ok_or_else(|| ("to", format!("is missing: say who gets it on {channel}")))?,
                account: self.account_id,
            },
        };
        let prompt = self.prompt.filter(|prompt| !prompt.trim().is_empty());
        Ok(Some(Plan {
            every,
            hours: hours.flatten(),
            prompt: prompt.unwrap_or_else(|| PROMPT.to_owned()),
            model: self
                .model
                .map(|model| agents.defaults.alias(&model).unwrap_or(model)),
            ack_max_chars: self.ack_max_chars.map_or(ACK_MAX_CHARS, |most| {
                usize::try_from(most).unwrap_or(ACK_MAX_CHARS)
            }),
            target,
        }))
    }
}

impl ActiveHours {
    fn read(self, user: Option<&str>) -> Result<Option<Hours>, (&'static str, String)> {
        let minute = |text: Option<&str>, place, unset| match text {
            None => Ok(unset),
            Some(text) => minute_of_day(text).ok_or_else(|| {
                (
                    place,
                    format!("{text:?} is not a time of day such as 08:30 or 24:00"),
                )
            }),
        };
        let start = minute(self.start.as_deref(), "activeHours.start", 0)?;
        let end = minute(self.end.as_deref(), "activeHours.end", DAY)?;
        if start == end {
            let message = "is the same as the start, so that it would never run; leave activeHours out for always";
            return Err(("activeHours.end", message.into()));
        }
        let named = match self.timezone.as_deref() {
            None | Some("user") => user,
            Some("local") => None,
            Some(name) => Some(name),
        };
        let zone = match named {
            None => TimeZone::system(),
            Some(name) => TimeZone::get(name).map_err(|_| {
                let message = format!("{name:?} is not a time zone such as Europe/Zurich");
                ("activeHours.timezone", message)
            })?,
        };
        Ok((start != 0 || end != DAY).then_some(Hours { start, end, zone }))
    }
}

/// Reads `30m`, `1h30m`, `90s`; a bare number is minutes.
pub(super) fn interval(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(minutes) = text.parse::<u32>() {
        return Some(Duration::from_mins(u64::from(minutes)));
    }
    let (mut rest, mut sum) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u32 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_mins(1),
            "h" => Duration::from_hours(1),
            "d" => Duration::from_hours(24),
            _ => return None,
        };
        rest = &rest[letters..];
        sum = sum.saturating_add(unit.saturating_mul(number));
    }
    (!text.is_empty()).then_some(sum)
}

impl Agents {
    /// The heartbeat of an agent; with what is wrong comes its place.
    fn heartbeat(&self, entry: &AgentEntry) -> Result<Option<Plan>, (&'static str, String)> {
        let any = self
            .all()
            .iter()
            .any(|(_, entry)| entry.heartbeat.is_some());
        let own = match (&entry.heartbeat, &self.defaults.heartbeat) {
            (Some(own), defaults) => own.over(&defaults.clone().unwrap_or_default()),
            (None, Some(defaults)) if !any => defaults.clone(),
            (None, _) => return Ok(None),
        };
        own.plan(self)
    }

    /// The heartbeat of an agent in a configuration that was checked. Where nobody says who has one, it
    /// is the default agent.
    pub fn heartbeat_of(&self, id: &str, entry: &AgentEntry) -> Option<Plan> {
        if entry.heartbeat.is_none() && id != self.default_id() {
            return None;
        }
        self.heartbeat(entry).ok().flatten()
    }
}

/// What is wrong with any heartbeat.
pub(super) fn check(agents: &Agents, issues: &mut Vec<Issue>) {
    let mut wrong = |place: &str, block: &Heartbeat| {
        let merged = block.over(&agents.defaults.heartbeat.clone().unwrap_or_default());
        if let Err((field, message)) = merged.plan(agents) {
            issues.push(Issue::new(format!("{place}.{field}"), message));
        }
    };
    if let Some(block) = &agents.defaults.heartbeat {
        wrong("agents.defaults.heartbeat", block);
    }
    for (index, entry) in agents.list.iter().enumerate() {
        if let Some(block) = &entry.heartbeat {
            wrong(&format!("agents.list[{index}].heartbeat"), block);
        }
    }
    for (id, entry) in &agents.entries {
        if let Some(block) = &entry.heartbeat {
            wrong(&format!("agents.entries.{id}.heartbeat"), block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agents(json5: &str) -> Agents {
        json5::from_str(json5).unwrap()
    }

    fn plan_of(agents: &Agents, id: &str) -> Option<Plan> {
        let all = agents.all();
        let (_, entry) = all.iter().find(|(known, _)| known == id).unwrap();
        agents.heartbeat_of(id, entry)
    }

    #[test]
    fn nobody_has_a_heartbeat_unless_it_is_asked_for() {
        let none = agents("{ list: [{ id: 'a' }, { id: 'b' }] }");
        assert_eq!((plan_of(&none, "a"), plan_of(&none, "b")), (None, None));
        let all = agents("{ defaults: { heartbeat: {} }, list: [{ id: 'a' }, { id: 'b' }] }");
        assert_eq!(plan_of(&all, "a").unwrap().every, EVERY);
        assert_eq!(plan_of(&all, "b"), None);
        let some = agents(
            "{ defaults: { heartbeat: { every: '2h', target: 'none' } },
               list: [{ id: 'a' }, { id: 'b', heartbeat: { every: '1h30m' } }, { id: 'c', heartbeat: { every: '0m' } }] }",
        );
        assert_eq!((plan_of(&some, "a"), plan_of(&some, "c")), (None, None));
        let plan = plan_of(&some, "b").unwrap();
        assert_eq!(
            (plan.every, plan.target),
            (Duration::from_mins(90), Target::Nobody)
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let places = |json5: &str| {
            let mut issues = Vec::new();
            check(&agents(json5), &mut issues);
            issues
                .into_iter()
                .map(|issue| issue.to_string())
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(
            places(
                "{ defaults: { heartbeat: { every: '30m', activeHours: { start: '08:00', end: '24:00', timezone: 'Asia/Tokyo' } } } }"
            ),
            ""
        );
        for (block, place) in [
            ("every: 'soon'", "agents.defaults.heartbeat.every"),
            ("every: '5s'", "agents.defaults.heartbeat.every"),
            ("target: 'telegram'", "agents.defaults.heartbeat.to"),
            (
                "activeHours: { start: '8' }",
                "agents.defaults.heartbeat.activeHours.start",
            ),
            (
                "activeHours: { start: '08:00', end: '08:00' }",
                "agents.defaults.heartbeat.activeHours.end",
            ),
            (
                "activeHours: { timezone: 'Mars/Base' }",
                "agents.defaults.heartbeat.activeHours.timezone",
            ),
        ] {
            let found = places(&format!("{{ defaults: {{ heartbeat: {{ {block} }} }} }}"));
            assert!(found.contains(place), "{block}: {found}");
        }
        let entry = places("{ entries: { a: { heartbeat: { every: '' } } } }");
        assert!(
            entry.contains("agents.entries.a.heartbeat.every"),
            "{entry}"
        );
    }

    #[test]
    fn intervals_have_units() {
        for (text, seconds) in [
            ("30m", 1_800),
            ("1h30m", 5_400),
            ("45", 2_700),
            ("0m", 0),
            ("2d", 172_800),
        ] {
            assert_eq!(interval(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for wrong in ["", "m", "1x", "1h 30m", "-5m", "99999999999h"] {
            assert_eq!(interval(wrong), None, "{wrong}");
        }
    }
}
