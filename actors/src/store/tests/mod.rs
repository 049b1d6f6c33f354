//! The store as its users see it: through a handle, on a supervised actor.

mod commits;
mod crash;
mod damage;
mod disk_faults;
mod files;
mod power_cut;

use std::sync::Arc;

use actix::Addr;

use crate::clock::{SeededEntropy, SystemClock};
use crate::placement::Place;
use crate::supervision::{DeathWatch, RestartPolicy, supervise};

use super::faults::FaultyMedium;
use super::*;

/// A running store.
pub(super) struct World {
    pub(super) addr: Addr<Store>,
    pub(super) handle: StoreHandle,
    pub(super) watch: DeathWatch,
}

/// Starts a store on the thread of the test.
pub(super) fn start(config: &StoreConfig) -> World {
    let watch = DeathWatch::new(SystemClock::shared(), SeededEntropy::shared(1));
    let deps = StoreDeps::open(config, SystemClock::shared()).unwrap();
    let addr = supervise::<Store>(&Place::here(), RestartPolicy::CORE, &watch, deps.clone());
    let handle = deps.handle(addr.clone().recipient());
    World {
        addr,
        handle,
        watch,
    }
}

/// Memory that can be made to fail.
pub(super) fn faulty_memory() -> FaultyMedium {
    FaultyMedium::new(Arc::new(MemoryMedium::default()))
}

pub(super) fn put(key: impl Into<Vec<u8>>) -> Op {
    Op::put(Table::Sends, key, "value")
}

pub(super) fn has(reader: &StoreReader, key: &[u8]) -> bool {
    reader.get(Table::Sends, key).unwrap().is_some()
}

impl World {
    /// Waits until commits are taken again.
    pub(super) async fn recovered(&self) {
        self.handle
            .watch_status()
            .wait_for(|status| status.ok)
            .await
            .unwrap();
    }
}
