//! Shows that answers are being written, for as long as they are.

use std::rc::Rc;
use std::time::Duration;

use super::ProviderDeps;
use crate::channel::Transport;

/// Platforms show it for five seconds or more.
const EVERY: Duration = Duration::from_secs(4);
/// Most chats that are shown it at a time.
const MOST: usize = 20;

/// What is accepted is shown at once by whoever hands it over; this goes on with it.
pub(super) async fn typing(deps: Rc<ProviderDeps>, transport: Rc<dyn Transport>) {
    let account = &deps.account;
    loop {
        account.busy.notified().await;
        loop {
            tokio::time::sleep(EVERY).await;
            let chats = account.inbox.with(|inbox| inbox.under_way(MOST));
            if chats.is_empty() {
                break;
            }
            if account.is_connected() {
                for chat in &chats {
                    transport.typing(chat);
                }
            }
        }
    }
}
