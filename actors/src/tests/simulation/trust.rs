//! The pairing registry: decisions in memory at once, answers behind their commits.

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_protocol::client::ClientMode;
use openclaw_protocol::connect::ClientInfo;
use openclaw_protocol::device::ProvenDevice;
use openclaw_protocol::methods::device::{DeviceTokenRevokeParams, DeviceTokenRotateParams};
use openclaw_protocol::{ClientId, ErrorShape, Generation, Role, Scope, Scopes};

use super::disk::{Disk, Durable};
use super::sim::Sim;
use super::wire::Conn;
use crate::call::ConnKey;
use crate::clock::Millis;
use crate::node::policy::Surface;
use crate::pairing::effects::{Effects, Step};
use crate::pairing::state::PairingState;
use crate::pairing::{Admission, Admit, Authority};
use crate::session::handshake::GateOne;
use crate::store::Table;

/// How often the rows that may be late are written.
const FLUSH: Duration = Duration::from_secs(30);

/// What follows when an answer may leave; `false` when its commit was not confirmed.
type Ready = Box<dyn FnOnce(&mut Sim, bool)>;

/// The registry, and its commits on their way (mirrors `pairing::writes`).
#[derive(Default)]
pub(super) struct TrustSide {
    pub(super) state: PairingState,
    in_flight: usize,
    failed: bool,
    started: u64,
    /// Who waits for the last commit about a device.
    last: BTreeMap<String, (u64, Vec<Ready>)>,
}

impl TrustSide {
    pub(super) fn load(disk: &Disk, now: Millis) -> Self {
        Self {
            state: loaded(disk, now),
            ..Self::default()
        }
    }
}

fn loaded(disk: &Disk, now: Millis) -> PairingState {
    PairingState::load(
        disk.table(Table::Devices),
        disk.table(Table::PairingPending),
        disk.table(Table::PairingSetups),
        now,
    )
}

/// What an owner does about a device.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    Approve,
    Reject,
    Revoke,
    Rotate,
    Remove,
}

pub(super) fn name(device: usize) -> String {
    format!("device-{device}")
}

/// The first two devices are on this machine, where nobody has to be asked.
pub(super) const fn is_local(device: usize) -> bool {
    device < 2
}

impl Sim {
    /// Mirrors `PairingRegistry::ready`.
    fn trust_ready(&mut self) -> bool {
        let trust = &self.process.as_ref().expect("its life is not over").trust;
        match (trust.failed, trust.in_flight) {
            (false, _) => true,
            (true, 0) => {
                let state = loaded(&self.disk, self.now());
                let trust = &mut self.gateway().trust;
                trust.state = state;
                trust.failed = false;
                self.close_untrusted();
                true
            }
            (true, _) => false,
        }
    }

    /// Mirrors `pairing::closing::close_untrusted`.
    fn close_untrusted(&mut self) {
        let process = self.gateway();
        let trusted = process.trust.state.trusted();
        process.trust_ends.doubt();
        self.kick(move |caller| {
            let device = caller.device_id.clone().expect("each has one");
            !trusted.contains(&(device, caller.role))
        });
    }

    /// Mirrors `PairingRegistry::carry_out` and `settle`.
    fn carry_out(&mut self, mut effects: Effects, durable: Durable, then: Ready) {
        let ops = std::mem::take(&mut effects.ops);
        let device = effects.device.clone();
        let then: Ready = Box::new(move |sim, ok| {
            if ok {
                for event in &effects.events {
                    sim.emit(event.to_out());
                }
            }
            then(sim, ok);
        });
        let trust = &mut self.gateway().trust;
        if ops.is_empty() {
            return match trust.last.get_mut(&device) {
                Some((_, waiting)) => waiting.push(then),
                None => then(self, true),
            };
        }
        trust.started += 1;
        trust.in_flight += 1;
        let number = trust.started;
        // Whoever waits for an earlier commit about it is told by that one, which comes first.
        let earlier = trust.last.insert(device.clone(), (number, Vec::new()));
        let earlier = earlier.map(|(_, waiting)| waiting).unwrap_or_default();
        let written = move |sim: &mut Self, ok: bool| {
            let trust = &mut sim.gateway().trust;
            trust.in_flight -= 1;
            trust.failed |= !ok;
            let mut waiting = Vec::new();
            if trust
                .last
                .get(&device)
                .is_some_and(|(last, _)| *last == number)
            {
                waiting = trust
                    .last
                    .remove(&device)
                    .map(|last| last.1)
                    .unwrap_or_default();
            }
            if !ok {
                sim.law.counts.unconfirmed += 1;
            }
            then(sim, ok);
            for other in waiting {
                other(sim, ok);
            }
        };
        self.commit_so(ops, Some(durable), Box::new(written));
        // They hang on a commit of the same or an earlier flush, with the same end.
        if !earlier.is_empty() {
            self.commit(Vec::new(), move |sim, ok| {
                for other in earlier {
                    other(sim, ok);
                }
            });
        }
    }

    /// A device's first frame is here; mirrors the handshake's waits and `Handler<Admit>`.
    pub(super) fn knock(&mut self, device: usize, token: Option<String>, scopes: Scopes) {
        let ends = self.gateway().trust_ends.now();
        self.soon((0, 25), move |sim| sim.admit(device, token, scopes, ends));
    }

    fn admit(&mut self, device: usize, token: Option<String>, scopes: Scopes, ends: u64) {
        if !self.trust_ready() {
            return self.refused(device, false);
        }
        let ask = ask(device, token.as_deref(), scopes);
        let (now, entropy) = (self.now(), self.entropy.clone());
        let step = self.gateway().trust.state.admit(&ask, None, now, &*entropy);
        let Step { answer, effects } = step;
        let id = ask.device.id.clone();
        let judged = self.law.ends();
        let is_allowed = self.law.allows(&id, token.as_deref(), scopes);
        let mut durable: Durable = Box::new(|_| {});
        match &answer {
            Ok(admission) => {
                assert_eq!(admission.scopes, scopes, "nothing more than asked");
                if let Some(token) = &admission.token {
                    self.law.minted(&token.token, &id, scopes);
                }
                if ask.silent && token.is_none() {
                    let id = id.clone();
                    durable = Box::new(move |law| law.grant(&id, scopes));
                }
            }
            Err(error) => {
                if let Some(request) = request_of(error) {
                    self.law.asks(&request, &id, scopes);
                }
            }
        }
        let by_token = token.is_some();
        let then = move |sim: &mut Self, ok: bool| match answer {
            Ok(admission) if ok => {
                let still = sim.law.allows(&id, token.as_deref(), scopes);
                assert!(is_allowed || still, "{id} is let in with {scopes:?}");
                sim.law.counts.admitted += 1;
                sim.law.counts.by_token += u64::from(by_token);
                sim.let_in(device, scopes, admission, (ends, judged));
            }
            Ok(_) => sim.refused(device, false),
            Err(_) => sim.refused(device, ok),
        };
        self.carry_out(effects, durable, Box::new(then));
    }

    fn let_in(&mut self, device: usize, scopes: Scopes, admission: Admission, judged: (u64, u64)) {
        let hub = device % 2;
        let max_buffered = if device == 3 { 900 } else { 1 << 20 };
        let queue = std::sync::Arc::clone(&self.gateway().hubs[hub].queue);
        let who = crate::tests::peer::Who {
            scopes,
            ..crate::tests::peer::Who::admin()
        };
        let caller = who.of_device(&queue, &name(device));
        let key = caller.conn;
        let conn = Conn::new(device, caller, (hub, max_buffered), judged);
        let links = &self.gateway().hubs[hub].links;
        links.insert(key, std::rc::Rc::clone(&conn.link));
        links.identify(std::sync::Arc::clone(&conn.caller));
        self.gateway().conns.insert(key, conn);
        self.outside.devices[device].conn = Some(key);
        let token = admission.token.map(|token| ("token", token.token));
        self.soon((0, 25), move |sim| {
            sim.register(key, token.into_iter().collect());
        });
    }

    /// An owner decides; mirrors the methods `device.*`.
    pub(super) fn decide(&mut self, by: ConnKey, reply: u64, act: Act, device: usize) {
        if !self.trust_ready() {
            let busy = serde_json::json!("unavailable");
            return self.reply(by, reply, &Err(busy));
        }
        let caller = std::sync::Arc::clone(&self.gateway().conns[&by].caller);
        let authority = Authority::of(&caller);
        let (id, now, entropy) = (name(device), self.now(), self.entropy.clone());
        let tokens = self.law.tokens_of(&id);
        let state = &mut self
            .process
            .as_mut()
            .expect("its life is not over")
            .trust
            .state;
        let operator = Role::Operator.as_str().to_owned();
        let (ok, effects, durable): (bool, Effects, Durable) = match act {
            Act::Approve | Act::Reject => {
                let Some(request) = state.request_of(&id) else {
                    return self.reply(by, reply, &Err("nobody waits".into()));
                };
                let asked = self.law.asked(&request);
                if let Act::Approve = act {
                    let step = state.approve(&request, &authority, now);
                    let grant: Durable = Box::new(move |law| {
                        let (device, scopes) = asked.expect("somebody asked for it");
                        law.grant(&device, scopes);
                    });
                    (step.answer.is_ok(), step.effects, grant)
                } else {
                    let step = state.reject(&request, &authority, now);
                    (step.answer.is_ok(), step.effects, Box::new(|_| {}))
                }
            }
            Act::Revoke => {
                let params = DeviceTokenRevokeParams {
                    device_id: id.clone(),
                    role: operator,
                };
                let step = state.revoke(&params, &authority, now);
                let id = id.clone();
                let end: Durable = Box::new(move |law| law.end(&id, &tokens, true));
                (step.answer.is_ok(), step.effects, end)
            }
            Act::Remove => {
                let step = state.remove(&id, &authority, now);
                let id = id.clone();
                let end: Durable = Box::new(move |law| law.end(&id, &tokens, true));
                (step.answer.is_ok(), step.effects, end)
            }
            Act::Rotate => {
                let params = DeviceTokenRotateParams {
                    device_id: id.clone(),
                    role: operator,
                    scopes: None,
                };
                let step = state.rotate(&params, &authority, None, now, &*entropy);
                let id = id.clone();
                let end: Durable = Box::new(move |law| law.end(&id, &tokens, false));
                (step.answer.is_ok(), step.effects, end)
            }
        };
        self.note(|| format!("the owner: {act:?} {id}, {ok}"));
        let durable: Durable = if ok { durable } else { Box::new(|_| {}) };
        let closes = ok && matches!(act, Act::Revoke | Act::Remove | Act::Rotate);
        let then = move |sim: &mut Self, written: bool| {
            let answer = if ok && written {
                Ok(true.into())
            } else {
                Err("no".into())
            };
            sim.reply(by, reply, &answer);
            if closes && written {
                sim.law.confirm_end(&id);
                // Mirrors `close_connections`.
                sim.gateway().trust_ends.end(&id, None);
                let newest = ConnKey::next();
                sim.soon((0, 25), move |sim| {
                    sim.kick(|caller| {
                        caller.conn < newest && caller.device_id.as_ref() == Some(&id)
                    });
                });
            }
        };
        self.carry_out(effects, durable, Box::new(then));
    }

    /// What may be late is written, as twice a minute.
    pub(super) fn flush_trust(&mut self) {
        self.after(FLUSH, Self::flush_trust);
        if !self.trust_ready() {
            return;
        }
        let now = self.now();
        let ops = self.gateway().trust.state.flush(now);
        self.gateway().trust.state.take_ended();
        if !ops.is_empty() {
            self.commit(ops, |_, _| {});
        }
    }
}

fn request_of(error: &ErrorShape) -> Option<String> {
    let details = error.details.as_ref()?;
    Some(details["requestId"].as_str()?.to_owned())
}

fn ask(device: usize, token: Option<&str>, scopes: Scopes) -> Admit {
    let gate = match token {
        None => GateOne::Shared("token"),
        Some(token) => GateOne::DeviceToken {
            token: token.to_owned(),
            otherwise: Box::new(ErrorShape::invalid("wrong token")),
        },
    };
    Admit {
        device: ProvenDevice {
            id: name(device),
            public_key: format!("key-{device}"),
        },
        role: Role::Operator,
        scopes,
        gate,
        silent: is_local(device) && token.is_none(),
        client: ClientInfo {
            id: ClientId::Macos,
            display_name: Some(format!("Device {device}")),
            version: "1".into(),
            build_id: None,
            platform: "macOS 15.1".into(),
            device_family: Some("Mac".into()),
            model_identifier: None,
            time_zone: None,
            mode: ClientMode::Ui,
            instance_id: None,
        },
        generation: Generation::V4,
        remote_ip: (!is_local(device)).then(|| "192.0.2.7".into()),
        claims: Surface::default(),
    }
}

/// What a device asks for: an owner everything, the others one of three sets.
pub(super) fn scopes(device: usize, which: usize) -> Scopes {
    match (device, which) {
        (0, _) => Scopes::of(&[Scope::Admin]),
        (_, 0) => Scopes::of(&[Scope::Read]),
        (_, 1) => Scopes::of(&[Scope::Read, Scope::Write]),
        _ => Scopes::of(&[Scope::Read, Scope::Write, Scope::Approvals]),
    }
}
