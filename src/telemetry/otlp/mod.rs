//! Export to an OpenTelemetry collector (`diagnostics.otel`, feature `otlp`): the figures of `/metrics`, and each run
//! as a span.
//!
//! Over HTTP, with the client that models are asked with; no thread and no connection where it is not configured. What
//! cannot be delivered is lost: figures are sums since the start, so that the next ones make up for it, and spans that
//! found no room are counted. Nothing of it names a person, a session or a device.

mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openclaw_actors::agent::model::{HttpClient, http_client};
use openclaw_actors::totals::{RunDone, RunEnd};
use openclaw_actors::views::Views;
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use crate::config::diagnostics::Export;
use crate::http::metrics::Measured;
use wire::{Origin, Span};

/// Spans that wait for the next export; further ones are lost.
const MAX_WAITING: usize = 2_048;
/// How long a collector may take.
const LIMIT: Duration = Duration::from_secs(10);
/// The same for the last words.
const LAST_LIMIT: Duration = Duration::from_secs(2);

/// A running export.
pub(crate) struct Exporting {
    end: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

/// Begins to export.
pub(crate) fn begin(export: Export, views: Views, measured: Arc<dyn Measured>) -> Exporting {
    let (end, ended) = oneshot::channel();
    let (waiting, spans) = mpsc::channel(MAX_WAITING);
    let lost = Arc::new(AtomicU64::new(0));
    if export.traces.is_some() {
        let lost = Arc::clone(&lost);
        views.totals.listen(Box::new(move |done| {
            if waiting.try_send(span_of(done)).is_err() {
                lost.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    let exporter = Exporter {
        started: views
            .places
            .now_ms()
            .saturating_sub(views.places.uptime_ms())
            * 1_000_000,
        instance: instance(&views),
        export,
        views,
        measured,
        spans,
        lost,
        client: None,
        told: false,
    };
    Exporting {
        end,
        task: tokio::task::spawn_local(exporter.run(ended)),
    }
}

impl Exporting {
    /// Sends what is there, and ends.
    pub(crate) async fn end(self) {
        let _ = self.end.send(());
        let _ = tokio::time::timeout(2 * LAST_LIMIT, self.task).await;
    }
}

/// Another one for each process, and nobody's name.
fn instance(views: &Views) -> String {
    let seed = format!("{} {}", std::process::id(), views.places.now_ms());
    let digest = Sha256::digest(seed);
    let number = digest[..8]
        .iter()
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{number:016x}")
}

/// The ids come from the run's own, by which the log names it: `openclaw.run_id` leads from one to the other.
fn span_of(done: &RunDone<'_>) -> Span {
    let digest = Sha256::digest(done.run_id);
    let (mut trace, mut span) = ([0; 16], [0; 8]);
    trace.copy_from_slice(&digest[..16]);
    span.copy_from_slice(&digest[16..24]);
    let mut attributes = vec![
        ("openclaw.run_id", done.run_id.to_owned()),
        ("openclaw.agent", done.agent.to_owned()),
        ("openclaw.end", done.end.name().to_owned()),
    ];
    for (name, value) in [
        ("gen_ai.system", done.provider),
        ("gen_ai.request.model", done.model),
    ] {
        if !value.is_empty() {
            attributes.push((name, value.to_owned()));
        }
    }
    Span {
        ids: (trace, span),
        name: "openclaw.run",
        time: (done.started_at * 1_000_000, done.ended_at * 1_000_000),
        attributes,
        failed: done.end == RunEnd::Failed,
    }
}

struct Exporter {
    export: Export,
    views: Views,
    measured: Arc<dyn Measured>,
    spans: mpsc::Receiver<Span>,
    lost: Arc<AtomicU64>,
    started: u64,
    instance: String,
    /// Made for the first export: it loads every trusted certificate of the host.
    client: Option<HttpClient>,
    /// Whether a failure was told that goes on.
    told: bool,
}

impl Exporter {
    async fn run(mut self, mut ended: oneshot::Receiver<()>) {
        let mut ticks = tokio::time::interval(self.export.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.flush(LIMIT).await,
                _ = &mut ended => break,
            }
        }
        self.flush(LAST_LIMIT).await;
    }

    async fn flush(&mut self, limit: Duration) {
        let mut spans = Vec::new();
        while let Ok(span) = self.spans.try_recv() {
            spans.push(span);
        }
        let client = match self.client.take().map_or_else(http_client, Ok) {
            Ok(client) => self.client.insert(client).clone(),
            Err(error) => return self.tell(Some(&error.to_string())),
        };
        let origin = Origin {
            service: &self.export.service,
            instance: &self.instance,
            started: self.started,
        };
        let now = self.views.places.now_ms() * 1_000_000;
        let mut posts = Vec::new();
        if let Some(to) = &self.export.metrics {
            posts.push((to, wire::metrics(origin, &self.measured.figures(), now)));
        }
        if let Some(to) = self.export.traces.as_ref().filter(|_| !spans.is_empty()) {
            posts.push((to, wire::traces(origin, &spans)));
        }
        let mut failure = None;
        for (to, body) in posts {
            if let Err(error) = post(&client, to, body, &self.export, limit).await {
                failure = Some(format!("{}: {error}", named(to)));
            }
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lost, "runs found no room in the export to OpenTelemetry");
        }
        self.tell(failure.as_deref());
    }

    /// Says that it fails, and that it works again, once each.
    fn tell(&mut self, failure: Option<&str>) {
        match (failure, self.told) {
            (Some(error), false) => {
                tracing::warn!(%error, "the collector of OpenTelemetry does not take what is sent; look at diagnostics.otel");
            }
            (None, true) => tracing::info!("the collector of OpenTelemetry takes what is sent"),
            _ => {}
        }
        self.told = failure.is_some();
    }
}

async fn post(
    client: &HttpClient,
    to: &str,
    body: Vec<u8>,
    export: &Export,
    limit: Duration,
) -> Result<(), String> {
    let mut request = client
        .post(to)
        .timeout(limit)
        .header("content-type", "application/x-protobuf");
    for (name, value) in &export.headers {
        request = request.header(name, value);
    }
    // What a client says of its error may hold the address with a secret in it; [`named`] has it without.
    let answer = request.body(body).send().await;
    let answer = answer.map_err(|error| innermost(&error.without_url()))?;
    let status = answer.status();
    if status.is_success() {
        Ok(())
    } else {
        Err(format!("it answered {status}"))
    }
}

/// The words of the last error in the chain: `Connection refused` rather than `error sending request`.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// An address without what may be a secret: who signs in, and what is asked for behind the path.
fn named(to: &str) -> String {
    let whole = to.find(['?', '#']).map_or(to, |end| &to[..end]);
    let Some((scheme, rest)) = whole.split_once("://") else {
        return whole.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn an_address_is_named_without_its_secrets() {
        for (to, said) in [
            (
                "http://localhost:4318/v1/traces",
                "http://localhost:4318/v1/traces",
            ),
            ("https://a:b@c.example", "https://c.example"),
            (
                "https://a:p@b@c.example:1/v1/metrics?key=k#f",
                "https://c.example:1/v1/metrics",
            ),
            ("no address?key=k", "no address"),
        ] {
            assert_eq!(named(to), said);
        }
    }
}
