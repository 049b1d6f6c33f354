//! WebSocket upgrades: what is known of the peer before it says anything.

use std::any::Any;
use std::net::{IpAddr, TcpStream};
use std::os::fd::AsFd;

use actix_web::dev::Extensions;
use actix_web::guard::GuardContext;
use actix_web::http::{StatusCode, header};
use actix_web::rt::net::TcpStream as ActixTcpStream;
use actix_web::{HttpRequest, HttpResponse, web};
use openclaw_actors::limiter::arrivals::TurnedAway;
use openclaw_actors::limiter::client::Client;
use openclaw_actors::session::handshake::Peer;
use openclaw_actors::session::socket::{self, Worker};
use serde_json::json;

use super::HttpState;

/// A second handle on the connection's socket, to end it from outside when it is blocked.
struct Socket(TcpStream);

/// Keeps a second handle on each accepted socket.
pub(super) fn keep_socket(connection: &dyn Any, extensions: &mut Extensions) {
    if let Some(tcp) = connection.downcast_ref::<ActixTcpStream>() {
        // Frames are written whole; waiting to merge them only delays small answers.
        let _ = tcp.set_nodelay(true);
        if let Ok(fd) = tcp.as_fd().try_clone_to_owned() {
            extensions.insert(Socket(TcpStream::from(fd)));
        }
    }
}

/// Whether a request asks for a WebSocket.
pub(super) fn is_upgrade(cx: &GuardContext<'_>) -> bool {
    let asks = cx.head().headers().get(header::UPGRADE);
    asks.and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

pub(super) async fn upgrade(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<HttpState>,
    worker: web::Data<Worker>,
) -> Result<HttpResponse, actix_web::Error> {
    let Some(address) = request.peer_addr() else {
        return Ok(HttpResponse::BadRequest().body("a WebSocket needs a peer address"));
    };
    if let Some(name) = forwarding_header(&request) {
        return Ok(refuse_proxy(&name));
    }
    let peer = Peer {
        ip: address.ip(),
        local: is_local(address.ip()),
        origin: text_of(&request, header::ORIGIN),
        host: text_of(&request, header::HOST),
    };
    let sessions = &state.sessions;
    let client = Client::of(&peer, &sessions.views.gate.load().allowed_origins);
    let slot = match sessions.limiter.arrive(client) {
        Ok(slot) => slot,
        Err(why) => return Ok(turn_away(&peer, why)),
    };
    let socket = request
        .conn_data::<Socket>()
        .and_then(|socket| socket.0.try_clone().ok());
    socket::upgrade(
        &request,
        payload,
        peer,
        socket,
        slot,
        sessions.clone(),
        Worker::clone(&worker),
    )
}

/// The answer to a socket for which there is no room before its handshake.
fn turn_away(peer: &Peer, why: TurnedAway) -> HttpResponse {
    let (seconds, message) = match why {
        TurnedAway::TooMany => (
            1,
            "too many connections before their handshake; try again (gateway.limits.maxPreauthConnectionsPerIp, maxPreauthConnections)",
        ),
        TurnedAway::TooFast { retry_after } => (
            retry_after.as_secs() + 1,
            "too many connections a second; try again (gateway.limits.handshakesPerSecondPerIp, handshakesPerSecond)",
        ),
    };
    tracing::debug!(peer = %peer.client_ip(), ?why, "a socket was turned away");
    HttpResponse::build(StatusCode::SERVICE_UNAVAILABLE)
        .insert_header((header::RETRY_AFTER, seconds))
        .body(message)
}

/// A peer on this machine. Forwarded requests never get here.
fn is_local(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// A header that says that somebody forwarded the request: the peer then is not who asks.
fn forwarding_header(request: &HttpRequest) -> Option<String> {
    let names = request.headers().keys().map(header::HeaderName::as_str);
    names
        .filter(|name| {
            *name == "forwarded"
                || *name == "x-real-ip"
                || name.starts_with("x-forwarded-")
                || name.starts_with("tailscale-")
        })
        .map(str::to_owned)
        .next()
}

fn refuse_proxy(header: &str) -> HttpResponse {
    let message = format!(
        "the request carries `{header}`, but its sender is not in gateway.trustedProxies; connect directly, or through a tunnel that adds no headers"
    );
    HttpResponse::Forbidden()
        .json(json!({ "error": { "message": message, "type": "proxy_attribution_required" } }))
}

fn text_of(request: &HttpRequest, name: header::HeaderName) -> Option<String> {
    request
        .headers()
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}
