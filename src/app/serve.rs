//! The last step of the start: what sessions share, and the sockets.

use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use openclaw_actors::gateway::router;
use openclaw_actors::limiter::Limiter;
use openclaw_actors::limiter::arrivals::ArrivalLimits;
use openclaw_actors::session::hello::{self, ServerFacts};
use openclaw_actors::session::socket::{SessionLimits, SessionShared};
use openclaw_actors::store::StoreHandle;
use openclaw_actors::views::Views;

use super::ground::Ground;
use super::host_name;
use super::owners::Started;
use crate::http::metrics::Measured;
use crate::http::webchat::PageSettings;
use crate::http::{self, Canvas, HttpState, Readiness, Sockets};

/// What is served, and within which bounds.
pub(super) struct Plan {
    pub(super) sockets: Sockets,
    pub(super) limits: SessionLimits,
    pub(super) arrivals: ArrivalLimits,
    pub(super) page: PageSettings,
    pub(super) measured: Arc<dyn Measured>,
    pub(super) workers: usize,
}

/// The HTTP server, and the task that runs it.
pub(super) struct Serving {
    pub(super) server: ServerHandle,
    pub(super) done: tokio::task::JoinHandle<std::io::Result<()>>,
}

/// Says what the readiness probe answers.
struct Ready {
    store: StoreHandle,
    views: Views,
}

impl Readiness for Ready {
    fn failing(&self) -> Vec<String> {
        let store = self.store.status();
        let mut failing = Vec::new();
        if !store.ok {
            failing.push(format!("store: {}", store.reason.unwrap_or_default()));
        } else if let Some(reason) = &self.views.health.load().value().reason {
            failing.push(reason.clone());
        }
        failing
    }
}

/// Serves; from here on clients come in.
///
/// # Errors
///
/// When the system refuses a socket or a thread.
pub(super) fn serve(ground: &Ground, started: &Started, plan: Plan) -> std::io::Result<Serving> {
    let canvas = plan.sockets.canvas.as_ref().map(TcpListener::local_addr);
    let canvas = canvas.transpose()?;
    let views = &ground.views;
    views.canvas.listening(canvas.map_or(0, |own| own.port()));
    let state = HttpState {
        canvas: Canvas {
            host: started.canvas.clone(),
            own: canvas,
        },
        sessions: shared(ground, started, plan.limits, plan.arrivals),
        network: started.network.clone(),
        channel_hooks: Arc::clone(&started.hooks),
        page: plan.page,
        measured: plan.measured,
        readiness: Arc::new(Ready {
            store: ground.store.clone(),
            views: views.clone(),
        }),
        clock: Arc::clone(&ground.clock),
    };
    let (server, handle) = http::serve(plan.sockets, plan.workers, state)?;
    Ok(Serving {
        server: handle,
        done: tokio::task::spawn_local(server),
    })
}

/// What every session works with.
fn shared(
    ground: &Ground,
    started: &Started,
    limits: SessionLimits,
    arrivals: ArrivalLimits,
) -> Arc<SessionShared> {
    let dispatch = Arc::new(router::dispatch());
    let facts = Arc::new(ServerFacts {
        version: env!("CARGO_PKG_VERSION"),
        boot_id: ground.entropy.uuid().to_string(),
        host: host_name(),
        features: hello::features(&dispatch.methods(), router::EVENTS, router::CAPABILITIES),
    });
    let views = &ground.views;
    Arc::new(SessionShared {
        gateway: ground.gateway.clone(),
        views: views.clone(),
        dispatch,
        pairing: started.owners.pairing.clone().recipient(),
        limiter: Limiter::new(
            arrivals,
            Arc::clone(&ground.clock),
            Arc::clone(&views.counts),
            views.audit.clone(),
        ),
        clock: Arc::clone(&ground.clock),
        entropy: Arc::clone(&ground.entropy),
        facts,
        limits,
    })
}
