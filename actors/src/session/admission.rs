//! From the first frame to a registered connection, or to a refusal: the handshake's waits.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use actix::{ActorFutureExt as _, AsyncContext as _, WrapFuture as _};
use openclaw_protocol::connect::Policy;
use openclaw_protocol::frame::response_error;
use openclaw_protocol::{ErrorCode, ErrorShape, Generation};

use super::handshake::{self, Candidate, ConnectRequest, GateOne, Refusal};
use super::hello;
use super::notes::{self, Claimed};
use super::remedy;
use super::socket::{Ctx, Phase, WsSession};
use crate::call::{Caller, Ended};
use crate::canvas::address::Address;
use crate::gateway::Register;
use crate::limiter::client::Client;
use crate::limiter::counts::Count;
use crate::limiter::failures::AuthScope;
use crate::limiter::{Delayed, Guesses};
use crate::node::Declaration;
use crate::pairing::{Admission, Admit};

/// How long pairing and registration may take together.
const ADMISSION_LIMIT: Duration = Duration::from_secs(10);

/// Where the answer to a connect goes, and in whose words.
struct Asked {
    id: String,
    generation: Option<Generation>,
}

impl WsSession {
    /// Takes the first frame.
    pub(super) fn connect(&mut self, text: &str, ctx: &mut Ctx) {
        let Phase::Greeting { nonce, slot } = std::mem::replace(&mut self.phase, Phase::Over)
        else {
            return;
        };
        let request = match handshake::read_connect(text) {
            Ok(request) => request,
            Err(rejected) => {
                return self.refuse(rejected.id.as_deref(), None, rejected.refusal, ctx);
            }
        };
        if request.ignored > 0 {
            tracing::debug!(
                count = request.ignored,
                client = request.params.client.id.as_str(),
                "ignored unknown keys in connect"
            );
        }
        self.claimed = Some(Claimed::of(&request.params));
        // Before the gate itself: see `AuthEpoch`.
        self.auth_epoch = self.shared.views.auth_epoch.now();
        let gate = self.shared.views.gate.load();
        let claimed = request.params.device.as_ref().map(|device| &*device.id);
        let locks = self.shared.limiter.locks(&self.client, claimed);
        match handshake::evaluate(
            &request.params,
            &self.peer,
            &gate,
            locks,
            &nonce,
            self.shared.clock.now().wire(),
        ) {
            Ok(candidate) => {
                if matches!(candidate.gate, GateOne::Shared("token" | "password")) {
                    let limiter = &self.shared.limiter;
                    limiter.succeeded(AuthScope::SharedSecret, &self.client);
                }
                self.phase = Phase::Admission { _slot: slot };
                self.admit(request, candidate, ctx);
            }
            Err(refusal) => {
                let asked = Asked {
                    generation: Generation::negotiate(
                        request.params.min_protocol,
                        request.params.max_protocol,
                    ),
                    id: request.id,
                };
                self.refuse_guess(asked, refusal, ctx);
            }
        }
    }

    /// Asks the pairing registry about a device, or lets the device-less exception pass.
    fn admit(&mut self, request: ConnectRequest, candidate: Candidate, ctx: &mut Ctx) {
        let Some(device) = candidate.device.clone() else {
            let method = match &candidate.gate {
                GateOne::Shared(method) => (*method).to_owned(),
                GateOne::DeviceToken { .. } | GateOne::Bootstrap { .. } => {
                    "device-token".to_owned()
                }
            };
            let admission = Admission {
                scopes: candidate.scopes,
                method,
                token: None,
                by_secret: true,
                further: Vec::new(),
                setup: None,
            };
            return self.register(request, &candidate, admission, ctx);
        };
        let ask = Admit {
            device,
            role: candidate.role,
            scopes: candidate.scopes,
            gate: candidate.gate.clone(),
            silent: candidate.silent,
            client: request.params.client.clone(),
            generation: candidate.generation,
            remote_ip: self.remote_ip(),
            claims: Declaration::of(candidate.role, &request.params)
                .unwrap_or_default()
                .surface,
        };
        let answer = self.shared.pairing.send(ask);
        let answer = async move { tokio::time::timeout(ADMISSION_LIMIT, answer).await };
        ctx.wait(answer.into_actor(self).map(move |answer, session, ctx| {
            let asked = Asked {
                id: request.id.clone(),
                generation: Some(candidate.generation),
            };
            let Ok(Ok(answer)) = answer else {
                let error =
                    ErrorShape::unavailable("the pairing registry is restarting; try again")
                        .retry_after(1_000);
                return session.refuse_guess(asked, try_again(error), ctx);
            };
            let guesses = session.settle(&candidate, &answer);
            match answer {
                Ok(admission) => session.register(request, &candidate, admission, ctx),
                Err(error) => {
                    let refusal = pairing_refusal(error, candidate.generation, guesses);
                    session.refuse_guess(asked, refusal, ctx);
                }
            }
        }));
    }

    /// Tells the limiter what the registry found a device's own token, or a setup code, to be;
    /// gives the guesses that count, now that it is clear whether the gate stays shut.
    fn settle(&self, candidate: &Candidate, answer: &Result<Admission, ErrorShape>) -> Guesses {
        let Some((otherwise, tried)) = candidate.gate.tried() else {
            return Guesses::default();
        };
        match answer {
            Err(error) if error == otherwise => tried
                .iter()
                .fold(candidate.guesses, |guesses, scope| guesses.and(*scope)),
            // Nobody looked at it.
            Err(error) if error.code == ErrorCode::Unavailable => Guesses::default(),
            Ok(_) | Err(_) => {
                let limiter = &self.shared.limiter;
                for scope in tried {
                    limiter.succeeded(*scope, &self.client);
                }
                // An old secret in its configuration must not lock out a device, nor others at its
                // address; but it must not guess on and on behind its own token either.
                if let (false, Some(device)) = (candidate.guesses.is_empty(), &candidate.device) {
                    let limit = &self.shared.views.gate.load().rate_limit;
                    let device = Client::Device(device.id.as_str().into());
                    limiter.failed(candidate.guesses, &device, limit);
                }
                Guesses::default()
            }
        }
    }

    /// Joins the order of events; requests are served once hello-ok is in the outbox.
    fn register(
        &mut self,
        request: ConnectRequest,
        candidate: &Candidate,
        admission: Admission,
        ctx: &mut Ctx,
    ) {
        let ConnectRequest { id, params, .. } = request;
        let limits = self.shared.limits;
        let max_payload = if candidate.generation == Generation::V3 {
            limits.max_payload_v3
        } else {
            limits.max_payload
        };
        let node = Declaration::of(candidate.role, &params);
        let caller = Arc::new(Caller {
            conn: self.conn,
            conn_id: self.shared.entropy.uuid().to_string(),
            role: candidate.role,
            scopes: admission.scopes,
            generation: candidate.generation,
            client: params.client,
            caps: params.caps,
            node,
            device_id: candidate.device.as_ref().map(|device| device.id.clone()),
            remote_ip: self.remote_ip(),
            auth_epoch: admission.by_secret.then_some(self.auth_epoch),
            hub: Arc::clone(&self.worker.queue),
            chain: Vec::new(),
            chat: None,
            in_flight: AtomicU32::new(0),
            ended: Ended::default(),
            subscriptions: crate::call::Subscriptions::default(),
            address: Address::of(&self.peer),
        });
        let policy = Policy {
            max_payload: max_payload as u64,
            max_buffered_bytes: limits.max_buffered as u64,
            tick_interval_ms: u64::try_from(limits.tick.as_millis()).unwrap_or(u64::MAX),
            attachments: (candidate.generation == Generation::V4).then(|| {
                let files = self.shared.views.settings.load().attachments;
                files.policy(max_payload as u64)
            }),
        };
        let accepted = notes::accepted(&self.peer, &caller, &admission.method);
        let compose = hello::compose(
            id.clone(),
            &caller,
            (admission.token, admission.further),
            Arc::clone(&self.shared.facts),
            self.shared.views.clone(),
            policy,
            Arc::clone(&self.shared.entropy),
        );
        let (joined, joining) = tokio::sync::oneshot::channel();
        self.worker.links.identify(Arc::clone(&caller));
        if !self.shared.gateway.register(Register {
            caller: Arc::clone(&caller),
            compose,
            joined,
        }) {
            let error =
                ErrorShape::unavailable("the gateway is busy; try again").retry_after(1_000);
            let generation = Some(candidate.generation);
            return self.refuse(Some(&id), generation, try_again(error), ctx);
        }
        self.registered = true;
        let joining = async move { tokio::time::timeout(ADMISSION_LIMIT, joining).await };
        ctx.wait(joining.into_actor(self).map(move |joined, session, ctx| {
            // From here on the Gateway knows the connection, also when it never joined.
            session.phase = Phase::Open(Arc::clone(&caller));
            session.limit.set(max_payload);
            if session.is_outdated(&caller) {
                // The secret was changed while this connect was under way; who closed the others
                // may have come by before this one was known.
                session.close(ctx, 4001, "gateway auth changed");
            } else if matches!(joined, Ok(Ok(()))) {
                session.shared.views.audit.record(&accepted);
                if let Some(setup) = admission.setup {
                    setup.once_delivered(&session.link);
                }
                tracing::debug!(conn_id = %caller.conn_id, client = caller.client.id.as_str(), role = caller.role.as_str(), "client connected");
            } else {
                session.close(ctx, 1013, "gateway restarting; try again");
            }
        }));
    }

    /// Whether it came in by a secret that is no longer the gateway's.
    fn is_outdated(&self, caller: &Caller) -> bool {
        let now = self.shared.views.auth_epoch.now();
        caller.auth_epoch.is_some_and(|own| own != now)
    }

    fn remote_ip(&self) -> Option<String> {
        (!self.peer.local).then(|| self.peer.client_ip().to_string())
    }

    /// Counts what was guessed wrong and refuses: at once, or after a delay that the sender alone
    /// waits for. The socket meanwhile has given its place before the handshake back.
    fn refuse_guess(&mut self, asked: Asked, refusal: Refusal, ctx: &mut Ctx) {
        match self.delay(refusal.guesses) {
            Some((delay, held)) => {
                self.phase = Phase::Refused { _held: held };
                ctx.run_later(delay, move |session, ctx| {
                    session.refuse(Some(&asked.id), asked.generation, refusal, ctx);
                });
            }
            None => self.refuse(Some(&asked.id), asked.generation, refusal, ctx),
        }
    }

    fn delay(&self, guesses: Guesses) -> Option<(Duration, Delayed)> {
        if guesses.is_empty() {
            return None;
        }
        let limiter = &self.shared.limiter;
        let limit = &self.shared.views.gate.load().rate_limit;
        let delay = limiter.failed(guesses, &self.client, limit)?;
        Some((delay, limiter.hold_back()?))
    }

    /// Answers where there is a request, and closes.
    pub(super) fn refuse(
        &mut self,
        id: Option<&str>,
        generation: Option<Generation>,
        refusal: Refusal,
        ctx: &mut Ctx,
    ) {
        let refusal = remedy::complete(refusal);
        let row = notes::refused(&self.peer, self.claimed.as_ref(), &refusal);
        if row.is_code("AUTH_RATE_LIMITED") {
            self.shared.views.counts.add(Count::RefusedWhileLocked);
        }
        self.shared.views.audit.record(&row);
        if let (Some(id), Some(error)) = (id, refusal.error) {
            let error = error.for_generation(generation.unwrap_or(Generation::V4));
            self.link.write_text(&[&response_error(id, &error, None)]);
        }
        self.close(ctx, refusal.code, &refusal.reason);
    }
}

/// A refusal that has nothing to do with the client.
fn try_again(error: ErrorShape) -> Refusal {
    Refusal {
        code: 1013,
        ..Refusal::answered(error)
    }
}

/// Who only sees the close is told there what to run; v3 clients look for the bare words.
fn pairing_refusal(error: ErrorShape, generation: Generation, guesses: Guesses) -> Refusal {
    let reason = remedy::pairing_reason(&error);
    let mut refusal = Refusal {
        guesses,
        ..Refusal::answered(error)
    };
    if let (Generation::V4, Some(reason)) = (generation, reason) {
        refusal.reason = reason;
    }
    refusal
}
