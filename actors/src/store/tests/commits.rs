use std::ops::ControlFlow;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use crate::supervision::{Poison, PoisonKind};

use super::*;

#[actix::test]
async fn all_changes_of_a_commit_are_applied_in_order() {
    let world = start(&StoreConfig::memory());
    let ops = vec![
        Op::put(Table::Sends, "a", "1"),
        Op::put(Table::Audit, "a", "other table"),
        Op::put(Table::Sends, "a", "2"),
        Op::put(Table::Sends, "b", "3"),
        Op::put(Table::Sends, "c", "4"),
        Op::put(Table::Sends, "d", "5"),
        Op::delete(Table::Sends, "a"),
        Op::delete(Table::Sends, "never there"),
        Op::delete_range(Table::Sends, b"b".to_vec()..b"d".to_vec()),
    ];
    world.handle.commit(ops).await.unwrap();
    let reader = world.handle.reader();
    let rows = reader.range(Table::Sends, &[]..&[], 9, false).unwrap();
    assert_eq!(rows, [(b"d".to_vec(), b"5".to_vec())]);
    assert_eq!(
        reader.get(Table::Audit, b"a").unwrap().unwrap(),
        b"other table"
    );
    world
        .handle
        .commit(vec![Op::delete_range(Table::Sends, Vec::new()..Vec::new())])
        .await
        .unwrap();
    assert_eq!(reader.count(Table::Sends).unwrap(), 0);
}

#[actix::test]
async fn what_waits_together_is_one_commit() {
    let world = start(&StoreConfig::memory());
    let before = world.handle.status().commits;
    let answers: Vec<_> = (0..300u32)
        .map(|n| world.handle.commit(vec![put(n.to_be_bytes())]))
        .collect();
    assert!(
        join_all(answers)
            .await
            .into_iter()
            .all(|answer| answer.is_ok())
    );
    assert_eq!(world.handle.status().commits - before, 1);
    assert_eq!(world.handle.reader().count(Table::Sends).unwrap(), 300);
}

#[actix::test]
async fn too_much_waiting_is_busy_and_later_not() {
    let world = start(&StoreConfig::memory());
    let big = || vec![Op::put(Table::Sends, "big", vec![0; 15 << 20])];
    let accepted = [
        world.handle.commit(big()),
        world.handle.clone().commit(big()),
    ];
    let busy = world.handle.commit(big()).await.unwrap_err();
    assert!(
        matches!(busy, StoreError::Busy { commits: 2, .. }),
        "{busy:?}"
    );
    assert_eq!(
        (busy.details_code(), busy.retryable()),
        ("store-busy", true)
    );
    assert!(
        join_all(accepted)
            .await
            .into_iter()
            .all(|answer| answer.is_ok())
    );
    world.handle.commit(vec![put("small")]).await.unwrap();

    let small: Vec<_> = (0..1_000)
        .map(|_| world.handle.commit(Vec::new()))
        .collect();
    assert!(matches!(
        world.handle.commit(Vec::new()).await,
        Err(StoreError::Busy { commits: 1_000, .. })
    ));
    assert!(
        join_all(small)
            .await
            .into_iter()
            .all(|answer| answer.is_ok())
    );
}

#[actix::test]
async fn a_commit_that_is_too_large_is_refused_with_both_numbers() {
    let world = start(&StoreConfig::memory());
    let error = world
        .handle
        .commit(vec![Op::put(Table::Sends, "k", vec![0; 17 << 20])])
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { .. }), "{error:?}");
    assert!(!error.retryable());
}

#[actix::test]
async fn a_snapshot_stays_at_its_commit() {
    let world = start(&StoreConfig::memory());
    world.handle.commit(vec![put("1")]).await.unwrap();
    let snapshot = world.handle.reader().snapshot().unwrap();
    world.handle.commit(vec![put("2")]).await.unwrap();
    assert_eq!(snapshot.count(Table::Sends).unwrap(), 1);
    assert_eq!(world.handle.reader().count(Table::Sends).unwrap(), 2);
}

#[actix::test]
async fn ranges_have_a_limit_and_two_directions() {
    let world = start(&StoreConfig::memory());
    let ops = (0..10u64)
        .map(|seq| {
            Op::put(
                Table::Transcript,
                keys::transcript("s", seq),
                seq.to_string(),
            )
        })
        .collect();
    world.handle.commit(ops).await.unwrap();
    let all = keys::transcript_all("s");
    let reader = world.handle.reader();
    let seqs = |limit, reverse| -> Vec<u64> {
        let rows = reader
            .range(Table::Transcript, &all.start..&all.end, limit, reverse)
            .unwrap();
        rows.iter()
            .map(|(key, _)| keys::transcript_seq(key).unwrap())
            .collect()
    };
    assert_eq!(seqs(3, true), [9, 8, 7]);
    assert_eq!(seqs(2, false), [0, 1]);
    assert_eq!(seqs(0, false), [0u64; 0]);
    assert_eq!(seqs(99, false).len(), 10);
    let mut seen = 0;
    reader
        .scan(Table::Transcript, &[]..&[], false, |_, _| {
            seen += 1;
            if seen == 4 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .unwrap();
    assert_eq!(seen, 4);
    assert_eq!(
        reader
            .offload(|reader| reader.count(Table::Transcript))
            .await
            .unwrap(),
        10
    );
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Note {
    secret: String,
}

#[actix::test]
async fn typed_rows_come_back_and_a_bad_one_is_named_without_its_content() {
    let world = start(&StoreConfig::memory());
    let note = Note {
        secret: "hush".to_owned(),
    };
    let ops = vec![
        Op::put_json(Table::Audit, "good", &note).unwrap(),
        Op::put_json(
            Table::Sends,
            "wrong",
            &serde_json::json!({ "secret": 5, "hush": "hush" }),
        )
        .unwrap(),
        Op::put(Table::Sends, "later", [9, 9]),
    ];
    world.handle.commit(ops).await.unwrap();
    let reader = world.handle.reader();
    assert_eq!(
        reader.get_json::<Note>(Table::Audit, b"good").unwrap(),
        Some(note)
    );
    assert_eq!(
        reader
            .range_json::<Note>(Table::Audit, &[]..&[], 5, false)
            .unwrap()
            .len(),
        1
    );
    for key in ["wrong", "later"] {
        let error = reader
            .get_json::<Note>(Table::Sends, key.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`sends`") && !error.contains("hush"),
            "{error}"
        );
    }
}

#[actix::test]
async fn retention_deletes_in_bounded_commits() {
    let world = start(&StoreConfig::memory());
    world
        .handle
        .commit((0..25u8).map(|n| Op::put(Table::Audit, [n], [n])).collect())
        .await
        .unwrap();
    let keep = retention::Keep {
        max_age: None,
        max_rows: Some(10),
    };
    loop {
        let prune = move |reader: &StoreReader| {
            let at = |_: &[u8], value: &[u8]| Some(crate::clock::Millis(i64::from(value[0])));
            retention::prune(reader, Table::Audit, keep, crate::clock::Millis(100), 4, at)
        };
        let pruned = world.handle.reader().offload(prune).await.unwrap();
        assert!(pruned.ops.len() <= 4);
        world.handle.commit(pruned.ops).await.unwrap();
        if !pruned.more {
            break;
        }
    }
    let left = world
        .handle
        .reader()
        .range(Table::Audit, &[]..&[], 99, false)
        .unwrap();
    assert_eq!(
        left.iter().map(|(key, _)| key[0]).collect::<Vec<_>>(),
        (15..25).collect::<Vec<u8>>()
    );
}

#[actix::test]
async fn a_panic_fails_nothing_else_and_the_third_is_fatal() {
    tokio::time::pause();
    let world = start(&StoreConfig::memory());
    world.handle.commit(vec![put("before")]).await.unwrap();
    for round in 0..3u8 {
        let poisoned = world.addr.send(Poison(PoisonKind::Panic)).await;
        assert!(poisoned.is_err());
        assert!(has(world.handle.reader(), b"before"), "reads go on");
        world.handle.commit(vec![put([round])]).await.unwrap();
    }
    assert_eq!(world.handle.reader().count(Table::Sends).unwrap(), 4);
    assert_eq!(world.watch.until_fatal().await.actor, "store");
}
