//! What is counted together, and the bounds.

use std::time::Duration;

use crate::audit::ledger::{Ledger, MAX_PER_ADDRESS, MAX_ROWS, MAX_WINDOWS, Noted, WINDOW};
use crate::audit::{AuditRow, Kind};
use crate::clock::Millis;

const NOW: Millis = Millis(1_000_000);

fn refused(address: &str, code: &str, device: &str) -> AuditRow {
    AuditRow::new(Kind::ConnectRefused)
        .address(address)
        .code(code)
        .device(device)
}

fn is_new(noted: &Noted) -> bool {
    matches!(noted, Noted::New(_))
}

#[test]
fn refusals_of_one_client_are_one_row_a_minute_with_their_number() {
    let mut ledger = Ledger::default();
    let row = refused("10.0.0.9", "AUTH_TOKEN_MISMATCH", "d");
    assert!(is_new(&ledger.note(&row, NOW)));
    let first = ledger.take_due();
    ledger.written(&[first[0].id]);
    for second in 1..60 {
        let now = NOW.plus(Duration::from_secs(second));
        assert_eq!(ledger.note(&row, now), Noted::Counted);
    }
    let counted = ledger.take_due();
    assert_eq!(counted.len(), 1);
    assert_eq!(
        counted[0].id, first[0].id,
        "the row on the disk is written again"
    );
    assert_eq!(
        (counted[0].count, counted[0].last_ts),
        (Some(60), Some(1_059_000))
    );
    ledger.written(&[counted[0].id]);
    assert_eq!(
        ledger.close(NOW.plus(WINDOW)).len(),
        1,
        "the log is told the number"
    );
    assert!(
        is_new(&ledger.note(&row, NOW.plus(WINDOW))),
        "the next minute is another row"
    );
}

#[test]
fn one_address_cannot_fill_the_trail_and_many_cannot_either() {
    let mut ledger = Ledger::default();
    for device in 0..1_000 {
        ledger.note(
            &refused("10.0.0.9", "PAIRING_REQUIRED", &device.to_string()),
            NOW,
        );
    }
    let rows = ledger.take_due();
    assert_eq!(rows.len(), MAX_PER_ADDRESS + 1);
    let total: u64 = rows.iter().map(|row| row.count.unwrap_or(1)).sum();
    assert_eq!(total, 1_000, "every one of them is counted");
    let rest = rows.last().unwrap();
    assert_eq!(
        (rest.address.as_deref(), rest.device_id.as_deref()),
        (Some("10.0.0.9"), None)
    );

    for address in 0..5_000 {
        ledger.note(
            &refused(&format!("fd00::{address:x}"), "AUTH_TOKEN_MISMATCH", ""),
            NOW,
        );
    }
    let rows = ledger.take_due();
    assert!(rows.len() <= MAX_WINDOWS + 1, "{}", rows.len());
    let total: u64 = rows.iter().map(|row| row.count.unwrap_or(1)).sum();
    assert_eq!(total, 5_000);
    // The minute is over: there is room again.
    assert!(is_new(
        &ledger.note(&refused("10.0.0.7", "X", ""), NOW.plus(WINDOW))
    ));
}

#[test]
fn what_owners_decide_is_never_counted_together_nor_pushed_out_by_refusals() {
    let mut ledger = Ledger::default();
    let decision = AuditRow::new(Kind::PairingApproved).device("d");
    for device in 0..100_000 {
        ledger.note(
            &refused("10.0.0.9", "PAIRING_REQUIRED", &device.to_string()),
            NOW,
        );
        if device % 1_000 == 0 {
            assert!(is_new(&ledger.note(&decision, NOW)));
        }
    }
    assert_eq!(ledger.dropped(), 0);
    let decisions = ledger.take_due();
    let decisions = decisions
        .iter()
        .filter(|row| row.kind == "pairing.approved");
    assert_eq!(decisions.count(), 100);
}

#[test]
fn a_disk_that_takes_nothing_costs_rows_only_beyond_the_bound_and_they_are_counted() {
    let mut ledger = Ledger::default();
    let decision = AuditRow::new(Kind::TokenRevoked);
    for _ in 0..MAX_ROWS + 5 {
        ledger.note(&decision, NOW);
        let due: Vec<u64> = ledger.take_due().iter().map(|row| row.id).collect();
        ledger.retry(&due);
    }
    assert_eq!(ledger.dropped(), 5);
    let due = ledger.take_due();
    assert_eq!(due.len(), MAX_ROWS);
    ledger.written(&due.iter().map(|row| row.id).collect::<Vec<_>>());
    assert!(is_new(&ledger.note(&decision, NOW)));
}

#[test]
fn a_client_is_told_once_and_requests_are_told_apart() {
    let mut ledger = Ledger::default();
    let accepted = AuditRow::new(Kind::ConnectAccepted)
        .device("d")
        .via("token");
    assert!(is_new(&ledger.note(&accepted, NOW)));
    let later = NOW.plus(Duration::from_hours(5));
    assert_eq!(ledger.note(&accepted, later), Noted::Known);
    let request = |id: &str| {
        AuditRow::new(Kind::PairingRequested)
            .device("d")
            .request(id)
    };
    assert!(is_new(&ledger.note(&request("a"), NOW)));
    assert!(is_new(&ledger.note(&request("b"), NOW)));
}

#[test]
fn numbers_go_on_after_those_of_the_disk() {
    let mut ledger = Ledger::default();
    let row = refused("10.0.0.9", "X", "");
    ledger.note(&row, NOW);
    ledger.number_from(70);
    assert_eq!(ledger.note(&row, NOW), Noted::Counted);
    let due = ledger.take_due();
    assert_eq!((due[0].id, due[0].count), (70, Some(2)));
    let Noted::New(next) = ledger.note(&AuditRow::new(Kind::AuthChanged), NOW) else {
        panic!("a decision is always new");
    };
    assert_eq!(next.id, 71);
    let mut ledger = Ledger::default();
    ledger.note(&row, NOW);
    ledger.number_from(1);
    assert_eq!(ledger.take_due()[0].id, 1, "row 0 is on the disk");
    // A rebuilt actor reads an older number: nothing is written over.
    ledger.number_from(1);
    let Noted::New(next) = ledger.note(&AuditRow::new(Kind::AuthChanged), NOW) else {
        panic!("a decision is always new");
    };
    assert_eq!(next.id, 2);
}
