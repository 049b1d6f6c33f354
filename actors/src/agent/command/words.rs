//! What commands answer. Pure.

use openclaw_protocol::methods::chat::QueueMode;
use openclaw_protocol::methods::sessions::SessionRow;

use crate::agent::model::thinking::Thinking;
use crate::sessions::keys::SessionKey;
use crate::sessions::record::Record;
use crate::settings::Settings;

/// What `/status` says.
pub(super) struct Facts<'a> {
    pub(super) session: &'a SessionKey,
    pub(super) known: Option<&'a (SessionRow, Record)>,
    pub(super) settings: &'a Settings,
    pub(super) running_ms: Option<u64>,
    pub(super) waiting: usize,
}

impl Facts<'_> {
    pub(super) fn text(&self) -> String {
        let mut lines = vec![
            format!("openclaw {}", env!("CARGO_PKG_VERSION")),
            format!("- Session: {}", self.session.canonical),
            format!("- Model: {}", self.model()),
            match self.running_ms {
                Some(ms) => format!("- Run: under way for {} s", ms / 1_000),
                None => "- Run: none".into(),
            },
        ];
        if self.waiting > 0 {
            lines.push(format!("- Waiting: {}", self.waiting));
        }
        if let Some((row, record)) = self.known {
            lines.push(format!("- Messages: {}", record.next_seq.saturating_sub(1)));
            if let Some(error) = &row.last_run_error {
                lines.push(format!("- Last run failed: {error}"));
            }
        }
        let own = self.known.and_then(|(_, record)| record.queue_mode);
        let mode = name_of(own.unwrap_or(self.settings.queue.mode));
        lines.push(format!("- Queue: {mode}"));
        lines.join("\n")
    }

    fn model(&self) -> String {
        let own = self.known.and_then(|(_, record)| record.model.clone());
        own.unwrap_or_else(|| {
            let agent = self.settings.agent(&self.session.agent);
            agent.map_or_else(|| "none".into(), |agent| agent.row.model.primary.clone())
        })
    }
}

const fn name_of(mode: QueueMode) -> &'static str {
    match mode {
        QueueMode::Steer => "steer",
        QueueMode::Followup => "followup",
        QueueMode::Collect => "collect",
        QueueMode::Interrupt => "interrupt",
    }
}

pub(super) fn queue_text(own: Option<QueueMode>, configured: QueueMode) -> String {
    match own {
        Some(mode) => format!("Queue mode of this session: {}.", name_of(mode)),
        None => format!("Queue mode: {} (as configured).", name_of(configured)),
    }
}

pub(super) fn thinking_text(own: Option<Thinking>, configured: Option<Thinking>) -> String {
    match (own, configured) {
        (Some(level), _) => format!("Thinking of this session: {}.", level.name()),
        (None, Some(level)) => format!("Thinking: {} (as configured).", level.name()),
        (None, None) => "Thinking: as the model finds right.".into(),
    }
}

/// The configured model that a person means; `None` gives the agent's own back.
pub(super) fn choose(settings: &Settings, written: &str) -> Result<Option<String>, String> {
    if matches!(written, "default" | "reset") {
        return Ok(None);
    }
    let named = |model: &&openclaw_protocol::methods::models::ModelChoice| {
        model.alias.as_deref() == Some(written) || model.id == written
    };
    let full = settings.models.iter().find(named).map_or_else(
        || written.to_owned(),
        |model| format!("{}/{}", model.provider, model.id),
    );
    match settings.catalogue.get(&full) {
        Some(Ok(_)) => Ok(Some(full)),
        Some(Err(problem)) => Err(problem.clone()),
        None => Err(format!(
            "`{written}` is not configured. {}",
            models_text(settings, None)
        )),
    }
}

pub(super) fn models_text(settings: &Settings, row: Option<&SessionRow>) -> String {
    let present = row
        .and_then(|row| Some((row.model_provider.as_ref()?, row.model.as_ref()?)))
        .map_or_else(String::new, |(provider, model)| {
            format!("This session uses {provider}/{model}. ")
        });
    let names: Vec<String> = settings
        .catalogue
        .iter()
        .filter(|(_, model)| model.is_ok())
        .map(|(name, _)| format!("- `/model {name}`"))
        .collect();
    if names.is_empty() {
        return format!("{present}No model is configured to choose from.");
    }
    format!("{present}Choose with\n{}", names.join("\n"))
}
