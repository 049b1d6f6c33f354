//! Files that were cut or overwritten anywhere: the store opens, nothing panics, and what is lost is
//! never lost silently.

use std::path::Path;

use crate::clock::SystemClock;
use crate::store::salvage::Salvaged;

use super::super::*;

const ROWS: u64 = 400;

fn row(number: u64) -> String {
    format!("row {number} {}", "of some length ".repeat(8))
}

/// A file with rows in two tables, written in many commits.
fn good_file(path: &Path) -> Vec<u8> {
    let deps = StoreDeps::open(&StoreConfig::file(path), SystemClock::shared()).unwrap();
    for number in 0..ROWS {
        let put = |table| Op::put_json(table, number.to_be_bytes(), &row(number)).unwrap();
        let ops = vec![put(Table::Sessions), put(Table::Transcript)];
        deps.write_now(&ops).unwrap();
    }
    deps.write_now(&[Op::put_json(Table::Meta, "identity", "of this gateway").unwrap()])
        .unwrap();
    drop(deps);
    std::fs::read(path).unwrap()
}

fn rows_of(deps: &StoreDeps, table: Table) -> u64 {
    let mut good = 0;
    let reader = deps.reader();
    let left_out = reader.readable(table, |text: String| {
        good += u64::from(text.starts_with("row "));
    });
    left_out.map_or(0, |_| good)
}

/// Opens a damaged file as a start does; gives how many rows are there, and the report.
fn open(path: &Path) -> (u64, Option<Salvaged>) {
    let config = StoreConfig::file(path);
    let (deps, salvaged) = loop {
        match StoreDeps::open_or_salvage(&config, SystemClock::shared()) {
            // A program that another test is starting holds this process's files until its exec.
            Err(StoreError::AlreadyOpen { .. }) => std::thread::yield_now(),
            opened => break opened.unwrap(),
        }
    };
    let found = rows_of(&deps, Table::Sessions) + rows_of(&deps, Table::Transcript);
    let identity: Option<String> = deps.reader().get_json(Table::Meta, b"identity").unwrap();
    let told = salvaged.as_ref().is_some_and(|salvaged| {
        salvaged.unreadable > 0 || salvaged.incomplete.contains(&"meta".to_owned())
    });
    assert!(identity.is_some() || told, "silently lost: {salvaged:?}");
    deps.write_now(&[Op::put_json(Table::Audit, "later", "works").unwrap()])
        .unwrap();
    if let Some(salvaged) = &salvaged {
        assert!(salvaged.kept.exists());
        assert_eq!(
            deps.status().borrow().note.as_deref(),
            Some(salvaged.to_string().as_str())
        );
        std::fs::remove_file(&salvaged.kept).unwrap();
    }
    (found, salvaged)
}

#[test]
fn a_file_that_was_overwritten_anywhere_opens_and_says_what_is_lost() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.redb");
    let good = good_file(&path);
    let (mut reported, mut recovered, mut whole) = (0, 0, 0);
    let step = (good.len() / 150).max(1);
    // A start that was killed while it saved what it could says nothing to the next.
    std::fs::write(path.with_added_extension("salvaging"), "half").unwrap();
    for (case, offset) in (0..good.len()).step_by(step).enumerate() {
        let mut bytes = good.clone();
        let end = (offset + 200).min(bytes.len());
        // Another pattern each time: zeroes, ones, and noise.
        for (index, byte) in bytes[offset..end].iter_mut().enumerate() {
            *byte = match case % 3 {
                0 => 0,
                1 => 0xff,
                _ => (index * 31 + case * 7).to_le_bytes()[0],
            };
        }
        let harmless = bytes == good;
        std::fs::write(&path, &bytes).unwrap();
        let (found, salvaged) = open(&path);
        if let Some(salvaged) = &salvaged {
            reported += 1;
            recovered += found;
            assert!(!harmless, "nothing was changed at {offset}: {salvaged}");
            assert!(found <= salvaged.rows, "at {offset}");
        } else {
            whole += 1;
            assert_eq!(found, 2 * ROWS, "silently lost at {offset}");
        }
    }
    assert!(
        reported > 5 && whole > 5,
        "{reported} reported, {whole} whole"
    );
    assert!(recovered > ROWS, "{recovered} rows of {reported} files");
}

#[test]
fn a_file_that_was_cut_anywhere_opens_and_says_what_is_lost() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.redb");
    let good = good_file(&path);
    let step = (good.len() / 60).max(1);
    let cuts = (0..good.len())
        .step_by(step)
        .chain([1, 63, 320, 4_095, 4_096, good.len() - 1]);
    for cut in cuts {
        std::fs::write(&path, &good[..cut]).unwrap();
        let (found, salvaged) = open(&path);
        if let Some(salvaged) = salvaged {
            assert!(
                !salvaged.incomplete.is_empty() || found == 2 * ROWS,
                "cut at {cut}"
            );
        } else {
            assert_eq!(found, 2 * ROWS, "silently lost when cut at {cut}");
        }
    }
}

#[test]
fn an_older_format_is_kept_beside_before_it_is_taken_over() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.redb");
    let deps = StoreDeps::open(&StoreConfig::file(&path), SystemClock::shared()).unwrap();
    let older = SchemaVersion {
        version: SCHEMA_VERSION - 1,
        written_by: "0.0.9".to_owned(),
    };
    let ops = [
        Op::put_json(Table::Meta, "schema", &older).unwrap(),
        Op::put_json(Table::Sends, "kept", "row").unwrap(),
    ];
    deps.write_now(&ops).unwrap();
    drop(deps);
    let deps = StoreDeps::open(&StoreConfig::file(&path), SystemClock::shared()).unwrap();
    let stamp: Option<SchemaVersion> = deps.reader().get_json(Table::Meta, b"schema").unwrap();
    assert_eq!(stamp.unwrap().version, SCHEMA_VERSION);
    drop(deps);
    let kept = home
        .path()
        .join(format!("store.redb.format-{}", SCHEMA_VERSION - 1));
    let found = verify(&kept).unwrap();
    assert_eq!((found.format, found.unreadable), (SCHEMA_VERSION - 1, 0));
}

#[test]
fn a_copy_holds_what_was_committed_and_is_verified_row_by_row() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.redb");
    drop(good_file(&path));
    let deps = StoreDeps::open(&StoreConfig::file(&path), SystemClock::shared()).unwrap();
    let to = home.path().join("copy/store.redb");
    let copied = deps.reader().copy_to(&to).unwrap();
    // Both tables, the identity, and the stamp.
    assert_eq!(copied.rows, 2 * ROWS + 2);
    deps.write_now(&[Op::put_json(Table::Sends, "late", "row").unwrap()])
        .unwrap();
    let found = verify(&to).unwrap();
    assert_eq!(
        (found.rows, found.unreadable, found.format),
        (copied.rows, 0, SCHEMA_VERSION)
    );
    assert!(
        deps.reader()
            .copy_to(&to)
            .unwrap_err()
            .to_string()
            .contains("is there already")
    );
    let mut bytes = std::fs::read(&to).unwrap();
    let middle = bytes
        .windows(7)
        .position(|part| part == b"row 200")
        .unwrap();
    bytes[middle] ^= 1;
    std::fs::write(&to, bytes).unwrap();
    assert!(matches!(verify(&to), Err(StoreError::Corrupt { .. })));
}
