//! The world: devices with their people, the faults, and what everything has come to at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::channel::Platform;
use super::disk::Weather;
use super::jobs::EVERY_MS;
use super::runs::{Kind, Order};
use super::sim::Sim;
use super::trust::{self, Act, name};
use crate::call::ConnKey;

/// Something that goes wrong.
type Fault = fn(&mut Sim);

pub(super) const DEVICES: usize = 4;
/// Requests of one device.
const ORDERS: u64 = 5;

/// A device, with what its client program remembers.
#[derive(Default)]
pub(super) struct Device {
    pub(super) tokens: Vec<String>,
    pub(super) conn: Option<ConnKey>,
    calling: bool,
    ready: bool,
    pub(super) orders: BTreeMap<u64, Order>,
    made: u64,
}

/// Everything that is not the gateway.
pub(super) struct Outside {
    pub(super) devices: Vec<Device>,
    pub(super) platform: Platform,
    pub(super) serial: u64,
}

impl Outside {
    pub(super) fn new() -> Self {
        Self {
            devices: (0..DEVICES).map(|_| Device::default()).collect(),
            platform: Platform::default(),
            serial: 0,
        }
    }
}

impl Sim {
    /// Plans what people do and what goes wrong.
    pub(super) fn begin_world(&mut self, storm: Duration) {
        let end = u64::try_from(storm.as_millis()).unwrap_or_default();
        for device in 0..DEVICES {
            self.outside((0, 5_000), move |sim| sim.call(device));
            for _ in 0..ORDERS {
                self.outside((1_000, end), move |sim| sim.order(device));
            }
        }
        for _ in 0..10 {
            self.outside((5_000, end), Self::owner_acts);
        }
        for _ in 0..8 {
            self.outside((0, end), Self::somebody_writes);
        }
        let faults: [(usize, Fault); 6] = [
            (4, Self::crash),
            (3, Self::bad_weather),
            (2, Self::clock_is_set),
            (3, Self::salvage),
            (3, Self::provider_fails),
            (3, Self::account_is_stopped),
        ];
        for (most, fault) in faults {
            for _ in 0..self.dice.below(most + 1) {
                self.outside((2_000, end), fault);
            }
        }
        for device in 0..DEVICES {
            for _ in 0..self.dice.below(4) {
                self.outside((2_000, end), move |sim| sim.cut_off(device));
            }
        }
    }

    /// After the storm everybody tries again, and waits for nothing else.
    pub(super) fn wake_world(&mut self) {
        for device in 0..DEVICES {
            self.call(device);
        }
        self.account_is_started();
    }

    fn bad_weather(&mut self) {
        self.writer.weather = if self.dice.one_in(2) {
            Weather::Full
        } else {
            Weather::Foggy
        };
        self.note(|| "the disk fails".into());
        self.outside((500, 40_000), |sim| sim.writer.weather = Weather::Fair);
    }

    fn clock_is_set(&mut self) {
        let by = self.dice.millis(0, 3_600_000);
        let by = i64::try_from(by.as_millis()).unwrap_or_default();
        let by = if self.dice.one_in(2) { by } else { -by };
        self.note(|| format!("the clock is set by {by} ms"));
        self.clock.jump(by);
    }

    // --- devices ---

    /// A connection is cut.
    fn cut_off(&mut self, device: usize) {
        if self.process.is_some()
            && let Some(conn) = self.outside.devices[device].conn
        {
            self.hang_up(conn);
        }
    }

    /// The gateway is gone, and every connection with it.
    pub(super) fn hang_up_all(&mut self) {
        for device in 0..DEVICES {
            self.lost(device);
        }
    }

    /// A client is without a connection, and calls again.
    pub(super) fn lost(&mut self, device: usize) {
        let own = &mut self.outside.devices[device];
        own.conn = None;
        own.ready = false;
        own.calling = false;
        for order in own.orders.values_mut() {
            order.asked = false;
        }
        self.outside((100, 6_000), move |sim| sim.call(device));
    }

    fn call(&mut self, device: usize) {
        let own = &self.outside.devices[device];
        if own.conn.is_some() || own.calling {
            return;
        }
        if self.process.is_none() {
            self.outside((1_000, 5_000), move |sim| sim.call(device));
            return;
        }
        // It has its newest token, an old one that it kept, or only the secret.
        let known = own.tokens.len();
        let token = match self.dice.below(5) {
            0 => None,
            1 if known > 0 => {
                let at = self.dice.below(known);
                Some(self.outside.devices[device].tokens[at].clone())
            }
            _ => self.outside.devices[device].tokens.last().cloned(),
        };
        let which = self.dice.below(3);
        self.outside.devices[device].calling = true;
        self.knock(device, token, trust::scopes(device, which));
    }

    /// A connect was refused; the client tries the secret, or waits for its owner.
    pub(super) fn refused(&mut self, device: usize, judged: bool) {
        self.law.counts.refused += 1;
        let own = &mut self.outside.devices[device];
        own.calling = false;
        // It goes on trying what it kept: that is what a thief would do.
        if judged && own.tokens.len() > 4 {
            own.tokens.remove(0);
        }
        let span = if self.calm {
            (20_000, 60_000)
        } else {
            (500, 20_000)
        };
        if self.calm && is_done(&self.outside.devices[device]) {
            return;
        }
        self.outside(span, move |sim| sim.call(device));
    }

    /// A frame that is not an event.
    pub(super) fn heard(&mut self, device: usize, frame: &Value) {
        if frame["type"] == "hello" {
            let own = &mut self.outside.devices[device];
            own.calling = false;
            own.ready = true;
            if let Some(token) = frame["token"].as_str() {
                own.tokens.retain(|known| known != token);
                own.tokens.push(token.to_owned());
            }
            return self.send_orders(device);
        }
        let id = frame["id"].as_u64().unwrap_or_default();
        let ok = frame["ok"] == true;
        self.order_heard(device, id, ok, frame);
    }

    /// Somebody wants something of the gateway.
    fn order(&mut self, device: usize) {
        let own = &mut self.outside.devices[device];
        own.made += 1;
        self.outside.serial += 1;
        let serial = self.outside.serial;
        let kind = if self.dice.one_in(3) {
            Kind::Send
        } else {
            Kind::Turn
        };
        let order = Order::new(serial, kind, self.dice.below(3));
        self.outside.devices[device].orders.insert(serial, order);
        self.send_orders(device);
    }

    /// What is not answered yet is asked for, again after a reconnect, sometimes twice at once.
    pub(super) fn send_orders(&mut self, device: usize) {
        let own = &mut self.outside.devices[device];
        let (Some(conn), true) = (own.conn, own.ready) else {
            return;
        };
        let due: Vec<Order> = own
            .orders
            .values_mut()
            .filter(|order| !order.done && !order.asked)
            .map(|order| {
                order.asked = true;
                order.clone()
            })
            .collect();
        for order in due {
            let copies = if self.dice.one_in(4) { 2 } else { 1 };
            for _ in 0..copies {
                let order = order.clone();
                self.soon((1, 120), move |sim| sim.asked(conn, order));
            }
        }
    }

    /// The person at the first device decides about one of the others.
    fn owner_acts(&mut self) {
        let own = &self.outside.devices[0];
        let (Some(conn), true) = (own.conn, own.ready) else {
            return;
        };
        let act = match self.dice.below(9) {
            0..4 => Act::Approve,
            4 => Act::Reject,
            5 | 6 => Act::Revoke,
            7 => Act::Rotate,
            _ => Act::Remove,
        };
        let device = match act {
            Act::Approve | Act::Reject => 2 + self.dice.below(DEVICES - 2),
            _ => 1 + self.dice.below(DEVICES - 1),
        };
        self.soon((1, 60), move |sim| {
            if sim.is_served(conn) {
                sim.decide(conn, 0, act, device);
            }
        });
    }

    /// Whether a request of a connection is served; the reference has its say.
    pub(super) fn is_served(&mut self, conn: ConnKey) -> bool {
        let Some(conn) = self.gateway().conns.get(&conn) else {
            return false;
        };
        if !conn.open || conn.link.is_closed() {
            return false;
        }
        let (device, judged) = (name(conn.device), conn.judged);
        self.law.serve(&device, judged);
        true
    }

    // --- the end ---

    /// What everything has come to, after hours in which nothing went wrong.
    pub(super) fn last_judgement(&mut self) {
        self.check_promises();
        self.judge_channel();
        self.judge_jobs(EVERY_MS);
        for (at, device) in self.outside.devices.iter().enumerate() {
            let waits: Vec<_> = device.orders.values().filter(|order| !order.done).collect();
            // The others may wait for an owner who sleeps.
            assert!(
                at > 0 || waits.is_empty(),
                "{} is not answered: {waits:?}",
                name(at)
            );
        }
        let process = self.process.as_ref().expect("it runs");
        assert_eq!(
            process.lanes.queued() + process.lanes.running(),
            0,
            "a lane hangs"
        );
        assert!(process.waiting.is_empty(), "somebody waits for ever");
    }
}

fn is_done(device: &Device) -> bool {
    device.orders.values().all(|order| order.done)
}
