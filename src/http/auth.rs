//! Who may use the HTTP endpoints: whoever knows the gateway's shared secret, judged by the same
//! function and counted by the same limiter as a WebSocket's connect.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};
use openclaw_actors::audit::{AuditRow, Kind};
use openclaw_actors::gate::{AuthFailure, SharedAuth};
use openclaw_actors::limiter::client::Client;
use openclaw_actors::limiter::failures::AuthScope;
use openclaw_actors::session::inner::Entrant;
use openclaw_actors::session::origin;
use openclaw_protocol::connect::AuthClaim;
use openclaw_protocol::{Scope, Scopes};
use serde_json::json;

use super::{HttpState, ws};

/// Lets a request in, or says why not.
pub(super) async fn enter(
    request: &HttpRequest,
    state: &HttpState,
    name: &'static str,
) -> Result<Entrant, HttpResponse> {
    let peer = ws::peer_of(request, state).await?;
    let sessions = &state.sessions;
    // Before the gate is read: what carries this count came in by the secret of that gate.
    let auth_epoch = sessions.views.auth_epoch.now();
    let gate = sessions.views.gate.load();
    if origin::is_foreign(&peer, &gate) {
        return Err(ws::refuse_origin(&peer, state));
    }
    let client = Client::of(&peer, &gate.allowed_origins);
    let locked = sessions
        .limiter
        .locks(&client, None)
        .get(AuthScope::SharedSecret);
    let claim = AuthClaim {
        token: bearer(request),
        ..AuthClaim::default()
    };
    let checked = gate.check_shared(Some(&claim), &peer, false, locked);
    let refused = |code: &str, reason: &str| {
        let row = AuditRow::new(Kind::ConnectRefused)
            .code(code)
            .reason(format!("{name}: {reason}"))
            .address(peer.client_ip().to_string());
        sessions.views.audit.record(&row);
    };
    match &checked {
        // Nothing else proves who asks: a device cannot sign an HTTP request.
        SharedAuth::Ok("token" | "password") => {
            sessions.limiter.succeeded(AuthScope::SharedSecret, &client);
            Ok(Entrant {
                scopes: Scopes::of(&[Scope::Read, Scope::Write]),
                remote_ip: peer.remote_ip(),
                auth_epoch,
                name,
            })
        }
        SharedAuth::Ok(method) => {
            refused("AUTH_TOKEN_NOT_CONFIGURED", method);
            Err(unauthorized(
                "these endpoints need the gateway's shared secret: set gateway.auth.mode to \"token\" or \"password\"",
            ))
        }
        SharedAuth::Failed(AuthFailure::Locked(left)) => {
            refused("AUTH_RATE_LIMITED", "too many failed attempts");
            let seconds = left.as_secs() + 1;
            Err(HttpResponse::build(StatusCode::TOO_MANY_REQUESTS)
                .insert_header((header::RETRY_AFTER, seconds))
                .json(json!({ "error": {
                    "message": format!("too many failed attempts; try again in {seconds} s"),
                    "type": "rate_limited",
                } })))
        }
        SharedAuth::Failed(failure) => {
            refused(failure.code(), "the shared secret is missing or wrong");
            let guesses = checked.guesses();
            if !guesses.is_empty()
                && let Some(delay) = sessions.limiter.failed(guesses, &client, &gate.rate_limit)
                && let Some(_held) = sessions.limiter.hold_back()
            {
                tokio::time::sleep(delay).await;
            }
            Err(unauthorized("Unauthorized"))
        }
    }
}

/// The answer to any other method than POST.
pub(super) async fn not_allowed() -> HttpResponse {
    HttpResponse::MethodNotAllowed()
        .insert_header((header::ALLOW, "POST"))
        .body("Method Not Allowed")
}

fn unauthorized(message: &str) -> HttpResponse {
    HttpResponse::Unauthorized()
        .insert_header((header::WWW_AUTHENTICATE, "Bearer"))
        .json(json!({ "error": { "message": message, "type": "unauthorized" } }))
}

fn bearer(request: &HttpRequest) -> Option<String> {
    let value = request
        .headers()
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?;
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim().to_owned())
}
