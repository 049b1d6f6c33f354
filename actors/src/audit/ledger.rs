//! Rows on their way to the disk, counted together where they are alike. Pure: takes the time.
//!
//! **Bounds.** What clients cause is one row per minute for each (kind, address, code, device), at
//! most [`MAX_PER_ADDRESS`] of them for one address and [`MAX_WINDOWS`] in all; beyond that, one
//! row counts the rest. So an attacker can neither fill the disk nor push out what owners did.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use openclaw_protocol::methods::audit::AuditEntry;

use super::row::{AuditRow, Kind, Weight};
use crate::clock::Millis;

/// Rows alike within this time are one.
pub(super) const WINDOW: Duration = Duration::from_mins(1);
/// Most rows of one address and minute.
pub(super) const MAX_PER_ADDRESS: usize = 16;
/// Most rows of one minute that clients cause.
pub(super) const MAX_WINDOWS: usize = 256;
/// Most rows in memory: those of a minute, and those that a failing disk did not take.
pub(super) const MAX_ROWS: usize = 4_096;
/// Most clients that are remembered as let in before.
const MAX_SEEN: usize = 1_024;

/// What makes rows alike.
type Alike = (Kind, String, String, String);

/// What became of a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// It is new: it has a number, and the log should say it.
    New(AuditEntry),
    /// It is counted with others.
    Counted,
    /// It was told before.
    Known,
    /// There was no room.
    Dropped(AuditEntry),
}

#[derive(Debug)]
struct Window {
    opened: Millis,
    row: u64,
    address: String,
}

/// The rows that are not on the disk yet, and the minute that is being counted.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    rows: BTreeMap<u64, AuditEntry>,
    /// Rows that differ from the disk.
    dirty: BTreeSet<u64>,
    windows: HashMap<Alike, Window>,
    per_address: HashMap<String, usize>,
    seen: HashSet<String>,
    seen_order: VecDeque<String>,
    next: u64,
    /// Whether the numbers go on after those of the disk.
    numbered: bool,
    dropped: u64,
}

impl Ledger {
    /// Numbers go on after those of the disk.
    pub(super) fn number_from(&mut self, next: u64) {
        if std::mem::replace(&mut self.numbered, true) {
            return;
        }
        // What was noted before the disk was read gets numbers behind those of the disk.
        let shifted = |number: u64| number + next;
        let rows = std::mem::take(&mut self.rows);
        self.rows = rows
            .into_iter()
            .map(|(number, entry)| {
                let id = shifted(number);
                (id, AuditEntry { id, ..entry })
            })
            .collect();
        let dirty = std::mem::take(&mut self.dirty);
        self.dirty = dirty.into_iter().map(shifted).collect();
        for window in self.windows.values_mut() {
            window.row = shifted(window.row);
        }
        self.next = shifted(self.next);
    }

    /// Rows that could not be kept.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Notes a decision.
    pub(super) fn note(&mut self, row: &AuditRow, now: Millis) -> Noted {
        let entry = row.to_entry(now);
        if row.kind() == Kind::ConnectAccepted && !self.first_time(&entry) {
            return Noted::Known;
        }
        match row.kind().weight() {
            Weight::Decision => self.add(entry),
            Weight::Traffic => self.count(row.kind(), entry, now),
        }
    }

    /// Whether this client was not let in before, as far as is remembered.
    fn first_time(&mut self, entry: &AuditEntry) -> bool {
        let who = entry.device_id.as_ref().or(entry.client.as_ref());
        let who = format!(
            "{} {} {}",
            who.map_or("", String::as_str),
            entry.address.as_deref().unwrap_or_default(),
            entry.via.as_deref().unwrap_or_default()
        );
        if !self.seen.insert(who.clone()) {
            return false;
        }
        self.seen_order.push_back(who);
        if self.seen_order.len() > MAX_SEEN
            && let Some(oldest) = self.seen_order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        true
    }

    fn add(&mut self, mut entry: AuditEntry) -> Noted {
        if self.rows.len() >= MAX_ROWS {
            self.dropped += 1;
            return Noted::Dropped(entry);
        }
        let number = self.next;
        self.next += 1;
        entry.id = number;
        self.rows.insert(number, entry.clone());
        self.dirty.insert(number);
        Noted::New(entry)
    }

    fn count(&mut self, kind: Kind, mut entry: AuditEntry, now: Millis) -> Noted {
        let mut alike = alike(kind, &entry);
        if self.again(&alike, now) {
            return Noted::Counted;
        }
        self.close(now);
        let address = alike.1.clone();
        if self.per_address.get(&address).copied().unwrap_or_default() >= MAX_PER_ADDRESS {
            alike = (kind, address, String::new(), "*".into());
            entry = rest(entry, true);
        }
        if self.windows.len() >= MAX_WINDOWS {
            alike = (kind, "*".into(), String::new(), "*".into());
            entry = rest(entry, false);
        }
        if self.again(&alike, now) {
            return Noted::Counted;
        }
        let noted = self.add(entry);
        if let Noted::New(entry) = &noted {
            *self.per_address.entry(alike.1.clone()).or_default() += 1;
            let window = Window {
                opened: now,
                row: entry.id,
                address: alike.1.clone(),
            };
            self.windows.insert(alike, window);
        }
        noted
    }

    /// Counts one more of the same minute, where there is one.
    fn again(&mut self, alike: &Alike, now: Millis) -> bool {
        let Some(window) = self.windows.get(alike) else {
            return false;
        };
        if now.since(window.opened) >= WINDOW {
            return false;
        }
        let Some(entry) = self.rows.get_mut(&window.row) else {
            return false;
        };
        entry.count = Some(entry.count.unwrap_or(1) + 1);
        entry.last_ts = Some(now.wire());
        self.dirty.insert(window.row);
        true
    }

    /// Ends the minutes that are over; gives the rows that stand for several, for the log.
    pub(super) fn close(&mut self, now: Millis) -> Vec<AuditEntry> {
        let mut counted = Vec::new();
        let (rows, dirty, per_address) = (&mut self.rows, &self.dirty, &mut self.per_address);
        self.windows.retain(|_, window| {
            // A clock that was set back must not keep a window open for hours.
            if window.opened <= now && now.since(window.opened) < WINDOW {
                return true;
            }
            if let Some(open) = per_address.get_mut(&window.address) {
                *open -= 1;
                if *open == 0 {
                    per_address.remove(&window.address);
                }
            }
            if let Some(entry) = rows.get(&window.row) {
                if entry.count.is_some() {
                    counted.push(entry.clone());
                }
                if !dirty.contains(&window.row) {
                    rows.remove(&window.row);
                }
            }
            false
        });
        counted
    }

    /// The rows to write now.
    pub(super) fn take_due(&mut self) -> Vec<AuditEntry> {
        std::mem::take(&mut self.dirty)
            .iter()
            .filter_map(|number| self.rows.get(number).cloned())
            .collect()
    }

    /// These rows are on the disk.
    pub(super) fn written(&mut self, numbers: &[u64]) {
        let open: HashSet<u64> = self.windows.values().map(|window| window.row).collect();
        for number in numbers {
            if !self.dirty.contains(number) && !open.contains(number) {
                self.rows.remove(number);
            }
        }
    }

    /// These rows were not written; they wait on.
    pub(super) fn retry(&mut self, numbers: &[u64]) {
        let rows = &self.rows;
        self.dirty
            .extend(numbers.iter().filter(|number| rows.contains_key(number)));
    }
}

fn alike(kind: Kind, entry: &AuditEntry) -> Alike {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    // Requests are told apart by their ids: each of them is for somebody to decide.
    let what = match kind {
        Kind::PairingRequested | Kind::UpgradeRequested | Kind::NodeRequested => {
            text(&entry.request_id)
        }
        _ => text(&entry.code),
    };
    (kind, text(&entry.address), what, text(&entry.device_id))
}

/// A row that stands for all further ones.
fn rest(entry: AuditEntry, of_address: bool) -> AuditEntry {
    AuditEntry {
        ts: entry.ts,
        kind: entry.kind,
        reason: Some("further ones, too many to be told apart".into()),
        address: entry.address.filter(|_| of_address),
        ..AuditEntry::default()
    }
}
