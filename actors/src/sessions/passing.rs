//! Conversations that end by themselves: those that a program began for one request (the API
//! of `OpenAI` without a name, a webhook), and those of jobs that will not run again.
//!
//! A person's conversations stay, and so does each of these that a person named, pinned or archived, or
//! in which something runs. What goes, goes as by `sessions.delete`.

use std::sync::Arc;
use std::time::Duration;

use actix::{AsyncContext as _, Handler, Message};
use openclaw_protocol::methods::cron::ScheduleKind;

use super::Sessions;
use super::record::Record;
use crate::clock::Millis;
use crate::cron::job::Job;
use crate::store::{StoreReader, Table};

/// How often it is looked for them.
pub(super) const INTERVAL: Duration = Duration::from_mins(10);
/// Most that go in one commit.
const BATCH: usize = 200;

/// How long they stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passing {
    /// Those of one request, since something happened in them; for ever when unset
    /// (`session.maintenance.pruneAfter`).
    pub requests: Option<Duration>,
    /// Most of those; the oldest go (`session.maintenance.maxEntries`).
    pub most: usize,
    /// Those of jobs that will not run again (`cron.sessionRetention`).
    pub jobs: Option<Duration>,
}

impl Passing {
    /// Nothing goes.
    pub const FOR_EVER: Self = Self {
        requests: None,
        most: usize::MAX,
        jobs: None,
    };
}

/// What a conversation that may go was begun for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maker<'a> {
    Request,
    Job(&'a str),
}

/// Who began a conversation, by its key; `None` for one that stays.
fn maker(key: &str) -> Option<Maker<'_>> {
    let (_, rest) = key.strip_prefix("agent:")?.split_once(':')?;
    let (before, id) = rest.rsplit_once(':')?;
    if !is_made(id) {
        return None;
    }
    match before {
        "cron" => Some(Maker::Job(id)),
        "openai" | "hook" => Some(Maker::Request),
        // One run of a webhook that names its conversation.
        named if named.ends_with(":run") => Some(Maker::Request),
        _ => None,
    }
}

/// Whether a program made this name: 32 hexadecimal digits, with or without dashes.
fn is_made(id: &str) -> bool {
    let digits = id.chars().filter(|letter| *letter != '-');
    digits.clone().count() == 32 && digits.clone().all(|digit| digit.is_ascii_hexdigit())
}

/// The conversations that are over, oldest first; of jobs all that are old, whether or not they run
/// again.
fn over<'a>(
    records: impl Iterator<Item = &'a Record>,
    rule: Passing,
    now: Millis,
) -> Vec<(Arc<str>, Option<String>)> {
    let kept = |record: &Record| record.pinned || record.archived || record.label.is_some();
    let mut found: Vec<(&Record, Maker<'_>)> = records
        .filter(|record| !kept(record))
        .filter_map(|record| Some((record, maker(&record.key)?)))
        .collect();
    found.sort_by_key(|(record, _)| record.updated_at);
    let is_request = |found: &&(&Record, Maker<'_>)| found.1 == Maker::Request;
    let mut surplus = found
        .iter()
        .filter(is_request)
        .count()
        .saturating_sub(rule.most);
    let old = |record: &Record, age: Option<Duration>| {
        age.is_some_and(|age| Millis(record.updated_at) <= now.minus(age))
    };
    let mut over = Vec::new();
    for (record, maker) in found {
        let (goes, job) = match maker {
            Maker::Request => {
                let one_too_many = surplus > 0;
                surplus = surplus.saturating_sub(1);
                (one_too_many || old(record, rule.requests), None)
            }
            Maker::Job(id) => (old(record, rule.jobs), Some(id.to_owned())),
        };
        if goes {
            over.push((Arc::clone(&record.key), job));
        }
    }
    over
}

/// Whether a job may run again. One that cannot be read may.
fn may_run_again(reader: &StoreReader, id: &str) -> bool {
    match reader.get_json::<Job>(Table::Cron, id.as_bytes()) {
        Ok(None) => false,
        Ok(Some(job)) => {
            let single = job.definition.schedule.kind == ScheduleKind::At;
            !single || job.next.is_some() || job.running.is_some()
        }
        Err(_) => true,
    }
}

/// Lets those go whose time is over, a bounded number at a time.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Look;

impl Handler<Look> for Sessions {
    type Result = ();

    fn handle(&mut self, _: Look, ctx: &mut Self::Context) {
        let views = &self.deps.views;
        let (rule, now) = (views.settings.load().passing, self.deps.clock.now());
        if rule == Passing::FOR_EVER {
            return;
        }
        let over = self
            .deps
            .index
            .with(|index| over(index.records(), rule, now));
        let (running, waiting) = (views.runs.load(), views.queued.load());
        let reader = self.deps.store.reader();
        let mut go = over
            .into_iter()
            .filter(|(key, _)| !running.contains_key(key) && !waiting.contains_key(key))
            .filter(|(_, job)| !job.as_deref().is_some_and(|id| may_run_again(reader, id)))
            .map(|(key, _)| key);
        let batch: Vec<Arc<str>> = go.by_ref().take(BATCH).collect();
        let more = go.next().is_some();
        if batch.is_empty() {
            return;
        }
        let mut endings: Vec<_> = self.deps.index.with(|index| {
            let ended = batch.iter().filter_map(|key| index.delete(key));
            ended.collect()
        });
        let ops = endings
            .iter_mut()
            .flat_map(|end| std::mem::take(&mut end.ops));
        let commit = self.deps.store.commit(ops.collect());
        let (deps, again) = (self.deps.clone(), ctx.address());
        actix_rt::spawn(async move {
            let outcome = commit.await;
            let gone: Vec<_> = endings
                .iter()
                .map(|end| (Arc::clone(&end.record.key), end.record.agent_id.clone()))
                .collect();
            deps.index.with(|index| {
                for ending in endings {
                    index.settle_end(ending, outcome.is_ok());
                }
            });
            deps.publish();
            if let Err(error) = outcome {
                // The next look finds the same ones.
                tracing::debug!(%error, "conversations whose time is over stay for now");
                return;
            }
            tracing::info!(
                conversations = gone.len(),
                "conversations of programs whose time is over went"
            );
            for (key, agent) in gone {
                deps.gateway.emit(deps.changed(&key, &agent, "delete"));
            }
            if more {
                // A full mailbox drops it, and the next look goes on.
                drop(again.try_send(Look));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions::state::Index;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn only_what_programs_began_for_themselves_passes() {
        let made = |rest: &str| maker(&format!("agent:main:{rest}:{ID}")).is_some();
        for rest in ["openai", "hook", "cron", "hook:mail:run"] {
            assert!(made(rest), "{rest}");
        }
        for rest in ["openai-user", "telegram:direct", "web", "hook:mail"] {
            assert!(!made(rest), "{rest}");
        }
        for key in [
            "agent:main:main",
            "global",
            "agent:main:openai:notes",
            "agent:main:cron:daily",
        ] {
            assert_eq!(maker(key), None, "{key}");
        }
        assert!(is_made("01234567-89ab-cdef-0123-456789abcdef"));
    }

    #[test]
    fn the_oldest_go_first_and_what_a_person_keeps_stays() {
        let now = Millis(1_000_000_000);
        let record = |number: u32, minutes: u64| -> Record {
            serde_json::from_value(serde_json::json!({
                "key": format!("agent:main:openai:{number:032x}"),
                "sessionId": number.to_string(),
                "agentId": "main",
                "createdAt": 0,
                "updatedAt": now.minus(Duration::from_mins(minutes)),
                "nextSeq": 1,
            }))
            .unwrap()
        };
        let mut pinned = record(1, 500);
        pinned.pinned = true;
        let mut named = record(2, 500);
        named.label = Some("mine".into());
        let index = Index::of([
            pinned,
            named,
            record(3, 90),
            record(4, 30),
            record(5, 20),
            record(6, 10),
        ]);
        let gone = |requests, most| -> Vec<String> {
            let rule = Passing {
                requests,
                most,
                jobs: None,
            };
            let over = over(index.records(), rule, now);
            over.into_iter()
                .map(|(key, _)| key[key.len() - 1..].to_owned())
                .collect()
        };
        let hour = Some(Duration::from_hours(1));
        assert_eq!(gone(hour, 10), ["3"]);
        assert_eq!(gone(hour, 2), ["3", "4"]);
        assert_eq!(gone(None, 1), ["3", "4", "5"]);
        assert!(gone(None, usize::MAX).is_empty());
    }
}
