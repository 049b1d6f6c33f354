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
    let mut request = vec![0; 8192];
    let _ = timeout(PLAIN, stream.read(&mut request)).await;
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{WRONG_SCHEME}",
        WRONG_SCHEME.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
