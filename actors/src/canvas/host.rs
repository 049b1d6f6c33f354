//! Watches the canvas's folder while pages are open that want to know, and tells them.
//!
//! Replaceable; it holds nothing that cannot be had again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, Message, SpawnHandle,
    WrapFuture as _,
};

use crate::supervised;
use crate::supervision::{Rebuild, Tier};
use crate::views::Views;

/// One save of an editor is several changes.
const SETTLE: Duration = Duration::from_millis(80);
/// How often it looks whether anybody still wants to know.
const LOOK: Duration = Duration::from_secs(30);

/// Most looks between two tries to watch a folder that cannot be watched.
const MOST_PATIENCE: u32 = 20;

/// Watches a folder and all below it for as long as what it gives is kept.
pub trait WatchFolder: Send + Sync + 'static {
    /// Calls `changed`, from any thread.
    ///
    /// # Errors
    ///
    /// In words.
    fn watch(
        &self,
        folder: &Path,
        changed: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Box<dyn Send>, String>;
}

/// What the host works with.
#[derive(Clone)]
pub struct HostDeps {
    /// Settings, and the desk.
    pub views: Views,
    /// Watches folders.
    pub watcher: Arc<dyn WatchFolder>,
}

/// Tells open pages of changes.
pub struct CanvasHost {
    deps: HostDeps,
    watching: Option<(PathBuf, Box<dyn Send>)>,
    /// Whether a folder is about to be watched.
    opening: bool,
    /// How often in a row that failed, up to [`MOST_PATIENCE`].
    failures: u32,
    /// How many looks go by before it is tried again.
    patience: u32,
    settling: Option<SpawnHandle>,
}

impl Rebuild for CanvasHost {
    type Deps = HostDeps;
    const NAME: &'static str = "canvas host";
    const TIER: Tier = Tier::Replaceable;
    const MAILBOX: usize = 64;

    fn build(deps: Self::Deps) -> Self {
        Self {
            deps,
            watching: None,
            opening: false,
            failures: 0,
            patience: 0,
            settling: None,
        }
    }

    fn deps(&self) -> Self::Deps {
        self.deps.clone()
    }
}

supervised!(CanvasHost);

impl Actor for CanvasHost {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(LOOK, Self::look);
        self.look(ctx);
    }
}

/// A page wants to know of changes.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Look;

impl Handler<Look> for CanvasHost {
    type Result = ();

    fn handle(&mut self, _: Look, ctx: &mut Self::Context) {
        self.look(ctx);
    }
}

/// Something was written.
#[derive(Message)]
#[rtype(result = "()")]
struct Changed;

impl Handler<Changed> for CanvasHost {
    type Result = ();

    fn handle(&mut self, _: Changed, ctx: &mut Self::Context) {
        // From the first change on: who writes without an end is seen all the same.
        if self.settling.is_none() {
            self.settling = Some(ctx.run_later(SETTLE, |host, _| {
                host.settling = None;
                host.deps.views.canvas.changed();
            }));
        }
    }
}

impl CanvasHost {
    /// Watches the folder that is configured, while anybody wants to know.
    fn look(&mut self, ctx: &mut Context<Self>) {
        let views = &self.deps.views;
        if views.canvas.listeners() == 0 {
            self.watching = None;
            return;
        }
        let root = views.settings.load().canvas.root.clone();
        if self
            .watching
            .as_ref()
            .is_some_and(|(watched, _)| *watched == root)
        {
            return;
        }
        self.watching = None;
        if self.opening || self.patience > 0 {
            self.patience = self.patience.saturating_sub(1);
            return;
        }
        self.opening = true;
        let host = ctx.address().downgrade();
        let changed = move || {
            if let Some(host) = host.upgrade() {
                // Full: a change is waiting already.
                let _ = host.try_send(Changed);
            }
        };
        // A large tree or a slow disk takes its time.
        let (watcher, folder) = (Arc::clone(&self.deps.watcher), root.clone());
        let opening = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&folder)
                .map_err(|error| format!("it cannot be made: {error}"))
                .and_then(|()| watcher.watch(&folder, Box::new(changed)))
        });
        let opened = opening.into_actor(self).map(move |opened, host, _| {
            host.opening = false;
            match opened.unwrap_or_else(|error| Err(error.to_string())) {
                Ok(watching) => {
                    host.failures = 0;
                    host.watching = Some((root, watching));
                }
                Err(error) => {
                    host.failures = (host.failures + 1).min(MOST_PATIENCE);
                    host.patience = host.failures;
                    tracing::warn!(%error, root = %root.display(), "canvasHost.root cannot be watched; pages do not follow changes");
                }
            }
        });
        ctx.spawn(opened);
    }
}
