//! Bodies of requests: no larger and no slower than who reads them allows.

use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, web};
use bytes::Bytes;
use serde_json::Value;

/// What is taken of a body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Most bytes.
    pub(super) bytes: usize,
    /// Longest time until it is here.
    pub(super) within: Duration,
}

/// Why a body was not taken; the text is for whoever sent it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Untaken {
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    #[error("request body timeout")]
    TooSlow,
    #[error("the body cannot be read: {0}")]
    Broken(actix_web::Error),
    #[error("the body is no JSON: {0}")]
    NoJson(#[from] serde_json::Error),
    #[error("the body must be a JSON object")]
    NoObject,
}

impl Untaken {
    pub(super) const fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken(_) | Self::NoJson(_) | Self::NoObject => StatusCode::BAD_REQUEST,
        }
    }
}

/// Whether a request announces more than this; then nothing of it is waited for.
pub(super) fn announces_more(request: &HttpRequest, bytes: usize) -> bool {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| length > bytes as u64)
}

/// Reads a body; only of those who were let in.
///
/// # Errors
///
/// [`Untaken`].
pub(super) async fn read(
    request: &HttpRequest,
    payload: web::Payload,
    bounds: Bounds,
) -> Result<Bytes, Untaken> {
    let Bounds { bytes, within } = bounds;
    if announces_more(request, bytes) {
        return Err(Untaken::TooLarge(bytes));
    }
    match tokio::time::timeout(within, payload.to_bytes_limited(bytes)).await {
        Ok(Ok(Ok(body))) => Ok(body),
        Ok(Ok(Err(error))) => Err(Untaken::Broken(error)),
        Ok(Err(_)) => Err(Untaken::TooLarge(bytes)),
        Err(_) => Err(Untaken::TooSlow),
    }
}

/// The same of a JSON object.
///
/// # Errors
///
/// [`Untaken`].
pub(super) async fn object(
    request: &HttpRequest,
    payload: web::Payload,
    bounds: Bounds,
) -> Result<Value, Untaken> {
    match serde_json::from_slice(&read(request, payload, bounds).await?)? {
        value @ Value::Object(_) => Ok(value),
        _ => Err(Untaken::NoObject),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::dev::Payload;
    use actix_web::error::PayloadError;
    use actix_web::test::TestRequest;
    use actix_web::{FromRequest as _, web};
    use futures_util::{StreamExt as _, stream};

    use super::*;

    const BOUNDS: Bounds = Bounds {
        bytes: 10,
        within: Duration::from_secs(30),
    };

    /// Sends these pieces, then nothing more, with or without an end.
    async fn send(announced: &str, pieces: &'static [&str], ends: bool) -> Result<Value, Untaken> {
        let pieces = stream::iter(pieces).map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
        let stream: std::pin::Pin<
            Box<dyn futures_util::Stream<Item = Result<Bytes, PayloadError>>>,
        > = if ends {
            Box::pin(pieces)
        } else {
            Box::pin(pieces.chain(stream::pending()))
        };
        let request = TestRequest::post()
            .insert_header((header::CONTENT_LENGTH, announced))
            .to_http_request();
        let mut payload = Payload::Stream { payload: stream };
        let payload = web::Payload::from_request(&request, &mut payload).await;
        object(&request, payload.unwrap(), BOUNDS).await
    }

    #[actix_web::test]
    async fn a_body_is_taken_whole_in_its_time_and_within_its_size_or_not_at_all() {
        tokio::time::pause();
        let value = send("8", &["{\"a\"", ":1}"], true).await.unwrap();
        assert_eq!(value["a"], 1);
        let refusals = [
            (send("11", &[], false).await, 413, "more than 10 bytes"),
            (
                send("5", &["{\"a\":", "12345}"], false).await,
                413,
                "more than 10",
            ),
            (send("9", &["{\"a\""], false).await, 408, "timeout"),
            (send("2", &["[]"], true).await, 400, "must be a JSON object"),
            (send("1", &["{"], true).await, 400, "no JSON"),
        ];
        for (refusal, status, words) in refusals {
            let refusal = refusal.unwrap_err();
            assert_eq!(refusal.status().as_u16(), status, "{refusal}");
            assert!(refusal.to_string().contains(words), "{refusal}");
        }
    }
}
