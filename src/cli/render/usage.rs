//! `openclaw sessions usage`.

use openclaw_protocol::methods::usage::{SessionsUsageResult, UsageTotals};

use super::Style;
use super::models::tokens;
use super::table::Columns;
use super::text::Tone;

/// Days that are shown.
const MOST_DAYS: usize = 14;

/// What answers took: by day, by model, by conversation.
pub fn text(usage: &SessionsUsageResult, style: &Style) -> String {
    if usage.aggregates.session_count == 0 {
        return format!(
            "nothing was said from {} to {}\n",
            usage.start_date, usage.end_date
        );
    }
    let mut days = Columns::new(style, &["day", "in", "out", "cost"]);
    let daily = &usage.aggregates.cost_daily;
    for day in &daily[daily.len().saturating_sub(MOST_DAYS)..] {
        line(&mut days, &day.date, &day.totals);
    }
    line(&mut days, "together", &usage.totals);
    let mut models = Columns::new(style, &["model", "in", "out", "cost"]);
    for model in &usage.aggregates.by_model {
        let name = model.model.as_deref().unwrap_or_default();
        let name = format!("{}/{name}", model.provider);
        line(&mut models, &name, &model.totals);
    }
    let mut sessions = Columns::new(style, &["session", "in", "out", "cost"]);
    for session in &usage.sessions {
        line(&mut sessions, &session.key, &session.usage.totals);
    }
    let tables = [days, models, sessions].map(|mut table| table.keep_whole(0).render());
    let mut out = tables.join("\n");
    if usage.totals.missing_cost_entries > 0 {
        out += "\n";
        out += &usage.totals.missing_cost_entries.to_string();
        out += " answers have no price: set models.providers.<id>.models[].cost (dollars for a million tokens)\n";
    }
    out
}

fn line(table: &mut Columns, name: &str, totals: &UsageTotals) {
    let read = tokens(totals.input + totals.cache_read + totals.cache_write);
    let cost = format!("${:.4}", totals.total_cost);
    table.toned(&[
        (name, Some(Tone::Strong)),
        (&read, None),
        (&tokens(totals.output), None),
        (&cost, None),
    ]);
}

#[cfg(test)]
mod tests {
    use openclaw_protocol::methods::usage::{DailyTotals, ModelUsage, UsageAggregates};

    use super::*;

    #[test]
    fn days_models_and_what_has_no_price_are_shown() {
        let totals = UsageTotals {
            input: 1_200,
            output: 34,
            total_tokens: 1_234,
            total_cost: 0.5,
            missing_cost_entries: 2,
            ..UsageTotals::default()
        };
        let usage = SessionsUsageResult {
            totals,
            aggregates: UsageAggregates {
                session_count: 1,
                cost_daily: vec![DailyTotals {
                    date: "2026-11-22".into(),
                    totals,
                }],
                by_model: vec![ModelUsage {
                    provider: "p".into(),
                    model: Some("m".into()),
                    count: 1,
                    totals,
                }],
                ..UsageAggregates::default()
            },
            ..SessionsUsageResult::default()
        };
        let style = Style {
            colour: false,
            width: None,
            now_ms: 0,
        };
        let shown = text(&usage, &style);
        for part in ["2026-11-22", "p/m", "$0.5000", "2 answers have no price"] {
            assert!(shown.contains(part), "{shown}");
        }
        let nothing = text(&SessionsUsageResult::default(), &style);
        assert!(nothing.starts_with("nothing was said"), "{nothing}");
    }
}
