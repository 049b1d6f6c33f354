//! Connected devices that wait for an owner's answer about more scopes.
//!
//! Each waits in a future of its own that ends with the answer, with the request or with the
//! socket, whichever is first. Bounded: one more than [`MAX_WAITING`] is told to try again.

use std::sync::Arc;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, WrapFuture as _};
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::device_scopes::{
    DeviceScopesWaitUpgrade, DeviceScopesWaitUpgradeResult, MAX_UPGRADE_SCOPES, UpgradeStatus,
};
use openclaw_protocol::{Scope, Scopes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::effects::Step;
use super::requests::UpgradeNow;
use super::{IssuedToken, PairingRegistry};
use crate::call::{Call, Caller, Reply};

/// Most devices that wait at one time.
pub(super) const MAX_WAITING: usize = 64;

/// Wakes those who wait; outlives the actor.
#[derive(Debug, Clone)]
pub(super) struct Upgrades {
    decided: Arc<watch::Sender<u64>>,
    places: Arc<Semaphore>,
}

impl Default for Upgrades {
    fn default() -> Self {
        Self {
            decided: Arc::new(watch::channel(0).0),
            places: Arc::new(Semaphore::new(MAX_WAITING)),
        }
    }
}

impl Upgrades {
    /// Something was decided: everyone looks again.
    pub(super) fn wake(&self) {
        self.decided
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// A device that waits.
struct Waiter {
    request_id: String,
    device_id: String,
    caller: Arc<Caller>,
    reply: Reply<DeviceScopesWaitUpgrade>,
    /// Given back when it no longer waits.
    _place: OwnedSemaphorePermit,
}

impl PairingRegistry {
    /// Takes a place among those who wait, then answers or waits.
    pub(crate) fn wait_upgrade(
        &mut self,
        device_id: String,
        call: Call<DeviceScopesWaitUpgrade>,
        ctx: &mut Context<Self>,
    ) {
        let places = Arc::clone(&self.deps.upgrades.places);
        let Ok(place) = places.try_acquire_owned() else {
            let full = ErrorShape::unavailable("too many devices wait for an approval; try again");
            return call.reply.error(full.retry_after(5_000));
        };
        let waiter = Waiter {
            request_id: call.params.request_id,
            device_id,
            caller: call.caller,
            reply: call.reply,
            _place: place,
        };
        self.look_at_upgrade(waiter, ctx);
    }

    fn look_at_upgrade(&mut self, waiter: Waiter, ctx: &mut Context<Self>) {
        if let Err(error) = self.ready() {
            return waiter.reply.error(error);
        }
        // Taken before the look, so that nothing decided after it is missed.
        let mut decided = self.deps.upgrades.decided.subscribe();
        let now = self.deps.clock.now();
        let seen =
            self.decide(|state, now| state.upgrade_now(&waiter.device_id, &waiter.request_id, now));
        match seen {
            None => waiter.reply.error(unknown_request()),
            Some(UpgradeNow::Over(UpgradeStatus::Approved, scopes)) => {
                self.give_upgrade(waiter, scopes);
            }
            Some(UpgradeNow::Over(status, _)) => {
                waiter.reply.ok(&ended(&waiter.request_id, status));
            }
            Some(UpgradeNow::Waits(until)) => {
                let ended = Arc::clone(&waiter.caller);
                let wait = async move {
                    tokio::select! {
                        () = ended.ended.wait() => false,
                        // The registry outlives this future.
                        _ = decided.changed() => true,
                        () = tokio::time::sleep(until.since(now)) => true,
                    }
                };
                ctx.spawn(wait.into_actor(self).map(move |go_on, registry, ctx| {
                    if go_on {
                        registry.look_at_upgrade(waiter, ctx);
                    }
                }));
            }
        }
    }

    fn give_upgrade(&mut self, waiter: Waiter, scopes: Scopes) {
        let (mark, entropy) = (self.mark(), self.entropy());
        let Waiter {
            request_id,
            device_id,
            reply,
            ..
        } = waiter;
        let Step { answer, effects } = self.decide(|state, now| {
            state.upgrade_token(&device_id, scopes, mark.as_ref(), now, &*entropy)
        });
        let answer = match answer {
            Some(token) => approved(&request_id, &token, scopes),
            None => ended(&request_id, UpgradeStatus::Rejected),
        };
        self.settle(reply, effects.with(Ok(answer)), |_| {});
    }
}

fn approved(
    request_id: &str,
    token: &IssuedToken,
    scopes: Scopes,
) -> DeviceScopesWaitUpgradeResult {
    DeviceScopesWaitUpgradeResult {
        status: UpgradeStatus::Approved,
        request_id: request_id.to_owned(),
        device_token: Some(token.token.clone()),
        scopes: Some(names(scopes)),
    }
}

fn ended(request_id: &str, status: UpgradeStatus) -> DeviceScopesWaitUpgradeResult {
    DeviceScopesWaitUpgradeResult {
        status,
        request_id: request_id.to_owned(),
        device_token: None,
        scopes: None,
    }
}

/// The scopes by name; where they are more than clients take, without those that others cover.
fn names(scopes: Scopes) -> Vec<String> {
    let covered = |scope: Scope| {
        scopes
            .iter()
            .any(|other| other != scope && Scopes::of(&[other]).grants(scope))
    };
    let all = scopes.iter().count() <= MAX_UPGRADE_SCOPES;
    scopes
        .iter()
        .filter(|scope| all || !covered(*scope))
        .map(|scope| scope.as_str().to_owned())
        .collect()
}

fn unknown_request() -> ErrorShape {
    ErrorShape::invalid("unknown requestId").with_details(serde_json::json!({
        "code": "UNKNOWN_REQUEST_ID",
        "remediationHint": "ask again: device.scopes.requestUpgrade",
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_names_than_clients_take() {
        let all = Scope::ALL
            .iter()
            .fold(Scopes::NONE, |set, scope| set.with(*scope));
        assert_eq!(names(all), ["operator.admin"]);
        let none_covers = Scopes::of(&[Scope::Read, Scope::Write]);
        assert_eq!(names(none_covers), ["operator.read", "operator.write"]);
    }
}
