//! The HTTP surface: one port for `WebSockets`, probes and the chat page.

mod auth;
mod body;
mod canvas;
mod channel_hooks;
mod folder;
mod hooks;
pub mod metrics;
mod openai;
mod paths;
mod probes;
mod rules;
mod tls;
mod tools;
pub mod webchat;
mod ws;

use std::cell::OnceCell;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix::Addr;
use actix_web::body::MessageBody;
use actix_web::dev::{Server, ServerHandle, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, guard, web};
use openclaw_actors::canvas::host::CanvasHost;
use openclaw_actors::channel::hooks::Hooks as ChannelHooks;
use openclaw_actors::clock::SharedClock;
use openclaw_actors::network::NetworkPort;
use openclaw_actors::session::hub::{Hub, Links};
use openclaw_actors::session::queue::HubQueue;
use openclaw_actors::session::socket::{SessionShared, Worker};

pub use probes::Readiness;
use webchat::PageSettings;

use crate::tls::Certificates;

/// What the HTTP side needs from the composition root.
#[derive(Clone)]
pub struct HttpState {
    /// What sessions share.
    pub sessions: Arc<SessionShared>,
    /// This host's networks.
    pub network: NetworkPort,
    /// Says how the gateway is, in figures.
    pub measured: Arc<dyn metrics::Measured>,
    /// Answers the readiness probe.
    pub readiness: Arc<dyn Readiness>,
    /// Whether and where the page is served.
    pub page: PageSettings,
    /// Where platforms hand messages over.
    pub channel_hooks: Arc<ChannelHooks>,
    /// Time.
    pub clock: SharedClock,
    /// The canvas.
    pub canvas: Canvas,
}

/// The canvas, as the HTTP side needs it.
#[derive(Clone)]
pub struct Canvas {
    /// Watches its folder.
    pub host: Addr<CanvasHost>,
    /// Its own socket.
    pub own: Option<SocketAddr>,
}

thread_local! {
    /// Each thread has one hub, however many sockets it serves.
    static WORKER: OnceCell<Worker> = const { OnceCell::new() };
}

fn worker(state: &HttpState) -> Worker {
    let counts = &state.sessions.views.counts;
    let worker = Worker {
        links: Links::counted(Arc::clone(counts)),
        queue: Arc::new(HubQueue::counted(Arc::clone(counts))),
    };
    let clock = state.clock.clone();
    Hub::start_here(worker.links.clone(), Arc::clone(&worker.queue), clock);
    worker
}

/// What is served.
pub struct Sockets {
    /// The gateway's own.
    pub gateway: TcpListener,
    /// The canvas host's own, if it has one.
    pub canvas: Option<TcpListener>,
    /// Further ones, with the port of either on other addresses of this host.
    pub beside: Vec<TcpListener>,
    /// What all speak TLS with; in clear without.
    pub certificates: Option<Arc<Certificates>>,
}

/// Serves the sockets with `workers` threads; the server runs once it is awaited.
///
/// # Errors
///
/// When the listener cannot be handed to the server.
pub fn serve(
    sockets: Sockets,
    workers: usize,
    state: HttpState,
) -> std::io::Result<(Server, ServerHandle)> {
    let Sockets {
        gateway,
        canvas,
        beside,
        certificates,
    } = sockets;
    let listeners = std::iter::once(gateway).chain(canvas).chain(beside);
    let server = if let Some(certificates) = certificates {
        tls::serve(listeners, workers, &state, &certificates)?
    } else {
        let mut server = HttpServer::new(move || app(&state))
            .on_connect(ws::keep_socket)
            .workers(workers)
            .shutdown_timeout(1)
            .disable_signals();
        for listener in listeners {
            server = server.listen(listener)?;
        }
        server.run()
    };
    let handle = server.handle();
    Ok((server, handle))
}

/// The routes; each worker thread has its own hub and connections.
fn app(
    state: &HttpState,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + use<>>,
        Error = actix_web::Error,
        InitError = (),
    > + use<>,
> {
    // Once per worker thread and socket.
    let worker = WORKER.with(|kept| kept.get_or_init(|| worker(state)).clone());
    App::new()
        .app_data(web::Data::new(state.clone()))
        .app_data(web::Data::new(worker))
        .wrap(from_fn(canvas::own_socket))
        .wrap(from_fn(paths::refuse_undecodable))
        // Around the others: their refusals carry the headers too.
        .wrap(from_fn(rules::apply))
        .service(web::resource("/__openclaw__/{path:.*}").to(canvas::answer))
        .service(
            web::resource("{path:.*}")
                .guard(guard::fn_guard(ws::is_upgrade))
                .to(ws::upgrade),
        )
        .configure(probes::configure)
        .configure(metrics::configure)
        .configure(|config| channel_hooks::configure(config, state))
        .configure(openai::configure)
        .configure(tools::configure)
        .configure(|config| hooks::configure(config, state))
        .configure(|config| webchat::configure(config, &state.page))
}
