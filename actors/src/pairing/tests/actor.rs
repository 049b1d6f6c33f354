//! The registry as an actor, with a real store in memory, on one thread with paused time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use actix::Addr;
use futures_util::future::{join_all, poll_fn};
use openclaw_protocol::Method;
use openclaw_protocol::methods::common::EmptyParams;
use openclaw_protocol::methods::device::{
    DevicePairApprove, DevicePairApproveParams, DevicePairList, DeviceTokenRevoke,
    DeviceTokenRevokeParams,
};
use openclaw_protocol::methods::system::GatewayIdentityGet;
use serde_json::{Value, json};

use super::*;
use crate::call::{Call, Caller, ConnKey, Reply};
use crate::clock::{TestClock, pass, quiet};
use crate::event::Form;
use crate::gate::{AuthMode, GateSettings};
use crate::gateway::state::GatewayState;
use crate::gateway::{Gateway, GatewayDeps, GatewayPort, Register};
use crate::kept::Kept;
use crate::pairing::{PairingDeps, PairingRegistry};
use crate::placement::Place;
use crate::session::queue::{HubItem, HubQueue};
use crate::settings::testing;
use crate::store::faults::{Fault, FaultyMedium};
use crate::store::{MemoryMedium, Store, StoreConfig, StoreDeps, StoreHandle, Table};
use crate::supervision::{DeathWatch, Poison, PoisonKind, RestartPolicy, supervise};
use crate::views::{Places, Views};

/// A gateway with nothing but a registry, and one owner who listens.
pub(super) struct World {
    pub(super) pairing: Addr<PairingRegistry>,
    pub(super) store: StoreHandle,
    gateway: GatewayPort,
    pub(super) views: Views,
    pub(super) owner: Arc<Caller>,
    /// Names and payloads of the events that the owner got.
    events: Vec<(String, Value)>,
    _watch: DeathWatch,
}

pub(super) fn gate(secret: &str) -> GateSettings {
    GateSettings::new(AuthMode::Token(secret.to_owned().into()))
}

pub(super) fn memory() -> FaultyMedium {
    FaultyMedium::new(Arc::new(MemoryMedium::default()))
}

impl World {
    pub(super) fn start(medium: &FaultyMedium) -> Self {
        let clock = TestClock::shared();
        let entropy = SeededEntropy::shared(7);
        let watch = DeathWatch::new(clock.clone(), Arc::clone(&entropy));
        let (here, policy) = (Place::here(), RestartPolicy::CORE);
        let config = StoreConfig::on(Arc::new(medium.clone()));
        let store_deps = StoreDeps::open(&config, clock.clone()).unwrap();
        let writer = supervise::<Store>(&here, policy, &watch, store_deps.clone());
        let store = store_deps.handle(writer.recipient());
        let places = Places::new(String::new(), String::new(), clock.clone());
        let views = Views::new(testing::settings(), gate("secret"), places);
        let gateway = GatewayDeps {
            state: Kept::new(GatewayState::new()),
            table: Arc::default(),
            doors: Arc::default(),
            views: views.clone(),
        };
        let gateway = GatewayPort::new(supervise::<Gateway>(&here, policy, &watch, gateway));
        let deps = PairingDeps::new(
            store.clone(),
            gateway.clone(),
            views.clone(),
            clock.clone(),
            entropy,
        );
        let world = Self {
            pairing: supervise::<PairingRegistry>(&here, policy, &watch, deps),
            store,
            owner: caller(None, admin(), Arc::default()),
            gateway,
            views,
            events: Vec::new(),
            _watch: watch,
        };
        world.connect(&world.owner);
        world
    }

    pub(super) fn connect(&self, caller: &Arc<Caller>) {
        let (joined, _) = tokio::sync::oneshot::channel();
        assert!(self.gateway.register(Register {
            caller: Arc::clone(caller),
            compose: Box::new(|_| Vec::new()),
            joined,
        }));
    }

    pub(super) async fn admit(&self, ask: Admit) -> Result<Admission, ErrorShape> {
        self.pairing.send(ask).await.unwrap()
    }

    pub(super) async fn token(&self, ask: Admit) -> String {
        self.admit(ask).await.unwrap().token.unwrap().token
    }

    /// Calls a method as the owner, and gives the payload or the error.
    pub(super) async fn call<M: Method>(&mut self, params: M::Params) -> Result<Value, Value>
    where
        PairingRegistry: actix::Handler<Call<M>>,
    {
        let owner = Arc::clone(&self.owner);
        self.call_as::<M>(&owner, params).await
    }

    pub(super) async fn call_as<M: Method>(
        &mut self,
        caller: &Arc<Caller>,
        params: M::Params,
    ) -> Result<Value, Value>
    where
        PairingRegistry: actix::Handler<Call<M>>,
    {
        self.send_as::<M>(caller, params).await;
        self.reply(caller).await
    }

    /// Calls a method without waiting for its answer.
    pub(super) async fn send_as<M: Method>(&self, caller: &Arc<Caller>, params: M::Params)
    where
        PairingRegistry: actix::Handler<Call<M>>,
    {
        let call = Call::<M> {
            params,
            caller: Arc::clone(caller),
            reply: Reply::new("1".into(), Arc::clone(caller), &self.gateway),
        };
        self.pairing.send(call).await.unwrap();
    }

    /// The next answer to a caller.
    pub(super) async fn reply(&mut self, caller: &Arc<Caller>) -> Result<Value, Value> {
        loop {
            if let Some(HubItem::Reply { frame, .. }) = self
                .next(caller, |item| matches!(item, HubItem::Reply { .. }))
                .await
            {
                let mut frame: Value = serde_json::from_slice(&frame).unwrap();
                return if frame["ok"] == true {
                    Ok(frame["payload"].take())
                } else {
                    Err(frame["error"].take())
                };
            }
        }
    }

    /// The next item of a connection's hub that is wanted; events on the way are noted.
    pub(super) async fn next(
        &mut self,
        caller: &Arc<Caller>,
        wanted: impl Fn(&HubItem) -> bool,
    ) -> Option<HubItem> {
        let mut batch = VecDeque::new();
        poll_fn(|cx| caller.hub.poll_batch(cx, &mut batch)).await;
        let mut found = None;
        for item in batch {
            if let HubItem::Event(event) = &item {
                let head = event.head(Generation::V4, Form::Normal).unwrap();
                let mut bytes = head.bytes().to_vec();
                head.write_tail(None, Some(1), &mut bytes);
                let mut frame: Value = serde_json::from_slice(&bytes).unwrap();
                self.events
                    .push((event.name.to_owned(), frame["payload"].take()));
            }
            if wanted(&item) {
                found = Some(item);
            }
        }
        found
    }

    /// Waits until the owner was told of this.
    pub(super) async fn event(&mut self, name: &str) {
        let owner = Arc::clone(&self.owner);
        while !self.event_names().contains(&name) {
            self.next(&owner, |_| false).await;
        }
    }

    /// The ids of the paired devices, sorted.
    pub(super) async fn paired(&mut self) -> Vec<String> {
        let list = self.call::<DevicePairList>(EmptyParams {}).await.unwrap();
        let rows = list["paired"].as_array().unwrap().iter();
        let mut ids: Vec<String> = rows
            .map(|row| row["deviceId"].as_str().unwrap().to_owned())
            .collect();
        ids.sort();
        ids
    }

    /// Ends a connection, and waits until the Gateway knows.
    pub(super) async fn disconnect(&self, caller: &Arc<Caller>) {
        self.gateway.unregister(caller.conn);
        caller.ended.wait().await;
        // Those who waited for it give their places back in this turn.
        quiet().await;
    }

    fn event_names(&self) -> Vec<&str> {
        self.events.iter().map(|(name, _)| name.as_str()).collect()
    }
}

pub(super) fn caller(device: Option<&str>, scopes: Scopes, hub: Arc<HubQueue>) -> Arc<Caller> {
    Arc::new(Caller {
        auth_epoch: None,
        conn: ConnKey::next(),
        conn_id: "conn".into(),
        role: Role::Operator,
        scopes,
        generation: Generation::V4,
        client: ClientInfo {
            id: ClientId::Cli,
            mode: ClientMode::Cli,
            ..remote(0).client
        },
        caps: Vec::new(),
        node: None,
        device_id: device.map(str::to_owned),
        remote_ip: None,
        hub,
        chain: Vec::new(),
        chat: None,
        in_flight: AtomicU32::new(0),
        ended: crate::call::Ended::default(),
        subscriptions: crate::call::Subscriptions::default(),
        address: None,
    })
}

fn request_id(error: &ErrorShape) -> String {
    error.details.as_ref().unwrap()["requestId"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[actix::test]
async fn a_remote_device_is_approved_and_everything_outlives_a_restart() {
    tokio::time::pause();
    let medium = memory();
    let mut world = World::start(&medium);
    let request = request_id(&world.admit(remote(1)).await.unwrap_err());
    let waiting = request_id(&world.admit(remote(2)).await.unwrap_err());
    let approved = world
        .call::<DevicePairApprove>(DevicePairApproveParams {
            request_id: request.clone(),
        })
        .await
        .unwrap();
    assert_eq!(approved["device"]["approvedVia"], "owner");
    let token = world.token(remote(1)).await;
    let identity = world.call::<GatewayIdentityGet>(EmptyParams {}).await;
    assert_eq!(
        world.event_names(),
        [
            "device.pair.requested",
            "device.pair.requested",
            "device.pair.resolved"
        ]
    );
    assert_eq!(world.events[2].1["decision"], "approved");
    drop(world);

    let mut world = World::start(&medium);
    let again = world.admit(by_token(remote(1), &token)).await.unwrap();
    assert_eq!(again.scopes, read());
    let list = world.call::<DevicePairList>(EmptyParams {}).await.unwrap();
    assert_eq!(list["pending"][0]["requestId"], json!(waiting));
    assert_eq!(list["paired"][0]["deviceId"], "device-1");
    assert!(!list.to_string().contains(&token));
    assert_eq!(
        request_id(&world.admit(remote(2)).await.unwrap_err()),
        waiting
    );
    assert_eq!(
        world.call::<GatewayIdentityGet>(EmptyParams {}).await,
        identity
    );
}

#[actix::test]
async fn twenty_connects_at_once_and_twenty_by_their_tokens_are_all_accepted() {
    tokio::time::pause();
    let medium = memory();
    let world = World::start(&medium);
    let before = world.store.status().commits;
    let tokens = join_all((0..20).map(|_| world.token(local(1)))).await;
    assert!(
        world.store.status().commits - before <= 2,
        "one for the identity, one for the device"
    );
    drop(world);
    // What left was on the disk: all of it works after a restart that nobody was told of.
    let world = World::start(&medium);
    let back = join_all(
        tokens
            .iter()
            .map(|token| world.admit(by_token(remote(1), token))),
    )
    .await;
    assert!(back.iter().all(Result::is_ok));
}

#[actix::test]
async fn a_panic_fails_its_own_message_and_nothing_else() {
    tokio::time::pause();
    let world = World::start(&memory());
    let token = world.token(local(1)).await;
    let under_way = world.pairing.send(local(2));
    let poison = world.pairing.send(Poison(PoisonKind::Panic));
    let after = world.pairing.send(by_token(remote(1), &token));
    let (under_way, poison, after) = tokio::join!(under_way, poison, after);
    assert!(under_way.unwrap().is_ok(), "its commit was on its way");
    assert!(poison.is_err());
    assert!(after.unwrap().is_ok());
    assert!(world.admit(local(1)).await.is_ok());
}

#[actix::test]
async fn nothing_is_promised_that_the_disk_did_not_take() {
    tokio::time::pause();
    let medium = memory();
    let world = World::start(&medium);
    let token = world.token(local(1)).await;
    medium.fail(Fault::Writes(std::io::ErrorKind::StorageFull), 0);
    let error = world.admit(local(2)).await.unwrap_err();
    assert_eq!(error.code, openclaw_protocol::ErrorCode::Unavailable);
    assert_eq!(error.details.unwrap()["code"], "store-unavailable");
    assert!(
        world.admit(by_token(remote(1), &token)).await.is_ok(),
        "what needs no write goes on"
    );
    medium.heal();
    let mut status = world.store.watch_status();
    status.wait_for(|status| status.ok).await.unwrap();
    let list = world.admit(remote(2)).await.unwrap_err();
    assert_eq!(
        list.code,
        openclaw_protocol::ErrorCode::NotPaired,
        "it was never paired"
    );
    assert!(world.admit(local(2)).await.is_ok());
}

#[actix::test]
async fn when_a_device_was_last_seen_follows_within_half_a_minute() {
    tokio::time::pause();
    let medium = memory();
    let world = World::start(&medium);
    let token = world.token(local(1)).await;
    let commits = || world.store.status().commits;
    let before = commits();
    for _ in 0..10 {
        world.admit(by_token(remote(1), &token)).await.unwrap();
    }
    assert_eq!(commits(), before);
    pass(Duration::from_secs(31)).await;
    assert_eq!(commits(), before + 1);
    let row: Value = world
        .store
        .reader()
        .get_json(Table::Devices, b"device-1")
        .unwrap()
        .unwrap();
    assert_eq!(row["lastSeenAtMs"], json!(TestClock::EPOCH.get()));
    assert!(!row.to_string().contains(&token));
}

#[actix::test]
async fn what_ended_without_a_confirmation_is_closed_once_the_disk_is_looked_at() {
    tokio::time::pause();
    let (mut ended, mut stayed) = (0, 0);
    for after in 0..4 {
        let medium = memory();
        let mut world = World::start(&medium);
        world.token(local(1)).await;
        let phone = caller(Some("device-1"), read(), Arc::default());
        world.connect(&phone);
        medium.fail(Fault::Syncs(std::io::ErrorKind::Other), after);
        let params = DeviceTokenRevokeParams {
            device_id: "device-1".into(),
            role: "operator".into(),
        };
        let told = world.call::<DeviceTokenRevoke>(params).await;
        medium.heal();
        let mut status = world.store.watch_status();
        status.wait_for(|status| status.ok).await.unwrap();
        // Nobody asks the registry for anything: it looks by itself.
        pass(Duration::from_secs(31)).await;
        let row: Value = world
            .store
            .reader()
            .get_json(Table::Devices, b"device-1")
            .unwrap()
            .unwrap();
        let is_over = row["roles"]["operator"]["revokedAtMs"].is_number();
        assert!(is_over || told.is_err(), "{row}");
        let mut batch = VecDeque::new();
        let waker = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = phone.hub.poll_batch(&waker, &mut batch);
        let closed =
            |item: &HubItem| matches!(item, HubItem::Close { conn, .. } if *conn == phone.conn);
        assert_eq!(batch.iter().any(closed), is_over, "after {after}: {row}");
        ended += u32::from(is_over && told.is_err());
        stayed += u32::from(!is_over);
    }
    assert!(ended + stayed > 0, "the disk failed in none of them");
}
