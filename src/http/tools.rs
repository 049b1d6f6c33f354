//! `POST /tools/invoke`: one tool, for whoever has the gateway's secret; the same as the method
//! `tools.invoke`, so that the same policy, places and keys hold.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use openclaw_actors::session::inner::InnerConnection;
use openclaw_actors::session::socket::Worker;
use openclaw_protocol::ErrorCode;
use serde_json::{Map, Value, json};

use super::body::{Bounds, Untaken};
use super::{HttpState, auth, body, ws};

const BODY: Bounds = Bounds {
    bytes: 2 << 20,
    within: Duration::from_secs(30),
};

pub(super) fn configure(config: &mut web::ServiceConfig) {
    config.service(
        web::resource("/tools/invoke")
            .route(web::post().to(handle))
            .route(web::route().to(auth::not_allowed)),
    );
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
    let entrant = auth::enter(request, state, "/tools/invoke").await?;
    let invalid = |message: &str| failed(StatusCode::BAD_REQUEST, "invalid_request", message);
    let untaken = |why: Untaken| failed(why.status(), "invalid_request", &why.to_string());
    let body = body::object(request, payload, BODY)
        .await
        .map_err(untaken)?;
    let params = params(request, &body).map_err(|wrong| invalid(&wrong))?;
    let tool = params["name"].as_str().unwrap_or_default().to_owned();
    let settings = state.sessions.views.settings.load();
    if settings.http_tools_denied.contains(&tool) {
        let message = format!(
            "Tool not available: {tool} (not over HTTP, unless gateway.tools.allow names it)"
        );
        return Err(failed(StatusCode::NOT_FOUND, "not_found", &message));
    }
    let unavailable =
        |message: &str| failed(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message);
    let connection = InnerConnection::open(&state.sessions, worker, entrant).await;
    let mut connection = connection.map_err(|error| unavailable(&error.message))?;
    let id = connection.request("tools.invoke", &Value::Object(params));
    let answer = async {
        while let Some(frame) = connection.next().await {
            if frame["type"] == "res" && frame["id"] == *id {
                return Ok(response(&frame));
            }
        }
        Err(unavailable("the gateway ended the request; try again"))
    };
    tokio::select! {
        answer = answer => answer,
        // Whoever leaves takes the call along, unless a key holds it.
        () = ws::left(request) => Err(HttpResponse::BadRequest().finish()),
    }
}

/// The parameters of `tools.invoke`.
fn params(request: &HttpRequest, body: &Value) -> Result<Map<String, Value>, String> {
    let text = |name: &str| match &body[name] {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        _ => Err(format!("{name} must be a text")),
    };
    let name = text("name")?
        .or(text("tool")?)
        .ok_or("tools.invoke requires name")?;
    let mut args = match &body["args"] {
        Value::Null => Map::new(),
        Value::Object(args) => args.clone(),
        _ => return Err("args must be an object".into()),
    };
    // `json` is what old examples say for nothing in particular.
    if let Some(action) = text("action")?.filter(|action| action != "json") {
        args.entry("action").or_insert(action.into());
    }
    let key = request.headers().get("idempotency-key");
    let key = key
        .and_then(|value| value.to_str().ok())
        .map(ToOwned::to_owned);
    let fields = [
        ("name", Some(name)),
        ("sessionKey", text("sessionKey")?),
        ("agentId", text("agentId")?),
        ("idempotencyKey", key.or(text("idempotencyKey")?)),
    ];
    let mut params = Map::new();
    for (field, value) in fields {
        if let Some(value) = value {
            params.insert(field.to_owned(), value.into());
        }
    }
    params.insert("args".to_owned(), args.into());
    Ok(params)
}

fn response(frame: &Value) -> HttpResponse {
    let payload = &frame["payload"];
    let error = &payload["error"];
    let said = |error: &Value| error["message"].as_str().unwrap_or("it failed").to_owned();
    match (frame["ok"] == true, payload["ok"] == true) {
        (true, true) => HttpResponse::Ok().json(json!({ "ok": true, "result": payload["output"] })),
        (true, false) if error["code"] == "not_found" => {
            failed(StatusCode::NOT_FOUND, "not_found", &said(error))
        }
        (true, false) => failed(StatusCode::BAD_REQUEST, "tool_error", &said(error)),
        (false, _) => {
            let error = &frame["error"];
            let invalid = error["code"] == ErrorCode::InvalidRequest.as_str();
            if invalid {
                return failed(StatusCode::BAD_REQUEST, "invalid_request", &said(error));
            }
            let mut response = HttpResponse::ServiceUnavailable();
            if let Some(wait) = error["retryAfterMs"].as_u64() {
                response.insert_header(("Retry-After", wait.div_ceil(1_000)));
            }
            response.json(json!({
                "ok": false, "error": { "type": "unavailable", "message": said(error) },
            }))
        }
    }
}

fn failed(status: StatusCode, kind: &str, message: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({
        "ok": false, "error": { "type": kind, "message": message },
    }))
}
