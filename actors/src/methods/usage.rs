//! `usage.*` and `sessions.usage`: what answers took; owner: sessions, which wrote it down.

use actix::Handler;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::usage::{
    AgentScope, DEFAULT_SESSIONS, MAX_SESSIONS, SessionsUsage, SessionsUsageResult, UsageCost,
    UsageCostResult, UsageGrouping, UsageParams, UsageStatus, UsageStatusResult,
};

use crate::call::Call;
use crate::methods::store_error;
use crate::sessions::{Sessions, keys};
use crate::settings::Settings;
use crate::store::{StoreError, StoreReader};
use crate::usage::{self, Days, Grouping, Sums};

/// Whose rows count.
struct Whose {
    agent: Option<String>,
    key: Option<String>,
}

impl Whose {
    fn of(params: &UsageParams, settings: &Settings) -> Result<Self, String> {
        let all = params.agent_scope == Some(AgentScope::All);
        if all && (params.agent_id.is_some() || params.key.is_some()) {
            return Err("agentScope=all cannot be combined with key or agentId".into());
        }
        if let Some(key) = &params.key {
            let session = keys::canonical(key, params.agent_id.as_deref(), settings)
                .map_err(|error| error.to_string())?;
            return Ok(Self {
                agent: None,
                key: Some(session.canonical.to_string()),
            });
        }
        let agent = params.agent_id.as_ref().unwrap_or(&settings.default_agent);
        Ok(Self {
            agent: (!all).then(|| agent.clone()),
            key: None,
        })
    }
}

struct Query {
    days: Days,
    whose: Whose,
    grouping: Grouping,
}

impl Query {
    fn run(&self, reader: &StoreReader) -> Result<Sums, StoreError> {
        let mut sums = Sums::new(self.grouping);
        usage::between(reader, self.days.bounds(), |row| {
            let other = |wanted: &Option<String>, is: &String| {
                wanted.as_ref().is_some_and(|wanted| wanted != is)
            };
            if !other(&self.whose.agent, &row.agent_id) && !other(&self.whose.key, &row.key) {
                let day = self.days.day(row.at);
                sums.add(&row, &day);
            }
        })?;
        Ok(sums)
    }
}

impl Sessions {
    fn query(&self, method: &str, params: &UsageParams) -> Result<Query, ErrorShape> {
        let invalid =
            |problem: String| ErrorShape::invalid(format!("invalid {method} params: {problem}"));
        let settings = self.deps.views.settings.load();
        let family = params.group_by == Some(UsageGrouping::Family)
            || params.include_historical == Some(true);
        Ok(Query {
            days: Days::of(params, self.deps.clock.now()).map_err(invalid)?,
            whose: Whose::of(params, &settings).map_err(invalid)?,
            grouping: if family {
                Grouping::Family
            } else {
                Grouping::Instance
            },
        })
    }
}

impl Handler<Call<UsageStatus>> for Sessions {
    type Result = ();

    fn handle(&mut self, call: Call<UsageStatus>, _: &mut Self::Context) {
        call.reply.ok(&UsageStatusResult {
            updated_at: self.deps.clock.now().wire(),
            providers: Vec::new(),
        });
    }
}

impl Handler<Call<UsageCost>> for Sessions {
    type Result = ();

    fn handle(&mut self, call: Call<UsageCost>, _: &mut Self::Context) {
        let Call { params, reply, .. } = call;
        let query = match self.query("usage.cost", &params) {
            Ok(query) => query,
            Err(error) => return reply.error(error),
        };
        let updated_at = self.deps.clock.now().wire();
        // Nobody waits for it: a reply that is dropped on the way answers for itself.
        drop(self.deps.store.reader().offload(move |reader| {
            let sums = query.run(reader).map_err(|error| store_error(&error));
            reply.settle(sums.map(|sums| UsageCostResult {
                updated_at,
                days: query.days.count(),
                daily: sums.daily(),
                totals: sums.totals(),
            }));
            Ok(())
        }));
    }
}

impl Handler<Call<SessionsUsage>> for Sessions {
    type Result = ();

    fn handle(&mut self, call: Call<SessionsUsage>, _: &mut Self::Context) {
        let Call { params, reply, .. } = call;
        let query = match self.query("sessions.usage", &params) {
            Ok(query) => query,
            Err(error) => return reply.error(error),
        };
        let limit = params.limit.unwrap_or(DEFAULT_SESSIONS).min(MAX_SESSIONS);
        let updated_at = self.deps.clock.now().wire();
        let index = self.deps.index.clone();
        drop(self.deps.store.reader().offload(move |reader| {
            let sums = query.run(reader).map_err(|error| store_error(&error));
            reply.settle(sums.map(|sums| {
                let mut sessions = sums.sessions(limit as usize);
                index.with(|index| {
                    for row in &mut sessions {
                        row.label = index.get(&row.key).and_then(|record| record.label.clone());
                    }
                });
                let (start_date, end_date) = query.days.ends();
                SessionsUsageResult {
                    updated_at,
                    start_date,
                    end_date,
                    sessions,
                    totals: sums.totals(),
                    aggregates: sums.aggregates(),
                }
            }));
            Ok(())
        }));
    }
}
