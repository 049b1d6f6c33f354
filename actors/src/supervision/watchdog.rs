//! The watchdog: asks every supervised actor for a sign of life.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;

use super::watch::DeathWatch;

/// The watchdog's thread; dropping it ends the thread.
///
/// It is a plain thread without arbiter or runtime, so that nothing it watches can hold it up.
#[derive(Debug)]
pub struct Watchdog {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Starts to look after every actor of `watch`, as often as its limits say.
    ///
    /// # Errors
    ///
    /// When the operating system refuses a thread.
    pub fn start(watch: DeathWatch) -> std::io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let every = watch.hang_limits().every;
        let thread = std::thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(move || {
                while matches!(stopped.recv_timeout(every), Err(RecvTimeoutError::Timeout)) {
                    watch.look();
                }
            })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The same as a future on the calling thread, for tests with paused time. Never ends.
    #[cfg(any(test, feature = "testing"))]
    pub async fn run_here(watch: DeathWatch) {
        loop {
            tokio::time::sleep(watch.hang_limits().every).await;
            watch.look();
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the watchdog's thread ended by a panic");
        }
    }
}
