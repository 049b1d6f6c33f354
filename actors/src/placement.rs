//! Where actors run is a parameter.
//!
//! The daemon spreads its actors over named arbiters (threads), so that a blocking
//! one stalls nobody else. A test puts all of them on its own thread, where tokio's
//! time can be paused: actors on another arbiter always see real time.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use actix::{Arbiter, ArbiterHandle};

/// A thread on which actors are started.
#[derive(Clone, Debug)]
pub struct Place(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Here,
    Arbiter {
        name: &'static str,
        handle: ArbiterHandle,
    },
}

impl Place {
    /// The calling thread. It must run a `LocalSet` or an actix `System` when an actor is started.
    pub const fn here() -> Self {
        Self(Kind::Here)
    }

    /// A thread that somebody else owns and stops.
    pub const fn arbiter(name: &'static str, handle: ArbiterHandle) -> Self {
        Self(Kind::Arbiter { name, handle })
    }

    /// The name for logs.
    pub const fn name(&self) -> &'static str {
        match &self.0 {
            Kind::Here => "here",
            Kind::Arbiter { name, .. } => name,
        }
    }

    /// Runs `start` there: at once on the calling thread, else queued to the arbiter.
    ///
    /// Returns false when that arbiter has already stopped; `start` is then dropped.
    pub fn run(&self, start: impl FnOnce() + Send + 'static) -> bool {
        match &self.0 {
            Kind::Here => {
                start();
                true
            }
            Kind::Arbiter { handle, .. } => handle.spawn_fn(start),
        }
    }
}

/// The threads of the daemon, by what runs there.
#[derive(Clone, Debug)]
pub struct Threads {
    /// The Gateway alone: numbering and routing wait for nobody.
    pub gateway: Place,
    /// Pairing and the other owners: short work, with reads of single rows.
    pub core: Place,
    /// Model runs: CPU in bursts, many sockets.
    pub agents: Place,
    /// The store: blocks while a commit is synced to disk.
    pub store: Place,
    /// Everything else that may be slow: scheduler, canvas, housekeeping.
    pub work: Place,
    arbiters: Arc<Mutex<Vec<Arbiter>>>,
}

impl Threads {
    /// Everything on the calling thread, for tests with paused time.
    pub fn here() -> Self {
        Self {
            gateway: Place::here(),
            core: Place::here(),
            agents: Place::here(),
            store: Place::here(),
            work: Place::here(),
            arbiters: Arc::default(),
        }
    }

    /// One arbiter for each. Needs a running actix `System` on the calling thread.
    ///
    /// # Errors
    ///
    /// When the operating system refuses a thread or its event loop.
    pub fn start() -> io::Result<Self> {
        let arbiters = Arc::new(Mutex::new(Vec::new()));
        let start = |name| start_arbiter(&arbiters, name);
        Ok(Self {
            gateway: start("gateway")?,
            core: start("core")?,
            agents: start("agents")?,
            store: start("store")?,
            work: start("work")?,
            arbiters: Arc::clone(&arbiters),
        })
    }

    /// A further thread of its own, for an actor that may block or panic hard, such as a channel.
    ///
    /// # Errors
    ///
    /// As [`Threads::start`].
    pub fn extra(&self, name: &'static str) -> io::Result<Place> {
        start_arbiter(&self.arbiters, name)
    }

    /// Stops every arbiter started here and waits for its thread; actors there are dropped.
    ///
    /// Blocks; call it from a thread of its own or at the very end, and never from one of these arbiters.
    pub fn stop(&self) {
        let arbiters =
            std::mem::take(&mut *self.arbiters.lock().unwrap_or_else(PoisonError::into_inner));
        for arbiter in &arbiters {
            arbiter.stop();
        }
        for arbiter in arbiters {
            if arbiter.join().is_err() {
                tracing::error!("an arbiter thread ended by a panic");
            }
        }
    }
}

fn start_arbiter(arbiters: &Mutex<Vec<Arbiter>>, name: &'static str) -> io::Result<Place> {
    let arbiter = Arbiter::try_new()?;
    let place = Place::arbiter(name, arbiter.handle());
    arbiters
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(arbiter);
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_of_the_daemon_is_a_thread_of_its_own() {
        actix::System::new().block_on(async {
            let threads = Threads::start().unwrap();
            let mut seen = vec![std::thread::current().id()];
            for place in [
                &threads.gateway,
                &threads.core,
                &threads.agents,
                &threads.store,
                &threads.work,
            ] {
                let (tx, rx) = tokio::sync::oneshot::channel();
                assert!(place.run(move || tx.send(std::thread::current().id()).unwrap()));
                seen.push(rx.await.unwrap());
            }
            seen.sort_by_key(|id| format!("{id:?}"));
            seen.dedup();
            assert_eq!(seen.len(), 6);
            threads.stop();
            assert!(!threads.core.run(|| ()));
        });
    }

    #[test]
    fn here_runs_at_once() {
        let ran = Arc::new(Mutex::new(false));
        let seen = Arc::clone(&ran);
        assert!(Place::here().run(move || *seen.lock().unwrap() = true));
        assert!(*ran.lock().unwrap());
    }
}
