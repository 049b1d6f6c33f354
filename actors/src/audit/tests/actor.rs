//! The trail on a store in memory, on one thread with paused time.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use openclaw_protocol::methods::audit::{AuditListParams, AuditListResult};

use crate::audit::{Audit, AuditDeps, AuditPort, AuditRow, Kind, read};
use crate::clock::{SeededEntropy, TestClock, pass};
use crate::gate::{AuthMode, GateSettings};
use crate::placement::Place;
use crate::settings::testing;
use crate::store::faults::{Fault, FaultyMedium};
use crate::store::{Close, MemoryMedium, Store, StoreConfig, StoreDeps, StoreHandle};
use crate::supervision::{DeathWatch, Poison, PoisonKind, RestartPolicy, supervise};
use crate::sweep::{Sweep, Sweeper, SweeperDeps};
use crate::views::{Places, Views};

struct World {
    audit: Addr<Audit>,
    sweeper: Addr<Sweeper>,
    port: AuditPort,
    store: StoreHandle,
    writer: Addr<Store>,
    clock: Arc<TestClock>,
    _watch: DeathWatch,
}

fn memory() -> FaultyMedium {
    FaultyMedium::new(Arc::new(MemoryMedium::default()))
}

impl World {
    fn start(medium: &FaultyMedium) -> Self {
        let clock = TestClock::shared();
        let watch = DeathWatch::new(clock.clone(), SeededEntropy::shared(7));
        let (here, policy) = (Place::here(), RestartPolicy::CORE);
        let config = StoreConfig::on(Arc::new(medium.clone()));
        let store_deps = StoreDeps::open(&config, clock.clone()).unwrap();
        let writer = supervise::<Store>(&here, policy, &watch, store_deps.clone());
        let store = store_deps.handle(writer.clone().recipient());
        let gate = GateSettings::new(AuthMode::None);
        let places = Places::new(String::new(), String::new(), clock.clone());
        let views = Views::new(testing::settings(), gate, places);
        let port = views.audit.clone();
        let deps = AuditDeps {
            store: store.clone(),
            views: views.clone(),
        };
        let sweeper = SweeperDeps {
            store: store.clone(),
            views,
            media: crate::media::Blobs::new(std::path::PathBuf::from("/nonexistent")),
            clock: clock.clone(),
            entropy: SeededEntropy::shared(1),
        };
        Self {
            audit: supervise::<Audit>(&here, policy, &watch, deps),
            sweeper: supervise::<Sweeper>(&here, policy, &watch, sweeper),
            port,
            store,
            writer,
            clock,
            _watch: watch,
        }
    }

    fn note(&self, kind: Kind, device: &str) {
        self.port.record(&AuditRow::new(kind).device(device));
    }

    /// What is on the disk once everything that waits is there.
    async fn list(&self, params: AuditListParams) -> AuditListResult {
        pass(Duration::from_secs(6)).await;
        read::list(self.store.reader(), &params, self.port.dropped()).unwrap()
    }

    async fn all(&self) -> Vec<String> {
        let listed = self.list(AuditListParams::default()).await;
        let line = |row: &openclaw_protocol::methods::audit::AuditEntry| {
            format!("{} {}", row.kind, row.device_id.as_deref().unwrap_or("-"))
        };
        listed.entries.iter().map(line).collect()
    }
}

#[actix::test]
async fn rows_are_on_the_disk_soon_newest_first_and_found_by_device_kind_and_page() {
    tokio::time::pause();
    let world = World::start(&memory());
    world.note(Kind::PairingApproved, "abc");
    world.note(Kind::TokenIssued, "abc");
    world.note(Kind::PairingApproved, "abd");
    assert_eq!(
        world.all().await,
        [
            "pairing.approved abd",
            "token.issued abc",
            "pairing.approved abc"
        ]
    );
    let listed = |params| async { world.list(params).await.entries.len() };
    let device = |text: &str| AuditListParams {
        device: Some(text.into()),
        ..AuditListParams::default()
    };
    assert_eq!(listed(device("ab")).await, 3);
    assert_eq!(listed(device("abc")).await, 2);
    let kind = |text: &str| AuditListParams {
        kind: Some(text.into()),
        ..AuditListParams::default()
    };
    assert_eq!(listed(kind("pairing")).await, 2);
    assert_eq!(listed(kind("token.issued")).await, 1);
    assert_eq!(listed(kind("pair")).await, 0, "a family is a whole word");
    let page = AuditListParams {
        limit: Some(2),
        ..AuditListParams::default()
    };
    let first = world.list(page.clone()).await;
    assert_eq!(first.next_before, Some(first.entries[1].id));
    let second = world
        .list(AuditListParams {
            before: first.next_before,
            ..page
        })
        .await;
    assert_eq!((second.entries.len(), second.next_before), (1, None));
    let since = AuditListParams {
        since: Some(TestClock::EPOCH.wire() + 3_600_000),
        ..AuditListParams::default()
    };
    assert_eq!(listed(since).await, 0);
}

#[actix::test]
async fn the_trail_outlives_a_restart_and_the_numbers_go_on() {
    tokio::time::pause();
    let medium = memory();
    let world = World::start(&medium);
    world.note(Kind::PairingApproved, "a");
    world.all().await;
    // Closed first: two databases on the same bytes would write over one another.
    world.writer.send(Close).await.unwrap();
    drop(world);
    let world = World::start(&medium);
    world.note(Kind::DeviceRemoved, "a");
    assert_eq!(
        world.all().await,
        ["device.removed a", "pairing.approved a"]
    );
}

#[actix::test]
async fn rows_wait_while_the_disk_takes_nothing_and_while_the_owner_is_rebuilt() {
    tokio::time::pause();
    let medium = memory();
    let world = World::start(&medium);
    world.note(Kind::PairingApproved, "a");
    world.all().await;
    medium.fail(Fault::Writes(std::io::ErrorKind::StorageFull), 0);
    world.note(Kind::PairingRejected, "b");
    assert_eq!(world.all().await, ["pairing.approved a"]);
    medium.heal();
    let mut status = world.store.watch_status();
    status.wait_for(|status| status.ok).await.unwrap();
    world
        .audit
        .send(Poison(PoisonKind::Panic))
        .await
        .unwrap_err();
    world.note(Kind::DeviceRemoved, "c");
    assert_eq!(
        world.all().await,
        [
            "device.removed c",
            "pairing.rejected b",
            "pairing.approved a"
        ]
    );
    assert_eq!(world.port.dropped(), 0);
}

#[actix::test]
async fn rows_end_by_age_and_refusals_before_decisions() {
    tokio::time::pause();
    let world = World::start(&memory());
    world.note(Kind::PairingApproved, "old");
    world.all().await;
    world.clock.advance(Duration::from_hours(31 * 24));
    world.note(Kind::ConnectRefused, "refused");
    world.note(Kind::PairingApproved, "new");
    world.all().await;
    world.sweeper.send(Sweep).await.unwrap();
    assert_eq!(
        world.all().await,
        ["pairing.approved new", "connect.refused refused"]
    );
}
