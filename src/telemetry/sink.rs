//! The log file: one a day at most, moved aside when the day ends or when it is full, and kept for some
//! days.
//!
//! The file that is written has always the same name, so that readers find it; `gateway.log` of the 23rd
//! becomes `gateway-2026-11-23.log`, a second one of that day `gateway-2026-11-23.1.log`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use openclaw_actors::clock::SharedClock;

/// Most files of one day; the oldest of them goes first.
const MAX_A_DAY: usize = 10;

/// How large the files become, and how long they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Size at which a file is moved aside, bytes.
    pub(super) bytes: u64,
    /// Days that a file is kept.
    pub(super) days: u16,
}

/// A file that is moved aside when it is full or its day is over.
pub(super) struct LogSink {
    file: File,
    path: PathBuf,
    size: u64,
    /// The day of what is in it.
    day: Date,
    bounds: Bounds,
    clock: SharedClock,
    zone: TimeZone,
}

impl LogSink {
    pub(super) fn open(
        path: &Path,
        bounds: Bounds,
        clock: SharedClock,
        zone: TimeZone,
    ) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = append(path)?;
        let meta = file.metadata()?;
        let written = meta
            .modified()
            .ok()
            .and_then(|time| Timestamp::try_from(time).ok());
        let mut sink = Self {
            file,
            path: path.to_owned(),
            size: meta.len(),
            day: Date::ZERO,
            bounds,
            clock,
            zone,
        };
        let today = sink.today();
        sink.day = match written {
            Some(written) if sink.size > 0 => written.to_zoned(sink.zone.clone()).date(),
            _ => today,
        };
        sink.forget(today);
        Ok(sink)
    }

    fn today(&self) -> Date {
        let now = Timestamp::from_millisecond(self.clock.now().get()).unwrap_or_default();
        now.to_zoned(self.zone.clone()).date()
    }

    /// Moves the file aside under the name of its day.
    fn rotate(&mut self, today: Date) -> io::Result<()> {
        if self.size > 0 {
            let (stem, kind) = name_of(&self.path);
            let mut older = self.of_day(self.day);
            while older.len() >= MAX_A_DAY {
                std::fs::remove_file(older.remove(0).1)?;
            }
            let next = older.last().map_or(0, |(number, _)| number + 1);
            let name = if next == 0 {
                format!("{stem}-{}{kind}", self.day)
            } else {
                format!("{stem}-{}.{next}{kind}", self.day)
            };
            match std::fs::rename(&self.path, self.path.with_file_name(name)) {
                // Somebody removed it: what was in it is gone, and a new one begins.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                renamed => renamed?,
            }
        }
        self.file = append(&self.path)?;
        self.size = 0;
        self.day = today;
        self.forget(today);
        Ok(())
    }

    /// The files of a day that were moved aside, oldest first.
    fn of_day(&self, day: Date) -> Vec<(u32, PathBuf)> {
        let mut found: Vec<(u32, PathBuf)> = self
            .aside()
            .into_iter()
            .filter(|(of, _, _)| *of == day)
            .map(|(_, number, path)| (number, path))
            .collect();
        found.sort();
        found
    }

    /// Every file that was moved aside: its day, its number, its path.
    fn aside(&self) -> Vec<(Date, u32, PathBuf)> {
        let (stem, kind) = name_of(&self.path);
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let Ok(entries) = std::fs::read_dir(folder) else {
            return Vec::new();
        };
        let parse = |path: PathBuf| {
            let name = path.file_name()?.to_str()?;
            let middle = name
                .strip_prefix(&stem)?
                .strip_prefix('-')?
                .strip_suffix(&kind)?;
            let (day, number) = match middle.split_once('.') {
                Some((day, number)) => (day, number.parse().ok()?),
                None => (middle, 0),
            };
            Some((day.parse::<Date>().ok()?, number, path))
        };
        entries
            .flatten()
            .filter_map(|entry| parse(entry.path()))
            .collect()
    }

    /// Lets files go whose time is over.
    fn forget(&self, today: Date) {
        let Ok(oldest) = today.checked_sub(i64::from(self.bounds.days).days()) else {
            return;
        };
        for (day, _, path) in self.aside() {
            if day < oldest {
                // It is tried again tomorrow.
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

/// `gateway` and `.log` of `gateway.log`.
fn name_of(path: &Path) -> (String, String) {
    let text =
        |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let kind = match path.extension() {
        Some(kind) => format!(".{}", kind.to_string_lossy()),
        None => String::new(),
    };
    (text(path.file_stem()), kind)
}

impl Write for LogSink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let today = self.today();
        let full = self.size > 0 && self.size + line.len() as u64 > self.bounds.bytes;
        if full || today != self.day {
            // A folder that cannot be written to costs the rotation, not the line.
            if self.rotate(today).is_err() {
                self.day = today;
            }
        }
        self.file.write_all(line)?;
        self.size += line.len() as u64;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use openclaw_actors::clock::{SharedClock, TestClock};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap().flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn sink(path: &Path, clock: &Arc<TestClock>, bytes: u64, days: u16) -> LogSink {
        let clock: SharedClock = clock.clone();
        LogSink::open(path, Bounds { bytes, days }, clock, TimeZone::UTC).unwrap()
    }

    #[test]
    fn each_day_has_its_file_and_old_ones_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs/gateway.log");
        let clock = Arc::new(TestClock::frozen());
        let mut sink = sink(&path, &clock, 1_000, 3);
        for _ in 0..10 {
            sink.write_all(b"a line\n").unwrap();
            clock.advance(Duration::from_hours(24));
        }
        sink.write_all(b"the last line\n").unwrap();
        let folder = path.parent().unwrap();
        assert_eq!(names(folder).len(), 4, "{:?}", names(folder));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "the last line\n");
        std::fs::write(folder.join("gateway-notes.log"), "not ours").unwrap();
        clock.advance(Duration::from_hours(24 * 30));
        sink.write_all(b"much later\n").unwrap();
        let left = names(folder);
        assert_eq!(left.len(), 2, "its own day is over as well: {left:?}");
        assert!(left.contains(&"gateway-notes.log".to_owned()));
    }

    #[test]
    fn a_file_that_somebody_removed_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.log");
        let clock = Arc::new(TestClock::frozen());
        let mut sink = sink(&path, &clock, 100, 3);
        sink.write_all(&[b'a'; 90]).unwrap();
        std::fs::remove_file(&path).unwrap();
        sink.write_all(b"the next\n").unwrap();
        sink.write_all(&[b'b'; 99]).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), [b'b'; 99]);
    }

    #[test]
    fn a_day_has_so_many_files_of_such_a_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.log");
        let clock = Arc::new(TestClock::frozen());
        let mut sink = sink(&path, &clock, 100, 3);
        for number in 0..500 {
            sink.write_all(format!("{number:029}\n").as_bytes())
                .unwrap();
        }
        let found = names(dir.path());
        assert_eq!(found.len(), MAX_A_DAY + 1, "{found:?}");
        for name in &found {
            let size = std::fs::metadata(dir.path().join(name)).unwrap().len();
            assert!(size <= 100, "{name} has {size}");
        }
        let newest = std::fs::read_to_string(&path).unwrap();
        assert!(newest.ends_with(&format!("{:029}\n", 499)), "{newest}");
    }
}
