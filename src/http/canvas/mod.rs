//! The canvas over HTTP: the pages of its folder, below `/__openclaw__/canvas/` of the gateway's port and of the
//! canvas host's own one, and the socket that tells open pages of changes.
//!
//! **Invariants.** Nothing is read without a proof ([`access`]). On the gateway's port every answer makes a
//! browser treat its page as of no origin at all, so that it reaches neither the chat page's storage nor a
//! socket of the gateway. The canvas host's own port serves nothing else.

mod access;
mod socket;
mod target;

pub(super) use access::asks_by_loopback;
use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest as _, HttpRequest, HttpResponse, web};
use openclaw_actors::canvas::address::PREFIX;
use openclaw_actors::canvas::files;
use openclaw_actors::canvas::host::Look;
use serde_json::json;

use super::{HttpState, folder, webchat, ws};
use access::Way;
use target::{Target, Wanted};

/// The policy of pages on the gateway's port: they may run, and belong to nobody.
const SANDBOX: &str = "sandbox allow-scripts allow-forms";
/// The policy of pages on the canvas host's own port, where nothing else is that they could reach.
const OWN_PORT: &str = "object-src 'none'; base-uri 'self'";
/// Shown while the folder has no page.
const EMPTY: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Canvas</title>\
    <style>body{font:16px system-ui;display:grid;place-items:center;height:100vh;margin:0;color:#888;background:#111}</style>\
    <body><p>This canvas is empty. An agent puts pages on it, or you do: <code>index.html</code> in its folder.</p></body></html>";
/// What the app that shows a page is told by: `OpenClaw.sendUserAction`, and its older names.
const BRIDGE: &str = include_str!("bridge.js");
/// Loads a page again after a change. The path of its own address says how it may know.
const RELOAD: &str = "<script>(()=>{const m=location.pathname.match(/^\\/__openclaw__\\/cap\\/[^/]+/),\
    a=(location.protocol==='https:'?'wss://':'ws://')+location.host+(m?m[0]:'')+'/__openclaw__/ws';let w=500;\
    const open=()=>{const s=new WebSocket(a);s.onopen=()=>{w=500};\
    s.onmessage=e=>{if(e.data==='reload')location.reload()};\
    s.onclose=e=>{if(e.code!==1008){w=Math.min(w*2,30000);setTimeout(open,w)}}};open()})()</script>";

/// Answers everything on the canvas host's own socket; lets other requests pass.
pub(super) async fn own_socket<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let state = request.app_data::<web::Data<HttpState>>().cloned();
    let Some(state) = state.filter(|state| is_own(state, request.request())) else {
        return Ok(next.call(request).await?.map_into_left_body());
    };
    let (request, mut payload) = request.into_parts();
    let payload = web::Payload::from_request(&request, &mut payload).await?;
    let response = if request.path() == "/" {
        HttpResponse::TemporaryRedirect()
            .insert_header((header::LOCATION, format!("{PREFIX}canvas/")))
            .finish()
    } else {
        answer(request.clone(), payload, state).await
    };
    Ok(ServiceResponse::new(request, response).map_into_right_body())
}

/// Whether a request came to the canvas host's own socket, in clear or over TLS: by its connection, not by
/// anything that its sender says.
fn is_own(state: &HttpState, request: &HttpRequest) -> bool {
    let entry = request.conn_data::<ws::Entry>();
    // Both sockets listen on the same host, so that their ports differ.
    let port = state.canvas.own.map(|own| own.port());
    port.is_some() && port == entry.map(|entry| entry.port)
}

/// Answers a request below `/__openclaw__/`.
pub(super) async fn answer(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<HttpState>,
) -> HttpResponse {
    let enabled = state.sessions.views.settings.load().canvas.enabled;
    let target = enabled.then(|| Target::of(request.uri().path())).flatten();
    let (mut response, way) = match target {
        None => (webchat::not_found(), None),
        Some(target) => match access::enter(&request, &state, &target).await {
            Err(refusal) => (refusal, None),
            Ok(way) => {
                let response = serve(&request, payload, &state, target, way).await;
                (response, Some(way))
            }
        },
    };
    seal(&mut response, is_own(&state, &request), way);
    response
}

async fn serve(
    request: &HttpRequest,
    payload: web::Payload,
    state: &web::Data<HttpState>,
    target: Target,
    way: Way,
) -> HttpResponse {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return HttpResponse::MethodNotAllowed()
            .insert_header((header::ALLOW, "GET, HEAD"))
            .body("Method Not Allowed");
    }
    // A worker would stay in the browser, and serve later pages in place of the gateway.
    if request.headers().contains_key("service-worker") {
        return HttpResponse::Forbidden()
            .body("pages of the canvas have no workers that outlive them");
    }
    let Target { capability, wanted } = target;
    match wanted {
        Wanted::Changes => follow(request, payload, state, capability),
        Wanted::Page(path) => page(request, state, path, way).await,
        Wanted::A2ui(path) => a2ui(&path),
    }
}

/// A page waits for changes, for as long as its capability is good.
fn follow(
    request: &HttpRequest,
    payload: web::Payload,
    state: &web::Data<HttpState>,
    capability: Option<String>,
) -> HttpResponse {
    let views = &state.sessions.views;
    let asks = |name: HeaderName| request.headers().contains_key(name);
    if !views.settings.load().canvas.live_reload || !asks(header::UPGRADE) {
        return webchat::not_found();
    }
    let Some(changes) = views.canvas.listen() else {
        return HttpResponse::ServiceUnavailable()
            .insert_header((header::RETRY_AFTER, "30"))
            .body("too many pages of the canvas are open");
    };
    // Full: it looks anyway.
    let _ = state.canvas.host.try_send(Look);
    let state = state.clone();
    socket::upgrade(request, payload, changes, move || {
        let views = &state.sessions.views;
        capability.as_ref().map_or_else(
            || access::loopback_is_open(views),
            |token| views.canvas.opens(token, views, state.clock.now()),
        )
    })
}

async fn page(
    request: &HttpRequest,
    state: &web::Data<HttpState>,
    path: String,
    way: Way,
) -> HttpResponse {
    // Relative addresses of a folder's page are those inside of it.
    let views = state.sessions.views.clone();
    let live = views.settings.load().canvas.live_reload && way != Way::Secret;
    let first = path.is_empty();
    let asked = path.clone();
    let Ok(found) = web::block(move || files::read(&views, &asked)).await else {
        return HttpResponse::ServiceUnavailable().finish();
    };
    let (name, bytes) = match found {
        Some(found) => found,
        None if first => (files::INDEX.to_owned(), EMPTY.as_bytes().to_vec()),
        None => return webchat::not_found(),
    };
    if name.len() > path.len() && !first && !path.ends_with('/') {
        let moved = format!("{}/", request.uri().path());
        return HttpResponse::TemporaryRedirect()
            .insert_header((header::LOCATION, moved))
            .finish();
    }
    let mut response = HttpResponse::Ok();
    response.content_type(folder::content_type(&name));
    if folder::is_html(&name) {
        return response.body(with_scripts(bytes, live));
    }
    response.body(bytes)
}

/// A file of the page that shows A2UI surfaces.
fn a2ui(path: &str) -> HttpResponse {
    let name = if path.is_empty() { files::INDEX } else { path };
    let Some(bytes) = webchat::a2ui(name) else {
        return webchat::not_found();
    };
    let mut response = HttpResponse::Ok();
    response.content_type(folder::content_type(name));
    if folder::is_html(name) {
        return response.body(with_scripts(bytes.to_vec(), false));
    }
    response.body(bytes)
}

/// The page with what the app that shows it may be told by, in front of everything of its own, and the script that
/// follows changes where its text ends.
fn with_scripts(mut bytes: Vec<u8>, live: bool) -> Vec<u8> {
    let start = after_head(&bytes);
    let bridge = format!("<script>{BRIDGE}</script>");
    bytes.splice(start..start, bridge.into_bytes());
    if live { with_reload(bytes) } else { bytes }
}

/// Where a script comes before all others and after the document's type: behind `<head>`, else behind what stands in
/// front of the first element that is shown.
fn after_head(bytes: &[u8]) -> usize {
    let lower: Vec<u8> = bytes
        .iter()
        .take(64 << 10)
        .map(u8::to_ascii_lowercase)
        .collect();
    let behind = |tag: &[u8]| {
        let ends = |at: usize| {
            lower
                .get(at + tag.len())
                .is_some_and(|byte| b" >\t\r\n".contains(byte))
        };
        let mut found = lower.windows(tag.len()).enumerate();
        let (at, _) = found.find(|(at, window)| *window == tag && ends(*at))?;
        let open = lower[at..].iter().position(|byte| *byte == b'>')?;
        Some(at + open + 1)
    };
    behind(b"<head")
        .or_else(|| behind(b"<html"))
        .or_else(|| behind(b"<!doctype"))
        .unwrap_or(0)
}

fn with_reload(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes
        .windows(7)
        .rposition(|window| window.eq_ignore_ascii_case(b"</body>"))
        .unwrap_or(bytes.len());
    bytes.splice(end..end, RELOAD.bytes());
    bytes
}

/// What a browser may do with an answer.
fn seal(response: &mut HttpResponse, own: bool, way: Option<Way>) {
    let upgraded = response.status() == actix_web::http::StatusCode::SWITCHING_PROTOCOLS;
    if upgraded {
        return;
    }
    let headers = response.headers_mut();
    let policy = if own { OWN_PORT } else { SANDBOX };
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, policy);
    set(header::CACHE_CONTROL, "no-store");
    if way == Some(Way::Capability) {
        // A page of no origin asks for its own files as a stranger. Whoever knows the capability may have them.
        set(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        set(header::CROSS_ORIGIN_RESOURCE_POLICY, "cross-origin");
    }
}

/// A request without a proof that counts.
fn unauthorized(message: &str) -> HttpResponse {
    HttpResponse::Unauthorized()
        .json(json!({ "error": { "message": message, "type": "unauthorized" } }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_stand_before_and_behind_everything() {
        for (text, start) in [
            (
                "<!DOCTYPE html><html lang=a><HEAD><title>",
                "<!DOCTYPE html><html lang=a><HEAD>",
            ),
            ("<!doctype html><header>x</header>", "<!doctype html>"),
            ("<p>x", ""),
        ] {
            let page = String::from_utf8(with_scripts(text.into(), false)).unwrap();
            assert!(
                page.starts_with(&format!("{start}<script>(() =>")),
                "{page}"
            );
        }

        let page = |text: &str| String::from_utf8(with_reload(text.into())).unwrap();
        let whole = page("<body>a</body>b</BODY></html>");
        assert!(whole.starts_with("<body>a</body>b<script>"), "{whole}");
        assert!(whole.ends_with("</script></BODY></html>"), "{whole}");
        assert!(page("text").starts_with("text<script>"));
    }
}
