//! Requests of platforms, handed to the channel that opened their path.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, guard, web};

use super::HttpState;

/// Largest request, bytes.
const MAX_BODY: usize = 1024 * 1024;
/// Headers that are handed over: those that prove where a request comes from.
const HEADERS: [&str; 2] = ["x-slack-request-timestamp", "x-slack-signature"];

/// Where a channel takes requests, now.
pub(super) fn configure(config: &mut web::ServiceConfig, state: &HttpState) {
    let hooks = std::sync::Arc::clone(&state.channel_hooks);
    config.service(
        web::resource("{hook:.*}")
            .guard(guard::Post())
            .guard(guard::fn_guard(move |ctx| {
                hooks.is_open(ctx.head().uri.path())
            }))
            .app_data(web::PayloadConfig::new(MAX_BODY))
            .to(take),
    );
}

async fn take(request: HttpRequest, body: web::Bytes, state: web::Data<HttpState>) -> HttpResponse {
    let header = |name: &&str| {
        let value = request.headers().get(*name)?.to_str().ok()?;
        Some(((*name).to_owned(), value.to_owned()))
    };
    let headers: BTreeMap<String, String> = HEADERS.iter().filter_map(header).collect();
    let answer = state
        .channel_hooks
        .hand_over(request.path(), &headers, &body)
        .await;
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    HttpResponse::build(status)
        .content_type("text/plain; charset=utf-8")
        .body(answer.body)
}
