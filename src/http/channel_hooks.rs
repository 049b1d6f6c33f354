//! Requests of platforms, handed to the channel that opened their path.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, guard, web};
use tokio::sync::Semaphore;

use super::body::{Bounds, Untaken};
use super::{HttpState, body};

const BODY: Bounds = Bounds {
    bytes: 1024 * 1024,
    within: Duration::from_secs(10),
};
/// Headers that are handed over: those that prove where a request comes from.
const HEADERS: [&str; 3] = [STAMP, SIGNATURE, "x-telegram-bot-api-secret-token"];
const STAMP: &str = "x-slack-request-timestamp";
const SIGNATURE: &str = "x-slack-signature";
/// How old a request may be.
const FRESH: Duration = Duration::from_mins(5);
/// Bodies that are read at a time; of what is signed none takes long.
static READING: Semaphore = Semaphore::const_new(32);

/// Where a channel takes requests, now.
pub(super) fn configure(config: &mut web::ServiceConfig, state: &HttpState) {
    let hooks = std::sync::Arc::clone(&state.channel_hooks);
    config.service(
        web::resource("{hook:.*}")
            .guard(guard::Post())
            .guard(guard::fn_guard(move |ctx| {
                hooks.is_open(ctx.head().uri.path())
            }))
            .to(take),
    );
}

/// Whether a request is worth reading: it brings a proof, and one of now. What the proof is worth, whoever
/// takes it finds out. `now` is in seconds.
fn proves_something(headers: &BTreeMap<String, String>, now: u64) -> bool {
    let stamp = headers.get(STAMP).map(|at| at.parse::<u64>());
    !headers.is_empty()
        && stamp.is_none_or(|at| at.is_ok_and(|at| at.abs_diff(now) <= FRESH.as_secs()))
        && headers.contains_key(STAMP) == headers.contains_key(SIGNATURE)
}

async fn take(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<HttpState>,
) -> HttpResponse {
    let refused = |status: StatusCode, why: &'static str| {
        HttpResponse::build(status)
            .content_type("text/plain; charset=utf-8")
            .body(why)
    };
    let header = |name: &&str| {
        let value = request.headers().get(*name)?.to_str().ok()?;
        Some(((*name).to_owned(), value.to_owned()))
    };
    let headers: BTreeMap<String, String> = HEADERS.iter().filter_map(header).collect();
    let now = state.sessions.views.places.now_ms() / 1_000;
    if !proves_something(&headers, now) {
        return refused(StatusCode::UNAUTHORIZED, "not signed, or too old");
    }
    if body::announces_more(&request, BODY.bytes) {
        return refused(StatusCode::PAYLOAD_TOO_LARGE, "too large");
    }
    let Ok(place) = READING.try_acquire() else {
        return refused(StatusCode::SERVICE_UNAVAILABLE, "come again later");
    };
    let body = match body::read(&request, payload, BODY).await {
        Ok(body) => body,
        Err(why) => {
            let words = match &why {
                Untaken::TooLarge(_) => "too large",
                Untaken::TooSlow => "it did not come in time",
                _ => "it cannot be read",
            };
            return refused(why.status(), words);
        }
    };
    drop(place);
    let answer = state
        .channel_hooks
        .hand_over(request.path(), &headers, &body)
        .await;
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    HttpResponse::build(status)
        .content_type("text/plain; charset=utf-8")
        .body(answer.body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_read_of_a_request_without_a_fresh_proof() {
        let worth = |headers: &[(&str, &str)]| {
            let headers = headers.iter();
            let headers = headers.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            proves_something(&headers.collect(), 1_000_000)
        };
        let signature = (SIGNATURE, "v0=1");
        assert!(worth(&[(STAMP, "1000000"), signature]));
        assert!(worth(&[(STAMP, "999701"), signature]));
        assert!(!worth(&[]));
        assert!(!worth(&[signature]) && !worth(&[(STAMP, "1000000")]));
        assert!(!worth(&[(STAMP, "999000"), signature]));
        assert!(!worth(&[(STAMP, "soon"), signature]));
    }
}
