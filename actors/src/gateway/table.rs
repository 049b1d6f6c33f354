//! The routing table: which owner serves which method, typed.

use std::any::Any;
use std::collections::HashMap;

use actix::Recipient;
use actix::prelude::SendError;
use openclaw_protocol::{ErrorShape, Method};

use crate::call::Call;
use crate::limiter::counts::Count;

/// Owners by method. Built once by the composition root.
#[derive(Default)]
pub struct Table {
    owners: HashMap<&'static str, Box<dyn Any + Send + Sync>>,
}

impl Table {
    /// Adds the owner of `M`.
    #[must_use]
    pub fn on<M: Method>(mut self, owner: impl Into<Recipient<Call<M>>>) -> Self {
        self.owners.insert(M::NAME, Box::new(owner.into()));
        self
    }

    fn forward<M: Method>(&self, call: Call<M>) {
        let Some(owner) = self
            .owners
            .get(M::NAME)
            .and_then(|owner| owner.downcast_ref::<Recipient<Call<M>>>())
        else {
            call.reply
                .error(ErrorShape::unavailable("gateway starting; retry shortly").retry_after(500));
            return;
        };
        match owner.try_send(call) {
            Ok(()) => {}
            Err(SendError::Full(call)) => {
                call.caller.hub.count(Count::BusyRequests);
                call.reply.error(
                    ErrorShape::unavailable("The server is busy. Please try again in a moment.")
                        .retry_after(250),
                );
            }
            Err(SendError::Closed(call)) => {
                call.reply.error(
                    ErrorShape::unavailable(format!(
                        "the part of the gateway that serves {} is restarting; try again",
                        M::NAME
                    ))
                    .retry_after(1_000),
                );
            }
        }
    }
}

/// A decoded call whose method only it knows.
pub trait Routed: Send {
    /// Hands the call to its owner, or answers why that cannot be.
    fn route(self: Box<Self>, table: &Table);
}

impl<M: Method> Routed for Call<M> {
    fn route(self: Box<Self>, table: &Table) {
        table.forward(*self);
    }
}
