//! From an address to an accepted connection.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use openclaw_protocol::ErrorShape;
use openclaw_protocol::connect::{Challenge, ConnectParams, HelloOk};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::Response;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{
    Connector, WebSocketStream, client_async_tls_with_config, connect_async_tls_with_config,
};

use crate::connection::Link;
use crate::driver::{self, OUTGOING, Pending, Reader, close_reason};
use crate::identity::Proof;
use crate::inbound::{EventMessage, Inbound, Sequence};
use crate::tls::Trust;
use crate::{Client, CloseReason, Connection, Error, Events, Options, Refusal};

/// The largest frame that is taken from a gateway, bytes: its own limit for unread data, and some.
const MAX_INBOUND: usize = 64 << 20;
/// How much of an answer in words is read, bytes.
const MAX_ANSWER: usize = 512;
/// How long a refused connection is read on for its close code.
const CLOSE_CODE_LIMIT: Duration = Duration::from_millis(500);
/// Id of the `connect` request.
const CONNECT_ID: &str = "connect";

/// Connects to the gateway at `url` (`ws:` or `wss:`).
///
/// # Errors
///
/// [`Error::Unreachable`] when no WebSocket could be opened in time, [`Error::Untrusted`] when its
/// certificate is not the expected one, [`Error::Refused`] when the gateway said no, [`Error::Closed`] when it closed the socket without an answer,
/// [`Error::Timeout`] when it went silent, [`Error::Protocol`] when it speaks something else.
pub async fn connect(url: &str, options: &Options) -> Result<Connection, Error> {
    let started = tokio::time::Instant::now();
    let opening = Opening::of(url, options)?;
    // Boxed: a TLS handshake is large, and every caller would carry it.
    let connecting = Box::pin(connect_async_tls_with_config(
        opening.request,
        Some(socket_config()),
        true,
        Some(opening.connector),
    ));
    let (socket, _) = timeout(options.connect_timeout, connecting)
        .await
        .map_err(|_| unreachable(url, no_answer(options.connect_timeout)))?
        .map_err(|error| open_error(error, url, opening.trust.as_deref()))?;
    let left = options.connect_timeout.saturating_sub(started.elapsed());
    establish(socket, options, left).await
}

/// Connects over a stream that is open already: a Unix socket, an SSH channel, a test. `url` is what
/// the HTTP upgrade names; with `wss:` the stream carries TLS.
///
/// # Errors
///
/// As [`connect`].
pub async fn connect_on<S>(stream: S, url: &str, options: &Options) -> Result<Connection, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let opening = Opening::of(url, options)?;
    let connecting = Box::pin(client_async_tls_with_config(
        opening.request,
        stream,
        Some(socket_config()),
        Some(opening.connector),
    ));
    let (socket, _) = connecting
        .await
        .map_err(|error| open_error(error, url, opening.trust.as_deref()))?;
    establish(socket, options, options.connect_timeout).await
}

/// What a socket is opened with.
struct Opening {
    request: Request,
    connector: Connector,
    /// Who decides about the certificate, where there is one.
    trust: Option<Arc<Trust>>,
}

impl Opening {
    fn of(url: &str, options: &Options) -> Result<Self, Error> {
        let request = url
            .into_client_request()
            .map_err(|error| unreachable(url, error))?;
        if request.uri().scheme_str() == Some("wss") {
            let trust = Trust::new(options.tls_fingerprint)
                .map_err(|why| unreachable(url, std::io::Error::other(why)))?;
            return Ok(Self {
                request,
                connector: Connector::Rustls(trust.config()),
                trust: Some(trust),
            });
        }
        if options.tls_fingerprint.is_some() {
            let why = "a certificate is pinned, but only a wss:// address has one";
            return Err(unreachable(url, std::io::Error::other(why)));
        }
        Ok(Self {
            request,
            connector: Connector::Plain,
            trust: None,
        })
    }
}

fn unreachable(url: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Unreachable {
        url: url.to_owned(),
        source: source.into(),
    }
}

fn no_answer(after: Duration) -> std::io::Error {
    let message = format!("no answer within {} s", after.as_secs_f64());
    std::io::Error::new(std::io::ErrorKind::TimedOut, message)
}

fn socket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(MAX_INBOUND))
        .max_frame_size(Some(MAX_INBOUND))
}

/// An HTTP answer instead of an upgrade is a refusal; everything else means that nobody is there.
fn open_error(error: WsError, url: &str, trust: Option<&Trust>) -> Error {
    if let Some(untrusted) = trust.and_then(Trust::refused) {
        return Error::Untrusted {
            url: url.to_owned(),
            untrusted: Box::new(untrusted),
        };
    }
    match error {
        WsError::Http(response) => Error::Refused(Box::new(http_refusal(&response))),
        WsError::Io(error) => unreachable(url, error),
        other => unreachable(url, other),
    }
}

fn http_refusal(response: &Response<Option<Vec<u8>>>) -> Refusal {
    let body: Option<Value> = response
        .body()
        .as_deref()
        .and_then(|body| serde_json::from_slice(body).ok());
    let message = body
        .as_ref()
        .and_then(|body| body.pointer("/error/message")?.as_str())
        .map(str::to_owned)
        .or_else(|| plain_answer(response));
    Refusal {
        code: format!("HTTP_{}", response.status().as_u16()),
        message: message
            .unwrap_or_else(|| format!("HTTP {} instead of a WebSocket", response.status())),
        details: None,
        retryable: false,
        retry_after: None,
        close_code: None,
    }
}

/// The first line of an answer in plain text, such as that of a port that speaks TLS.
fn plain_answer(response: &Response<Option<Vec<u8>>>) -> Option<String> {
    let kind = response.headers().get("content-type")?.to_str().ok()?;
    if !kind.starts_with("text/plain") {
        return None;
    }
    let body = response.body().as_deref()?;
    let text = std::str::from_utf8(&body[..body.len().min(MAX_ANSWER)]).ok()?;
    let line = text.lines().next()?.trim();
    let shown: String = line.chars().filter(|c| !c.is_control()).collect();
    (!shown.is_empty()).then(|| format!("HTTP {}: {shown}", response.status().as_u16()))
}

async fn establish<S>(
    mut socket: WebSocketStream<S>,
    options: &Options,
    limit: Duration,
) -> Result<Connection, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let hello = timeout(limit, shake_hands(&mut socket, options))
        .await
        .unwrap_or_else(|_| {
            Err(Error::Timeout {
                what: "the handshake".into(),
                after: options.connect_timeout,
            })
        })?;
    Ok(start(socket, hello, options))
}

async fn shake_hands<S>(
    socket: &mut WebSocketStream<S>,
    options: &Options,
) -> Result<HelloOk, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let challenge = loop {
        if let Inbound::Event(EventMessage { name, payload, .. }) = next_frame(socket).await?
            && name == "connect.challenge"
        {
            break serde_json::from_value::<Challenge>(payload)
                .map_err(|error| Error::Protocol(format!("connect.challenge: {error}")))?;
        }
    };
    let frame = json!({
        "type": "req",
        "id": CONNECT_ID,
        "method": "connect",
        "params": connect_params(options, &challenge),
    });
    socket
        .send(Message::text(frame.to_string()))
        .await
        .map_err(|error| broken(&error))?;
    loop {
        match next_frame(socket).await? {
            Inbound::Response { id, reply } if id == CONNECT_ID => {
                return match reply {
                    Ok(payload) => serde_json::from_str(payload.get())
                        .map_err(|error| Error::Protocol(format!("hello-ok: {error}"))),
                    Err(error) => Err(Error::Refused(Box::new(refusal(socket, error).await))),
                };
            }
            other => tracing::debug!(?other, "ignored a frame before hello-ok"),
        }
    }
}

fn connect_params(options: &Options, challenge: &Challenge) -> ConnectParams {
    let auth = options.auth();
    let device = options.identity.as_ref().map(|identity| {
        identity.claim(&Proof {
            nonce: &challenge.nonce,
            signed_at: challenge.ts,
            client: &options.client,
            role: options.role.as_str(),
            scopes: &options.scopes,
            auth: auth.as_ref(),
        })
    });
    ConnectParams {
        min_protocol: *options.protocol.start(),
        max_protocol: *options.protocol.end(),
        client: options.client.clone(),
        caps: options.caps.clone(),
        commands: options.commands.clone(),
        permissions: options.permissions.clone(),
        path_env: None,
        role: Some(options.role.as_str().to_owned()),
        scopes: Some(options.scopes.clone()),
        device,
        auth,
        locale: None,
        user_agent: None,
    }
}

/// The next frame of the gateway, before the connection's own tasks run.
async fn next_frame<S>(socket: &mut WebSocketStream<S>) -> Result<Inbound, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match socket.next().await {
            Some(Ok(Message::Close(frame))) => return Err(Error::Closed(close_reason(frame))),
            Some(Ok(message)) if message.is_text() || message.is_binary() => {
                let text = message
                    .to_text()
                    .map_err(|error| Error::Protocol(error.to_string()))?;
                return Inbound::parse(text).map_err(Error::Protocol);
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(broken(&error)),
            None => {
                return Err(Error::Closed(CloseReason {
                    code: None,
                    reason: "the connection was lost during the handshake".into(),
                }));
            }
        }
    }
}

fn broken(error: &WsError) -> Error {
    Error::Closed(CloseReason {
        code: None,
        reason: error.to_string(),
    })
}

async fn refusal<S>(socket: &mut WebSocketStream<S>, error: ErrorShape) -> Refusal
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let close_code = timeout(CLOSE_CODE_LIMIT, async {
        loop {
            match next_frame(socket).await {
                Err(Error::Closed(reason)) => return reason.code,
                Err(_) => return None,
                Ok(_) => {}
            }
        }
    });
    Refusal {
        code: error.code.as_str().to_owned(),
        message: error.message.into_owned(),
        details: error.details,
        retryable: error.retryable.unwrap_or_default(),
        retry_after: error.retry_after_ms.map(Duration::from_millis),
        close_code: close_code.await.ok().flatten(),
    }
}

/// Starts the connection's tasks.
fn start<S>(socket: WebSocketStream<S>, hello: HelloOk, options: &Options) -> Connection
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sink, stream) = socket.split();
    let (outgoing, queue) = mpsc::channel(OUTGOING);
    let (events, event_receiver) = mpsc::channel(options.event_capacity.max(1));
    let (closed, closed_receiver) = watch::channel(None);
    let pending = Arc::new(Pending::new());
    let reader = Reader {
        stream,
        pending: Arc::clone(&pending),
        events,
        sequence: Sequence::new(hello.protocol),
        outgoing: outgoing.downgrade(),
        closed,
        silence_limit: silence_limit(hello.policy.tick_interval_ms),
        writer: tokio::spawn(driver::write(sink, queue)),
    };
    tokio::spawn(reader.run());
    let client = Client::new(Link {
        pending,
        outgoing: outgoing.clone(),
        closed: closed_receiver.clone(),
        request_timeout: options.request_timeout,
        max_frame: hello.policy.max_payload,
    });
    let events = Events::new(event_receiver, outgoing, closed_receiver);
    Connection::new(hello, client, events)
}

/// Two ticks may be missed; an absurd interval is not believed.
fn silence_limit(tick_interval_ms: u64) -> Duration {
    Duration::from_millis(tick_interval_ms.clamp(1_000, 600_000) * 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_upgrade_is_told_in_the_words_of_the_gateway() {
        let body = br#"{"error":{"message":"proxy not trusted","type":"x"}}"#.to_vec();
        let response = Response::builder().status(403).body(Some(body)).unwrap();
        let refusal = http_refusal(&response);
        assert_eq!(refusal.code, "HTTP_403");
        assert_eq!(refusal.message, "proxy not trusted");

        let text = b"This port speaks TLS\x1b, and more.\nSecond line\n".to_vec();
        let response = Response::builder()
            .status(400)
            .header("content-type", "text/plain; charset=utf-8")
            .body(Some(text))
            .unwrap();
        let refusal = http_refusal(&response);
        assert_eq!(refusal.message, "HTTP 400: This port speaks TLS, and more.");

        let response = Response::builder().status(503).body(None).unwrap();
        let refusal = http_refusal(&response);
        assert!(
            refusal.message.starts_with("HTTP 503"),
            "{}",
            refusal.message
        );
        assert!(refusal.is_temporary());
    }
}
