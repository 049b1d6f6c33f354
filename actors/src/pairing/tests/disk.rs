//! What was committed.

use std::collections::BTreeMap;

use super::*;
use crate::store::{Op, Table, rows};

/// The rows on the disk.
#[derive(Default)]
pub(super) struct Disk(BTreeMap<(Table, Vec<u8>), Vec<u8>>);

impl Disk {
    pub(super) fn commit(&mut self, ops: Vec<Op>) {
        for op in ops {
            match op {
                Op::Put { table, key, value } => self.0.insert((table, key), value),
                Op::Delete { table, key } => self.0.remove(&(table, key)),
                Op::DeleteRange { .. } => panic!("pairing deletes no ranges"),
            };
        }
    }

    pub(super) fn table<T: serde::de::DeserializeOwned>(
        &self,
        table: Table,
    ) -> BTreeMap<String, T> {
        let here = self.0.iter().filter(|((of, _), _)| *of == table);
        here.map(|((_, key), row)| {
            let key = String::from_utf8(key.clone()).unwrap();
            (key, rows::decode(table, row).unwrap())
        })
        .collect()
    }

    /// What a start would make of it.
    pub(super) fn reopened(&self, now: Millis) -> PairingState {
        PairingState::load(
            self.table(Table::Devices),
            self.table(Table::PairingPending),
            self.table(Table::PairingSetups),
            now,
        )
    }
}
