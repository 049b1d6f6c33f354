//! The HTTP surface: one port for `WebSockets`, probes and the chat page.

mod folder;
mod openai;
mod paths;
mod probes;
mod rules;
pub mod webchat;
mod ws;

use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, guard, web};
use openclaw_actors::clock::SharedClock;
use openclaw_actors::network::NetworkPort;
use openclaw_actors::session::hub::{Hub, Links};
use openclaw_actors::session::queue::HubQueue;
use openclaw_actors::session::socket::{SessionShared, Worker};

pub use probes::Readiness;
use webchat::PageSettings;

/// What the HTTP side needs from the composition root.
#[derive(Clone)]
pub struct HttpState {
    /// What sessions share.
    pub sessions: SessionShared,
    /// This host's networks.
    pub network: NetworkPort,
    /// Answers the readiness probe.
    pub readiness: Arc<dyn Readiness>,
    /// Whether and where the page is served.
    pub page: PageSettings,
    /// Time.
    pub clock: SharedClock,
}

/// Serves `listener` with `workers` threads; the server runs once it is awaited.
///
/// # Errors
///
/// When the listener cannot be handed to the server.
pub fn serve(
    listener: TcpListener,
    workers: usize,
    state: HttpState,
) -> std::io::Result<(Server, ServerHandle)> {
    let server = HttpServer::new(move || {
        // Once per worker thread: its own hub and connections.
        let counts = &state.sessions.views.counts;
        let worker = Worker {
            links: Links::counted(Arc::clone(counts)),
            queue: Arc::new(HubQueue::counted(Arc::clone(counts))),
        };
        Hub::start_here(
            worker.links.clone(),
            Arc::clone(&worker.queue),
            state.clock.clone(),
        );
        App::new()
            .app_data(web::Data::new(state.clone()))
            .app_data(web::Data::new(worker))
            .wrap(from_fn(paths::refuse_undecodable))
            // Around the others: their refusals carry the headers too.
            .wrap(from_fn(rules::apply))
            .service(
                web::resource("{path:.*}")
                    .guard(guard::fn_guard(ws::is_upgrade))
                    .to(ws::upgrade),
            )
            .configure(probes::configure)
            .configure(openai::configure)
            .configure(|config| webchat::configure(config, &state.page))
    })
    .on_connect(ws::keep_socket)
    .workers(workers)
    .shutdown_timeout(1)
    .disable_signals()
    .listen(listener)?
    .run();
    let handle = server.handle();
    Ok((server, handle))
}
