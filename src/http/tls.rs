//! The same routes over TLS 1.2 and 1.3, and an answer to whoever speaks plain HTTP to them.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::{HttpService, Request};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt as _, fn_service, map_config,
};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Extensions, Server, ServiceResponse};
use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{HttpState, ws};
use crate::tls::Certificates;

/// A socket after its TLS handshake.
pub(super) type Secured = TlsStream<TcpStream>;

/// Limit for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the rest of a plain request is waited for, so that its sender reads the answer.
const PLAIN: Duration = Duration::from_millis(200);
/// How much of a plain request is read, bytes.
const MAX_PLAIN: usize = 8192;
/// First byte of a TLS record that begins a handshake.
const TLS_HANDSHAKE: u8 = 0x16;
/// What a program reads that speaks plain HTTP here.
const WRONG_SCHEME: &str = "This port speaks TLS, and this was plain HTTP: use https:// for the page and wss:// for clients.\n";

/// Serves `listeners` over TLS.
///
/// # Errors
///
/// When a listener cannot be handed to the server.
pub(super) fn serve(
    listeners: impl Iterator<Item = TcpListener>,
    workers: usize,
    state: &HttpState,
    certificates: &Arc<Certificates>,
) -> io::Result<Server> {
    let mut server = Server::build()
        .workers(workers)
        .shutdown_timeout(1)
        .disable_signals();
    for listener in listeners {
        let (state, certificates) = (state.clone(), Arc::clone(certificates));
        server = server.listen("openclaw-tls", listener, move || {
            let certificates = Arc::clone(&certificates);
            fn_service(move |stream: TcpStream| accept(stream, Arc::clone(&certificates)))
                .and_then(http(super::app(&state)))
        })?;
    }
    Ok(server.run())
}

/// HTTP/1.1 on sockets that are secured already.
fn http<A, S, B>(
    app: A,
) -> impl ServiceFactory<
    (Secured, Option<SocketAddr>),
    Config = (),
    Response = (),
    Error = (),
    InitError = (),
>
where
    A: IntoServiceFactory<S, Request>,
    S: ServiceFactory<
            Request,
            Config = AppConfig,
            Response = ServiceResponse<B>,
            Error = actix_web::Error,
            InitError = (),
        > + 'static,
    S::Future: 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let routes = app
        .into_factory()
        .map_err(|error: actix_web::Error| error.error_response());
    HttpService::<Secured, _, B>::build()
        .on_connect_ext(|stream: &Secured, extensions: &mut Extensions| {
            ws::keep_socket(stream, extensions);
        })
        .h1::<_, B>(map_config(routes, |()| AppConfig::default()))
        .map_err(|error| tracing::debug!(%error, "a connection ended early"))
}

async fn accept(
    stream: TcpStream,
    certificates: Arc<Certificates>,
) -> Result<(Secured, Option<SocketAddr>), ()> {
    let peer = stream.peer_addr().ok();
    let handshake = async {
        let mut first = [0; 1];
        if stream.peek(&mut first).await? == 1 && first[0] != TLS_HANDSHAKE {
            explain(stream).await?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, "plain HTTP"));
        }
        TlsAcceptor::from(certificates.current())
            .accept(stream)
            .await
    };
    match timeout(HANDSHAKE, handshake).await {
        Ok(Ok(secured)) => Ok((secured, peer)),
        Ok(Err(error)) => {
            tracing::debug!(?peer, %error, "no TLS handshake");
            Err(())
        }
        Err(_) => {
            tracing::debug!(?peer, "no TLS handshake in time");
            Err(())
        }
    }
}

/// Says why, in the language that was spoken.
async fn explain(mut stream: TcpStream) -> io::Result<()> {
    // Bytes that were never read would turn the answer into a reset.
    let mut request = Vec::with_capacity(MAX_PLAIN);
    let _ = timeout(PLAIN, async {
        while request.len() < MAX_PLAIN && !request.windows(4).any(|end| end == b"\r\n\r\n") {
            if stream.read_buf(&mut request).await? == 0 {
                break;
            }
        }
        io::Result::Ok(())
    })
    .await;
    let (kind, body) = match page_for(&String::from_utf8_lossy(&request)) {
        Some(page) => ("text/html", page),
        None => ("text/plain", WRONG_SCHEME.to_owned()),
    };
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: {kind}; charset=utf-8\r\ncontent-length: {}\r\ncontent-security-policy: default-src 'none'; frame-ancestors 'none'\r\nx-content-type-options: nosniff\r\ncache-control: no-store\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// What a browser shows that asked for a page; none for other programs. It links to the same place over TLS
/// and does not send anybody there: what was typed without `https` should be seen, and bookmarks mended.
fn page_for(request: &str) -> Option<String> {
    let mut lines = request.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let headers: Vec<(&str, &str)> = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(':'))
        .collect();
    let header = |name: &str| {
        let found = headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    };
    if method != "GET" || !words.next()?.starts_with("HTTP/1.") || header("upgrade").is_some() {
        return None;
    }
    let link = header("host").and_then(|host| link(host, target));
    let link = link.map_or_else(String::new, |address| {
        format!("<p><a href=\"{address}\">{address}</a></p>\n")
    });
    Some(format!(
        "<!doctype html>\n<html lang=\"en\">\n<title>This port speaks TLS</title>\n<h1>This port speaks TLS</h1>\n\
         <p>The address began with http://, so that what you sent crossed the network unencrypted, and was not looked at. \
         Use https:// for the page and wss:// for clients.</p>\n{link}</html>\n"
    ))
}

/// The same place over TLS, as HTML text; none where the name of the host could be anything else. Without the
/// query: it may hold what should never have been sent so.
fn link(host: &str, target: &str) -> Option<String> {
    let of_a_host = |byte: u8| byte.is_ascii_alphanumeric() || b".:[]-".contains(&byte);
    if host.is_empty() || host.len() > 255 || !host.bytes().all(of_a_host) {
        return None;
    }
    let path = target.split(['?', '#']).next()?;
    if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let mut text = format!("https://{host}");
    for character in path.chars() {
        match character {
            '&' => text += "&amp;",
            '<' => text += "&lt;",
            '>' => text += "&gt;",
            '"' => text += "&quot;",
            '\'' => text += "&#39;",
            other => text.push(other),
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_gets_a_page_with_a_link_and_other_programs_text() {
        let get = |target: &str, headers: &str| {
            page_for(&format!("GET {target} HTTP/1.1\r\n{headers}\r\n"))
        };
        let page = get("/chat?token=s3cret", "Host: box.local:18789\r\n").unwrap();
        assert!(
            page.contains("<a href=\"https://box.local:18789/chat\">"),
            "{page}"
        );
        assert!(!page.contains("s3cret"));
        let page = get("/", "hOST: [fd00::1]:1\r\n").unwrap();
        assert!(page.contains("\"https://[fd00::1]:1/\""), "{page}");

        let page = get("/\"><script>'&", "host: h\r\n").unwrap();
        assert!(
            page.contains("https://h/&quot;&gt;&lt;script&gt;&#39;&amp;"),
            "{page}"
        );
        for (target, host) in [
            ("/", "evil.example/\"onload="),
            ("/", "user@evil.example"),
            ("/", "h%2f"),
            ("/", ""),
            ("http://evil.example/", "h"),
            ("@evil.example/", "h"),
        ] {
            let page = get(target, &format!("host: {host}\r\n")).unwrap();
            assert!(!page.contains("<a "), "{target} {host}: {page}");
        }
        assert!(get("/", "host: h\r\nupgrade: websocket\r\n").is_none());
        for other in ["POST / HTTP/1.1\r\n\r\n", "GET /\r\n", "SSH-2.0-x\r\n", ""] {
            assert_eq!(page_for(other), None, "{other}");
        }
    }
}
