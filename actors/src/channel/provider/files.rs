//! Files that came with a message: fetched from the platform when it is handed over, and kept where
//! those of clients are. A file that cannot be had is told in words; the message is answered anyway.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openclaw_protocol::methods::common::Attachment;
use openclaw_protocol::methods::message::ContentPart;

use super::ProviderDeps;
use crate::channel::{Attached, Inbound, Transport};
use crate::media::{self, Reference};

/// How long one file may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Most files of one message.
const MOST: usize = 10;

/// The files of a message as its row names them, and what is to be said of the others.
pub(super) async fn kept(
    deps: &ProviderDeps,
    transport: &dyn Transport,
    message: &Inbound,
) -> (Vec<ContentPart>, Vec<String>) {
    let (mut parts, mut notes) = (Vec::new(), Vec::new());
    for file in message.files.iter().take(MOST) {
        match one(deps, transport, file).await {
            Ok(part) => parts.push(part),
            Err(why) => {
                tracing::warn!(account = %deps.account.who, why, "a file of a message cannot be read");
                tracing::debug!(account = %deps.account.who, id = message.id, "which message that is");
                notes.push(format!(
                    "a {} came with this, and cannot be read: {why}",
                    file.what
                ));
            }
        }
    }
    (parts, notes)
}

async fn one(
    deps: &ProviderDeps,
    transport: &dyn Transport,
    file: &Attached,
) -> Result<ContentPart, String> {
    let limits = deps.shared.views.settings.load().attachments;
    if file.bytes.is_some_and(|bytes| bytes > limits.max_bytes) {
        return Err(format!(
            "it has more than {} MB (agents.defaults.mediaMaxMb)",
            limits.max_bytes >> 20
        ));
    }
    let fetching = transport.fetch(file, limits.max_bytes);
    let fetched = tokio::time::timeout(LIMIT, fetching).await;
    let bytes = fetched.map_err(|_| "it did not come in time".to_owned())??;
    let (name, mime) = (file.name.clone(), file.mime.clone());
    let (blobs, now) = (deps.shared.media.clone(), deps.account.now());
    let keeping = tokio::task::spawn_blocking(move || -> Result<ContentPart, String> {
        let attachment = Attachment {
            mime_type: mime,
            file_name: name,
            content: Some(STANDARD.encode(&bytes)),
            ..Attachment::default()
        };
        let files = media::read(&[attachment], limits);
        let files = files.map_err(|error| error.message.to_string())?;
        let file = files.first().ok_or("it is empty")?;
        let id = blobs.put(&file.bytes, now);
        let id = id.map_err(|error| error.to_string())?;
        Ok(Reference::of(id, file).part())
    });
    keeping.await.map_err(|error| error.to_string())?
}
