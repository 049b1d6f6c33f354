use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::super::faults::Fault;
use super::*;
use crate::clock::pass;

/// Each with the number of calls that it may let pass first; growth doubles the file each time.
const FAULTS: [(Fault, u64); 5] = [
    (Fault::Writes(ErrorKind::StorageFull), 24),
    (Fault::Writes(ErrorKind::ReadOnlyFilesystem), 12),
    (Fault::Growth(ErrorKind::StorageFull), 3),
    (Fault::Syncs(ErrorKind::Other), 6),
    (Fault::Everything(ErrorKind::Other), 24),
];

/// Enough to make the file grow.
fn large(key: u32) -> Vec<Op> {
    vec![Op::put(Table::Sends, key.to_be_bytes(), vec![7; 200_000])]
}

/// Commits until one fails; returns how many were acknowledged.
async fn commit_until_refused(world: &World) -> (u32, StoreError) {
    for key in 0.. {
        if let Err(error) = world.handle.commit(large(key)).await {
            return (key, error);
        }
    }
    unreachable!("the loop has no end")
}

fn assert_has_all(reader: &StoreReader, acknowledged: u32) {
    for key in 0..acknowledged {
        assert!(
            has(reader, &key.to_be_bytes()),
            "acknowledged key {key} of {acknowledged} is gone"
        );
    }
}

#[actix::test]
async fn no_fault_of_the_disk_loses_what_was_acknowledged_and_all_heal() {
    tokio::time::pause();
    for (fault, calls) in FAULTS {
        for after in 0..calls {
            let medium = faulty_memory();
            let config = StoreConfig::on(Arc::new(medium.clone()));
            let world = start(&config);
            world.handle.commit(vec![put("first")]).await.unwrap();
            medium.fail(fault, after);
            let (acknowledged, error) = commit_until_refused(&world).await;
            assert!(
                matches!(error, StoreError::Unavailable(_)),
                "{fault:?}: {error:?}"
            );
            let status = world.handle.status();
            assert!(
                !status.ok
                    && status
                        .reason
                        .unwrap()
                        .starts_with("cannot write `memory`: ")
            );
            if !matches!(fault, Fault::Everything(_)) {
                assert_has_all(world.handle.reader(), acknowledged);
            }
            let refused = world.handle.commit(vec![put("refused")]).await.unwrap_err();
            assert!(refused.retryable(), "{refused:?}");

            medium.heal();
            world.recovered().await;
            world.handle.commit(vec![put("after")]).await.unwrap();
            let reader = world.handle.reader();
            assert_has_all(reader, acknowledged);
            assert!(has(reader, b"first") && has(reader, b"after") && !has(reader, b"refused"));
            world.addr.send(Close).await.unwrap();
            let again = start(&config);
            assert_has_all(again.handle.reader(), acknowledged);
            assert!(has(again.handle.reader(), b"after"));
        }
    }
}

#[actix::test]
async fn a_file_that_is_found_damaged_ends_the_daemon_whose_next_start_salvages_it() {
    tokio::time::pause();
    let medium = faulty_memory();
    let world = start(&StoreConfig::on(Arc::new(medium.clone())));
    world.handle.commit(vec![put("first")]).await.unwrap();
    medium.fail(Fault::Everything(ErrorKind::InvalidData), 0);
    world.handle.commit(vec![put("x")]).await.unwrap_err();
    let minute = std::time::Duration::from_mins(1);
    let ended = tokio::time::timeout(minute, world.watch.until_fatal());
    let reason = ended.await.unwrap().reason;
    assert!(reason.contains("`memory`"), "{reason}");
}

#[actix::test]
async fn the_reason_names_the_file_the_cause_and_the_remedy() {
    tokio::time::pause();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.redb");
    let medium = FaultyMedium::new(Arc::new(FileMedium::open(&path).unwrap()));
    let world = start(&StoreConfig::on(Arc::new(medium.clone())));
    medium.fail(Fault::Writes(ErrorKind::StorageFull), 0);
    let error = world
        .handle
        .commit(vec![put("x")])
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(&path.display().to_string()) && error.contains("free some space"),
        "{error}"
    );
    medium.heal();
    world.recovered().await;
    world.handle.commit(vec![put("y")]).await.unwrap();
    assert!(has(world.handle.reader(), b"y"));
}

#[actix::test]
async fn attempts_to_open_again_back_off_and_the_status_says_since_when() {
    tokio::time::pause();
    let medium = faulty_memory();
    let world = start(&StoreConfig::on(Arc::new(medium.clone())));
    medium.fail(Fault::Writes(ErrorKind::StorageFull), 0);
    world.handle.commit(vec![put("x")]).await.unwrap_err();
    let since = world.handle.status().since;
    let before = tokio::time::Instant::now();
    let calls = medium.calls();
    // 250 ms doubling to 15 s: 7 attempts in the first 32 s, then 4 a minute.
    pass(std::time::Duration::from_secs(152)).await;
    let attempts_at_most = 16 * 4;
    assert!(
        medium.calls() - calls <= attempts_at_most,
        "{} calls",
        medium.calls() - calls
    );
    assert_eq!(world.handle.status().since, since);
    medium.heal();
    world.recovered().await;
    assert!(before.elapsed() <= std::time::Duration::from_secs(152 + 15));
}

#[actix::test]
async fn a_panic_in_the_middle_of_a_commit_goes_back_to_what_was_acknowledged() {
    tokio::time::pause();
    for after in 0..12 {
        let medium = faulty_memory();
        let world = start(&StoreConfig::on(Arc::new(medium.clone())));
        world.handle.commit(vec![put("first")]).await.unwrap();
        medium.fail(Fault::Panics, after);
        let (acknowledged, error) = commit_until_refused(&world).await;
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        medium.heal();
        world.handle.commit(vec![put("after")]).await.unwrap();
        let reader = world.handle.reader();
        assert_has_all(reader, acknowledged);
        assert!(has(reader, b"first") && has(reader, b"after"));
    }
}

#[actix::test]
async fn what_waits_when_the_disk_fails_is_told_so() {
    tokio::time::pause();
    let medium = faulty_memory();
    let world = start(&StoreConfig::on(Arc::new(medium.clone())));
    medium.fail(Fault::Syncs(ErrorKind::Other), 0);
    let answers: Vec<_> = (0..20u8)
        .map(|n| world.handle.commit(vec![put([n])]))
        .collect();
    for answer in futures_util::future::join_all(answers).await {
        assert!(matches!(answer, Err(StoreError::Unavailable(_))));
    }
}

#[actix::test]
async fn readers_see_every_acknowledged_row_or_an_error_while_the_file_is_reopened() {
    tokio::time::pause();
    let medium = faulty_memory();
    let world = start(&StoreConfig::on(Arc::new(medium.clone())));
    let acknowledged = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (reader, acknowledged, stop) = (
                world.handle.reader().clone(),
                acknowledged.clone(),
                stop.clone(),
            );
            std::thread::spawn(move || {
                let (mut read, mut refused) = (0u64, 0u64);
                loop {
                    // Asked before the last reading, which so sees every row, also on a machine that starves threads.
                    let last = stop.load(Ordering::Acquire);
                    let expected = acknowledged.load(Ordering::Acquire);
                    match reader.count(Table::Sends) {
                        Ok(found) => assert!(found >= expected, "{found} rows of {expected}"),
                        Err(error) => {
                            assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
                            refused += 1;
                        }
                    }
                    read += 1;
                    if last {
                        break (read, refused);
                    }
                }
            })
        })
        .collect();
    for round in 0..60u64 {
        world
            .handle
            .commit(vec![put(round.to_be_bytes())])
            .await
            .unwrap();
        acknowledged.store(round + 1, Ordering::Release);
        if round % 3 == 0 {
            medium.fail(Fault::Writes(ErrorKind::StorageFull), round % 5);
            // The same key: it may or may not be in the file afterwards, the count does not care.
            world
                .handle
                .commit(vec![put(round.to_be_bytes())])
                .await
                .unwrap_err();
            medium.heal();
            world.recovered().await;
        }
    }
    stop.store(true, Ordering::Release);
    for reader in readers {
        let (read, refused) = reader.join().unwrap();
        println!("reads {read}, refused while reopening {refused}");
    }
}
