//! Webhooks: `POST <hooks.path>/wake`, `/agent` and what `hooks.mappings` adds. Off unless
//! `hooks.enabled`.
//!
//! Whoever calls knows `hooks.token`, sent in a header (an address that holds a secret is refused by the
//! rule for all of them), and nothing of a body is read before that was seen. What a webhook starts is a run like any other, with the
//! right to read and write and no more, and its text is marked as one from outside.

mod again;
mod plan;
mod run;
mod template;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::guard::{self, GuardContext};
use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use openclaw_actors::audit::{AuditRow, Kind};
use openclaw_actors::gate;
use openclaw_actors::limiter::Guesses;
use openclaw_actors::limiter::client::Client;
use openclaw_actors::limiter::failures::AuthScope;
use openclaw_actors::session::inner::Entrant;
use openclaw_actors::session::origin;
use openclaw_actors::session::socket::Worker;
use openclaw_actors::settings::hooks::Hooks;
use openclaw_protocol::{Scope, Scopes};
use serde_json::{Value, json};

use super::body::{Bounds, Untaken};
use super::{HttpState, body, ws};
use again::Again;
use plan::Desk;
use template::Source;

/// Longest time that a body may take.
const SLOW: Duration = Duration::from_secs(30);
/// Longest idempotency key.
const MAX_KEY: usize = 256;
/// Requests without a key that could not be taken whole.
static UNFINISHED: Mutex<Again> = Mutex::new(Again::new());

pub(super) fn configure(config: &mut web::ServiceConfig, state: &HttpState) {
    // Where they are can change while the gateway runs.
    let views = state.sessions.views.clone();
    let ours = move |context: &GuardContext<'_>| {
        let settings = views.settings.load();
        let hooks = settings.hooks.as_ref();
        hooks.is_some_and(|hooks| below(&hooks.path, context.head().uri.path()).is_some())
    };
    config.service(
        web::resource("{path:.*}")
            .guard(guard::fn_guard(ours))
            .to(handle),
    );
}

/// What stands behind the path of the webhooks.
fn below<'a>(base: &str, path: &'a str) -> Option<&'a str> {
    let rest = path.strip_prefix(base)?;
    (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_matches('/'))
}

async fn handle(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<HttpState>,
    worker: web::Data<Worker>,
) -> HttpResponse {
    match serve(&request, payload, &state, &worker).await {
        Ok(response) | Err(response) => response,
    }
}

async fn serve(
    request: &HttpRequest,
    payload: web::Payload,
    state: &HttpState,
    worker: &Worker,
) -> Result<HttpResponse, HttpResponse> {
    let settings = state.sessions.views.settings.load();
    let not_found = || HttpResponse::NotFound().body("Not Found");
    let hooks = settings.hooks.as_ref().ok_or_else(not_found)?;
    let path = below(&hooks.path, request.path()).ok_or_else(not_found)?;
    let query = request.query_string();
    if request.method() != Method::POST {
        return Err(HttpResponse::MethodNotAllowed()
            .insert_header((header::ALLOW, "POST"))
            .body("Method Not Allowed"));
    }
    let entrant = enter(request, state, hooks).await?;
    let bounds = Bounds {
        bytes: hooks.max_body,
        within: SLOW,
    };
    let body = body::object(request, payload, bounds).await;
    let body = body.map_err(|why| {
        let words = match &why {
            Untaken::TooLarge(_) => format!("payload too large: {why} (hooks.maxBodyBytes)"),
            _ => why.to_string(),
        };
        refused(why.status(), &words)
    })?;
    let key = idempotency_key(request, &body);
    let entropy = &state.sessions.entropy;
    let same = plan::digest(&["body", path, query, &body.to_string()], 64);
    let clock = || state.clock.monotonic();
    let lock = || UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    let seed = match &key {
        Some(key) => plan::digest(&["key", path, key], 64),
        None => (lock().seed(&same, clock())).unwrap_or_else(|| entropy.uuid().to_string()),
    };
    let desk = Desk {
        hooks,
        settings: &settings,
        source: Source {
            payload: &body,
            headers: request.headers(),
            query,
            path,
            now: &now(state),
        },
        seed: seed.clone(),
    };
    let asks = desk
        .asks()
        .map_err(|wrong| refused(StatusCode::BAD_REQUEST, &wrong))?;
    let asks = asks.ok_or_else(not_found)?;
    tracing::info!(path, actions = asks.len(), "a webhook came");
    let response = run::dispatch(state, worker, entrant, asks).await;
    if key.is_none() {
        let whole = response.status() != StatusCode::SERVICE_UNAVAILABLE;
        lock().answered(same, seed, whole, clock());
    }
    Ok(response)
}

/// Lets a request in, or says why not.
async fn enter(
    request: &HttpRequest,
    state: &HttpState,
    hooks: &Arc<Hooks>,
) -> Result<Entrant, HttpResponse> {
    const SCOPE: AuthScope = AuthScope::HookToken;
    let peer = ws::peer_of(request, state).await?;
    let sessions = &state.sessions;
    let auth_epoch = sessions.views.auth_epoch.now();
    let gate = sessions.views.gate.load();
    if origin::is_foreign(&peer, &gate) {
        return Err(ws::refuse_origin(&peer, state));
    }
    let client = Client::of(&peer, &gate.allowed_origins);
    let refuse = |code: &str, reason: &str| {
        let row = AuditRow::new(Kind::ConnectRefused)
            .code(code)
            .reason(format!("webhook: {reason}"))
            .address(peer.client_ip().to_string());
        sessions.views.audit.record(&row);
    };
    if let Some(left) = sessions.limiter.locks(&client, None).get(SCOPE) {
        refuse("AUTH_RATE_LIMITED", "too many failed attempts");
        return Err(HttpResponse::TooManyRequests()
            .insert_header((header::RETRY_AFTER, left.as_secs() + 1))
            .body("Too Many Requests"));
    }
    let presented = presented(request);
    if presented.is_some_and(|token| gate::is_secret(token, &hooks.token)) {
        sessions.limiter.succeeded(SCOPE, &client);
        return Ok(Entrant {
            scopes: Scopes::of(&[Scope::Read, Scope::Write]),
            remote_ip: peer.remote_ip(),
            auth_epoch,
            name: "webhook",
        });
    }
    refuse("AUTH_TOKEN_MISMATCH", "the hook token is missing or wrong");
    if presented.is_some() {
        let limit = &gate.rate_limit;
        if let Some(delay) = sessions
            .limiter
            .failed(Guesses::default().and(SCOPE), &client, limit)
            && let Some(_held) = sessions.limiter.hold_back()
        {
            tokio::time::sleep(delay).await;
        }
    }
    Err(HttpResponse::Unauthorized()
        .insert_header((header::WWW_AUTHENTICATE, "Bearer"))
        .body("Unauthorized"))
}

fn presented(request: &HttpRequest) -> Option<&str> {
    let text = |name: &str| request.headers().get(name)?.to_str().ok().map(str::trim);
    let bearer = text("authorization").and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let bearer = bearer.filter(|token| !token.is_empty());
    bearer.or_else(|| text("x-openclaw-token").filter(|token| !token.is_empty()))
}

fn idempotency_key(request: &HttpRequest, body: &Value) -> Option<String> {
    let header = |name: &str| request.headers().get(name)?.to_str().ok();
    header("idempotency-key")
        .or_else(|| header("x-openclaw-idempotency-key"))
        .or_else(|| body["idempotencyKey"].as_str())
        .map(str::trim)
        .filter(|key| !key.is_empty() && key.len() <= MAX_KEY)
        .map(ToOwned::to_owned)
}

fn refused(status: StatusCode, error: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({ "ok": false, "error": error }))
}

/// The time as templates write it.
fn now(state: &HttpState) -> String {
    let millis = i64::try_from(state.sessions.views.places.now_ms()).unwrap_or_default();
    jiff::Timestamp::from_millisecond(millis).map_or_else(|_| String::new(), |at| at.to_string())
}
