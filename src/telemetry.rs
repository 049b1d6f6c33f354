//! Logs: lines for people or JSON on stdout, and a bounded JSON file that `logs.tail` reads.
//!
//! Message bodies and phone numbers never appear above `debug`, tokens never. Lines are written by
//! threads of their own: a full pipe or a hung disk costs lines, which are counted, never a turn.

mod levels;
mod line;
#[cfg(feature = "otlp")]
pub(crate) mod otlp;
mod sink;

use std::convert::Infallible;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::tz::TimeZone;
use openclaw_actors::clock::SystemClock;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt, reload};

use crate::config::Loaded;
use crate::config::logging::ConsoleStyle;
pub use levels::Levels;
use levels::To;
use sink::{Bounds, LogSink};

/// Size at which the file begins anew, when the configuration names none, bytes.
const DEFAULT_MAX_BYTES: u64 = 10 * 1024 * 1024;

/// Lines that wait for the disk or the terminal; further ones are dropped.
const MAX_WAITING_LINES: usize = 2_048;

/// How often lost lines are looked for.
const LOOK: Duration = Duration::from_mins(1);

/// Logging of this process; what waits is written when it is dropped.
pub struct Logging {
    /// What is written, by module.
    pub levels: Levels,
    /// Dropped, it ends the thread that looks for lost lines.
    looking: Option<(mpsc::Sender<Infallible>, JoinHandle<()>)>,
    _writers: [WorkerGuard; 2],
}

impl Drop for Logging {
    fn drop(&mut self) {
        if let Some((alive, thread)) = self.looking.take() {
            drop(alive);
            // Its last words are written before the writers end.
            let _ = thread.join();
        }
    }
}

/// Says every minute, and at the end, how many lines were lost since it last said so: a gateway runs
/// for months, and nobody sees a number that is told when it stops.
fn look_for_losses(
    counters: Vec<ErrorCounter>,
) -> io::Result<(mpsc::Sender<Infallible>, JoinHandle<()>)> {
    let (alive, ended) = mpsc::channel();
    let thread = std::thread::Builder::new().name("log-losses".to_owned());
    let thread = thread.spawn(move || {
        let mut losses = Losses::default();
        let mut running = true;
        while running {
            running = ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout);
            let total = counters.iter().map(ErrorCounter::dropped_lines).sum();
            if let Some(dropped) = losses.since_told(total) {
                tracing::warn!(
                    dropped,
                    "log lines were lost: the disk or the terminal was too slow"
                );
            }
        }
    })?;
    Ok((alive, thread))
}

/// Lost lines, as far as they were told.
#[derive(Default)]
struct Losses {
    told: usize,
}

impl Losses {
    /// What has to be told of a total.
    fn since_told(&mut self, total: usize) -> Option<usize> {
        let lost = total.saturating_sub(self.told);
        self.told = total;
        (lost > 0).then_some(lost)
    }
}

/// The file that this gateway logs to.
pub fn log_file(loaded: &Loaded) -> PathBuf {
    let own = loaded.paths.gateway_dir.join("logs").join("gateway.log");
    match &loaded.config.logging.file {
        Some(configured) => loaded.paths.expand(configured, &loaded.paths.state_dir),
        None => own,
    }
}

/// How to log.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish {
    /// `--verbose`.
    pub verbose: bool,
    /// `--log-format`; the configuration's style when unset.
    pub json: Option<bool>,
    /// Whether colours help.
    pub colour: bool,
}

/// Starts logging for this process.
///
/// # Errors
///
/// When the file cannot be opened, or something logs already.
pub fn start(loaded: &Loaded, wish: Wish) -> io::Result<Logging> {
    let logging = &loaded.config.logging;
    let filter_of = |to| levels::filter(levels::level(logging, to, wish.verbose), &logging.levels);
    let (file_filter, file_handle) = reload::Layer::new(filter_of(To::File));
    let (console_filter, console_handle) = reload::Layer::new(filter_of(To::Console));
    let path = log_file(loaded);
    let bounds = Bounds {
        bytes: logging.max_file_bytes.unwrap_or(DEFAULT_MAX_BYTES),
        days: logging.keep_days,
    };
    let sink = LogSink::open(&path, bounds, SystemClock::shared(), TimeZone::system())?;
    let (sink, file_guard) = background("log-file", sink);
    let (stdout, stdout_guard) = background("log-stdout", io::stdout());
    let counters = vec![sink.error_counter(), stdout.error_counter()];
    let file = fmt::layer()
        .event_format(line::FileLine)
        .with_ansi(false)
        .with_writer(sink)
        .with_filter(file_filter);
    let json = wish
        .json
        .unwrap_or(logging.console_style == ConsoleStyle::Json);
    let console = fmt::layer()
        .with_writer(stdout)
        .with_ansi(wish.colour)
        .with_target(false);
    let console = if json {
        console.json().flatten_event(true).boxed()
    } else {
        let fields = debug_fn(line::console_field).delimited(" ");
        console.compact().fmt_fields(fields).boxed()
    };
    tracing_subscriber::registry()
        .with(file)
        .with(console.with_filter(console_filter))
        .try_init()
        .map_err(io::Error::other)?;
    // A handle whose subscriber is gone has nothing to change.
    let sets: Vec<(To, levels::Set)> = vec![
        (
            To::File,
            Box::new(move |filter| drop(file_handle.reload(filter))),
        ),
        (
            To::Console,
            Box::new(move |filter| drop(console_handle.reload(filter))),
        ),
    ];
    Ok(Logging {
        levels: Levels::new(sets, wish.verbose),
        looking: Some(look_for_losses(counters)?),
        _writers: [file_guard, stdout_guard],
    })
}

/// Writes on a thread of its own.
fn background(name: &str, sink: impl Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .thread_name(name)
        .lossy(true)
        .buffered_lines_limit(MAX_WAITING_LINES)
        .finish(sink)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_lines_are_told_once() {
        let mut losses = Losses::default();
        assert_eq!(losses.since_told(0), None);
        assert_eq!(losses.since_told(3), Some(3));
        assert_eq!(losses.since_told(3), None);
        assert_eq!(losses.since_told(10), Some(7));
    }
}
