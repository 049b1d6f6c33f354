//! The OpenAI-compatible endpoints: `/v1/chat/completions`, `/v1/responses` and `/v1/models`. Off
//! unless `gateway.http.endpoints.*.enabled`; each request is a run like any other.

mod chat;
mod prompt;
mod responses;
mod run;
#[cfg(test)]
mod tests;

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use openclaw_actors::session::socket::Worker;
use openclaw_actors::settings::HttpEndpoints;
use openclaw_protocol::ErrorShape;
use serde_json::{Value, json};

use super::body::{Bounds, Untaken};
use super::{HttpState, auth, body, ws};
use prompt::{Hints, Said};
use run::{Done, Run};

/// With the pictures that come along, over a slow line.
const BODY: Bounds = Bounds {
    bytes: 20 << 20,
    within: Duration::from_mins(5),
};

pub(super) fn configure(config: &mut web::ServiceConfig) {
    config
        .route("/v1/models", web::get().to(models))
        .route("/v1/models/{id:.*}", web::get().to(models))
        .service(
            web::resource("/v1/chat/completions")
                .route(web::post().to(chat::complete))
                .route(web::route().to(auth::not_allowed)),
        )
        .service(
            web::resource("/v1/responses")
                .route(web::post().to(responses::respond))
                .route(web::route().to(auth::not_allowed)),
        );
}

/// The answer where an endpoint is switched off: as if it were not there.
fn switched_off(
    state: &HttpState,
    on: impl FnOnce(&HttpEndpoints) -> bool,
) -> Option<HttpResponse> {
    let on = on(&state.sessions.views.settings.load().http);
    (!on).then(|| HttpResponse::NotFound().body("Not Found"))
}

fn invalid(message: &str) -> HttpResponse {
    refused(StatusCode::BAD_REQUEST, message)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what errors are mapped with"
)]
fn untaken(why: Untaken) -> HttpResponse {
    refused(why.status(), &why.to_string())
}

fn refused(status: StatusCode, message: &str) -> HttpResponse {
    HttpResponse::build(status)
        .json(json!({ "error": { "message": message, "type": "invalid_request_error" } }))
}

/// A run that failed.
fn failed(error: &ErrorShape) -> HttpResponse {
    let mut response = if error.retryable == Some(true) {
        HttpResponse::ServiceUnavailable()
    } else {
        HttpResponse::InternalServerError()
    };
    if let Some(wait) = error.retry_after_ms {
        response.insert_header(("Retry-After", wait.div_ceil(1_000)));
    }
    response.json(json!({ "error": error_body(error) }))
}

fn error_body(error: &ErrorShape) -> Value {
    json!({ "message": error.message, "type": "api_error" })
}

/// A request whose run began.
struct Begun {
    run: Run,
    /// What was asked.
    body: Value,
    /// When, seconds since the epoch.
    created: u64,
    /// The model's name as it was asked for.
    model: String,
}

/// Lets a request in, reads what it says, and begins its run.
async fn begin(
    request: &HttpRequest,
    payload: web::Payload,
    state: &HttpState,
    worker: &Worker,
    path: &'static str,
    said: fn(&Value) -> Result<Vec<Said>, String>,
) -> Result<Begun, HttpResponse> {
    let entrant = auth::enter(request, state, path).await?;
    let body = body::object(request, payload, BODY)
        .await
        .map_err(untaken)?;
    let said = said(&body).map_err(|wrong| invalid(&wrong))?;
    let views = &state.sessions.views;
    let prompt = prompt::build(&body, &said, &hints(request, state), &views.settings.load())
        .map_err(|wrong| invalid(&wrong))?;
    let run = Run::start(state, worker, entrant, &prompt)
        .await
        .map_err(|error| failed(&error))?;
    Ok(Begun {
        run,
        created: views.places.now_ms() / 1_000,
        model: body["model"].as_str().unwrap_or("openclaw").to_owned(),
        body,
    })
}

/// Waits for the whole answer, for as long as somebody waits for it here: a run whose client left is
/// stopped.
async fn whole(request: &HttpRequest, run: Run) -> Result<Done, HttpResponse> {
    tokio::select! {
        done = run.whole() => done.map_err(|error| failed(&error)),
        () = ws::left(request) => Err(HttpResponse::BadRequest().finish()),
    }
}

/// What the headers say beside the body.
fn hints(request: &HttpRequest, state: &HttpState) -> Hints {
    let header = |name: &str| {
        let value = request.headers().get(name)?.to_str().ok()?.trim();
        (!value.is_empty()).then(|| value.to_owned())
    };
    Hints {
        agent: header("x-openclaw-agent-id"),
        session: header("x-openclaw-session-key"),
        fresh: state.sessions.entropy.uuid().to_string(),
    }
}

/// One server-sent event.
fn sse(name: Option<&str>, data: &Value) -> Bytes {
    let mut text = String::new();
    if let Some(name) = name {
        text.push_str("event: ");
        text.push_str(name);
        text.push('\n');
    }
    text.push_str("data: ");
    text.push_str(&data.to_string());
    text.push_str("\n\n");
    text.into()
}

fn event_stream() -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/event-stream; charset=utf-8")
        .insert_header(("X-Accel-Buffering", "no"));
    response
}

async fn models(request: HttpRequest, state: web::Data<HttpState>) -> HttpResponse {
    if let Some(off) = switched_off(&state, |http| http.chat_completions || http.responses) {
        return off;
    }
    if let Err(refusal) = auth::enter(&request, &state, "/v1/models").await {
        return refusal;
    }
    let settings = state.sessions.views.settings.load();
    let created = state.sessions.views.places.now_ms() / 1_000;
    let row = |id: String| json!({ "id": id, "object": "model", "created": created, "owned_by": "openclaw" });
    let agents = settings.agents.iter().map(|agent| &*agent.id);
    let ids = ["openclaw".to_owned(), "openclaw/default".to_owned()]
        .into_iter()
        .chain(agents.map(|id| format!("openclaw/{id}")));
    let rows: Vec<Value> = ids.map(row).collect();
    // OpenAI's own client writes the slash of `openclaw/AGENT` as `%2F`, which the router leaves as it is.
    let wanted = request.match_info().get("id").unwrap_or_default();
    let wanted = wanted.replace("%2F", "/").replace("%2f", "/");
    if wanted.is_empty() {
        return HttpResponse::Ok().json(json!({ "object": "list", "data": rows }));
    }
    match rows.into_iter().find(|row| row["id"] == wanted) {
        Some(row) => HttpResponse::Ok().json(row),
        None => HttpResponse::NotFound().json(json!({ "error": {
            "message": format!("there is no model {wanted}; GET /v1/models lists them"),
            "type": "invalid_request_error", "code": "model_not_found",
        } })),
    }
}
