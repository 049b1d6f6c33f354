//! A damaged file: set aside as it is, and what can still be read of it goes into a new one.
//!
//! Nothing of this is silent: the log, `openclaw status` and `openclaw doctor` say what was found and
//! where the damaged file is, for as long as it lies there.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{
    Builder, Database, DatabaseError, ReadableDatabase as _, ReadableTableMetadata as _,
    StorageError, TableError,
};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::config::StoreConfig;
use super::database::Shared;
use super::error::StoreError;
use super::medium::{Boxed, FileMedium, Medium};
use super::overlay::Overlay;
use super::rows;
use super::schema;
use super::table::{Op, Table};
use crate::clock::SharedClock;

/// Largest file that is read whole at every start, to see whether all of it is as it was written,
/// bytes. `openclaw backup verify` and `openclaw doctor` look at larger ones too.
pub(super) const CHECKED: u64 = 16 * 1024 * 1024;
/// Where the row about it is, in [`Table::Meta`].
const KEY: &[u8] = b"salvaged";
/// Rows that are written at once, and their bytes.
const BATCH: usize = 1_000;
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// What the name of the new file ends with until all that can be saved is in it.
const UNFINISHED: &str = ".salvaging";
/// Memory for the damaged file's pages, bytes.
const CACHE: usize = 4 * 1024 * 1024;

/// What became of a damaged file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Salvaged {
    /// What was wrong with it.
    pub reason: String,
    /// Where it is now.
    pub kept: PathBuf,
    /// Rows that could be read.
    pub rows: u64,
    /// Rows that were found and cannot be read.
    pub unreadable: u64,
    /// Tables that may lack rows, by name.
    pub incomplete: Vec<String>,
}

impl fmt::Display for Salvaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept.display();
        write!(
            f,
            "the database was damaged ({}); {} rows were recovered",
            self.reason, self.rows
        )?;
        if self.unreadable > 0 {
            write!(f, ", {} could not be read", self.unreadable)?;
        }
        match self.incomplete.as_slice() {
            [] => write!(f, ", and no table lacks any")?,
            tables => write!(f, ", and these may lack some: {}", tables.join(", "))?,
        }
        write!(
            f,
            "; the damaged file is kept as `{kept}`: `openclaw backup restore FILE` puts a backup in its place, `rm '{kept}'` ends this message"
        )
    }
}

/// Why a file cannot be read whole.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It is damaged.
    Damaged(String),
    /// The disk, or something else that says nothing about the file.
    Else(String),
}

impl Trouble {
    fn of(error: &DatabaseError) -> Self {
        let damaged = match error {
            DatabaseError::Storage(StorageError::Corrupted(_)) => true,
            DatabaseError::Storage(StorageError::Io(error)) => matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            ),
            _ => false,
        };
        if damaged {
            Self::Damaged(error.to_string())
        } else {
            Self::Else(error.to_string())
        }
    }

    fn structure() -> Self {
        Self::Damaged("its structure does not add up".to_owned())
    }
}

/// Reads a file's structure and checksums, without a change of the file.
pub(super) fn checked(medium: &dyn Medium) -> Result<Database, Trouble> {
    let mut database = open_in_memory(medium)?;
    let whole = catch_unwind(AssertUnwindSafe(|| database.check_integrity()));
    match whole {
        Ok(Ok(true)) => Ok(database),
        Ok(Ok(false)) => Err(Trouble::Damaged("its checksums do not add up".to_owned())),
        Ok(Err(error)) => Err(Trouble::of(&error)),
        Err(_) => {
            // It may not be fit for being closed.
            std::mem::forget(database);
            Err(Trouble::structure())
        }
    }
}

/// Opens a file whose repairs, if it needs any, stay in memory.
fn open_in_memory(medium: &dyn Medium) -> Result<Database, Trouble> {
    let failed = |error: io::Error| Trouble::of(&DatabaseError::Storage(StorageError::Io(error)));
    let overlay = Overlay::new(medium.backend().map_err(failed)?).map_err(failed)?;
    let opened = catch_unwind(AssertUnwindSafe(|| {
        Builder::new()
            .set_cache_size(CACHE)
            .create_with_backend(Boxed(Box::new(overlay)))
    }));
    match opened {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(error)) => Err(Trouble::of(&error)),
        Err(_) => Err(Trouble::structure()),
    }
}

/// Looks at a file that is not too large; says what is damaged.
fn damage(path: &Path) -> Result<Option<String>, StoreError> {
    let medium = match FileMedium::open(path) {
        Ok(medium) => medium,
        Err(StoreError::Corrupt { reason, .. }) => return Ok(Some(reason)),
        Err(error) => return Err(error),
    };
    if !(1..=CHECKED).contains(&medium.bytes()) {
        return Ok(None);
    }
    match checked(&medium) {
        Ok(_) | Err(Trouble::Else(_)) => Ok(None),
        Err(Trouble::Damaged(reason)) => Ok(Some(reason)),
    }
}

/// Opens a new file with what could be read of the damaged one at `path`, which is set aside.
///
/// The new file is whole, with the row about all this in it, before it has its name: a full disk or a
/// kill on the way leaves the damaged file where it is, and the next start begins again.
fn salvage(
    config: &StoreConfig,
    path: &Path,
    reason: String,
    clock: SharedClock,
) -> Result<(Shared, Salvaged), StoreError> {
    let unfinished = beside(path, UNFINISHED);
    let kept = aside(path, clock.now().get());
    let salvaged = Salvaged {
        reason,
        kept,
        rows: 0,
        unreadable: 0,
        incomplete: Vec::new(),
    };
    let salvaged = fill(path, &unfinished, salvaged, SharedClock::clone(&clock))?;
    exchange(path, &salvaged.kept, &unfinished).map_err(|error| {
        StoreError::Unavailable(format!(
            "`{}` is damaged ({}) and cannot be set aside: {error}",
            path.display(),
            salvaged.reason
        ))
    })?;
    let shared = Shared::open(config, clock)?;
    tracing::error!("{salvaged}");
    Ok((shared, salvaged))
}

/// Writes what can be read of `damaged` into a new file, and last the row about it.
fn fill(
    damaged: &Path,
    new: &Path,
    salvaged: Salvaged,
    clock: SharedClock,
) -> Result<Salvaged, StoreError> {
    remove_stale(new)?;
    let shared = Shared::open(&StoreConfig::file(new), clock)?;
    let mut found = Found {
        shared: &shared,
        batch: Vec::new(),
        batch_bytes: 0,
        salvaged,
    };
    let medium = FileMedium::open(damaged).map_err(|error| Trouble::Else(error.to_string()));
    match medium.and_then(|medium| open_in_memory(&medium)) {
        Ok(database) => {
            // A cycle in a damaged tree must have an end.
            let bytes = damaged.metadata().map_or(0, |meta| meta.len());
            for table in Table::ALL {
                found.table(&database, table, bytes)?;
            }
            // Whatever it would write is in memory only, and it may not be fit for being closed.
            std::mem::forget(database);
        }
        Err(Trouble::Damaged(reason) | Trouble::Else(reason)) => {
            tracing::error!(reason, "nothing of the damaged database can be read");
            found.salvaged.incomplete = Table::ALL.map(|table| table.name().to_owned()).into();
        }
    }
    let salvaged = found.finish()?;
    shared.commit([vec![Op::put_json(Table::Meta, KEY, &salvaged)?].as_slice()].into_iter())?;
    shared.close();
    Ok(salvaged)
}

/// What a start that was killed had not finished says nothing.
fn remove_stale(unfinished: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::Unavailable(
            format!("cannot remove `{}`: {error}", unfinished.display()),
        )),
        _ => Ok(()),
    }
}

/// The damaged file gets another name, the new one its own.
fn exchange(path: &Path, kept: &Path, new: &Path) -> io::Result<()> {
    // A second name first, so that there is a file at `path` at every moment; some file systems know
    // one name only.
    if std::fs::hard_link(path, kept).is_err() {
        std::fs::rename(path, kept)?;
    }
    std::fs::rename(new, path)?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Opens a file, or what can be saved of it.
pub(super) fn open(
    config: &StoreConfig,
    clock: SharedClock,
) -> Result<(Shared, Option<Salvaged>), StoreError> {
    let Some(path) = config.path() else {
        return Shared::open(config, clock).map(|shared| (shared, None));
    };
    remove_stale(&beside(path, UNFINISHED))?;
    let found = if path.exists() { damage(path)? } else { None };
    let reason = match found {
        Some(reason) => reason,
        None => match Shared::open(config, std::sync::Arc::clone(&clock)) {
            Err(StoreError::Corrupt { reason, .. }) => reason,
            other => return other.map(|shared| (shared, None)),
        },
    };
    salvage(config, path, reason, clock).map(|(shared, salvaged)| (shared, Some(salvaged)))
}

/// What an earlier start had to set aside, while the damaged file still lies there.
pub(super) fn remembered(shared: &Shared) -> Option<Salvaged> {
    let read = shared.begin_read().ok()?;
    let table = read.open_table(Table::Meta.definition()).ok()?;
    let row = table.get(KEY).ok()??;
    let salvaged: Salvaged = rows::decode(Table::Meta, row.value()).ok()?;
    salvaged.kept.exists().then_some(salvaged)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

fn aside(path: &Path, now: i64) -> PathBuf {
    let first = beside(path, &format!(".damaged-{now}"));
    if !first.exists() {
        return first;
    }
    (1..1_000)
        .map(|number: u32| beside(path, &format!(".damaged-{now}-{number}")))
        .find(|name| !name.exists())
        .unwrap_or(first)
}

struct Found<'a> {
    shared: &'a Shared,
    batch: Vec<Op>,
    batch_bytes: usize,
    salvaged: Salvaged,
}

/// Takes a row; an error is one of the new file.
type Take<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), StoreError> + 'a;

/// How a walk through a table ended.
enum Walk {
    /// All of it was read, and it has as many rows as it says.
    Whole,
    /// It cannot be read further.
    Broken,
    /// The new file does not take it.
    Stopped(StoreError),
}

impl Found<'_> {
    /// Reads a table from its beginning, and where that ends early, from its end.
    fn table(&mut self, database: &Database, table: Table, bytes: u64) -> Result<(), StoreError> {
        let mut last = None;
        let mut take = |key: &[u8], value: &[u8]| self.take(table, key, value);
        let ahead = Direction::Forward;
        match read(database, table, bytes, ahead, &mut last, &mut take) {
            Walk::Whole => return Ok(()),
            Walk::Broken => {}
            Walk::Stopped(error) => return Err(error),
        }
        let back = Direction::Back;
        let walk = read(database, table, bytes, back, &mut last, &mut take);
        self.salvaged.incomplete.push(table.name().to_owned());
        match walk {
            Walk::Whole | Walk::Broken => Ok(()),
            Walk::Stopped(error) => Err(error),
        }
    }

    fn take(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        // The new file has its own stamp, and its own word on what was lost.
        if table == Table::Meta && (schema::is_own(key) || key == KEY) {
            return Ok(());
        }
        if rows::decode::<IgnoredAny>(table, value).is_err() {
            self.salvaged.unreadable += 1;
            return Ok(());
        }
        self.salvaged.rows += 1;
        self.batch_bytes += key.len() + value.len();
        self.batch.push(Op::put(table, key, value));
        if self.batch.len() >= BATCH || self.batch_bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        if batch.is_empty() {
            return Ok(());
        }
        self.shared.commit([batch.as_slice()].into_iter())
    }

    fn finish(mut self) -> Result<Salvaged, StoreError> {
        self.flush()?;
        Ok(self.salvaged)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Back,
}

/// Shows rows until the table ends, fails, or its order is broken. Forward, `edge` becomes the last key
/// that was seen; back, rows at and before `edge` are not shown again.
fn read(
    database: &Database,
    table: Table,
    bytes: u64,
    direction: Direction,
    edge: &mut Option<Vec<u8>>,
    take: &mut Take<'_>,
) -> Walk {
    let known = edge.clone();
    let mut refused = None;
    let walk = || -> Result<bool, redb::Error> {
        let transaction = database.begin_read()?;
        let open = match transaction.open_table(table.definition()) {
            Ok(open) => open,
            Err(TableError::TableDoesNotExist(_)) => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        let (mut seen, mut size) = (0_u64, 0_u64);
        let mut previous: Option<Vec<u8>> = None;
        let mut rows = open.range::<&[u8]>(..)?;
        while let Some(row) = match direction {
            Direction::Forward => rows.next(),
            Direction::Back => rows.next_back(),
        } {
            let (key, value) = row?;
            let (key, value) = (key.value(), value.value());
            let in_order = previous.as_deref().is_none_or(|previous| match direction {
                Direction::Forward => key > previous,
                Direction::Back => key < previous,
            });
            size += (key.len() + value.len()) as u64;
            if !in_order || size > bytes.saturating_mul(2) {
                return Ok(false);
            }
            if direction == Direction::Back && known.as_deref().is_some_and(|known| key <= known) {
                return Ok(true);
            }
            if let Err(error) = take(key, value) {
                refused = Some(error);
                return Ok(false);
            }
            seen += 1;
            previous = Some(key.to_vec());
            if direction == Direction::Forward {
                edge.clone_from(&previous);
            }
        }
        Ok(open.len()? == seen)
    };
    let whole = matches!(catch_unwind(AssertUnwindSafe(walk)), Ok(Ok(true)));
    match refused {
        Some(error) => Walk::Stopped(error),
        None if whole => Walk::Whole,
        None => Walk::Broken,
    }
}
