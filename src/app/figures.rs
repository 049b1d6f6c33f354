//! What `/metrics` says: figures of what owners publish, and of the process.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use openclaw_actors::channel::account::AccountStatus;
use openclaw_actors::channel::state::Phase;
use openclaw_actors::store::StoreHandle;
use openclaw_actors::supervision::DeathWatch;
use openclaw_actors::totals::RunEnd;
use openclaw_actors::views::Views;

use super::ground::Ground;
use crate::http::metrics::{Figure, Kind, Measured};

/// Reads the figures.
struct Figures {
    store: StoreHandle,
    views: Views,
    watch: DeathWatch,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "figures of Prometheus are floats"
)]
const fn float(number: u64) -> f64 {
    number as f64
}

fn gauge(name: &'static str, help: &'static str, value: u64) -> Figure {
    Figure::one(name, help, Kind::Gauge, float(value))
}

fn counter(name: &'static str, help: &'static str, value: u64) -> Figure {
    Figure::one(name, help, Kind::Counter, float(value))
}

/// Reads one figure of an account.
type Read = fn(&AccountStatus) -> u64;

impl Measured for Figures {
    fn figures(&self) -> Vec<Figure> {
        let mut figures = self.gateway();
        figures.extend(self.work());
        figures.extend(self.limits());
        figures.extend(self.database());
        figures.extend(self.channels());
        figures.push(self.actors());
        figures.extend(process());
        figures
    }
}

impl Figures {
    fn gateway(&self) -> Vec<Figure> {
        let views = &self.views;
        let build = Figure {
            values: vec![(vec![("version", env!("CARGO_PKG_VERSION").to_owned())], 1.0)],
            ..gauge("openclaw_build_info", "The release that runs.", 1)
        };
        let runs = views.runs.load().values().map(Vec::len).sum::<usize>() as u64;
        let queued = views.queued.load().values().map(Vec::len).sum::<usize>() as u64;
        vec![
            build,
            Figure::one(
                "openclaw_uptime_seconds",
                "Time since the start.",
                Kind::Gauge,
                float(views.places.uptime_ms()) / 1_000.0,
            ),
            gauge(
                "openclaw_healthy",
                "1 while the gateway can do its work.",
                u64::from(views.health.load().value().ok),
            ),
            gauge(
                "openclaw_load_level",
                "What is let go of because memory is short: 0 nothing, 1 presence, 2 runs too.",
                views.load.load().level as u64,
            ),
            gauge(
                "openclaw_memory_limit_bytes",
                "Memory that the process may have; 0 where nobody says.",
                views.load.load().limit,
            ),
            gauge(
                "openclaw_connections",
                "Open client connections.",
                views.connections.load(Ordering::Relaxed) as u64,
            ),
            gauge(
                "openclaw_sessions",
                "Conversations.",
                views.sessions.load().count,
            ),
            gauge("openclaw_runs_active", "Runs under way.", runs),
            gauge(
                "openclaw_runs_queued",
                "Messages that wait for their run.",
                queued,
            ),
            gauge(
                "openclaw_config_generation",
                "Which configuration is in force; 1 is that of the start.",
                views.config.load().generation,
            ),
            gauge(
                "openclaw_config_wrong",
                "1 while the configuration file cannot be used.",
                u64::from(views.config.load().error.is_some()),
            ),
        ]
    }

    /// What was done. Two that are divided give a mean: seconds by runs, seconds by commits.
    fn work(&self) -> Vec<Figure> {
        let totals = &self.views.totals;
        let runs = Figure {
            values: RunEnd::ALL
                .map(|end| {
                    let label = vec![("end", end.name().to_owned())];
                    (label, float(totals.runs(end)))
                })
                .to_vec(),
            ..counter("openclaw_runs_total", "Runs that ended, and how.", 0)
        };
        vec![
            counter(
                "openclaw_handshakes_total",
                "Connections that were let in.",
                totals.handshakes(),
            ),
            counter(
                "openclaw_events_total",
                "Events that were put into the order, before they go to whoever listens.",
                totals.events(),
            ),
            runs,
            Figure::one(
                "openclaw_run_seconds_total",
                "How long all runs took together.",
                Kind::Counter,
                totals.run_time().as_secs_f64(),
            ),
        ]
    }

    fn limits(&self) -> Vec<Figure> {
        let counts = self.views.counts.report();
        let refused = Figure {
            values: [
                (
                    "too_many_before_handshake",
                    counts.too_many_before_handshake,
                ),
                ("too_fast_connects", counts.too_fast_connects),
                ("handshake_timeouts", counts.handshake_timeouts),
                ("refused_while_locked", counts.refused_while_locked),
                ("oversized_frames", counts.oversized_frames),
                ("deep_frames", counts.deep_frames),
                ("too_fast_requests", counts.too_fast_requests),
                ("busy_requests", counts.busy_requests),
                ("floods_closed", counts.floods_closed),
                ("slow_closed", counts.slow_closed),
                ("late_node_results", counts.late_node_results),
            ]
            .map(|(bound, number)| (vec![("bound", bound.to_owned())], float(number)))
            .to_vec(),
            ..counter(
                "openclaw_refused_total",
                "What a bound refused or closed.",
                0,
            )
        };
        vec![
            refused,
            counter(
                "openclaw_auth_failures_total",
                "Wrong tokens, passwords and setup codes.",
                counts.failed_attempts,
            ),
            counter(
                "openclaw_auth_lockouts_total",
                "Clients locked out after too many of them.",
                counts.lockouts,
            ),
            counter(
                "openclaw_events_dropped_total",
                "Events that a slow reader missed.",
                counts.dropped_events + counts.lagged_events,
            ),
        ]
    }

    fn database(&self) -> Vec<Figure> {
        let store = self.store.status();
        vec![
            gauge(
                "openclaw_store_ok",
                "1 while the database takes commits.",
                u64::from(store.ok),
            ),
            counter(
                "openclaw_store_commits_total",
                "Commits to disk.",
                store.commits,
            ),
            Figure::one(
                "openclaw_store_last_commit_seconds",
                "How long the last commit took.",
                Kind::Gauge,
                store.last_commit_took.as_secs_f64(),
            ),
            Figure::one(
                "openclaw_store_commit_seconds_total",
                "How long all commits took together.",
                Kind::Counter,
                store.commits_took.as_secs_f64(),
            ),
            gauge(
                "openclaw_store_bytes",
                "Size of the database.",
                store.file_bytes,
            ),
        ]
    }

    fn channels(&self) -> Vec<Figure> {
        let board = self.views.channels.load();
        let of = |figure: Figure, read: Read| Figure {
            values: board
                .0
                .iter()
                .map(|(who, status)| {
                    let labels = vec![
                        ("channel", who.channel.to_string()),
                        ("account", who.account.to_string()),
                    ];
                    (labels, float(read(&status.load())))
                })
                .collect(),
            ..figure
        };
        vec![
            of(
                gauge(
                    "openclaw_channel_connected",
                    "1 while the platform is heard.",
                    0,
                ),
                |status| u64::from(status.phase == Phase::Connected),
            ),
            of(
                counter(
                    "openclaw_channel_transports_total",
                    "Connections to the platform that were begun.",
                    0,
                ),
                |status| status.generation,
            ),
            of(
                gauge(
                    "openclaw_channel_waiting_in",
                    "Messages that wait for their answer.",
                    0,
                ),
                |status| status.waiting_in as u64,
            ),
            of(
                gauge(
                    "openclaw_channel_waiting_out",
                    "Pieces that wait to be sent.",
                    0,
                ),
                |status| status.waiting_out as u64,
            ),
        ]
    }

    /// Names are those in the code, so that there are few.
    fn actors(&self) -> Figure {
        let totals = self.watch.totals();
        Figure {
            values: totals
                .iter()
                .map(|(name, totals)| {
                    (
                        vec![("actor", (*name).to_owned())],
                        float(totals.recoveries),
                    )
                })
                .collect(),
            ..counter(
                "openclaw_actor_restarts_total",
                "Lives of parts of the gateway after their first.",
                0,
            )
        }
    }
}

/// What Linux tells every process of itself; elsewhere there is nothing to tell.
fn process() -> Vec<Figure> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let number = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches("kB").trim().parse().ok()
    };
    let files = std::fs::read_dir("/proc/self/fd").map(|entries| entries.count() as u64);
    let mut figures = Vec::new();
    if let Some(kilobytes) = number("VmRSS:") {
        figures.push(gauge(
            "process_resident_memory_bytes",
            "Memory in use.",
            kilobytes * 1_024,
        ));
    }
    if let Some(threads) = number("Threads:") {
        figures.push(gauge("process_threads", "Threads.", threads));
    }
    if let Ok(files) = files {
        figures.push(gauge("process_open_fds", "Open files and sockets.", files));
    }
    figures
}

/// Shares them with the HTTP side.
pub(super) fn shared(ground: &Ground) -> Arc<dyn Measured> {
    Arc::new(Figures {
        store: ground.store.clone(),
        views: ground.views.clone(),
        watch: ground.watch.clone(),
    })
}
