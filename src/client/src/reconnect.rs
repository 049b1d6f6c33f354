//! A connection that comes back by itself.

use std::time::Duration;

use openclaw_protocol::connect::HelloOk;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::{Client, CloseReason, Connection, Error, Event};

/// Events that wait for a slow reader before the connection's own queue fills.
const FORWARDED: usize = 16;

/// How long to wait between attempts: exponential, with jitter, so that a gateway that restarts is
/// not met by all its clients at once.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// Before the second attempt.
    pub first: Duration,
    /// At most.
    pub max: Duration,
    /// A connection that held this long starts the count anew.
    pub stable: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            max: Duration::from_secs(30),
            stable: Duration::from_secs(10),
        }
    }
}

impl Backoff {
    /// The delay after `failures` failures in a row; `jitter` in 0..1 takes away up to half of it.
    pub fn delay(&self, failures: u32, jitter: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        let full = self.first.saturating_mul(1_u32 << doublings).min(self.max);
        full.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
    }
}

/// What a [`Reconnecting`] connection reports.
#[derive(Debug)]
pub enum SessionEvent {
    /// A connection stands. Events before it may have been missed: ask for the state.
    Connected(Box<HelloOk>),
    /// An event of the gateway, or a gap.
    Event(Event),
    /// The connection ended, or an attempt failed; the next attempt follows.
    Disconnected {
        /// Why.
        error: Error,
        /// When the next attempt is made, from now.
        retry_in: Duration,
    },
    /// The gateway refuses this client for good; nothing follows.
    Stopped(Error),
}

/// A connection that comes back by itself, until it is dropped or refused for good.
#[derive(Debug)]
pub struct Reconnecting {
    events: mpsc::Receiver<SessionEvent>,
    client: watch::Receiver<Option<Client>>,
    task: JoinHandle<()>,
}

impl Reconnecting {
    /// Keeps a connection alive that `dial` makes, for instance
    /// `move || connect(url.clone(), options.clone())`.
    pub fn start<D, F>(dial: D, backoff: Backoff) -> Self
    where
        D: FnMut() -> F + Send + 'static,
        F: Future<Output = Result<Connection, Error>> + Send + 'static,
    {
        let (events_sender, events) = mpsc::channel(FORWARDED);
        let (client_sender, client) = watch::channel(None);
        let task = tokio::spawn(keep_alive(dial, backoff, events_sender, client_sender));
        Self {
            events,
            client,
            task,
        }
    }

    /// The next report; `None` after [`SessionEvent::Stopped`].
    pub async fn next(&mut self) -> Option<SessionEvent> {
        self.events.recv().await
    }

    /// The client of the connection that stands now. Its requests fail with [`Error::Closed`] when
    /// that connection ends: whether they had an effect only the gateway knows, so none is repeated.
    pub fn client(&self) -> Option<Client> {
        self.client.borrow().clone()
    }
}

impl Drop for Reconnecting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep_alive<D, F>(
    mut dial: D,
    backoff: Backoff,
    reports: mpsc::Sender<SessionEvent>,
    current: watch::Sender<Option<Client>>,
) where
    D: FnMut() -> F,
    F: Future<Output = Result<Connection, Error>>,
{
    let mut failures = 0;
    loop {
        let started = tokio::time::Instant::now();
        let error = match dial().await {
            Ok(connection) => {
                let Some(reason) = forward(connection, &reports, &current).await else {
                    return;
                };
                if started.elapsed() >= backoff.stable {
                    failures = 0;
                }
                Error::Closed(reason)
            }
            Err(error) => error,
        };
        if !is_temporary(&error) {
            // Nobody listens when this fails.
            reports.send(SessionEvent::Stopped(error)).await.ok();
            return;
        }
        failures += 1;
        let retry_in = retry_after(&error)
            .unwrap_or_default()
            .max(backoff.delay(failures, rand::random()));
        let report = SessionEvent::Disconnected { error, retry_in };
        if reports.send(report).await.is_err() {
            return;
        }
        tokio::time::sleep(retry_in).await;
    }
}

/// Passes the events of one connection on until it ends; `None` when nobody listens any more.
async fn forward(
    connection: Connection,
    reports: &mpsc::Sender<SessionEvent>,
    current: &watch::Sender<Option<Client>>,
) -> Option<CloseReason> {
    let hello = Box::new(connection.hello.clone());
    let (client, mut events) = connection.into_parts();
    current.send_replace(Some(client.clone()));
    reports.send(SessionEvent::Connected(hello)).await.ok()?;
    while let Some(event) = events.next().await {
        reports.send(SessionEvent::Event(event)).await.ok()?;
    }
    current.send_replace(None);
    Some(client.closed().await)
}

fn is_temporary(error: &Error) -> bool {
    match error {
        Error::Unreachable { .. } | Error::Timeout { .. } | Error::Closed(_) => true,
        Error::Refused(refusal) => refusal.is_temporary(),
        Error::Untrusted { .. } | Error::Gateway(_) | Error::Protocol(_) => false,
    }
}

fn retry_after(error: &Error) -> Option<Duration> {
    match error {
        Error::Refused(refusal) => refusal.retry_after,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_limit_and_jitter_takes_at_most_half() {
        let backoff = Backoff::default();
        let millis = |failures, jitter| backoff.delay(failures, jitter).as_millis();
        assert_eq!(
            [1, 2, 3, 7, 60].map(|failures| millis(failures, 0.0)),
            [500, 1000, 2000, 30_000, 30_000]
        );
        assert_eq!(millis(2, 1.0), 500);
    }
}
