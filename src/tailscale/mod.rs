//! `gateway.tailscale.mode`: the gateway in the tailnet (`serve`) or on the internet (`funnel`), through
//! the host's own `tailscale` program.
//!
//! The route is tailscaled's own and lasts (`--bg`), so that a gateway that was killed finds it again and
//! makes no second one; `gateway.tailscale.resetOnExit` takes it back at an orderly end. A route of
//! somebody else is never touched. A failure leaves the gateway up: it is said in the log, `openclaw
//! status` and `openclaw doctor`, and tried again.

mod plan;
mod program;

use std::time::Duration;

use openclaw_actors::network::TailscaleCommand;
use openclaw_actors::views::Views;
use openclaw_protocol::methods::system::{Exposure, ExposureMode};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::config::Loaded;
use crate::config::gateway::TailscaleMode;
use plan::Step;
use program::Program;

/// Between two attempts: tailscaled may come up after the gateway.
const AGAIN: Duration = Duration::from_secs(20);
/// Longest wait for the end of an attempt that is under way, and for taking the route back.
const END: Duration = Duration::from_secs(20);

/// What is to be reached, and how.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    program: Program,
    mode: ExposureMode,
    /// The gateway, as tailscaled reaches it.
    target: String,
    reset_on_exit: bool,
}

impl Route {
    /// The route that the configuration asks for to a gateway on this port; `None` for none.
    pub(crate) fn of(loaded: &Loaded, port: u16, path: Option<&std::ffi::OsStr>) -> Option<Self> {
        let gateway = &loaded.config.gateway;
        let mode = match gateway.tailscale.mode {
            TailscaleMode::Off => return None,
            TailscaleMode::Serve => ExposureMode::Serve,
            TailscaleMode::Funnel => ExposureMode::Funnel,
        };
        // Its own certificate is not one that tailscaled could check, and loopback is not the network.
        let scheme = if gateway.tls.enabled {
            "https+insecure"
        } else {
            "http"
        };
        Some(Self {
            program: Program {
                path: TailscaleCommand::on_path(path).program(),
                socket: gateway.tailscale.socket_path.clone(),
            },
            mode,
            target: format!("{scheme}://127.0.0.1:{port}"),
            reset_on_exit: gateway.tailscale.reset_on_exit,
        })
    }

    /// Looks, and makes the route where it is missing; gives its address, as far as it is known.
    async fn make(&self) -> Result<Option<String>, String> {
        let status = self.program.run(&["serve", "status", "--json"]).await?;
        let funnel = self.mode == ExposureMode::Funnel;
        match plan::decide(status.out.as_bytes(), &self.target, funnel)? {
            Step::Nothing(address) => Ok(Some(address)),
            Step::Make => {
                let command = if funnel { "funnel" } else { "serve" };
                let args = [command, "--bg", "--yes", "--https=443", &self.target];
                let said = self.program.run(&args).await?;
                Ok(plan::address(&said.all))
            }
        }
    }

    /// Takes it back, where it is still ours.
    async fn undo(&self) -> Result<(), String> {
        let status = self.program.run(&["serve", "status", "--json"]).await?;
        let funnel = self.mode == ExposureMode::Funnel;
        if let Ok(Step::Nothing(_)) = plan::decide(status.out.as_bytes(), &self.target, funnel) {
            let off = ["serve", "--yes", "--https=443", "--set-path=/", "off"];
            self.program.run(&off).await?;
        }
        Ok(())
    }

    /// What is to be said of it: where it is, or why it is not there and what to do.
    pub(crate) async fn look(&self) -> Exposure {
        let found = self.make().await;
        Exposure {
            mode: self.mode,
            url: found.as_ref().ok().cloned().flatten(),
            problem: found.err(),
        }
    }
}

/// The route of a gateway that runs.
pub(crate) struct Exposed {
    route: Route,
    stop: oneshot::Sender<()>,
    task: JoinHandle<bool>,
}

impl Exposed {
    /// Makes the route, and says how that went. Needs a runtime, and lasts until [`Exposed::end`].
    pub(crate) fn begin(route: Route, views: Views) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(keep(route.clone(), views, stopped));
        Self { route, stop, task }
    }

    /// Ends it; takes the route back where the configuration says so.
    pub(crate) async fn end(self) {
        // It may have ended by itself.
        let _ = self.stop.send(());
        let made = timeout(END, self.task).await;
        if !self.route.reset_on_exit || !matches!(made, Ok(Ok(true))) {
            return;
        }
        match timeout(END, self.route.undo()).await {
            Ok(Ok(())) => tracing::info!(
                mode = self.route.mode.word(),
                "tailscale serves this gateway no more"
            ),
            Ok(Err(error)) => tracing::warn!(
                error,
                "tailscale still has a route to this gateway (tailscale serve --https=443 off)"
            ),
            Err(_) => tracing::warn!(
                "tailscale did not answer; it may still have a route to this gateway (tailscale serve --https=443 off)"
            ),
        }
    }
}

/// Tries until it is there or the gateway ends; true when it was made.
async fn keep(route: Route, views: Views, mut stopped: oneshot::Receiver<()>) -> bool {
    let mode = route.mode.word();
    let mut said = None;
    loop {
        // An attempt that began is not cut off: what it made would be nobody's.
        let now = route.look().await;
        let made = now.problem.is_none();
        match &now.problem {
            None => tracing::info!(mode, url = now.url, "tailscale serves this gateway"),
            Some(problem) if said.as_ref() != Some(problem) => {
                tracing::warn!(mode, "gateway.tailscale.mode: {problem}");
            }
            Some(_) => {}
        }
        said.clone_from(&now.problem);
        views.exposure.publish(Some(now));
        if made {
            // Nothing is left to do until the end.
            let _ = stopped.await;
            return true;
        }
        tokio::select! {
            _ = &mut stopped => return false,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}
