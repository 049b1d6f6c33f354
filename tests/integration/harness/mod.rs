//! What the tests stand on: the daemon in this process or as a child, a client that sees every
//! frame, a device, and a model that answers when it is told to.

pub(crate) mod accounts;
pub(crate) mod child;
pub(crate) mod crabline;
pub(crate) mod daemon;
pub(crate) mod device;
pub(crate) mod discord;
pub(crate) mod faults;
pub(crate) mod frames;
pub(crate) mod hosts;
pub(crate) mod http;
pub(crate) mod imsg;
pub(crate) mod line_proxy;
pub(crate) mod model;
pub(crate) mod ngircd;
pub(crate) mod proxy;
pub(crate) mod signal;
pub(crate) mod slack;
pub(crate) mod socket;
pub(crate) mod telegram;
pub(crate) mod trust;
pub(crate) mod whatsapp;

use std::path::Path;
use std::time::Duration;

use notify::{RecursiveMode, Watcher as _};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::sync::{Notify, mpsc};

/// Longest wait for something that must happen; a test that waits longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for something that must happen.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what} did not happen within {PATIENCE:?}"))
}

/// Between two looks at what tells nobody of its changes: whoever looks without a pause takes a busy
/// machine's time from those for whom it waits.
pub(crate) async fn look_again() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}

/// Waits until something holds that every change of it tells of.
pub(crate) async fn noticed(changed: &Notify, what: &str, holds: impl Fn() -> bool) {
    soon(what, async {
        loop {
            let change = changed.notified();
            tokio::pin!(change);
            change.as_mut().enable();
            if holds() {
                return;
            }
            change.await;
        }
    })
    .await;
}

/// Waits until files of a folder make something hold.
pub(crate) async fn written<T>(
    folder: &Path,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let (told, mut changes) = mpsc::unbounded_channel();
    let watcher = notify::recommended_watcher(move |change| {
        // Nobody looks any more.
        let _ = told.send(change);
    });
    let mut watcher = watcher.expect("files can be watched");
    watcher
        .watch(folder, RecursiveMode::NonRecursive)
        .expect("the folder can be watched");
    soon(what, async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            changes.recv().await;
        }
    })
    .await
}

/// Waits for the end of a process, whoever began it.
pub(crate) async fn ended(pid: Pid) {
    let Ok(process) = pidfd_open(pid, PidfdFlags::NONBLOCK) else {
        return;
    };
    let wait = tokio::task::spawn_blocking(move || {
        let patience = Timespec::try_from(PATIENCE).expect("a time");
        poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&patience))
    });
    let over = wait
        .await
        .expect("it does not panic")
        .expect("it can be waited for");
    assert_eq!(over, 1, "process {pid:?} did not end within {PATIENCE:?}");
}

/// The shared token of every gateway in these tests.
pub(crate) const TOKEN: &str = "integration-token-0123456789abcdef";

/// What begins like a picture.
pub(crate) const PNG: &[u8] = b"\x89PNG\r\n\x1a\n the rest of a picture";
