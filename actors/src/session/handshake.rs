//! The handshake's decisions, without any IO: from the first frame to "this device may ask the
//! pairing registry" or to a refusal that says what to do.

use openclaw_protocol::client::{ClientMode, is_browser_class, may_omit_device};
use openclaw_protocol::connect::{AuthClaim, ConnectParams};
use openclaw_protocol::device::{self, ProofContext, ProvenDevice};
use openclaw_protocol::frame::{FrameError, RequestFrame};
use openclaw_protocol::{
    ClientId, ErrorCode, ErrorShape, Generation, Role, Scope, Scopes, validate,
};
use serde_json::{Value, json};

use super::origin;
use super::peer::Peer;
use crate::gate::{AuthFailure, Credential, GateSettings, SharedAuth};
use crate::limiter::failures::AuthScope;
use crate::limiter::{Guesses, Locks};

/// Why a handshake ends; the error goes out first where there is a request to answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The answer; `None` when the frame was not even a request.
    pub error: Option<ErrorShape>,
    /// Close code.
    pub code: u16,
    /// Close reason.
    pub reason: String,
    /// Credentials that were wrong; the limiter counts them.
    pub guesses: Guesses,
}

impl Refusal {
    /// A refusal whose close reason is its message.
    pub fn answered(error: ErrorShape) -> Self {
        Self {
            code: 1008,
            reason: error.message.to_string(),
            error: Some(error),
            guesses: Guesses::default(),
        }
    }

    fn silent(reason: &str) -> Self {
        Self {
            error: None,
            code: 1008,
            reason: reason.to_owned(),
            guesses: Guesses::default(),
        }
    }
}

/// A first frame that is a well-formed `connect`.
#[derive(Debug)]
pub struct ConnectRequest {
    /// The request's id.
    pub id: String,
    /// Its parameters.
    pub params: Box<ConnectParams>,
    /// Unknown keys that were ignored.
    pub ignored: usize,
}

/// A first frame that is refused.
#[derive(Debug, PartialEq)]
pub struct Rejected {
    /// The request to answer, where the frame was one.
    pub id: Option<String>,
    /// Why.
    pub refusal: Refusal,
}

impl Rejected {
    fn new(id: Option<String>, refusal: Refusal) -> Box<Self> {
        Box::new(Self { id, refusal })
    }
}

/// Reads the first frame.
///
/// # Errors
///
/// The refusal, with the id to answer to where the frame had one.
pub fn read_connect(text: &str) -> Result<ConnectRequest, Box<Rejected>> {
    let frame = match RequestFrame::parse(text) {
        Ok(frame) => frame,
        Err(FrameError::NotJson) => {
            let reason = "first frame must be JSON: a connect request";
            return Err(Rejected::new(None, Refusal::silent(reason)));
        }
        Err(FrameError::Invalid { .. }) => {
            return Err(Rejected::new(
                None,
                Refusal::silent("invalid request frame"),
            ));
        }
        Err(FrameError::TooDeep { id }) => {
            let message = format!("invalid request frame: {}", FrameError::depth_message());
            let refusal = match &id {
                Some(_) => Refusal::answered(ErrorShape::invalid(message)),
                None => Refusal::silent(&message),
            };
            return Err(Rejected::new(id, refusal));
        }
    };
    let id = frame.id.into_owned();
    let refuse = |message: String| {
        let refusal = Refusal::answered(ErrorShape::invalid(message));
        Rejected::new(Some(id.clone()), refusal)
    };
    if frame.method != "connect" {
        return Err(refuse(
            "invalid handshake: first request must be connect".into(),
        ));
    }
    let Some(raw) = frame.params else {
        return Err(refuse("invalid connect params: must be object".into()));
    };
    let value: Value = serde_json::from_str(raw.get())
        .map_err(|error| refuse(format!("invalid connect params: {error}")))?;
    if is_worker(&value) {
        return Err(Rejected::new(None, Refusal::silent("invalid-handshake")));
    }
    validate::connect(&value)
        .map_err(|problems| refuse(format!("invalid connect params: {problems}")))?;
    let ignored = ignored_keys(&value);
    let params = serde_json::from_value(value)
        .map_err(|error| refuse(format!("invalid connect params: {error}")))?;
    Ok(ConnectRequest {
        id,
        params: Box::new(params),
        ignored,
    })
}

/// Workers speak a protocol of their own and are not let in here.
fn is_worker(params: &Value) -> bool {
    params["role"] == "worker"
        || params["client"]["id"] == ClientId::Worker.as_str()
        || params["client"]["mode"] == ClientMode::Worker.as_str()
}

fn ignored_keys(params: &Value) -> usize {
    const KNOWN: &[&str] = &[
        "minProtocol",
        "maxProtocol",
        "client",
        "caps",
        "commands",
        "permissions",
        "pathEnv",
        "role",
        "scopes",
        "device",
        "auth",
        "locale",
        "userAgent",
    ];
    params.as_object().map_or(0, |object| {
        object
            .keys()
            .filter(|key| !KNOWN.contains(&key.as_str()))
            .count()
    })
}

/// What gate one was satisfied with, or what gate two has to try in its place.
#[derive(Debug, Clone, PartialEq)]
pub enum GateOne {
    /// The shared secret of the mode (or mode none); the wire name of the method.
    Shared(&'static str),
    /// Nothing yet: this token may be one of the device's own.
    DeviceToken {
        /// What was presented.
        token: String,
        /// The answer when it is not one; the registry gives it then, and only then.
        otherwise: Box<ErrorShape>,
    },
    /// Nothing yet: this may be the token of a one-time setup code.
    Bootstrap {
        /// What was presented.
        token: String,
        /// What holds when it is not: another way through gate one, or the answer.
        otherwise: Result<Box<GateOne>, Box<ErrorShape>>,
    },
}

impl GateOne {
    /// What the registry answers when nothing that it was asked to try is any good, and what that is.
    pub(super) fn tried(&self) -> Option<(&ErrorShape, &'static [AuthScope])> {
        const DEVICE: &[AuthScope] = &[AuthScope::DeviceToken];
        const CODE: &[AuthScope] = &[AuthScope::BootstrapToken];
        const BOTH: &[AuthScope] = &[AuthScope::BootstrapToken, AuthScope::DeviceToken];
        match self {
            Self::Shared(_) => None,
            Self::DeviceToken { otherwise, .. } => Some((otherwise, DEVICE)),
            Self::Bootstrap { otherwise, .. } => match otherwise {
                Err(error) => Some((error, CODE)),
                Ok(gate) => match &**gate {
                    Self::DeviceToken { otherwise, .. } => Some((otherwise, BOTH)),
                    _ => None,
                },
            },
        }
    }

    /// Whether the shared secret was proven, apart from any setup code.
    fn knew_the_secret(&self) -> bool {
        match self {
            Self::Shared(method) => matches!(*method, "token" | "password"),
            Self::DeviceToken { .. } => false,
            Self::Bootstrap { otherwise, .. } => {
                otherwise.as_ref().is_ok_and(|gate| gate.knew_the_secret())
            }
        }
    }
}

/// A connect that passed everything that can be decided without the pairing registry.
#[derive(Debug)]
pub struct Candidate {
    /// The negotiated generation.
    pub generation: Generation,
    /// The role.
    pub role: Role,
    /// The scopes asked for.
    pub scopes: Scopes,
    /// The proven device; `None` for the device-less exception.
    pub device: Option<ProvenDevice>,
    /// Gate one.
    pub gate: GateOne,
    /// Whether a new device may be approved without asking.
    pub silent: bool,
    /// What was wrong although the gate may still open; it counts once the gate stays shut.
    pub guesses: Guesses,
}

/// Decides a connect up to the pairing registry. Nothing that is locked is compared.
///
/// # Errors
///
/// The refusal, in the order in which clients expect failures reported.
pub fn evaluate(
    params: &ConnectParams,
    peer: &Peer,
    gate: &GateSettings,
    locks: Locks,
    nonce: &str,
    now_ms: u64,
) -> Result<Candidate, Refusal> {
    let generation = negotiate(params)?;
    let role_name = params.role.as_deref().unwrap_or("operator");
    let role = Role::parse(role_name)
        .ok_or_else(|| Refusal::answered(ErrorShape::invalid("invalid role")))?;
    let sent: &[String] = params.scopes.as_deref().unwrap_or_default();
    let scopes = requested_scopes(role, sent, generation);
    let client = (params.client.id, params.client.mode);
    let own_page = origin::check(peer, gate, is_browser_class(client.0, client.1))
        .map_err(Refusal::answered)?;
    let page = is_browser_class(client.0, client.1);
    let locked = locks.get(AuthScope::SharedSecret);
    let shared = gate.check_shared(params.auth.as_ref(), peer, page, locked);

    let Some(claim) = &params.device else {
        return without_device(params, peer, &shared, generation, role, scopes);
    };
    let context = ProofContext {
        nonce,
        now_ms,
        generation,
        local: peer.local,
        client: &params.client,
        role: role_name,
        scopes: sent,
        auth: params.auth.as_ref(),
    };
    let device =
        device::verify(claim, &context).map_err(|error| Refusal::answered(error.to_error()))?;
    let gate_one = gate_one(&shared, params, peer, locks)?;
    let silent = peer.local && gate_one.knew_the_secret() && gate.auto_approve_local && own_page;
    Ok(Candidate {
        generation,
        role,
        scopes,
        device: Some(device),
        gate: gate_one,
        silent,
        guesses: shared.guesses(),
    })
}

fn negotiate(params: &ConnectParams) -> Result<Generation, Refusal> {
    Generation::negotiate(params.min_protocol, params.max_protocol).ok_or_else(|| {
        let error = ErrorShape::invalid("protocol mismatch").with_details(json!({
            "code": "PROTOCOL_MISMATCH",
            "clientMinProtocol": params.min_protocol,
            "clientMaxProtocol": params.max_protocol,
            "expectedProtocol": Generation::NEWEST.number(),
            "minimumProtocol": Generation::OLDEST.number(),
            "minimumProbeProtocol": Generation::OLDEST.number(),
        }));
        Refusal {
            code: 1002,
            ..Refusal::answered(error)
        }
    })
}

/// Nodes hold no operator scopes; a v3 operator that asks for none means all.
fn requested_scopes(role: Role, sent: &[String], generation: Generation) -> Scopes {
    match (role, generation) {
        (Role::Node, _) => Scopes::NONE,
        (Role::Operator, Generation::V3) if sent.is_empty() => Scopes::of(&[Scope::Admin]),
        (Role::Operator, _) => Scopes::parse(sent),
    }
}

/// The one device-less exception, and the refusals of everyone else.
fn without_device(
    params: &ConnectParams,
    peer: &Peer,
    shared: &SharedAuth,
    generation: Generation,
    role: Role,
    scopes: Scopes,
) -> Result<Candidate, Refusal> {
    let (id, mode) = (params.client.id, params.client.mode);
    if id.is_operator_ui() {
        return Err(Refusal::answered(
            ErrorShape::invalid(
                "control ui requires device identity (use HTTPS or localhost secure context)",
            )
            .with_details(json!({"code": "CONTROL_UI_DEVICE_IDENTITY_REQUIRED"})),
        ));
    }
    if let SharedAuth::Failed(reason) = shared
        && reason.was_presented()
    {
        return Err(Refusal {
            guesses: shared.guesses(),
            ..Refusal::answered(reason.to_error(id, peer.local, false))
        });
    }
    if let SharedAuth::Ok(method) = shared
        && role == Role::Operator
        && peer.local
        && peer.origin.is_none()
        && may_omit_device(id, mode)
        // Without any secret only an embedded backend may come without a device.
        && (*method != "none" || mode == ClientMode::Backend)
    {
        return Ok(Candidate {
            generation,
            role,
            scopes,
            device: None,
            gate: GateOne::Shared(method),
            silent: false,
            guesses: Guesses::default(),
        });
    }
    Err(Refusal::answered(
        ErrorShape::new(ErrorCode::NotPaired, "device identity required").with_details(json!({
            "code": "DEVICE_IDENTITY_REQUIRED",
        })),
    ))
}

/// The token of a setup code before anything else that the client sent; a lock of the one does not
/// stand in the way of the others.
fn gate_one(
    shared: &SharedAuth,
    params: &ConnectParams,
    peer: &Peer,
    locks: Locks,
) -> Result<GateOne, Refusal> {
    let bootstrap = params
        .auth
        .as_ref()
        .and_then(|auth| auth.bootstrap_token.clone())
        .filter(|token| !token.is_empty());
    let plain = secret_or_token(shared, params, peer, locks);
    let Some(token) = bootstrap else {
        return plain;
    };
    let error = |reason: &AuthFailure| reason.to_error(params.client.id, peer.local, true);
    if let Some(left) = locks.get(AuthScope::BootstrapToken) {
        return plain.map_err(|refusal| Refusal {
            guesses: refusal.guesses,
            ..Refusal::answered(error(&Credential::SetupCode.locked(left)))
        });
    }
    let invalid = || error(&Credential::SetupCode.mismatch());
    let otherwise = match plain {
        Ok(GateOne::DeviceToken { token, otherwise }) => Ok(Box::new(GateOne::DeviceToken {
            token,
            otherwise: Box::new(unless_locked(*otherwise, invalid)),
        })),
        Ok(gate) => Ok(Box::new(gate)),
        Err(Refusal {
            error: Some(error), ..
        }) => Err(Box::new(unless_locked(error, invalid))),
        Err(_) => Err(Box::new(invalid())),
    };
    Ok(GateOne::Bootstrap { token, otherwise })
}

/// Whoever is locked out learns no more than that, also with a made-up code beside it.
fn unless_locked(error: ErrorShape, invalid: impl Fn() -> ErrorShape) -> ErrorShape {
    let locked = error
        .details
        .as_ref()
        .is_some_and(|details| details["code"] == "AUTH_RATE_LIMITED");
    if locked { error } else { invalid() }
}

/// The shared secret, or a token that the pairing registry may know as the device's own. A lock of
/// the shared secret does not stand in the way of a device's token, nor the other way round.
fn secret_or_token(
    shared: &SharedAuth,
    params: &ConnectParams,
    peer: &Peer,
    locks: Locks,
) -> Result<GateOne, Refusal> {
    let reason = match shared {
        SharedAuth::Ok(method) => return Ok(GateOne::Shared(method)),
        SharedAuth::Failed(reason) => reason,
    };
    let error = |reason: &AuthFailure| reason.to_error(params.client.id, peer.local, true);
    let refuse = |reason: &AuthFailure| Refusal {
        guesses: shared.guesses(),
        ..Refusal::answered(error(reason))
    };
    let device_token = Credential::DeviceToken.mismatch();
    let (token, otherwise) = match params.auth.as_ref() {
        Some(AuthClaim {
            device_token: Some(token),
            ..
        }) if !token.is_empty() => (token, &device_token),
        Some(AuthClaim {
            token: Some(token), ..
        }) if !token.is_empty() => (token, reason),
        _ => return Err(refuse(reason)),
    };
    if let Some(left) = locks.get(AuthScope::DeviceToken) {
        return Err(refuse(&Credential::DeviceToken.locked(left)));
    }
    // Whoever is locked out learns no more than that, also with a made-up token beside it.
    let otherwise = if reason.is_locked() {
        reason
    } else {
        otherwise
    };
    Ok(GateOne::DeviceToken {
        token: token.clone(),
        otherwise: Box::new(error(otherwise)),
    })
}
