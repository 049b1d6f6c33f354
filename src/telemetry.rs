//! Logs: lines for people or JSON on stdout, and a bounded JSON file that `logs.tail` reads.
//!
//! Message bodies and phone numbers never appear above `debug`, tokens never.

mod line;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::config::Loaded;
use crate::config::logging::{ConsoleStyle, LogLevel};

/// Size at which the file begins anew, when the configuration names none, bytes.
const DEFAULT_MAX_BYTES: u64 = 10 * 1024 * 1024;

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
pub fn start(loaded: &Loaded, wish: Wish) -> io::Result<()> {
    let logging = &loaded.config.logging;
    let file_level = logging.level.unwrap_or(LogLevel::Info);
    let console_level = if wish.verbose {
        LogLevel::Debug
    } else {
        logging.console_level.unwrap_or(file_level)
    };
    let path = log_file(loaded);
    let sink = LogSink::open(&path, logging.max_file_bytes.unwrap_or(DEFAULT_MAX_BYTES))?;
    let file = fmt::layer()
        .event_format(line::FileLine)
        .with_ansi(false)
        .with_writer(sink)
        .with_filter(filter(file_level));
    let json = wish
        .json
        .unwrap_or(logging.console_style == ConsoleStyle::Json);
    let console = fmt::layer()
        .with_writer(io::stdout)
        .with_ansi(wish.colour)
        .with_target(false);
    let console = if json {
        console.json().flatten_event(true).boxed()
    } else {
        console.compact().boxed()
    };
    tracing_subscriber::registry()
        .with(file)
        .with(console.with_filter(filter(console_level)))
        .try_init()
        .map_err(io::Error::other)
}

/// Our own modules at the level asked for, libraries only when they warn.
fn filter(level: LogLevel) -> EnvFilter {
    let level = match level {
        LogLevel::Silent => "off",
        LogLevel::Fatal | LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    let libraries = if level == "off" { "off" } else { "warn" };
    EnvFilter::new(format!(
        "{libraries},openclaw={level},openclaw_actors={level},openclaw_protocol={level},openclaw_client={level}"
    ))
}

/// A file that is moved aside when it is full; one older file is kept.
#[derive(Clone)]
struct LogSink(Arc<Mutex<Sink>>);

struct Sink {
    file: File,
    path: PathBuf,
    size: u64,
    max: u64,
}

impl LogSink {
    fn open(path: &Path, max: u64) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = append(path)?;
        let size = file.metadata()?.len();
        Ok(Self(Arc::new(Mutex::new(Sink {
            file,
            path: path.to_owned(),
            size,
            max,
        }))))
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

impl Sink {
    fn rotate(&mut self) -> io::Result<()> {
        let mut aside = self.path.clone().into_os_string();
        aside.push(".1");
        std::fs::rename(&self.path, aside)?;
        self.file = append(&self.path)?;
        self.size = 0;
        Ok(())
    }
}

impl Write for LogSink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut sink = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sink.size > 0 && sink.size + line.len() as u64 > sink.max {
            // A folder that cannot be written to costs the rotation, not the line.
            let _ = sink.rotate();
        }
        sink.file.write_all(line)?;
        sink.size += line.len() as u64;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogSink {
    type Writer = Self;

    fn make_writer(&'a self) -> Self::Writer {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_is_moved_aside_and_never_grows_past_its_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs/gateway.log");
        let mut sink = LogSink::open(&path, 100).unwrap();
        for _ in 0..50 {
            sink.write_all(&[b'x'; 30]).unwrap();
        }
        assert!(std::fs::metadata(&path).unwrap().len() <= 100);
        assert!(
            std::fs::metadata(dir.path().join("logs/gateway.log.1"))
                .unwrap()
                .len()
                <= 100
        );
    }
}
