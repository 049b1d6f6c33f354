//! What is done with messages besides sending, at once: nothing of it is tried a second time.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;

use actix::{Handler, Message, ResponseFuture};
use futures_util::FutureExt as _;

use super::Provider;
use crate::channel::{Act, ChannelError, SendFailure, Target};

/// How long the platform may take.
const LIMIT: Duration = Duration::from_secs(30);
/// How long a goodbye may take.
const LEAVING: Duration = Duration::from_secs(5);

/// Does this in a chat, now.
#[derive(Message)]
#[rtype(result = "Result<Option<String>, SendFailure>")]
pub(crate) struct Perform {
    /// Where.
    pub(crate) to: Target,
    /// What.
    pub(crate) act: Act,
}

impl Handler<Perform> for Provider {
    type Result = ResponseFuture<Result<Option<String>, SendFailure>>;

    fn handle(&mut self, msg: Perform, _: &mut Self::Context) -> Self::Result {
        let transport = self.transport.as_ref().map(Rc::clone);
        let transport = transport.filter(|_| self.deps.account.is_connected());
        let who = self.deps.account.who.clone();
        Box::pin(async move {
            let Some(transport) = transport else {
                let why = format!("{who} is not connected; see openclaw channels status");
                return Err(SendFailure::NotSent(ChannelError::Transient(why)));
            };
            let acting = AssertUnwindSafe(transport.act(&msg.to, &msg.act)).catch_unwind();
            let unknown = |why: &str| Err(SendFailure::Unknown(why.to_owned()));
            match tokio::time::timeout(LIMIT, acting).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => unknown("the gateway failed meanwhile; the log has the place"),
                Err(_) => unknown("the platform did not answer in time"),
            }
        })
    }
}

/// Tells the platform that this device is linked no more. What it says to that makes no difference.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Leave;

impl Handler<Leave> for Provider {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Leave, _: &mut Self::Context) -> Self::Result {
        let transport = self.transport.as_ref().map(Rc::clone);
        let transport = transport.filter(|_| self.deps.account.is_connected());
        Box::pin(async move {
            if let Some(transport) = transport {
                let leaving = AssertUnwindSafe(transport.leave()).catch_unwind();
                let _ = tokio::time::timeout(LEAVING, leaving).await.is_ok();
            }
        })
    }
}
