//! Probes for supervisors: alive, ready, started.

use actix_web::{HttpResponse, web};
use serde_json::json;

use super::HttpState;

/// Says what keeps the gateway from serving.
pub trait Readiness: Send + Sync {
    /// Names of what fails, empty when all is well.
    fn failing(&self) -> Vec<String>;
}

pub(super) fn configure(config: &mut web::ServiceConfig) {
    for path in ["/health", "/healthz"] {
        config
            .route(path, web::get().to(live))
            .route(path, web::head().to(live));
    }
    for path in ["/ready", "/readyz"] {
        config
            .route(path, web::get().to(ready))
            .route(path, web::head().to(ready));
    }
    for path in ["/startup", "/startupz"] {
        config
            .route(path, web::get().to(started))
            .route(path, web::head().to(started));
    }
}

async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "ok": true, "status": "live" }))
}

async fn ready(state: web::Data<HttpState>) -> HttpResponse {
    let failing = state.readiness.failing();
    let uptime = state.sessions.views.places.uptime_ms();
    let body = json!({ "ready": failing.is_empty(), "failing": failing, "uptimeMs": uptime });
    if failing.is_empty() {
        HttpResponse::Ok().json(body)
    } else {
        HttpResponse::ServiceUnavailable().json(body)
    }
}

/// Nothing is answered before every actor runs, so an answer is the answer.
async fn started() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "ok": true, "status": "started" }))
}
