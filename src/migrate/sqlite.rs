//! Reads tables of a file of `SQLite`: enough of the format (<https://www.sqlite.org/fileformat2.html>) for rows in the
//! order of their ids and for single rows, with what the write-ahead log has committed. Nothing is written, no lock
//! is taken, so the program that writes the file must be stopped.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde_json::Value;

/// Largest row, bytes.
const MAX_ROW: u64 = 64 * 1024 * 1024;
/// Deepest tree: a damaged file can lead in circles.
const MAX_DEPTH: usize = 32;
/// Largest write-ahead log that is read, bytes.
const MAX_LOG: u64 = 1024 * 1024 * 1024;

/// A row by its columns. Blobs are left out; [`Sqlite::blob`] gives one.
pub type Row = BTreeMap<String, Value>;

/// A file of `SQLite`.
pub struct Sqlite {
    file: File,
    log: Option<Log>,
    page: usize,
    /// Bytes of a page that hold content.
    usable: usize,
    tables: BTreeMap<String, Table>,
}

/// Takes a column: its name, its serial type, and the bytes from its value on; `None` where they are damaged.
type See<'a> = dyn FnMut(&str, u64, &[u8]) -> Option<()> + 'a;

struct Table {
    root: u32,
    columns: Vec<String>,
}

/// The newest committed state of pages that are in the write-ahead log.
struct Log {
    file: File,
    pages: HashMap<u32, u64>,
}

fn bad(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("it is no SQLite file that can be read ({what})"),
    )
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
    word.map_or(0, u32::from_be_bytes)
}

fn be16(bytes: &[u8], at: usize) -> usize {
    let word = bytes.get(at..at + 2).and_then(|word| word.try_into().ok());
    word.map_or(0, |word| usize::from(u16::from_be_bytes(word)))
}

/// A number of one to nine bytes, and how many they are.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(9).enumerate() {
        if index == 8 {
            return Some((value << 8 | u64::from(*byte), 9));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

impl Log {
    /// Frames up to the last commit, as far as their checksums follow each other.
    fn open(path: &Path, page: usize) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let size = file.metadata()?.len();
        let mut head = [0; 32];
        if size < 32 || file.read_exact_at(&mut head, 0).is_err() {
            return Ok(None);
        }
        if size > MAX_LOG {
            return Err(bad("its write-ahead log is too long"));
        }
        let big_endian = match be32(&head, 0) {
            0x377f_0682 => false,
            0x377f_0683 => true,
            _ => return Ok(None),
        };
        let mut sum = checksum((0, 0), &head[..24], big_endian);
        if be32(&head, 8) as usize != page || sum != (be32(&head, 24), be32(&head, 28)) {
            return Ok(None);
        }
        let (mut pages, mut open) = (HashMap::new(), HashMap::new());
        let mut frame = vec![0; 24 + page];
        let mut at = 32;
        while file.read_exact_at(&mut frame, at).is_ok() {
            if frame[8..16] != head[16..24] {
                break;
            }
            sum = checksum(sum, &frame[..8], big_endian);
            sum = checksum(sum, &frame[24..], big_endian);
            if sum != (be32(&frame, 16), be32(&frame, 20)) {
                break;
            }
            open.insert(be32(&frame, 0), at + 24);
            if be32(&frame, 4) != 0 {
                pages.extend(open.drain());
            }
            at += frame.len() as u64;
        }
        Ok(Some(Self { file, pages }))
    }
}

fn checksum((mut one, mut two): (u32, u32), bytes: &[u8], big_endian: bool) -> (u32, u32) {
    for pair in bytes.chunks_exact(8) {
        let word = |at: usize| {
            let word = be32(pair, at);
            if big_endian { word } else { word.swap_bytes() }
        };
        one = one.wrapping_add(word(0)).wrapping_add(two);
        two = two.wrapping_add(word(4)).wrapping_add(one);
    }
    (one, two)
}

/// Where a row is: the bytes of it that its page holds, how long it is, and the page where it goes on.
struct Cell<'a> {
    rowid: i64,
    length: u64,
    local: &'a [u8],
    overflow: u32,
}

impl Sqlite {
    /// Opens a file and reads which tables it has.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is something else.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let mut head = [0; 100];
        file.read_exact_at(&mut head, 0)
            .map_err(|_| bad("it is too short"))?;
        if !head.starts_with(b"SQLite format 3\0") || be32(&head, 56) > 1 {
            return Err(bad("its head"));
        }
        let page = match be16(&head, 16) {
            1 => 65_536,
            size => size,
        };
        let usable = page.saturating_sub(usize::from(head[20]));
        if !page.is_power_of_two() || usable < 480 {
            return Err(bad("its page size"));
        }
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let mut sqlite = Self {
            log: Log::open(Path::new(&log), page)?,
            file,
            page,
            usable,
            tables: BTreeMap::new(),
        };
        let columns = ["type", "name", "tbl_name", "rootpage", "sql"].map(str::to_owned);
        let schema = Table {
            root: 1,
            columns: columns.to_vec(),
        };
        let mut tables = BTreeMap::new();
        sqlite.walk(&schema, &mut |_, row| {
            let root = row["rootpage"]
                .as_u64()
                .and_then(|root| u32::try_from(root).ok());
            let (name, sql) = (row["name"].as_str(), row["sql"].as_str());
            if let (Some(root), Some(name), Some(sql)) = (root.filter(|root| *root > 0), name, sql)
                && row["type"] == "table"
                && !sql.to_ascii_uppercase().contains("WITHOUT ROWID")
            {
                let columns = columns_of(sql);
                tables.insert(name.to_owned(), Table { root, columns });
            }
            true
        })?;
        sqlite.tables = tables;
        Ok(sqlite)
    }

    /// Shows each row of a table with its id, until `take` says no; nothing where there is no such table.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn rows(&self, table: &str, take: &mut dyn FnMut(i64, Row) -> bool) -> io::Result<()> {
        match self.tables.get(table) {
            Some(table) => self.walk(table, take),
            None => Ok(()),
        }
    }

    /// One row.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn row(&self, table: &str, rowid: i64) -> io::Result<Option<Row>> {
        let Some(table) = self.tables.get(table) else {
            return Ok(None);
        };
        let row = self.find(table, rowid)?;
        row.map(|row| table.decode(&row)).transpose()
    }

    /// A blob of a row; `None` where there is none.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn blob(&self, table: &str, rowid: i64, column: &str) -> io::Result<Option<Vec<u8>>> {
        let Some(table) = self.tables.get(table) else {
            return Ok(None);
        };
        let mut found = None;
        if let Some(row) = self.find(table, rowid)? {
            table.each(&row, &mut |name, kind, bytes| {
                let length = usize::try_from(kind.saturating_sub(12) / 2).ok()?;
                if name == column && kind >= 12 && kind.is_multiple_of(2) {
                    found = Some(bytes.get(..length)?.to_vec());
                }
                Some(())
            })?;
        }
        Ok(found)
    }

    /// The bytes of a row.
    fn find(&self, table: &Table, rowid: i64) -> io::Result<Option<Vec<u8>>> {
        let mut number = table.root;
        for _ in 0..MAX_DEPTH {
            let (page, at) = self.read(number)?;
            let node = Node::of(&page, at)?;
            if node.leaf {
                for index in 0..node.cells {
                    let cell = self.cell(&page, node.cell(index)?)?;
                    if cell.rowid == rowid {
                        return self.whole(&cell).map(Some);
                    }
                }
                return Ok(None);
            }
            number = node.right;
            for index in 0..node.cells {
                let (left, key) = child(&page, node.cell(index)?)?;
                if rowid <= key {
                    number = left;
                    break;
                }
            }
        }
        Err(bad("a tree without an end"))
    }

    fn walk(&self, table: &Table, take: &mut dyn FnMut(i64, Row) -> bool) -> io::Result<()> {
        // A damaged file can lead to the same pages again and again.
        let pages = self.file.metadata()?.len() / self.page as u64;
        let logged = self.log.as_ref().map_or(0, |log| log.pages.len());
        let mut left = pages + logged as u64 + 1;
        self.descend(table, table.root, (MAX_DEPTH, &mut left), take)
            .map(drop)
    }

    fn descend(
        &self,
        table: &Table,
        number: u32,
        (depth, left): (usize, &mut u64),
        take: &mut dyn FnMut(i64, Row) -> bool,
    ) -> io::Result<bool> {
        if depth == 0 || *left == 0 {
            return Err(bad("a tree without an end"));
        }
        *left -= 1;
        let (page, at) = self.read(number)?;
        let node = Node::of(&page, at)?;
        for index in 0..node.cells {
            let place = node.cell(index)?;
            let goes_on = if node.leaf {
                let cell = self.cell(&page, place)?;
                take(cell.rowid, table.decode(&self.whole(&cell)?)?)
            } else {
                self.descend(table, child(&page, place)?.0, (depth - 1, &mut *left), take)?
            };
            if !goes_on {
                return Ok(false);
            }
        }
        if node.leaf {
            return Ok(true);
        }
        self.descend(table, node.right, (depth - 1, left), take)
    }

    /// A page, and where its node begins.
    fn read(&self, number: u32) -> io::Result<(Vec<u8>, usize)> {
        if number == 0 {
            return Err(bad("a page that is none"));
        }
        let mut page = vec![0; self.page];
        let logged = self.log.as_ref();
        let logged = logged.and_then(|log| Some((log, *log.pages.get(&number)?)));
        let read = if let Some((log, at)) = logged {
            log.file.read_exact_at(&mut page, at)
        } else {
            let at = u64::from(number - 1) * self.page as u64;
            self.file.read_exact_at(&mut page, at)
        };
        read.map_err(|_| bad("a page that is not there"))?;
        Ok((page, if number == 1 { 100 } else { 0 }))
    }

    fn cell<'a>(&self, page: &'a [u8], at: usize) -> io::Result<Cell<'a>> {
        let damaged = || bad("a cell");
        let bytes = page.get(at..).ok_or_else(damaged)?;
        let (length, one) = varint(bytes).ok_or_else(damaged)?;
        let (rowid, two) = varint(&bytes[one..]).ok_or_else(damaged)?;
        let content = &bytes[one + two..];
        let usable = self.usable as u64;
        let local = if length <= usable - 35 {
            length
        } else {
            let least = (usable - 12) * 32 / 255 - 23;
            let fits = least + (length - least) % (usable - 4);
            if fits <= usable - 35 { fits } else { least }
        };
        let local = usize::try_from(local).map_err(|_| damaged())?;
        let overflow = if local as u64 == length {
            0
        } else {
            be32(content, local)
        };
        Ok(Cell {
            rowid: rowid.cast_signed(),
            length,
            local: content.get(..local).ok_or_else(damaged)?,
            overflow,
        })
    }

    fn whole(&self, cell: &Cell<'_>) -> io::Result<Vec<u8>> {
        if cell.length > MAX_ROW {
            return Err(bad("a row that is too long"));
        }
        let length = usize::try_from(cell.length).map_err(|_| bad("a row that is too long"))?;
        let mut row = cell.local.to_vec();
        let mut next = cell.overflow;
        while row.len() < length {
            let (page, _) = self.read(next)?;
            next = be32(&page, 0);
            let rest = (length - row.len()).min(self.usable - 4);
            row.extend_from_slice(&page[4..4 + rest]);
        }
        Ok(row)
    }
}

/// A page of a table's tree.
struct Node<'a> {
    page: &'a [u8],
    leaf: bool,
    cells: usize,
    right: u32,
    pointers: usize,
}

impl<'a> Node<'a> {
    fn of(page: &'a [u8], at: usize) -> io::Result<Self> {
        let leaf = match page[at] {
            0x0d => true,
            0x05 => false,
            _ => return Err(bad("a page of another kind")),
        };
        Ok(Self {
            page,
            leaf,
            cells: be16(page, at + 3),
            right: if leaf { 0 } else { be32(page, at + 8) },
            pointers: at + if leaf { 8 } else { 12 },
        })
    }

    fn cell(&self, index: usize) -> io::Result<usize> {
        let at = self.pointers + 2 * index;
        if at + 2 > self.page.len() {
            return Err(bad("a page with too many cells"));
        }
        Ok(be16(self.page, at))
    }
}

fn child(page: &[u8], at: usize) -> io::Result<(u32, i64)> {
    let key = page.get(at + 4..).and_then(varint);
    let (key, _) = key.ok_or_else(|| bad("a cell"))?;
    Ok((be32(page, at), key.cast_signed()))
}

impl Table {
    fn decode(&self, row: &[u8]) -> io::Result<Row> {
        // A column that was added later is missing in older rows.
        let missing = self.columns.iter().map(|name| (name.clone(), Value::Null));
        let mut decoded: Row = missing.collect();
        self.each(row, &mut |name, kind, bytes| {
            decoded.insert(name.to_owned(), value_of(kind, bytes)?.0);
            Some(())
        })?;
        Ok(decoded)
    }

    /// Shows each column that a row has: its name, its serial type, and the bytes from its value on.
    fn each(&self, row: &[u8], see: &mut See<'_>) -> io::Result<()> {
        let damaged = || bad("a row");
        let (head, mut at) = varint(row).ok_or_else(damaged)?;
        let head = usize::try_from(head).map_err(|_| damaged())?;
        let mut body = head;
        for column in &self.columns {
            if at >= head {
                break;
            }
            let (kind, used) = row.get(at..).and_then(varint).ok_or_else(damaged)?;
            at += used;
            let bytes = row.get(body..).ok_or_else(damaged)?;
            see(column, kind, bytes).ok_or_else(damaged)?;
            body += length_of(kind).ok_or_else(damaged)?;
        }
        Ok(())
    }
}

/// How many bytes a value of this serial type has.
fn length_of(kind: u64) -> Option<usize> {
    match kind {
        0 | 8 | 9 => Some(0),
        1..=4 => usize::try_from(kind).ok(),
        5 => Some(6),
        6 | 7 => Some(8),
        10 | 11 => None,
        _ => usize::try_from((kind - 12) / 2).ok(),
    }
}

/// A value by its serial type, and how many bytes it has.
fn value_of(kind: u64, bytes: &[u8]) -> Option<(Value, usize)> {
    let integer = |length: usize| {
        let bytes = bytes.get(..length)?;
        let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
        let start = if negative { -1_i64 } else { 0 };
        let value = bytes
            .iter()
            .fold(start, |value, byte| value << 8 | i64::from(*byte));
        Some((Value::from(value), length))
    };
    match kind {
        0 => Some((Value::Null, 0)),
        1..=4 => integer(usize::try_from(kind).ok()?),
        5 => integer(6),
        6 => integer(8),
        7 => {
            let float = f64::from_be_bytes(bytes.get(..8)?.try_into().ok()?);
            Some((Value::from(float), 8))
        }
        8 => Some((Value::from(0), 0)),
        9 => Some((Value::from(1), 0)),
        10 | 11 => None,
        _ => {
            let length = usize::try_from((kind - 12) / 2).ok()?;
            let bytes = bytes.get(..length)?;
            let value = if kind.is_multiple_of(2) {
                Value::Null
            } else {
                Value::from(String::from_utf8_lossy(bytes))
            };
            Some((value, length))
        }
    }
}

/// The names of a table's columns in its `CREATE TABLE`.
fn columns_of(sql: &str) -> Vec<String> {
    let mut columns = Vec::new();
    let (mut depth, mut word, mut first) = (0_usize, String::new(), true);
    let mut chars = sql.chars().peekable();
    let mut take = |word: &mut String, first: &mut bool| {
        let upper = word.to_ascii_uppercase();
        let rule = ["CONSTRAINT", "PRIMARY", "FOREIGN", "UNIQUE", "CHECK"].contains(&&*upper);
        if *first && !word.is_empty() {
            *first = false;
            if !rule {
                columns.push(std::mem::take(word));
            }
        }
        word.clear();
    };
    while let Some(c) = chars.next() {
        match c {
            '-' if chars.peek() == Some(&'-') => {
                chars.by_ref().find(|c| *c == '\n');
            }
            '(' => {
                if depth == 1 {
                    take(&mut word, &mut first);
                }
                depth += 1;
                if depth == 1 {
                    (word, first) = (String::new(), true);
                }
            }
            ')' => {
                if depth == 1 {
                    take(&mut word, &mut first);
                }
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    break;
                }
            }
            ',' if depth == 1 => {
                take(&mut word, &mut first);
                first = true;
            }
            '\'' | '"' | '`' | '[' => {
                let end = if c == '[' { ']' } else { c };
                let quoted: String = chars.by_ref().take_while(|c| *c != end).collect();
                if depth == 1 {
                    word = quoted;
                    take(&mut word, &mut first);
                }
            }
            c if c.is_whitespace() => {
                if depth == 1 {
                    take(&mut word, &mut first);
                }
            }
            c => word.push(c),
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// What `SQLite` itself writes, by way of Python.
    fn made(path: &Path, script: &str) {
        let script = format!(
            "import sqlite3,os,sys\nc=sqlite3.connect(sys.argv[1],isolation_level=None)\n{script}"
        );
        let done = Command::new("python3")
            .args(["-c", &script])
            .arg(path)
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    const TABLE: &str = r#"
c.execute('''CREATE TABLE t (
  -- a remark, with a comma
  id TEXT NOT NULL PRIMARY KEY, "two words" INTEGER DEFAULT (1 + 2), blob BLOB,
  number REAL CHECK (number IN (0.5, 1.5)), text TEXT, CONSTRAINT c UNIQUE (id, text)) STRICT''')
c.execute("ALTER TABLE t ADD COLUMN later TEXT")
c.execute("BEGIN")
for i in range(3000):
    c.execute("INSERT INTO t VALUES (?,?,?,?,?,?)", (f"k{i}", -i * 1000003, b"x" * 9, 0.5, "\u00e4" * (i * 7 % 9000), None))
c.execute("COMMIT")
"#;

    fn check(path: &Path, extra: usize) {
        let sqlite = Sqlite::open(path).unwrap();
        let mut seen = Vec::new();
        sqlite
            .rows("t", &mut |rowid, row| {
                seen.push((rowid, row));
                true
            })
            .unwrap();
        assert_eq!(seen.len(), 3000 + extra);
        for (index, (rowid, row)) in seen.iter().take(3000).enumerate() {
            let number = i64::try_from(index).unwrap();
            assert_eq!(row["id"], format!("k{index}"));
            assert_eq!(row["two words"], -number * 1_000_003);
            assert_eq!(row["number"], 0.5);
            assert_eq!(
                row["text"].as_str().unwrap().chars().count(),
                index * 7 % 9000
            );
            assert_eq!((&row["blob"], &row["later"]), (&Value::Null, &Value::Null));
            if index % 331 == 0 {
                let blob = sqlite.blob("t", *rowid, "blob").unwrap();
                assert_eq!(blob.as_deref(), Some(&b"xxxxxxxxx"[..]));
                assert_eq!(sqlite.blob("t", *rowid, "text").unwrap(), None);
                assert_eq!(sqlite.row("t", *rowid).unwrap().as_ref(), Some(row));
            }
        }
        assert_eq!(sqlite.row("t", 1 << 40).unwrap(), None);
        sqlite
            .rows("nothing", &mut |_, _| panic!("no such table"))
            .unwrap();
    }

    #[test]
    fn rows_are_read_as_sqlite_wrote_them_also_those_that_are_only_in_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let closed = folder.path().join("closed.sqlite");
        made(&closed, TABLE);
        check(&closed, 0);
        let killed = folder.path().join("killed.sqlite");
        let log = "c.execute('PRAGMA journal_mode=WAL')\nc.execute('PRAGMA wal_autocheckpoint=0')";
        let more = "c.execute(\"INSERT INTO t VALUES ('more',1,NULL,1.5,'x','y')\")\nc.execute('BEGIN')\nc.execute(\"DELETE FROM t\")\nos._exit(0)";
        made(&killed, &format!("{log}{TABLE}{more}"));
        assert!(
            folder
                .path()
                .join("killed.sqlite-wal")
                .metadata()
                .unwrap()
                .len()
                > 1_000_000
        );
        check(&killed, 1);
    }

    #[test]
    fn damaged_files_are_refused_and_nothing_panics() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.sqlite");
        made(&path, &TABLE.replace("3000", "200"));
        let whole = std::fs::read(&path).unwrap();
        for step in 0..600_usize {
            let mut bytes = whole.clone();
            let at = step * 7919 % bytes.len();
            let end = (at + 1 + step % 40).min(bytes.len());
            bytes[at..end].fill(0xff_u8.wrapping_sub(u8::try_from(step % 256).unwrap()));
            if step % 9 == 0 {
                bytes.truncate(at);
            }
            std::fs::write(&path, &bytes).unwrap();
            if let Ok(sqlite) = Sqlite::open(&path) {
                let mut count = 0;
                let _ = sqlite.rows("t", &mut |_, _| {
                    count += 1;
                    count < 100_000
                });
                let _ = sqlite.row("t", 77);
            }
        }
    }
}
