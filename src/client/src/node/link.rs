//! A node that stays connected: credentials, waiting for an approval, coming back.

use std::time::Duration;

use openclaw_protocol::Role;
use tokio::time::Instant;

use super::Node;
use super::invocation::{CommandError, Gateway};
use crate::{Backoff, Connection, DeviceTokenStore, Error, Options, Refusal, StoredToken};

/// How long a device that nobody approved yet waits at most before it asks again.
const APPROVAL: Duration = Duration::from_secs(5);
/// What the gateway says to a connection whose node connected again.
const REPLACED: &str = "replaced by a newer connection";

/// How a node reaches its gateway.
#[derive(Debug)]
pub struct NodeLink {
    /// What the device token is kept under: the gateway's address.
    pub place: String,
    /// Who it is. The identity is needed; a shared secret or a setup code only until there is a token.
    pub options: Options,
    /// Where the device token is kept.
    pub tokens: DeviceTokenStore,
    /// How long to wait between attempts.
    pub backoff: Backoff,
}

/// What a node tells its program.
#[derive(Debug)]
pub enum NodeReport<'a> {
    /// A connection stands.
    Connected(&'a Gateway),
    /// The device waits for an owner's approval; the next attempt follows.
    Waiting {
        /// The request, for `openclaw devices approve`.
        request: Option<&'a str>,
        /// What the gateway says.
        message: &'a str,
    },
    /// The connection ended, or an attempt failed; the next attempt follows.
    Disconnected {
        /// Why.
        error: &'a Error,
        /// When the next attempt is made, from now.
        retry_in: Duration,
    },
    /// A command ended.
    Done {
        /// The command.
        command: &'a str,
        /// How long it took.
        took: Duration,
        /// Why it was not carried out.
        error: Option<&'a CommandError>,
    },
}

/// What follows an error.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// The same again, later.
    Retry,
    /// The same again, when somebody approved it.
    Wait,
    /// Nothing that this program could change.
    Stop,
}

fn next(error: &Error) -> Next {
    match error {
        Error::Closed(reason) if reason.reason.starts_with(REPLACED) => Next::Stop,
        Error::Unreachable { .. } | Error::Timeout { .. } | Error::Closed(_) => Next::Retry,
        Error::Refused(refusal) if refusal.detail_code() == Some("PAIRING_REQUIRED") => Next::Wait,
        Error::Refused(refusal) if refusal.is_temporary() => Next::Retry,
        Error::Refused(_) | Error::Untrusted { .. } | Error::Gateway(_) | Error::Protocol(_) => {
            Next::Stop
        }
    }
}

/// Whether the gateway no longer takes the device's token.
fn is_stale(refusal: &Refusal) -> bool {
    refusal.detail_code() == Some("AUTH_DEVICE_TOKEN_MISMATCH")
}

impl Node {
    /// Keeps this node connected until the gateway refuses it for good, another program takes its
    /// place, or a token cannot be kept; gives back why. Dropped, it ends with what is under way.
    ///
    /// `dial` opens a connection with the options that it is given.
    pub async fn run<D, F>(
        &self,
        link: NodeLink,
        mut dial: D,
        mut report: impl FnMut(NodeReport<'_>),
    ) -> Error
    where
        D: FnMut(Options) -> F,
        F: Future<Output = Result<Connection, Error>>,
    {
        let mut link = link;
        let mut failures = 0;
        loop {
            let started = Instant::now();
            let error = match self.connect(&mut link, &mut dial).await {
                Ok(connection) => {
                    let reason = self.serve(connection, &mut report).await;
                    if started.elapsed() >= link.backoff.stable {
                        failures = 0;
                    }
                    Error::Closed(reason)
                }
                Err(error) => error,
            };
            failures += 1;
            let delay = link.backoff.delay(failures, rand::random());
            let retry_in = match (next(&error), &error) {
                (Next::Stop, _) => return error,
                (Next::Wait, Error::Refused(refusal)) => {
                    report(NodeReport::Waiting {
                        request: refusal.request_id(),
                        message: &refusal.message,
                    });
                    delay.min(APPROVAL)
                }
                (_, Error::Refused(refusal)) => refusal.retry_after.unwrap_or_default().max(delay),
                _ => delay,
            };
            if next(&error) == Next::Retry {
                report(NodeReport::Disconnected {
                    error: &error,
                    retry_in,
                });
            }
            tokio::time::sleep(retry_in).await;
        }
    }

    /// One attempt: with the device's own token if there is one, else with the shared secret.
    async fn connect<D, F>(&self, link: &mut NodeLink, dial: &mut D) -> Result<Connection, Error>
    where
        D: FnMut(Options) -> F,
        F: Future<Output = Result<Connection, Error>>,
    {
        let kept = |error: crate::FileError| Error::Protocol(error.to_string());
        let role = Role::Node.as_str();
        let options = self.declare(link.options.clone());
        let Some(identity) = options.identity.clone() else {
            let why = "a node needs the identity of its device";
            return Err(Error::Protocol(why.into()));
        };
        let stored = link.tokens.get(&link.place, identity.id(), role).cloned();
        let mut connected = None;
        if let Some(stored) = stored {
            let own = Options {
                token: None,
                password: None,
                bootstrap_token: None,
                device_token: Some(stored.token),
                ..options.clone()
            };
            match dial(own).await {
                Err(Error::Refused(refusal)) if is_stale(&refusal) => {
                    let device = identity.id();
                    link.tokens
                        .remove(&link.place, device, role)
                        .map_err(kept)?;
                    if options.auth().is_none() {
                        return Err(Error::Refused(refusal));
                    }
                }
                done => connected = Some(done?),
            }
        }
        let connection = match connected {
            Some(connection) => connection,
            None => dial(options).await?,
        };
        if let Some(auth) = &connection.hello.auth
            && let Some(token) = &auth.device_token
        {
            let stored = StoredToken {
                token: token.clone(),
                scopes: Vec::new(),
            };
            let put = link.tokens.put(&link.place, identity.id(), role, stored);
            put.map_err(kept)?;
        }
        Ok(connection)
    }
}
