//! From the first frame to a registered connection, or to a refusal: the handshake's waits.

use std::future::Future;
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
use crate::clock::SharedClock;
use crate::gateway::Register;
use crate::limiter::client::Client;
use crate::limiter::counts::Count;
use crate::limiter::failures::AuthScope;
use crate::limiter::{Delayed, Guesses};
use crate::node::Declaration;
use crate::pairing::{Admission, Admit};
use crate::views::Views;

/// How long pairing and registration may take together.
pub(super) const ADMISSION_LIMIT: Duration = Duration::from_secs(10);

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
        self.trust_ends = self.shared.views.trust_ends.now();
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
        let answer = within_limit(
            Arc::clone(&self.shared.clock),
            self.shared.pairing.send(ask),
        );
        ctx.wait(answer.into_actor(self).map(move |answer, session, ctx| {
            let asked = Asked {
                id: request.id.clone(),
                generation: Some(candidate.generation),
            };
            let Some(Ok(answer)) = answer else {
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
        let joining = within_limit(Arc::clone(&self.shared.clock), joining);
        ctx.wait(joining.into_actor(self).map(move |joined, session, ctx| {
            // From here on the Gateway knows the connection, also when it never joined.
            session.open(Arc::clone(&caller), max_payload);
            if let Some(reason) = outdated(&session.shared.views, &caller, session.trust_ends) {
                // It ended while this connect was under way; who closed the others may have come by
                // before this one was known.
                session.close(ctx, 4001, reason);
            } else if matches!(joined, Some(Ok(()))) {
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

/// What `work` comes to, unless the limit is over by then. A timer alone does not tell: who stood still
/// with everything else finds the answer before it finds the time.
async fn within_limit<F: Future>(clock: SharedClock, work: F) -> Option<F::Output> {
    let began = clock.monotonic();
    let done = tokio::time::timeout(ADMISSION_LIMIT, work).await.ok()?;
    let took = clock.monotonic().saturating_sub(began);
    (took <= ADMISSION_LIMIT).then_some(done)
}

/// Why a connection that was judged when this many trusts had ended may not serve: what it came in by
/// has ended since.
fn outdated(views: &Views, caller: &Caller, trust_ends: u64) -> Option<&'static str> {
    let epoch = views.auth_epoch.now();
    if caller.auth_epoch.is_some_and(|own| own != epoch) {
        return Some("gateway auth changed");
    }
    let device = caller.device_id.as_deref()?;
    let ended = views
        .trust_ends
        .ended_since(trust_ends, device, caller.role);
    ended.then_some("device trust ended")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::TestClock;
    use crate::settings::testing;
    use crate::tests::peer::Who;
    use crate::tests::world::views;
    use openclaw_protocol::Role;

    #[tokio::test(start_paused = true)]
    async fn a_connection_whose_trust_ended_while_it_came_in_does_not_serve() {
        let clock: SharedClock = TestClock::shared();
        let views = views(testing::settings(), &clock);
        let caller = |device: Option<&str>| {
            let mut caller = Who::admin().caller(&Arc::default());
            let own = Arc::get_mut(&mut caller).unwrap();
            own.device_id = device.map(str::to_owned);
            caller
        };
        let judged = views.trust_ends.now();
        let outdated = |device: &str, judged| outdated(&views, &caller(Some(device)), judged);
        assert_eq!(outdated("one", judged), None);
        views.trust_ends.end("one", Some(Role::Node));
        assert_eq!(outdated("one", judged), None, "it comes as an operator");
        views.trust_ends.end("one", Some(Role::Operator));
        views.trust_ends.end("two", None);
        assert_eq!(outdated("one", judged), Some("device trust ended"));
        assert_eq!(outdated("two", judged), Some("device trust ended"));
        assert_eq!(outdated("three", judged), None);
        // Judged after it: the trust is another one.
        assert_eq!(outdated("one", views.trust_ends.now()), None);
        // It slept through more than is remembered.
        for _ in 0..300 {
            views.trust_ends.end("other", None);
        }
        assert_eq!(outdated("three", judged), Some("device trust ended"));
        let without = super::outdated(&views, &caller(None), judged);
        assert_eq!(without, None, "it has no device");
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_is_measured_on_the_clock_for_who_stood_still_with_everything_else() {
        let test_clock = TestClock::shared();
        let clock: SharedClock = Arc::<TestClock>::clone(&test_clock);
        let (told, answer) = tokio::sync::oneshot::channel();
        let waiting = within_limit(Arc::clone(&clock), answer);
        let mut waiting = Box::pin(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        told.send(1).unwrap();
        test_clock.advance(ADMISSION_LIMIT + Duration::from_millis(1));
        assert_eq!(waiting.await, None);
        assert_eq!(within_limit(clock, async { 2 }).await, Some(2));
    }
}
