//! Sums of rows: by session, day, model and agent. Pure.

use std::collections::BTreeMap;

use openclaw_protocol::methods::message::MessageRole;
use openclaw_protocol::methods::usage::{
    AgentUsage, DailyActivity, DailyMessages, DailyModel, DailyTotals, DailyUsage, MessageCounts,
    ModelUsage, SessionUsage, SessionUsageRow, ToolCount, ToolUsage, UsageAggregates, UsageTotals,
};

use super::row::UsageRow;

/// What is one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// Each conversation.
    Instance,
    /// Each key.
    Family,
}

type Model = (String, String);

/// Sums of some rows.
#[derive(Debug, Default)]
struct Part {
    totals: UsageTotals,
    counts: MessageCounts,
    days: BTreeMap<String, (UsageTotals, MessageCounts)>,
    models: BTreeMap<Model, (u64, UsageTotals)>,
    day_models: BTreeMap<(String, Model), (u64, UsageTotals)>,
    tools: BTreeMap<String, u64>,
    first: u64,
    last: u64,
}

impl Part {
    fn add(&mut self, row: &UsageRow, day: &str) {
        let (totals, counts) = (row.totals(), row.counts());
        self.totals += &totals;
        self.counts += &counts;
        let of_day = self.days.entry(day.to_owned()).or_default();
        of_day.0 += &totals;
        of_day.1 += &counts;
        if row.role == MessageRole::Assistant {
            let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "unknown".into());
            let model = (name(&row.provider), name(&row.model));
            for (count, sum) in [
                self.models.entry(model.clone()).or_default(),
                self.day_models.entry((day.to_owned(), model)).or_default(),
            ] {
                *count += 1;
                *sum += &totals;
            }
        }
        for tool in &row.tools {
            *self.tools.entry(tool.clone()).or_default() += 1;
        }
        if self.first == 0 {
            self.first = row.at;
        }
        self.last = self.last.max(row.at);
    }

    fn models(&self) -> Vec<ModelUsage> {
        let entry =
            |((provider, model), (count, totals)): (&Model, &(u64, UsageTotals))| ModelUsage {
                provider: provider.clone(),
                model: Some(model.clone()),
                count: *count,
                totals: *totals,
            };
        dearest_first(self.models.iter().map(entry).collect())
    }

    fn providers(&self) -> Vec<ModelUsage> {
        let mut providers: BTreeMap<&str, ModelUsage> = BTreeMap::new();
        for ((provider, _), (count, totals)) in &self.models {
            let entry = providers.entry(provider).or_insert_with(|| ModelUsage {
                provider: provider.clone(),
                ..ModelUsage::default()
            });
            entry.count += count;
            entry.totals += totals;
        }
        dearest_first(providers.into_values().collect())
    }

    fn daily_models(&self) -> Vec<DailyModel> {
        let entry = |((date, (provider, model)), (count, totals)): (
            &(String, Model),
            &(u64, UsageTotals),
        )| DailyModel {
            date: date.clone(),
            provider: provider.clone(),
            model: model.clone(),
            tokens: totals.total_tokens,
            cost: totals.total_cost,
            count: *count,
        };
        self.day_models.iter().map(entry).collect()
    }

    fn tools(&self) -> ToolUsage {
        let count = |(name, count): (&String, &u64)| ToolCount {
            name: name.clone(),
            count: *count,
        };
        let mut tools: Vec<ToolCount> = self.tools.iter().map(count).collect();
        tools.sort_by_key(|tool| std::cmp::Reverse(tool.count));
        ToolUsage {
            total_calls: tools.iter().map(|tool| tool.count).sum(),
            unique_tools: tools.len() as u64,
            tools,
        }
    }

    fn session(&self, session_id: &str) -> SessionUsage {
        let days = self.days.iter();
        SessionUsage {
            session_id: session_id.to_owned(),
            first_activity: self.first,
            last_activity: self.last,
            duration_ms: self.last - self.first,
            activity_dates: self.days.keys().cloned().collect(),
            daily_breakdown: days
                .clone()
                .map(|(date, (totals, _))| DailyUsage {
                    date: date.clone(),
                    tokens: totals.total_tokens,
                    cost: totals.total_cost,
                    totals: *totals,
                })
                .collect(),
            daily_message_counts: days
                .map(|(date, (_, counts))| DailyMessages {
                    date: date.clone(),
                    counts: *counts,
                })
                .collect(),
            daily_model_usage: self.daily_models(),
            message_counts: self.counts,
            tool_usage: self.tools(),
            model_usage: self.models(),
            totals: self.totals,
        }
    }
}

fn dearest_first(mut models: Vec<ModelUsage>) -> Vec<ModelUsage> {
    models.sort_by(|one, other| {
        let cost = other.totals.total_cost.total_cmp(&one.totals.total_cost);
        cost.then(other.totals.total_tokens.cmp(&one.totals.total_tokens))
    });
    models
}

/// A session while its rows are added up.
#[derive(Debug, Default)]
struct Session {
    key: String,
    agent_id: String,
    conversations: Vec<String>,
    model: Option<(Option<String>, Option<String>)>,
    part: Part,
}

/// Adds rows up, oldest first.
#[derive(Debug)]
pub struct Sums {
    grouping: Grouping,
    all: Part,
    agents: BTreeMap<String, UsageTotals>,
    sessions: BTreeMap<String, Session>,
}

impl Sums {
    /// Nothing yet.
    pub fn new(grouping: Grouping) -> Self {
        Self {
            grouping,
            all: Part::default(),
            agents: BTreeMap::new(),
            sessions: BTreeMap::new(),
        }
    }

    /// Adds a row of a day.
    pub fn add(&mut self, row: &UsageRow, day: &str) {
        self.all.add(row, day);
        *self.agents.entry(row.agent_id.clone()).or_default() += &row.totals();
        let name = match self.grouping {
            Grouping::Instance => &row.session_id,
            Grouping::Family => &row.key,
        };
        let session = self.sessions.entry(name.clone()).or_default();
        session.part.add(row, day);
        session.key.clone_from(&row.key);
        session.agent_id.clone_from(&row.agent_id);
        if session.conversations.last() != Some(&row.session_id) {
            session.conversations.push(row.session_id.clone());
        }
        if row.role == MessageRole::Assistant {
            session.model = Some((row.provider.clone(), row.model.clone()));
        }
    }

    /// Tokens and dollars of all rows.
    pub const fn totals(&self) -> UsageTotals {
        self.all.totals
    }

    /// The same by day.
    pub fn daily(&self) -> Vec<DailyTotals> {
        let days = self.all.days.iter();
        days.map(|(date, (totals, _))| DailyTotals {
            date: date.clone(),
            totals: *totals,
        })
        .collect()
    }

    /// By session, that with the newest row first, at most `limit`.
    pub fn sessions(&self, limit: usize) -> Vec<SessionUsageRow> {
        let mut sessions: Vec<&Session> = self.sessions.values().collect();
        sessions.sort_by_key(|session| std::cmp::Reverse(session.part.last));
        sessions.truncate(limit);
        sessions
            .into_iter()
            .map(|session| self.row(session))
            .collect()
    }

    fn row(&self, session: &Session) -> SessionUsageRow {
        let session_id = session.conversations.last().cloned().unwrap_or_default();
        let (model_provider, model) = session.model.clone().unwrap_or_default();
        let family = self.grouping == Grouping::Family;
        SessionUsageRow {
            key: session.key.clone(),
            label: None,
            scope: if family { "family" } else { "instance" }.into(),
            included_session_ids: family.then(|| session.conversations.clone()),
            updated_at: session.part.last,
            agent_id: session.agent_id.clone(),
            model_provider,
            model,
            usage: session.part.session(&session_id),
            session_id,
            has_context_weight: false,
        }
    }

    /// Over all sessions.
    pub fn aggregates(&self) -> UsageAggregates {
        let durations = self.sessions.values().map(|session| {
            let part = &session.part;
            part.last - part.first
        });
        let agent = |(agent_id, totals): (&String, &UsageTotals)| AgentUsage {
            agent_id: agent_id.clone(),
            totals: *totals,
        };
        let day =
            |(date, (totals, counts)): (&String, &(UsageTotals, MessageCounts))| DailyActivity {
                date: date.clone(),
                tokens: totals.total_tokens,
                cost: totals.total_cost,
                messages: counts.total,
                tool_calls: counts.tool_calls,
                errors: counts.errors,
            };
        UsageAggregates {
            session_count: self.sessions.len() as u64,
            longest_session_duration_ms: durations.max().filter(|longest| *longest > 0),
            messages: self.all.counts,
            tools: self.all.tools(),
            by_model: self.all.models(),
            by_provider: self.all.providers(),
            by_agent: self.agents.iter().map(agent).collect(),
            by_channel: Vec::new(),
            cost_daily: self.daily(),
            daily_latency: Vec::new(),
            model_daily: self.all.daily_models(),
            daily: self.all.days.iter().map(day).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use openclaw_protocol::methods::message::Usage;
    use serde_json::json;

    use super::*;

    fn answer(at: u64, key: &str, session_id: &str, model: &str, cost: Option<f64>) -> UsageRow {
        UsageRow {
            at,
            key: key.into(),
            session_id: session_id.into(),
            agent_id: "main".into(),
            role: MessageRole::Assistant,
            provider: Some("p".into()),
            model: Some(model.into()),
            usage: Some(Usage {
                input: 10,
                output: 5,
                total_tokens: 15,
                cost: cost.map(|total| json!({ "total": total })),
                ..Usage::default()
            }),
            tools: vec!["read".into()],
            failed: false,
        }
    }

    #[test]
    fn every_sum_is_over_the_same_rows() {
        for (grouping, sessions) in [(Grouping::Instance, 3), (Grouping::Family, 2)] {
            let mut sums = Sums::new(grouping);
            sums.add(&answer(1, "a", "a1", "m", Some(0.5)), "2026-01-01");
            sums.add(&answer(2, "a", "a2", "m", Some(0.25)), "2026-01-02");
            sums.add(&answer(9, "b", "b1", "n", None), "2026-01-02");
            let totals = sums.totals();
            assert_eq!((totals.total_tokens, totals.missing_cost_entries), (45, 1));
            assert!((totals.total_cost - 0.75).abs() < 1e-9);
            let listed = sums.sessions(10);
            assert_eq!(listed.len(), sessions);
            assert_eq!(listed[0].key, "b");
            let tokens = |totals: &UsageTotals| totals.total_tokens;
            let aggregates = sums.aggregates();
            for sum in [
                sums.daily()
                    .iter()
                    .map(|day| tokens(&day.totals))
                    .sum::<u64>(),
                listed.iter().map(|row| tokens(&row.usage.totals)).sum(),
                aggregates
                    .by_model
                    .iter()
                    .map(|model| tokens(&model.totals))
                    .sum(),
                aggregates
                    .by_provider
                    .iter()
                    .map(|model| tokens(&model.totals))
                    .sum(),
                aggregates
                    .by_agent
                    .iter()
                    .map(|agent| tokens(&agent.totals))
                    .sum(),
                aggregates.model_daily.iter().map(|day| day.tokens).sum(),
                aggregates.daily.iter().map(|day| day.tokens).sum(),
            ] {
                assert_eq!(sum, 45);
            }
            assert_eq!(aggregates.by_model[0].model.as_deref(), Some("m"));
            assert_eq!(aggregates.tools.total_calls, 3);
            assert_eq!(sums.sessions(1).len(), 1);
        }
    }
}
