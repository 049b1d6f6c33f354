//! Archives of a state directory: what is in them, that `tar` reads them, what damage does to them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use openclaw_actors::clock::SystemClock;
use openclaw_actors::store::{StoreConfig, StoreDeps};

use super::*;
use crate::state_dir::StatePaths;

fn state_paths(home: &Path) -> StatePaths {
    let env = |name: &str| (name == "OPENCLAW_STATE_DIR").then(|| home.display().to_string());
    StatePaths::resolve(&env, Some(home), None).unwrap()
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A state directory with something in it, and a copy of its database.
fn state(home: &Path) -> (StatePaths, PathBuf) {
    let paths = state_paths(home);
    write(&paths.config_path, "{ gateway: { port: 1 } }");
    write(&home.join("workspace/AGENTS.md"), "Be kind.");
    write(&home.join("gateway/media/ab/cd"), &"x".repeat(1_000));
    write(&home.join("gateway/logs/gateway.log"), "not this");
    write(&home.join("gateway/gateway.lock"), "not this");
    std::os::unix::fs::symlink("/etc/passwd", home.join("workspace/link")).unwrap();
    let config = StoreConfig::file(paths.store_file());
    let deps = StoreDeps::open(&config, SystemClock::shared()).unwrap();
    let copy = home.join("gateway/snapshots/copy.redb");
    deps.reader().copy_to(&copy).unwrap();
    (paths, copy)
}

fn made(home: &Path) -> (StatePaths, PathBuf, Created) {
    let (paths, copy) = state(home);
    let archive = home.join("backup.tar");
    let created = create(&Place {
        paths: &paths,
        store: Some(&copy),
        archive: &archive,
        now_ms: 1_790_000_000_000,
    });
    (paths, archive.clone(), created.unwrap())
}

#[test]
fn a_backup_holds_the_state_and_every_tar_reads_it() {
    let home = tempfile::tempdir().unwrap();
    let (_, archive, created) = made(home.path());
    let names: Vec<&str> = created
        .manifest
        .files
        .iter()
        .map(|item| item.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "gateway/store.redb",
            "openclaw.json",
            "workspace/AGENTS.md",
            "gateway/media/ab/cd"
        ]
    );
    assert_eq!(
        created.manifest.left_out,
        ["workspace/link: is not a plain file"]
    );
    assert_eq!(
        archive.metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(verify(&archive, home.path()).unwrap(), created.manifest);
    let listed = Command::new("tar")
        .arg("-tf")
        .arg(&archive)
        .output()
        .unwrap();
    assert!(listed.status.success(), "{listed:?}");
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(listed.lines().count(), names.len() + 1, "{listed}");
    let out = home.path().join("unpacked");
    std::fs::create_dir(&out).unwrap();
    let done = Command::new("tar")
        .arg("-xf")
        .arg(&archive)
        .arg("-C")
        .arg(&out)
        .status();
    assert!(done.unwrap().success());
    assert_eq!(
        std::fs::read_to_string(out.join("workspace/AGENTS.md")).unwrap(),
        "Be kind."
    );
}

#[test]
fn what_was_there_is_moved_aside_and_comes_back() {
    let home = tempfile::tempdir().unwrap();
    let (paths, archive, created) = made(home.path());
    write(&paths.config_path, "{ changed: true }");
    write(&home.path().join("gateway/token"), "newer");
    std::fs::remove_file(home.path().join("workspace/AGENTS.md")).unwrap();
    let restored = restore(&archive, &paths, 1_790_000_001_000).unwrap();
    assert_eq!(restored.manifest, created.manifest);
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    assert_eq!(read(&paths.config_path), "{ gateway: { port: 1 } }");
    assert_eq!(read(&home.path().join("workspace/AGENTS.md")), "Be kind.");
    let before = restored.before.unwrap();
    assert_eq!(read(&before.join("openclaw.json")), "{ changed: true }");
    assert_eq!(read(&before.join("gateway/token")), "newer");
    let config = StoreConfig::file(paths.store_file());
    StoreDeps::open(&config, SystemClock::shared()).unwrap();
    // An empty host.
    let other = tempfile::tempdir().unwrap();
    let there = state_paths(&other.path().join("new"));
    let restored = restore(&archive, &there, 1).unwrap();
    assert_eq!(restored.before, None);
    assert_eq!(read(&there.config_path), "{ gateway: { port: 1 } }");
}

#[test]
fn any_name_of_a_file_comes_back_and_the_archive_is_not_in_itself() {
    let home = tempfile::tempdir().unwrap();
    let (paths, copy) = state(home.path());
    let long = format!("workspace/{}.txt", "\u{540d}".repeat(80));
    for name in [long.as_str(), "workspace/a\\b.txt", "manifest.json"] {
        write(&home.path().join(name), name);
    }
    let archive = home.path().join("b.tar");
    // What an earlier one left, and a link to what is not ours.
    let target = home.path().join("gateway/other");
    write(&target, "not ours");
    std::os::unix::fs::symlink(&target, home.path().join("b.tar.partial")).unwrap();
    let created = create(&Place {
        paths: &paths,
        store: Some(&copy),
        archive: &archive,
        now_ms: 1,
    });
    let manifest = created.unwrap().manifest;
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "not ours");
    let has = |name: &str| manifest.files.iter().any(|item| item.name == name);
    assert!(has(&long) && has("workspace/a\\b.txt"), "{manifest:?}");
    assert!(!has("b.tar") && !has("b.tar.partial"), "{manifest:?}");
    assert!(
        manifest.left_out[0].starts_with("manifest.json: "),
        "{manifest:?}"
    );
    let there = state_paths(&home.path().join("elsewhere"));
    restore(&archive, &there, 1).unwrap();
    let read = |name: &str| std::fs::read_to_string(there.state_dir.join(name)).unwrap();
    assert_eq!(read(&long), long);
    assert_eq!(read("workspace/a\\b.txt"), "workspace/a\\b.txt");
}

#[test]
fn the_lock_and_the_backups_stay_where_they_are() {
    let home = tempfile::tempdir().unwrap();
    let (paths, archive, _) = made(home.path());
    let inode = |name: &str| {
        use std::os::unix::fs::MetadataExt as _;
        home.path().join(name).metadata().unwrap().ino()
    };
    write(&home.path().join("gateway/backups/older.tar"), "older");
    let lock = inode("gateway/gateway.lock");
    restore(&archive, &paths, 7).unwrap();
    assert_eq!(inode("gateway/gateway.lock"), lock);
    assert!(home.path().join("gateway/backups/older.tar").exists());
}

#[test]
fn a_damaged_archive_is_refused_and_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (paths, archive, _) = made(home.path());
    let good = std::fs::read(&archive).unwrap();
    let bad = home.path().join("bad.tar");
    let step = good.len() / 40;
    let flipped = (0..good.len() - 1_536).step_by(step).map(|at| {
        let mut bytes = good.clone();
        bytes[at] ^= 0x55;
        bytes
    });
    let cut = (0..good.len() - 1_024)
        .step_by(step)
        .map(|at| good[..at].to_vec());
    let (mut refused, mut all) = (0, 0);
    for bytes in flipped.chain(cut) {
        std::fs::write(&bad, &bytes).unwrap();
        all += 1;
        refused += u32::from(verify(&bad, home.path()).is_err());
    }
    // Bytes between the files are nobody's.
    assert!(refused + 2 >= all, "{refused} of {all}");
    std::fs::write(&bad, &good[..good.len() / 2]).unwrap();
    restore(&bad, &paths, 5).unwrap_err();
    assert!(!home.path().join("before-restore-5").exists());
    assert!(!home.path().join("restoring-5").exists());
}
