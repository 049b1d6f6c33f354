//! Config: which generation of the configuration is in force, what a change of it means, and the
//! only writer of its file while the gateway runs.
//!
//! Replaceable; what is in force outlives it in its slot. **Invariants.** A file that is wrong
//! changes nothing. A good one becomes one new generation: handshakes are judged by it at once,
//! and what came in by a secret that is no longer the gateway's is closed. A write is answered when
//! a reading that began after it is in force.

pub(crate) mod lookup;
pub mod state;
#[cfg(test)]
mod tests;
mod write;

use std::path::Path;
use std::sync::Arc;

use actix::{Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, Message};
use actix::{Recipient, SpawnHandle, WrapFuture as _};
use openclaw_protocol::events::{CONFIG_CHANGED, ConfigChangedEvent};
use openclaw_protocol::methods::config::ConfigSchemaResult;
use openclaw_protocol::methods::system::{ConfigState, HotReloadStatus};
use openclaw_protocol::{ErrorShape, Scope};

use crate::audit::{AuditRow, Kind};
use crate::channel::supervisor::SettingsChanged;
use crate::event::{Audience, Class, EventOut, PlainV4};
use crate::gateway::GatewayPort;
use crate::kept::Kept;
use crate::pairing::{AuthChanged, CommandsChanged};
use crate::supervised;
use crate::supervision::{Rebuild, Tier};
use crate::views::Views;
use state::{Current, Draft, Policy, Rejected, Wish, WriteBudget, Written, named};
use write::Waiting;

pub use write::{CannotChange, Write};

/// Writes that never stop put a reading off for at most this many quiet times.
const MAX_DELAYS: u32 = 10;

/// Where generations come from. The binary reads files and environment.
pub trait ConfigSource: Send + Sync + 'static {
    /// Reads everything anew, and from then on watches the files that it read. Blocks.
    ///
    /// # Errors
    ///
    /// [`Rejected`].
    fn load(&self) -> Result<Draft, Rejected>;

    /// Whether the files still are what the start read; no when that is not known. Blocks for less than a
    /// reading, which takes time and memory.
    fn is_as_started(&self) -> bool {
        false
    }

    /// Changes the file, if what comes out can be used. `base` is the hash of the text that the
    /// change was made for. Blocks.
    ///
    /// # Errors
    ///
    /// What the client is told; nothing was written then.
    fn write(&self, base: Option<&str>, wish: &Wish) -> Result<Written, ErrorShape>;

    /// The answer to `config.schema`.
    fn schema(&self) -> ConfigSchemaResult;

    /// Calls `changed` whenever one of the files may have changed. False where there are no files.
    fn watch(&self, changed: Box<dyn Fn() + Send + Sync>) -> bool;

    /// Settings that only a start can change, as paths.
    fn fixed(&self) -> &[&'static str];
}

/// What the config's owner works with.
#[derive(Clone)]
pub struct ConfigDeps {
    /// Where generations come from.
    pub source: Arc<dyn ConfigSource>,
    /// What is in force; survives a rebuild.
    pub current: Kept<Current>,
    /// Where generations are published.
    pub views: Views,
    /// The way to the Gateway.
    pub gateway: GatewayPort,
    /// Ends what hung on a secret.
    pub pairing: Recipient<AuthChanged>,
    /// Looks again at what connected nodes may ask for.
    pub commands: Recipient<CommandsChanged>,
    /// Makes the accounts on channels what the configuration says.
    pub channels: Recipient<SettingsChanged>,
}

/// The owner of the configuration.
pub struct ConfigActor {
    deps: ConfigDeps,
    /// A reading that waits for the quiet time to pass.
    timer: Option<SpawnHandle>,
    delays: u32,
    /// A reading is under way.
    reading: bool,
    /// Another one is wanted behind it, and whether somebody asked for it.
    again: Option<bool>,
    /// Writes that are answered by the next reading.
    waiting: Vec<Waiting>,
    budget: WriteBudget,
}

impl Rebuild for ConfigActor {
    type Deps = ConfigDeps;
    const NAME: &'static str = "config";
    const TIER: Tier = Tier::Replaceable;
    /// Signs of change; a full mailbox holds one already.
    const MAILBOX: usize = 16;

    fn build(deps: Self::Deps) -> Self {
        Self {
            deps,
            timer: None,
            delays: 0,
            reading: false,
            again: None,
            waiting: Vec::new(),
            budget: WriteBudget::default(),
        }
    }

    fn deps(&self) -> Self::Deps {
        self.deps.clone()
    }
}

supervised!(ConfigActor);

impl Actor for ConfigActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let own = ctx.address().downgrade();
        let has_files = self.deps.source.watch(Box::new(move || {
            if let Some(own) = own.upgrade() {
                // Full: a look is waiting already.
                let _ = own.try_send(Look);
            }
        }));
        let fixed = self.deps.source.fixed();
        let needs_restart = self.deps.current.with(|current| {
            let present = current.fingerprint.clone();
            current.change(&present, fixed).needs_restart
        });
        self.publish_status(needs_restart);
        if has_files && self.policy().live {
            // What was written after the start read the files and before they were watched.
            let source = Arc::clone(&self.deps.source);
            let same = tokio::task::spawn_blocking(move || source.is_as_started());
            ctx.spawn(same.into_actor(self).map(|same, config, ctx| {
                if !same.unwrap_or(false) {
                    config.read(false, ctx);
                }
            }));
        }
    }
}

/// A file may have changed.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Look;

/// Somebody asks for a reading, whatever `gateway.reload.mode` says.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Reload;

impl Handler<Look> for ConfigActor {
    type Result = ();

    fn handle(&mut self, _: Look, ctx: &mut Self::Context) {
        let Policy { live, debounce } = self.policy();
        if !live {
            tracing::info!(
                "the configuration changed and gateway.reload.mode is \"off\"; to use it, restart the gateway or send it SIGHUP"
            );
            return;
        }
        if self.delays >= MAX_DELAYS {
            return;
        }
        self.delays += 1;
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        self.timer = Some(ctx.run_later(debounce, |config, ctx| config.read(false, ctx)));
    }
}

impl Handler<Reload> for ConfigActor {
    type Result = ();

    fn handle(&mut self, _: Reload, ctx: &mut Self::Context) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        self.read(true, ctx);
    }
}

impl ConfigActor {
    fn policy(&self) -> Policy {
        self.deps.current.with(|current| current.fingerprint.policy)
    }

    fn read(&mut self, asked: bool, ctx: &mut Context<Self>) {
        self.timer = None;
        self.delays = 0;
        if self.reading {
            self.again = Some(asked || self.again == Some(true));
            return;
        }
        self.reading = true;
        let source = Arc::clone(&self.deps.source);
        let waiting = std::mem::take(&mut self.waiting);
        let load = tokio::task::spawn_blocking(move || source.load());
        ctx.spawn(load.into_actor(self).map(move |outcome, config, ctx| {
            config.reading = false;
            let outcome = outcome.unwrap_or_else(|error| {
                Err(Rejected::from(&*format!("it could not be read: {error}")))
            });
            match outcome {
                Ok(draft) => {
                    let auth_changed = config.apply(draft, asked);
                    // Before the connections close that came in by the old secret.
                    config.answer(waiting, None);
                    if auth_changed {
                        config.end_old_secret();
                    }
                }
                Err(rejected) => {
                    config.answer(waiting, Some(&rejected.wrong));
                    config.refuse(rejected, asked);
                }
            }
            if let Some(asked) = config.again.take() {
                config.read(asked, ctx);
            }
        }));
    }

    /// The file is wrong: everything stays as it is, and says so.
    fn refuse(&self, rejected: Rejected, asked: bool) {
        let Rejected { wrong, config_get } = rejected;
        if let Some(config_get) = config_get {
            let mut settings = (*self.deps.views.settings.load()).clone();
            settings.config_get = config_get;
            self.deps.views.settings.publish(settings);
        }
        let known = self.deps.current.with(|current| {
            let known = current.error.as_ref() == Some(&wrong);
            current.error = Some(wrong.clone());
            known
        });
        if known && !asked {
            return;
        }
        let needs_restart = self.deps.views.config.load().needs_restart.clone();
        self.publish_status(needs_restart);
        tracing::error!(
            "the changed configuration is not used, the one before stays in force: {wrong}"
        );
        let row = AuditRow::new(Kind::ConfigRefused).reason(wrong);
        self.deps.views.audit.record(&row);
    }

    /// Puts a generation in force; whether another secret came with it.
    fn apply(&self, draft: Draft, asked: bool) -> bool {
        let Draft {
            fingerprint,
            settings,
            gate,
            warnings,
        } = draft;
        let views = &self.deps.views;
        let before = views.gate.load();
        let auth_changed = !before.opens_like(&gate);
        let fixed = self.deps.source.fixed();
        let change = self
            .deps
            .current
            .with(|current| current.change(&fingerprint, fixed));
        if change.paths.is_empty() && !auth_changed && !asked {
            // Touched, or put back to what is in force.
            let was_wrong = self
                .deps
                .current
                .with(|current| current.error.take())
                .is_some();
            if was_wrong {
                tracing::info!("the configuration is what is in force again");
                self.publish_status(change.needs_restart);
            }
            // No setting is another, but the text may be.
            views.settings.publish(settings);
            return false;
        }
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        let (old_mode, new_mode) = (before.mode.as_str(), gate.mode.as_str());
        let hash = fingerprint.hash.clone();
        // The gate goes first: from here on no handshake is judged by the old secret.
        views.gate.publish(gate);
        if auth_changed {
            views.auth_epoch.advance();
        }
        let commands_changed = views.settings.load().nodes != settings.nodes;
        views.settings.publish(settings);
        if commands_changed {
            #[expect(
                clippy::disallowed_methods,
                reason = "as rare as changes of a file, and never to be lost"
            )]
            self.deps.commands.do_send(CommandsChanged);
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "as rare as changes of a file, and never to be lost"
        )]
        self.deps.channels.do_send(SettingsChanged);
        self.deps.current.with(|current| current.adopt(fingerprint));
        self.publish_status(change.needs_restart.clone());
        self.tell(&change.paths, &change.needs_restart, hash);
        if auth_changed {
            let what = if old_mode == new_mode {
                format!(
                    "mode {new_mode} as before, with another secret or other rules; what came in by the old one is closed"
                )
            } else {
                format!("mode {old_mode} became {new_mode}; what came in by the old one is closed")
            };
            let row = AuditRow::new(Kind::AuthChanged).via("config").reason(what);
            self.deps.views.audit.record(&row);
        }
        auth_changed
    }

    /// Closes what came in by a secret that is no longer the gateway's.
    fn end_old_secret(&self) {
        #[expect(
            clippy::disallowed_methods,
            reason = "as rare as changes of a file, and never to be lost"
        )]
        self.deps.pairing.do_send(AuthChanged);
    }

    fn tell(&self, paths: &[String], needs_restart: &[String], hash: String) {
        let views = &self.deps.views;
        let what = if paths.is_empty() {
            "read again; no setting is another one".to_owned()
        } else {
            named(paths)
        };
        let row = AuditRow::new(Kind::ConfigApplied).reason(what);
        views.audit.record(&row);
        if !needs_restart.is_empty() {
            tracing::warn!(
                "these settings are used from the next start on: {}; restart the gateway",
                named(needs_restart)
            );
        }
        let event = ConfigChangedEvent {
            path: views.places.config_path.clone(),
            hash,
            ts: views.places.now_ms(),
        };
        let out = EventOut::new(
            CONFIG_CHANGED,
            Audience::Operators(Scope::Read),
            PlainV4(event),
        );
        self.deps.gateway.emit(out.class(Class::Droppable));
    }

    fn publish_status(&self, needs_restart: Vec<String>) {
        let (generation, error, live) = self.deps.current.with(|current| {
            let live = current.fingerprint.policy.live;
            (current.generation, current.error.clone(), live)
        });
        // Everyone may read health, and not everyone where the files are.
        let config_path = Path::new(&self.deps.views.places.config_path);
        let folder = config_path
            .parent()
            .map(|folder| format!("{}/", folder.display()));
        let error =
            error.map(|error| folder.map_or(error.clone(), |folder| error.replace(&folder, "")));
        self.deps.views.config.publish(ConfigState {
            hot_reload_status: if live {
                HotReloadStatus::Active
            } else {
                HotReloadStatus::Disabled
            },
            generation,
            error,
            needs_restart,
        });
    }
}
