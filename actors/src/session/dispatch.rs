//! From a parsed envelope to an answer or a routed call: role, then scope, then method, then
//! parameters.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use openclaw_protocol::frame::{RequestFrame, response_error, response_ok_raw};
use openclaw_protocol::{Access, ErrorCode, ErrorShape, Method, Role, Scope, Scopes, validate};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::audit::{self, AuditRow};
use crate::call::{Call, Caller, Reply};
use crate::gateway::GatewayPort;
use crate::gateway::table::Routed;
use crate::limiter::counts::Count;
use crate::views::Views;

/// Most requests that one connection has in flight.
const MAX_IN_FLIGHT: u32 = 128;

/// A read that is answered in the session, from what its owner published last.
pub trait SnapshotMethod: Method {
    /// The payload as JSON.
    ///
    /// # Errors
    ///
    /// What the client gets instead.
    fn read(views: &Views, caller: &Caller, params: Self::Params) -> Result<Bytes, ErrorShape>;
}

type ReadFn = fn(&Views, &Caller, Option<&RawValue>) -> Result<Bytes, ErrorShape>;
type RouteFn =
    fn(&str, Option<&RawValue>, &Arc<Caller>, &GatewayPort) -> Result<Box<dyn Routed>, ErrorShape>;

enum Kind {
    Snapshot(ReadFn),
    Routed(RouteFn),
}

struct Entry {
    access: Access,
    kind: Kind,
}

/// What every implemented method needs from a session.
#[derive(Default)]
pub struct Dispatch {
    entries: HashMap<&'static str, Entry>,
}

/// What became of a request.
#[derive(Debug)]
pub enum Outcome {
    /// This frame is the answer.
    Answer(Vec<u8>),
    /// The same, and it counts as a violation of the connection's role.
    WrongRole(Vec<u8>),
    /// Its owner answers.
    Routed,
}

/// A method that its caller may use; only [`Dispatch::authorize`] gives one.
pub struct Allowed<'a>(&'a Entry);

/// Why a caller may not use a method.
#[derive(Debug, Clone, PartialEq)]
pub enum Denied {
    /// It is for another role; who goes on with that is closed.
    Role(ErrorShape),
    /// A scope is missing.
    Scope(ErrorShape),
    /// There is no such method; the caller could use every one.
    Unknown(ErrorShape),
}

/// Adds what to do about a missing scope.
fn how_to_have(mut error: ErrorShape) -> ErrorShape {
    if let Some(Value::Object(details)) = &mut error.details {
        details.insert(
            "recommendedNextStep".into(),
            "review_auth_configuration".into(),
        );
        details.insert(
            "remediationHint".into(),
            "connect again and ask for this scope; an owner sees what waits with: openclaw devices list"
                .into(),
        );
    }
    error
}

impl Dispatch {
    /// Adds a read that is answered from a snapshot.
    #[must_use]
    pub fn snapshot<M: SnapshotMethod>(mut self) -> Self {
        let read: ReadFn = |views, caller, params| M::read(views, caller, decode::<M>(params)?);
        self.entries.insert(
            M::NAME,
            Entry {
                access: M::ACCESS,
                kind: Kind::Snapshot(read),
            },
        );
        self
    }

    /// Adds a method that its owner answers.
    #[must_use]
    pub fn routed<M: Method>(mut self) -> Self {
        let route: RouteFn = |id, params, caller, gateway| {
            let params = decode::<M>(params)?;
            let reply = Reply::<M>::new(id.to_owned(), Arc::clone(caller), gateway);
            Ok(Box::new(Call {
                params,
                caller: Arc::clone(caller),
                reply,
            }))
        };
        self.entries.insert(
            M::NAME,
            Entry {
                access: M::ACCESS,
                kind: Kind::Routed(route),
            },
        );
        self
    }

    /// Names of the methods, sorted.
    pub fn methods(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.entries.keys().copied().collect();
        names.sort_unstable();
        names
    }

    /// Names of the methods that an owner answers.
    pub fn routed_methods(&self) -> impl Iterator<Item = &'static str> {
        let routed = |entry: &Entry| matches!(entry.kind, Kind::Routed(_));
        self.entries
            .iter()
            .filter(move |(_, entry)| routed(entry))
            .map(|(name, _)| *name)
    }

    /// Decides who may call what: the one place for sockets and for their twins in HTTP. Role comes
    /// first, then the scope, then whether there is such a method, which only an admin learns.
    /// Parameters are looked at by those only who pass.
    ///
    /// # Errors
    ///
    /// [`Denied`], with what the caller is told.
    pub fn authorize(
        &self,
        method: &str,
        role: Role,
        scopes: Scopes,
    ) -> Result<Allowed<'_>, Denied> {
        let entry = self.entries.get(method);
        // What does not exist is judged as what only an admin may call.
        let access = entry.map_or(Access::Operator(Scope::Admin), |entry| entry.access);
        if let Err(error) = access.check(role, scopes) {
            return Err(if error.code == ErrorCode::Forbidden {
                Denied::Scope(how_to_have(error))
            } else {
                Denied::Role(error)
            });
        }
        entry.map(Allowed).ok_or_else(|| {
            Denied::Unknown(ErrorShape::invalid(if method == "connect" {
                "connect is only valid as the first request".to_owned()
            } else {
                format!("unknown method: {method}")
            }))
        })
    }

    /// Serves one request.
    pub fn serve(
        &self,
        frame: &RequestFrame<'_>,
        caller: &Arc<Caller>,
        views: &Views,
        gateway: &GatewayPort,
    ) -> Outcome {
        let refuse = |error: ErrorShape| {
            response_error(&frame.id, &error.for_generation(caller.generation), None)
        };
        let entry = match self.authorize(&frame.method, caller.role, caller.scopes) {
            Ok(Allowed(entry)) => entry,
            Err(Denied::Role(error)) => {
                views.audit.record(&denied(caller, &frame.method, &error));
                return Outcome::WrongRole(refuse(error));
            }
            Err(Denied::Scope(error)) => {
                views.audit.record(&denied(caller, &frame.method, &error));
                return Outcome::Answer(refuse(error));
            }
            Err(Denied::Unknown(error)) => return Outcome::Answer(refuse(error)),
        };
        match entry.kind {
            Kind::Snapshot(read) => Outcome::Answer(match read(views, caller, frame.params) {
                Ok(payload) => response_ok_raw(&frame.id, &payload),
                Err(error) => refuse(error),
            }),
            Kind::Routed(_) if caller.in_flight.load(Ordering::Relaxed) >= MAX_IN_FLIGHT => {
                views.counts.add(Count::BusyRequests);
                Outcome::Answer(refuse(
                    ErrorShape::unavailable("The server is busy. Please try again in a moment.")
                        .retry_after(250),
                ))
            }
            Kind::Routed(route) => match route(&frame.id, frame.params, caller, gateway) {
                Ok(call) => {
                    // A full Gateway drops the call, and the call then answers for itself.
                    if !gateway.route(call) {
                        views.counts.add(Count::BusyRequests);
                    }
                    Outcome::Routed
                }
                Err(error) => Outcome::Answer(refuse(error)),
            },
        }
    }
}

/// What the audit trail is told about a call that was not allowed.
fn denied(caller: &Caller, method: &str, error: &ErrorShape) -> AuditRow {
    AuditRow::new(audit::Kind::AccessRefused)
        .caller(caller)
        .refusal(error)
        .reason(format!("{method}: {}", error.message))
}

/// Checks parameters against the method's schema, then decodes them.
///
/// # Errors
///
/// `INVALID_REQUEST` naming the method and each place.
pub fn decode<M: Method>(params: Option<&RawValue>) -> Result<M::Params, ErrorShape> {
    let invalid = |problem: &dyn std::fmt::Display| {
        ErrorShape::invalid(format!("invalid {} params: {problem}", M::NAME))
    };
    let value = match params {
        None => Value::Object(serde_json::Map::new()),
        Some(raw) => match serde_json::from_str(raw.get()).map_err(|error| invalid(&error))? {
            Value::Null => Value::Object(serde_json::Map::new()),
            value => value,
        },
    };
    validate::params(M::NAME, &value).map_err(|problems| invalid(&problems))?;
    serde_json::from_value(value).map_err(|error| invalid(&error))
}
