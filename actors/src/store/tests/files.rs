use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::clock::SystemClock;

use super::*;

fn open(path: &Path) -> Result<StoreDeps, StoreError> {
    StoreDeps::open(&StoreConfig::file(path), SystemClock::shared())
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[actix::test]
async fn the_file_and_its_folder_are_private_and_the_rows_survive() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("gateway").join("gateway.redb");
    let world = start(&StoreConfig::file(&path));
    world.handle.commit(vec![put("kept")]).await.unwrap();
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    assert!(world.handle.status().file_bytes > 0 && world.handle.status().last_commit_ms.is_some());

    world.addr.send(Close).await.unwrap();
    assert!(matches!(
        world.handle.commit(vec![put("late")]).await,
        Err(StoreError::Unavailable(_))
    ));
    let again = open(&path).unwrap();
    assert!(has(&again.reader(), b"kept") && !has(&again.reader(), b"late"));
}

#[test]
fn a_second_store_on_the_same_file_is_refused_until_the_first_is_gone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("gateway.redb");
    let first = open(&path).unwrap();
    let refused = open(&path).unwrap_err();
    assert_eq!(refused, StoreError::AlreadyOpen { path: path.clone() });
    assert!(refused.needs_a_person() && refused.to_string().contains("another gateway"));
    drop(first);
    open(&path).unwrap();
}

#[test]
fn a_damaged_file_is_named_with_the_remedy_and_never_overwritten() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("gateway.redb");
    drop(open(&path).unwrap());
    let good = std::fs::read(&path).unwrap();
    let mut damaged = vec![b"not a database, but long enough to look at".repeat(500)];
    damaged.extend(
        [
            1,
            63,
            64,
            320,
            4095,
            4096,
            12_000,
            good.len() / 2,
            good.len() - 1,
        ]
        .map(|cut| good[..cut].to_vec()),
    );
    for (which, bytes) in damaged.into_iter().enumerate() {
        std::fs::write(&path, &bytes).unwrap();
        let error = open(&path).map(|_| ()).unwrap_err();
        assert!(
            matches!(error, StoreError::Corrupt { .. }),
            "{which}: {error:?}"
        );
        let text = error.to_string();
        assert!(
            text.contains(&path.display().to_string()) && text.contains("mv '"),
            "{text}"
        );
        assert!(
            std::fs::read(&path).unwrap() == bytes,
            "case {which} was changed"
        );
    }
}

#[actix::test]
async fn a_file_of_a_later_release_is_refused_with_the_release_to_run() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("gateway.redb");
    let world = start(&StoreConfig::file(&path));
    let later = SchemaVersion {
        version: SCHEMA_VERSION + 1,
        written_by: "9.8.7".to_owned(),
    };
    world
        .handle
        .commit(vec![Op::put_json(Table::Meta, "schema", &later).unwrap()])
        .await
        .unwrap();
    world.addr.send(Close).await.unwrap();
    let error = open(&path).unwrap_err();
    assert!(
        error.to_string().contains("written by version 9.8.7"),
        "{error}"
    );
    assert!(
        error.to_string().contains("run that version or newer"),
        "{error}"
    );
}

#[actix::test]
async fn a_file_that_is_deleted_under_the_store_is_noticed() {
    tokio::time::pause();
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("gateway.redb");
    let world = start(&StoreConfig::file(&path));
    world.handle.commit(vec![put("seen")]).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let error = world
        .handle
        .commit(vec![put("lost")])
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("was deleted") && error.contains("restart"),
        "{error}"
    );
    assert!(has(world.handle.reader(), b"seen"));
}
