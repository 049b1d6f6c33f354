//! WebSocket upgrades: what is known of the peer before it says anything.

use std::any::Any;
use std::net::{IpAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Extensions;
use actix_web::guard::GuardContext;
use actix_web::http::{StatusCode, header};
use actix_web::rt::net::TcpStream as ActixTcpStream;
use actix_web::{HttpRequest, HttpResponse, web};
use openclaw_actors::audit::{AuditRow, Kind};
use openclaw_actors::limiter::arrivals::TurnedAway;
use openclaw_actors::limiter::client::Client;
use openclaw_actors::session::origin::{self, REMEDY};
use openclaw_actors::session::peer::{self, Inbound, Peer, Seen, UNREADABLE, Unattributed};
use openclaw_actors::session::socket::{self, Connection, Worker};
use serde_json::json;

use super::HttpState;
use super::tls::Secured;

/// What a connection came in by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Port of this host; 0 where the system does not say it any more.
    pub(super) port: u16,
    /// Whether this process speaks TLS with it.
    secured: bool,
}

/// Keeps a second handle on each accepted socket, and what it came in by.
pub(super) fn keep_socket(connection: &dyn Any, extensions: &mut Extensions) {
    let secured = connection.downcast_ref::<Secured>();
    let plain = connection.downcast_ref::<ActixTcpStream>();
    if let Some(tcp) = plain.or_else(|| secured.map(|stream| stream.get_ref().0)) {
        extensions.insert(Entry {
            port: tcp.local_addr().map_or(0, |own| own.port()),
            secured: secured.is_some(),
        });
        // Frames are written whole; waiting to merge them only delays small answers.
        let _ = tcp.set_nodelay(true);
        let second = tcp.as_fd().try_clone_to_owned().ok();
        extensions.insert(Connection::new(second.map(TcpStream::from)));
    }
}

/// Waits until whoever sent a request is gone; for ever where that cannot be seen.
///
/// While an answer is made, the server does not look at the connection; so this asks the system, once a
/// second. A client that only stops sending counts as gone, as for most servers.
pub(super) async fn left(request: &HttpRequest) {
    const EVERY: Duration = Duration::from_secs(1);
    let Some(connection) = request.conn_data::<Connection>() else {
        return std::future::pending().await;
    };
    while !connection.is_over() {
        tokio::time::sleep(EVERY).await;
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
    let peer = match peer_of(&request, &state).await {
        Ok(peer) => peer,
        Err(refusal) => return Ok(refusal),
    };
    let foreign = origin::is_foreign(&peer, &state.sessions.views.gate.load());
    if foreign || is_canvas_page(&peer, &state) {
        return Ok(refuse_origin(&peer, &state));
    }
    let sessions = &state.sessions;
    let client = Client::of(&peer, &sessions.views.gate.load().allowed_origins);
    let slot = match sessions.limiter.arrive(client) {
        Ok(slot) => slot,
        Err(why) => return Ok(turn_away(&peer, why)),
    };
    socket::upgrade(
        &request,
        payload,
        peer,
        slot,
        Arc::clone(sessions),
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

/// Who asks, or the refusal of a request that is somebody else's.
pub(super) async fn peer_of(
    request: &HttpRequest,
    state: &HttpState,
) -> Result<Peer, HttpResponse> {
    let from = request
        .peer_addr()
        .ok_or_else(|| HttpResponse::BadRequest().body("a request needs a peer address"))?;
    let headers: Vec<(&str, &str)> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap_or(UNREADABLE)))
        .collect();
    let inbound = Inbound {
        from,
        headers: &headers,
    };
    let gate = state.sessions.views.gate.load();
    let surroundings = state.network.surroundings().await;
    let seen = peer::resolve(&inbound, &gate, &surroundings);
    let peer = match seen.map_err(|error| refuse_proxy(&error, from.ip(), state))? {
        Seen::Known(peer) => peer,
        Seen::Ask(question) => {
            let answer = state.network.whois(question.subject).await;
            if let Err(error) = &answer {
                tracing::warn!(peer = %from, %error, "tailscaled cannot tell who this is");
            }
            question.settle(&answer)
        }
    };
    let secured = request
        .conn_data::<Entry>()
        .is_some_and(|entry| entry.secured);
    Ok(if secured { peer.over_tls() } else { peer })
}

/// Whether a page of the canvas host's own port asks. What agents write there is not the owner's page, under
/// whatever name it was opened.
fn is_canvas_page(peer: &Peer, state: &HttpState) -> bool {
    let Some(own) = state.canvas.own else {
        return false;
    };
    let port = format!(":{}", own.port());
    let is_own = |origin: &String| origin.ends_with(&port);
    peer.origin.as_ref().is_some_and(is_own)
}

/// The page cannot read why; the log and the audit trail tell its owner.
pub(super) fn refuse_origin(peer: &Peer, state: &HttpState) -> HttpResponse {
    let row = AuditRow::new(Kind::ConnectRefused)
        .code("origin_not_allowed")
        .reason(REMEDY)
        .address(peer.client_ip().to_string())
        .origin(&peer.origin);
    state.sessions.views.audit.record(&row);
    HttpResponse::Forbidden()
        .json(json!({ "error": { "message": REMEDY, "type": "origin_not_allowed" } }))
}

fn refuse_proxy(error: &Unattributed, from: IpAddr, state: &HttpState) -> HttpResponse {
    let message = error.to_string();
    let row = AuditRow::new(Kind::ConnectRefused)
        .code("proxy_attribution_required")
        .reason(&*message)
        .address(from.to_canonical().to_string());
    state.sessions.views.audit.record(&row);
    HttpResponse::Forbidden()
        .json(json!({ "error": { "message": message, "type": "proxy_attribution_required" } }))
}
