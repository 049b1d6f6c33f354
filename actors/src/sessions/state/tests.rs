//! The index and its commits.

use openclaw_protocol::methods::message::MessageRole;

use super::*;

const KEY: &str = "agent:main:main";

fn draft(text: &str) -> Draft {
    Draft {
        key: KEY.into(),
        agent_id: "main".into(),
        session_id: None,
        messages: vec![Message::text(MessageRole::User, text, 0)],
        last_run: None,
        ops: Vec::new(),
    }
}

fn append(index: &mut Index, text: &str) -> Prepared {
    index
        .prepare(draft(text), || "id".into(), Millis(1))
        .unwrap()
}

#[test]
fn a_failed_commit_leaves_the_index_as_stored_but_for_the_spent_numbers() {
    let mut index = Index::default();
    let lost = append(&mut index, "lost").record.unwrap();
    index.retract(&lost, None);
    assert!(index.is_empty() && index.by_id("id").is_none());
    assert_eq!(index.recent().count(), 0);

    let kept = append(&mut index, "kept").record.unwrap();
    let lost = append(&mut index, "lost").record.unwrap();
    index.retract(&lost, Some(kept));
    let shown = index.get(KEY).unwrap();
    assert_eq!(shown.preview.as_deref(), Some("kept"));
    assert_eq!(shown.next_seq, lost.next_seq);
}

#[test]
fn a_commit_that_succeeds_after_an_earlier_one_failed_is_shown() {
    let mut index = Index::default();
    let lost = append(&mut index, "lost").record.unwrap();
    let kept = append(&mut index, "kept").record.unwrap();
    index.retract(&lost, None);
    index.confirm(kept.clone());
    assert_eq!(index.by_id("id"), Some(&kept));
    index.confirm(lost);
    assert_eq!(index.by_id("id"), Some(&kept));
}

#[test]
fn a_reset_sets_the_transcript_aside_where_stopped_runs_still_end() {
    let mut index = Index::default();
    append(&mut index, "old");
    let key: Arc<str> = KEY.into();
    index
        .reset((&key, "main"), || "new".into(), Millis(2))
        .unwrap();
    let record = index.get(KEY).unwrap().clone();
    assert_eq!((&*record.session_id, record.next_seq), ("new", 1));
    assert_eq!((record.title, record.preview), (None, None));
    let end = Draft {
        session_id: Some("id".into()),
        ..draft("the end of a stopped run")
    };
    let end = index.prepare(end, || unreachable!(), Millis(3)).unwrap();
    assert!(end.rows.is_empty(), "no news of the new conversation");
    let written = Op::put_json(
        Table::Transcript,
        keys::transcript("id", 2),
        &Message::text(MessageRole::User, "", 0),
    );
    let Ok(Op::Put { key: place, .. }) = written else {
        panic!("a row")
    };
    assert!(
        end.ops
            .iter()
            .any(|op| matches!(op, Op::Put { key, .. } if *key == place))
    );
    assert_eq!(index.get(KEY).unwrap().preview, None);
    for round in 0..2 * MAX_PAST {
        let id = format!("round-{round}");
        index.reset((&key, "main"), || id, Millis(4)).unwrap();
    }
    assert_eq!(index.get(KEY).unwrap().past.len(), MAX_PAST);
    // Only the present transcript is found by its identity, and no other takes room.
    let present = format!("round-{}", 2 * MAX_PAST - 1);
    assert!(index.by_id("id").is_none() && index.by_id("new").is_none());
    assert_eq!(index.by_id(&present), index.get(KEY));
    assert_eq!(index.by_id.len(), 1);
}

#[test]
fn a_deleted_session_stays_away_whatever_was_on_its_way() {
    let mut index = Index::default();
    let under_way = append(&mut index, "text").record.unwrap();
    let ending = index.delete(KEY).unwrap();
    index.confirm(under_way);
    index.settle_end(ending, true);
    assert!(index.is_empty());
    let end = Draft {
        session_id: Some("id".into()),
        ..draft("the end of a stopped run")
    };
    let end = index.prepare(end, || "other".into(), Millis(3)).unwrap();
    assert!(end.ops.is_empty() && end.record.is_none() && index.is_empty());

    append(&mut index, "again");
    let ending = index.delete(KEY).unwrap();
    index.settle_end(ending, false);
    assert_eq!(index.len(), 1, "an end that failed changes nothing");
}
