//! Sends a call and hands out the body, under the timeouts of the request.

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, stream as streams};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Response, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::error::{Fault, TimeoutPhase};
use super::http::{CONNECT_LIMIT, connect_timeout, innermost};
use super::request::{Endpoint, ModelTimeouts};
use super::{url, vendor};

/// Most of an error's body that is read, in bytes.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// A request as one API wants it.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
    /// Whether a stream of this API may call itself `application/json`.
    json_lines: bool,
}

impl Call {
    /// The same call to an API that streams JSON lines: old releases of Ollama call them plain JSON.
    pub(super) fn json_lines(mut self) -> Self {
        self.json_lines = true;
        self
    }

    /// A call with the endpoint's own headers over ours.
    pub(super) fn new(
        url: Url,
        body: Value,
        endpoint: &Endpoint,
        ours: HeaderMap,
    ) -> Result<Self, Fault> {
        let mut headers = ours;
        for (name, value) in &endpoint.headers {
            let bad = || Fault::Setup {
                detail: format!("headers.{name} is not a valid HTTP header"),
            };
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            let mut value = HeaderValue::from_str(value).map_err(|_| bad())?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        headers
            .entry(CONTENT_TYPE)
            .or_insert(HeaderValue::from_static("application/json"));
        Ok(Self {
            url,
            headers,
            body,
            json_lines: false,
        })
    }
}

/// `Authorization: Bearer KEY`, if there is a key.
pub(super) fn bearer(endpoint: &Endpoint) -> Result<HeaderMap, Fault> {
    key_header(endpoint.api_key.as_ref(), AUTHORIZATION, "Bearer ")
}

/// The key in the given header, if there is a key. Surrounding white space, which a key read from a file
/// often has, is left out.
pub(super) fn key_header(
    key: Option<&SecretString>,
    name: HeaderName,
    prefix: &str,
) -> Result<HeaderMap, Fault> {
    let mut headers = HeaderMap::new();
    let key = key
        .map(|key| key.expose_secret().trim())
        .unwrap_or_default();
    if !key.is_empty() {
        let mut value =
            HeaderValue::from_str(&format!("{prefix}{key}")).map_err(|_| Fault::Setup {
                detail: "apiKey contains characters that no key has".to_owned(),
            })?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// When the phases of one request end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    started: Instant,
    limits: ModelTimeouts,
}

impl Deadlines {
    /// The clock runs from here.
    pub(super) fn start(limits: ModelTimeouts) -> Self {
        Self {
            started: Instant::now(),
            limits,
        }
    }

    fn first_byte(&self) -> (Instant, Fault) {
        self.at(
            self.started,
            self.limits.first_byte,
            TimeoutPhase::FirstByte,
        )
    }

    fn idle(&self) -> (Instant, Fault) {
        self.at(Instant::now(), self.limits.idle, TimeoutPhase::Idle)
    }

    fn at(
        &self,
        from: Instant,
        limit: std::time::Duration,
        phase: TimeoutPhase,
    ) -> (Instant, Fault) {
        let total = self.started + self.limits.total;
        let phase_end = from + limit;
        if phase_end <= total {
            (phase_end, Fault::Timeout { phase, limit })
        } else {
            let limit = self.limits.total;
            let phase = TimeoutPhase::Total;
            (total, Fault::Timeout { phase, limit })
        }
    }
}

/// A body in pieces, each under its timeout.
pub(super) type Body = BoxStream<'static, Result<Bytes, Fault>>;

/// Sends the call; gives the body of an answer that is a stream, and the reason for any other.
pub(super) async fn send(
    http: &reqwest::Client,
    call: Call,
    deadlines: Deadlines,
) -> Result<Body, Fault> {
    let sending = http
        .post(call.url)
        .headers(call.headers)
        .body(call.body.to_string())
        .send();
    let (deadline, late) = deadlines.first_byte();
    let response = timeout_at(
        deadline,
        CONNECT_LIMIT.scope(deadlines.limits.connect, sending),
    )
    .await
    .map_err(|_| late)?
    .map_err(|error| network(&error))?;
    if response.status().is_success() && !is_document(&response, call.json_lines) {
        return Ok(timed(pieces(response), deadlines).boxed());
    }
    Err(refused(response, deadlines).await)
}

/// A stream whose first piece is due by `first_byte` and every further one within `idle`.
pub(super) fn timed(
    pieces: impl Stream<Item = Result<Bytes, Fault>> + Send + 'static,
    deadlines: Deadlines,
) -> impl Stream<Item = Result<Bytes, Fault>> + Send + 'static {
    let start = (pieces.boxed(), deadlines.first_byte(), true);
    streams::unfold(
        start,
        move |(mut pieces, (deadline, late), open)| async move {
            if !open {
                return None;
            }
            match timeout_at(deadline, pieces.next()).await {
                Ok(Some(piece)) => {
                    let open = piece.is_ok();
                    Some((piece, (pieces, deadlines.idle(), open)))
                }
                Ok(None) => None,
                Err(_) => Some((Err(late.clone()), (pieces, (deadline, late), false))),
            }
        },
    )
}

/// A connection that breaks in the body is an answer that broke off; how it broke helps nobody.
fn pieces(response: Response) -> impl Stream<Item = Result<Bytes, Fault>> + Send + 'static {
    response
        .bytes_stream()
        .map(|piece| piece.map_err(|_| Fault::Truncated))
}

fn network(error: &reqwest::Error) -> Fault {
    if let Some(limit) = connect_timeout(error) {
        return Fault::Timeout {
            phase: TimeoutPhase::Connect,
            limit,
        };
    }
    let detail = innermost(error);
    if error.is_builder() {
        Fault::Setup { detail }
    } else {
        Fault::Network { detail }
    }
}

/// Whether a successful answer is a web page or one JSON document instead of a stream.
fn is_document(response: &Response, json_lines: bool) -> bool {
    let kind = content_type(response);
    kind == "text/html" || (kind == "application/json" && !json_lines)
}

fn content_type(response: &Response) -> String {
    let header = response.headers().get(CONTENT_TYPE);
    let text = header
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    text.split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

/// The reason in an answer that is not a stream.
async fn refused(response: Response, deadlines: Deadlines) -> Fault {
    let status = response.status();
    let kind = content_type(&response);
    let retry_after = vendor::retry_after(response.headers());
    if status.is_redirection() {
        let target = response
            .headers()
            .get(LOCATION)
            .and_then(|to| to.to_str().ok());
        let target = target.map_or_else(|| "elsewhere".to_owned(), url::shown);
        return Fault::BadRequest {
            status: Some(status.as_u16()),
            detail: format!("it redirects to {target}; a key is not sent there"),
        };
    }
    let mut body = Vec::new();
    let mut pieces = timed(pieces(response), deadlines).boxed();
    // What has arrived when the body breaks off still says more than nothing.
    while let Some(Ok(piece)) = pieces.next().await {
        let room = MAX_ERROR_BYTES - body.len();
        body.extend_from_slice(&piece[..piece.len().min(room)]);
        if body.len() == MAX_ERROR_BYTES {
            break;
        }
    }
    let body = String::from_utf8_lossy(&body);
    if status.is_success() {
        return vendor::in_document(&body).unwrap_or_else(|| Fault::Protocol {
            detail: format!("it sent `{kind}` instead of a stream"),
        });
    }
    vendor::fault(status.as_u16(), retry_after, &body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn limits(first_byte: u64, idle: u64, total: u64) -> ModelTimeouts {
        ModelTimeouts {
            connect: Duration::from_secs(1),
            first_byte: Duration::from_secs(first_byte),
            idle: Duration::from_secs(idle),
            total: Duration::from_secs(total),
        }
    }

    async fn outcome(pieces: Vec<(u64, &'static str)>, limits: ModelTimeouts) -> (usize, Fault) {
        let source = streams::iter(pieces)
            .then(|(after, text)| async move {
                tokio::time::sleep(Duration::from_secs(after)).await;
                Ok(Bytes::from_static(text.as_bytes()))
            })
            .chain(streams::pending());
        let mut timed = timed(source, Deadlines::start(limits)).boxed();
        let mut seen = 0;
        loop {
            match timed.next().await {
                Some(Ok(_)) => seen += 1,
                Some(Err(fault)) => {
                    assert!(timed.next().await.is_none(), "an error is the end");
                    return (seen, fault);
                }
                None => panic!("a pending source does not end"),
            }
        }
    }

    fn timeout(phase: TimeoutPhase, seconds: u64) -> Fault {
        let limit = Duration::from_secs(seconds);
        Fault::Timeout { phase, limit }
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_of_a_body_has_its_own_limit() {
        let nothing = outcome(vec![], limits(5, 3, 60)).await;
        assert_eq!(nothing, (0, timeout(TimeoutPhase::FirstByte, 5)));
        let silent = outcome(vec![(4, "a"), (2, "b")], limits(5, 3, 60)).await;
        assert_eq!(silent, (2, timeout(TimeoutPhase::Idle, 3)));
        let endless = outcome(vec![(1, "a"); 100], limits(5, 3, 10)).await;
        assert!(matches!(endless, (9 | 10, _)), "{endless:?}");
        assert_eq!(endless.1, timeout(TimeoutPhase::Total, 10));
    }
}
