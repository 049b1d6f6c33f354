//! The rows of the presence list. Pure: takes messages and the time, keeps rows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol::presence::PresenceEntry;

use crate::call::{Caller, ConnKey};
use crate::clock::Millis;

/// A row that was not refreshed for this long is gone, unless its connection still is there.
pub const TTL: Duration = Duration::from_mins(5);
/// Most rows, besides the gateway's own.
pub const MAX_ROWS: usize = 200;

#[derive(Debug, Clone)]
struct Row {
    entry: Arc<PresenceEntry>,
    touched: Millis,
    connection: Option<ConnKey>,
}

/// The presence list.
#[derive(Debug, Default)]
pub struct PresenceState {
    own: PresenceEntry,
    rows: BTreeMap<String, Row>,
}

impl PresenceState {
    /// A list with the gateway's own row.
    pub fn new(own: PresenceEntry) -> Self {
        Self {
            own,
            rows: BTreeMap::new(),
        }
    }

    /// A client connected.
    pub fn joined(&mut self, caller: &Caller, now: Millis) {
        let name = caller
            .client
            .display_name
            .as_deref()
            .unwrap_or(caller.client.id.as_str());
        let mode = caller.client.mode.as_str();
        let entry = PresenceEntry {
            host: Some(name.to_owned()),
            ip: caller.remote_ip.clone(),
            version: Some(caller.client.version.clone()),
            platform: Some(caller.client.platform.clone()),
            device_family: caller.client.device_family.clone(),
            model_identifier: caller.client.model_identifier.clone(),
            time_zone: caller.client.time_zone.clone(),
            mode: Some(mode.to_owned()),
            reason: Some("connect".to_owned()),
            text: Some(format!("Node: {name} · mode {mode}")),
            ts: now.wire(),
            device_id: caller.device_id.clone(),
            roles: Some(vec![caller.role.as_str().to_owned()]),
            scopes: Some(
                caller
                    .scopes
                    .names()
                    .into_iter()
                    .map(str::to_owned)
                    .collect(),
            ),
            instance_id: caller.client.instance_id.clone(),
            ..PresenceEntry::default()
        };
        self.put(
            key_of(caller),
            Row {
                entry: Arc::new(entry),
                touched: now,
                connection: Some(caller.conn),
            },
        );
    }

    /// A client disconnected; its row stays until its time is over, unless a newer connection of
    /// the same device took it over.
    pub fn left(&mut self, caller: &Caller, now: Millis) -> bool {
        let Some(row) = self.rows.get_mut(&key_of(caller)) else {
            return false;
        };
        if row.connection != Some(caller.conn) {
            return false;
        }
        row.connection = None;
        row.touched = now;
        let entry = Arc::make_mut(&mut row.entry);
        entry.ts = now.wire();
        entry.reason = Some("disconnect".to_owned());
        true
    }

    /// A client reported on itself or on a device.
    pub fn reported(&mut self, key: &str, report: PresenceEntry, now: Millis) {
        let key = key.to_lowercase();
        let connection = self.rows.get(&key).and_then(|row| row.connection);
        let entry = PresenceEntry {
            ts: now.wire(),
            ..report
        };
        self.put(
            key,
            Row {
                entry: Arc::new(entry),
                touched: now,
                connection,
            },
        );
    }

    /// Drops rows whose time is over; true when any went.
    pub fn expire(&mut self, now: Millis) -> bool {
        let before = self.rows.len();
        self.rows
            .retain(|_, row| row.connection.is_some() || now.since(row.touched) < TTL);
        self.rows.len() != before
    }

    /// The list, newest first, the gateway's own row among them.
    pub fn list(&self, now: Millis) -> Vec<Arc<PresenceEntry>> {
        let mut own = self.own.clone();
        own.ts = now.wire();
        let mut list: Vec<_> = self
            .rows
            .values()
            .map(|row| Arc::clone(&row.entry))
            .collect();
        list.sort_by(|a, b| b.ts.cmp(&a.ts).then_with(|| a.host.cmp(&b.host)));
        list.insert(0, Arc::new(own));
        list
    }

    fn put(&mut self, key: String, row: Row) {
        self.rows.insert(key, row);
        if self.rows.len() > MAX_ROWS {
            // Those that are gone make room before those that are here.
            let oldest = self
                .rows
                .iter()
                .min_by_key(|(_, row)| (row.connection.is_some(), row.touched.get()));
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                self.rows.remove(&key);
            }
        }
    }
}

fn key_of(caller: &Caller) -> String {
    let node = caller.role == openclaw_protocol::Role::Node;
    let device = caller.device_id.as_ref().filter(|_| node).or(caller
        .client
        .instance_id
        .as_ref()
        .filter(|_| node));
    device.unwrap_or(&caller.conn_id).to_lowercase()
}
