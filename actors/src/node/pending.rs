//! What waits for a node until it comes by.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use openclaw_protocol::methods::common::Nullable;
use openclaw_protocol::methods::node_side::{PendingItem, PendingPriority, PendingType};
use serde::{Deserialize, Serialize};

use super::NodeTrustMap;
use crate::store::{Op, StoreError, StoreReader, Table, keys};

/// Most items that a node is given at once.
const MAX_TAKEN: u64 = 10;
/// How many, where it does not say.
const TAKEN: u64 = 4;
/// Names the question for the status that every node is asked.
const BASELINE: &str = "baseline-status";

/// What the keys of queues begin with.
fn rows() -> Vec<u8> {
    keys::text("pending")
}

/// The row of a node's queue.
pub(crate) fn row(node: &str) -> Vec<u8> {
    let mut key = rows();
    key.extend(keys::text(node));
    key
}

/// What forgets the queues of nodes that are gone.
///
/// # Errors
///
/// Those of a read.
pub fn stale(reader: &StoreReader, trust: &NodeTrustMap) -> Result<Vec<Op>, StoreError> {
    let known: BTreeSet<Vec<u8>> = trust.keys().map(|node| row(node)).collect();
    let first = rows();
    let mut gone = Vec::new();
    reader.scan(Table::Nodes, &first[..]..&[], false, |key, _| {
        if !key.starts_with(&first) {
            return ControlFlow::Break(());
        }
        if !known.contains(key) {
            gone.push(Op::delete(Table::Nodes, key.to_vec()));
        }
        ControlFlow::Continue(())
    })?;
    Ok(gone)
}

/// The queue of one node: one row of the store. Each kind waits once, so it holds two items at most.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Queue {
    /// Counts its changes.
    pub revision: u64,
    /// What waits.
    pub items: Vec<PendingItem>,
}

impl Queue {
    /// Lets something wait. What waits already stays, and becomes as urgent and as lasting as either.
    pub fn enqueue(&mut self, item: PendingItem, now: u64) -> PendingItem {
        self.expire(now);
        self.revision += 1;
        let same = self.items.iter_mut().find(|other| other.kind == item.kind);
        let Some(same) = same else {
            self.items.push(item.clone());
            return item;
        };
        same.priority = same.priority.max(item.priority);
        same.expires_at_ms = Nullable(match (same.expires_at_ms.0, item.expires_at_ms.0) {
            (Some(one), Some(other)) => Some(one.max(other)),
            _ => None,
        });
        same.clone()
    }

    /// Takes the most urgent items; its status is asked for besides. The flag says whether more waits.
    pub fn take(&mut self, most: Option<u64>, now: u64) -> (Vec<PendingItem>, bool) {
        self.expire(now);
        let most = usize::try_from(most.unwrap_or(TAKEN).clamp(1, MAX_TAKEN)).unwrap_or(1);
        self.items
            .sort_by_key(|item| (std::cmp::Reverse(item.priority), item.created_at_ms));
        let asks_status = self
            .items
            .iter()
            .any(|item| item.kind == PendingType::Status);
        let mut taken: Vec<PendingItem> = self.items.drain(..self.items.len().min(most)).collect();
        if !taken.is_empty() {
            self.revision += 1;
        }
        let mut more = !self.items.is_empty();
        if !asks_status {
            if taken.len() < most {
                taken.push(PendingItem {
                    id: BASELINE.to_owned(),
                    kind: PendingType::Status,
                    priority: PendingPriority::Default,
                    created_at_ms: now,
                    expires_at_ms: Nullable(None),
                });
            } else {
                more = true;
            }
        }
        (taken, more)
    }

    fn expire(&mut self, now: u64) {
        self.items
            .retain(|item| item.expires_at_ms.0.is_none_or(|until| until > now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(kind: PendingType, priority: PendingPriority, until: Option<u64>) -> PendingItem {
        PendingItem {
            id: format!("{kind:?}"),
            kind,
            priority,
            created_at_ms: 1,
            expires_at_ms: Nullable(until),
        }
    }

    #[test]
    fn each_kind_waits_once_and_the_most_urgent_comes_first() {
        use PendingPriority::{High, Normal};
        use PendingType::{Location, Status};
        let mut queue = Queue::default();
        queue.enqueue(item(Status, Normal, None), 1);
        queue.enqueue(item(Location, Normal, Some(10)), 1);
        let raised = queue.enqueue(item(Location, High, Some(20)), 2);
        assert_eq!((raised.priority, raised.expires_at_ms.0), (High, Some(20)));
        assert_eq!((queue.items.len(), queue.revision), (2, 3));
        let (taken, more) = queue.take(Some(1), 3);
        assert_eq!((taken[0].kind, taken.len(), more), (Location, 1, true));
        let (taken, more) = queue.take(None, 3);
        assert_eq!(
            (taken[0].id.as_str(), taken.len(), more),
            ("Status", 1, false)
        );
    }

    #[test]
    fn a_nodes_status_is_always_asked_for_and_what_is_old_is_not() {
        let mut queue = Queue::default();
        queue.enqueue(
            item(PendingType::Location, PendingPriority::Normal, Some(10)),
            1,
        );
        let (taken, more) = queue.clone().take(None, 5);
        assert_eq!((taken.len(), more), (2, false));
        let (taken, more) = queue.take(None, 10);
        assert_eq!(
            (taken[0].id.as_str(), taken.len(), more),
            (BASELINE, 1, false)
        );
        assert_eq!(queue.revision, 1);
    }
}
