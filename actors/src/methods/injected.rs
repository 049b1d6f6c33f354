//! Messages that no model wrote: stored in a conversation, then shown as the end of a run.

use actix::dev::Request;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::events::chat::ChatFinal;
use openclaw_protocol::events::{CHAT, ChatEvent, ChatState};
use openclaw_protocol::methods::message::Message;

use super::{index_restarting, store_error};
use crate::agent::emit::ChatBody;
use crate::event::{Audience, EventOut};
use crate::gateway::GatewayPort;
use crate::sessions::keys::SessionKey;
use crate::sessions::{Append, Appended, Sessions};

/// Waits until the rows are on the disk.
///
/// # Errors
///
/// The store's, or UNAVAILABLE while the index is being built again.
pub(crate) async fn stored(appending: Request<Sessions, Append>) -> Result<Appended, ErrorShape> {
    match appending.await {
        Ok(appended) => appended.map_err(|error| store_error(&error)),
        Err(_) => Err(index_restarting()),
    }
}

/// Tells everyone who listens; the reply is on its way already.
pub(crate) fn show(
    gateway: &GatewayPort,
    appended: Appended,
    run_id: String,
    session: SessionKey,
    row: Message,
) {
    for event in appended.events {
        gateway.emit(event);
    }
    let event = ChatEvent {
        run_id,
        session_key: session.canonical.to_string(),
        seq: 0,
        agent_id: Some(session.agent),
        spawned_by: None,
        state: ChatState::Final(ChatFinal {
            message: Some(row),
            usage: None,
            stop_reason: Some("injected".into()),
        }),
    };
    gateway.emit(EventOut::new(
        CHAT,
        Audience::Session(session.canonical),
        ChatBody(event),
    ));
}
