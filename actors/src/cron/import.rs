//! Jobs of another gateway, as rows of this one. Pure.
//!
//! They keep their ids, their times and their texts; their history stays behind. Who takes them over is the owner
//! of the host, so they may what an owner's jobs may.

use jiff::tz::TimeZone;
use openclaw_protocol::methods::cron::CronAddParams;
use openclaw_protocol::{Scope, Scopes};
use serde_json::{Map, Value};

use super::job::{Definition, Job};
use super::state::{change, first, rules_of};
use crate::clock::Millis;
use crate::store::Op;

/// What of a stored job says what it does; the rest is its history, or for that gateway alone.
const DOES: [&str; 13] = [
    "name",
    "description",
    "displayName",
    "enabled",
    "deleteAfterRun",
    "agentId",
    "sessionKey",
    "schedule",
    "sessionTarget",
    "wakeMode",
    "payload",
    "delivery",
    "failureAlert",
];
/// What is known and means nothing here.
const PASSED_OVER: [&str; 12] = [
    "id",
    "jobId",
    "createdAtMs",
    "updatedAtMs",
    "state",
    "isolation",
    "nextRunAtMs",
    "lastRunAtMs",
    "configRevision",
    "scheduledToolPolicy",
    "owner",
    "effectiveAgentId",
];

/// A job that was understood.
#[derive(Debug)]
pub struct Imported {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its rows.
    pub ops: Vec<Op>,
    /// What of it was not taken over, in words.
    pub left: Vec<String>,
}

/// The id of a stored job.
pub fn id_of(row: &Value) -> Option<&str> {
    let id = row["id"].as_str().or_else(|| row["jobId"].as_str())?;
    let fits = !id.is_empty() && id.len() <= 128 && !id.contains('\0');
    fits.then_some(id)
}

/// Takes over a job as the other gateway stored it.
///
/// # Errors
///
/// Why it cannot run here, beginning with the place where there is one.
pub fn job(row: &Value, now: Millis, zone: &TimeZone) -> Result<Imported, String> {
    let id = id_of(row).ok_or("it has no id")?;
    if row["declarationKey"].is_string() {
        return Err(
            "a part of that gateway made it for itself, and makes it again where it is needed"
                .into(),
        );
    }
    let object = row.as_object().ok_or("it is no object")?;
    let mut left = Vec::new();
    let mut params = Map::new();
    for (key, value) in object {
        if DOES.contains(&key.as_str()) {
            params.insert(key.clone(), value.clone());
        } else if !PASSED_OVER.contains(&key.as_str()) && !value.is_null() {
            left.push(format!("its `{key}`, which is not known here"));
        }
    }
    params.entry("wakeMode").or_insert_with(|| "now".into());
    let params: CronAddParams = serde_json::from_value(Value::Object(params))
        .map_err(|error| format!("it has another form than is known here: {error}"))?;
    let definition = Definition::of(params)?;
    let time = |name: &str| row[name].as_i64().filter(|at| *at > 0).map(Millis);
    let mut job = Job {
        id: id.to_owned(),
        definition,
        made: time("createdAtMs").unwrap_or(now),
        changed: time("updatedAtMs").unwrap_or(now),
        scopes: Scopes::of(&[Scope::Admin]),
        ..Job::default()
    };
    let rules = rules_of(zone);
    job.next = match first(&job, now, &rules) {
        Ok(next) => next,
        Err(why) if job.definition.enabled => {
            job.definition.enabled = false;
            left.push(format!("it is switched off here: {why}"));
            None
        }
        Err(_) => None,
    };
    let name = job.definition.name.clone();
    let change = change(job, Vec::new());
    Ok(Imported {
        id: id.to_owned(),
        name,
        ops: change.ops,
        left,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::{Table, rows};

    fn row() -> Value {
        json!({
            "id": "one", "name": "Morning inbox", "enabled": true, "deleteAfterRun": false,
            "createdAtMs": 1_700_000_000_000_u64, "updatedAtMs": 1_700_000_000_000_u64,
            "schedule": { "kind": "cron", "expr": "0 9 * * 1-5", "tz": "Europe/Zurich" },
            "sessionTarget": "isolated", "wakeMode": "next-heartbeat",
            "payload": { "kind": "agentTurn", "message": "go", "deliver": true, "channel": "telegram", "to": "1" },
            "isolation": { "postToMainPrefix": "Cron" },
            "state": { "nextRunAtMs": 1_u64 },
        })
    }

    fn stored(imported: &Imported) -> Job {
        let [Op::Put { table, value, .. }] = &imported.ops[..] else {
            panic!("{imported:?}");
        };
        assert_eq!(*table, Table::Cron);
        rows::decode(*table, value).unwrap()
    }

    #[test]
    fn a_job_of_the_older_form_is_due_when_it_was_and_delivers_where_it_did() {
        let now = Millis(1_795_428_379_617);
        let imported = job(&row(), now, &TimeZone::UTC).unwrap();
        assert!(imported.left.is_empty(), "{:?}", imported.left);
        let job = stored(&imported);
        assert_eq!(
            job.next,
            Some(Millis(1_795_507_200_000)),
            "as that gateway said"
        );
        assert_eq!(job.definition.delivery.unwrap().to.as_deref(), Some("1"));
        assert_eq!(job.runs, 0);
    }

    #[test]
    fn what_cannot_run_here_is_said_and_a_time_that_is_over_does_not_come_again() {
        let now = Millis(1_795_428_379_617);
        let mut declared = row();
        declared["declarationKey"] = json!("heartbeat:main");
        assert!(job(&declared, now, &TimeZone::UTC).is_err());
        let mut other = row();
        other["payload"] = json!({ "kind": "heartbeat" });
        assert!(job(&other, now, &TimeZone::UTC).is_err());
        let mut over = row();
        over["schedule"] = json!({ "kind": "at", "atMs": 1_700_000_000_000_u64 });
        over["mood"] = json!("good");
        let imported = job(&over, now, &TimeZone::UTC).unwrap();
        assert_eq!(imported.left.len(), 2, "{:?}", imported.left);
        let over = stored(&imported);
        assert!(!over.definition.enabled && over.next.is_none());
    }
}
