//! What goes with a message that somebody sends: read from the request or from the public web, and kept.

use base64::Engine as _;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::messaging::SendParams;

use super::files::{FileRef, Style, Takes, mime_of, name_of};
use crate::agent::tools::web;
use crate::clock::Millis;
use crate::media::{self, Blobs};

/// One file more than a message has at most.
pub(crate) const MORE: usize = 11;

/// A file, as whoever sends it names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Medium {
    /// Base64, an address, or a `data:` address.
    from: From,
    name: Option<String>,
    mime: Option<String>,
    style: Option<Style>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum From {
    Base64(String),
    Address(String),
}

fn refused(problem: impl std::fmt::Display) -> ErrorShape {
    ErrorShape::invalid(format!("invalid send params: {problem}"))
}

impl Medium {
    /// The files of a request, none of them twice.
    pub(crate) fn of(params: &SendParams) -> Vec<Self> {
        let style = match params {
            _ if params.as_voice == Some(true) => Some(Style::Voice),
            _ if params.gif_playback == Some(true) => Some(Style::Gif),
            _ if params.force_document == Some(true) => Some(Style::Document),
            _ => None,
        };
        let buffer = params.buffer.as_ref().map(|buffer| Self {
            from: From::Base64(buffer.clone()),
            name: params.filename.clone(),
            mime: params.content_type.clone(),
            style,
        });
        let more = params.media_urls.iter().flatten();
        let mut addresses: Vec<&String> = Vec::new();
        for address in params.media_url.iter().chain(more) {
            if !address.trim().is_empty() && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let addresses = addresses.into_iter().map(|address| Self {
            from: From::Address(address.trim().to_owned()),
            name: None,
            mime: None,
            style,
        });
        buffer.into_iter().chain(addresses).collect()
    }

    /// Its name for people who read the conversation.
    pub(crate) fn label(&self) -> &str {
        match (&self.name, &self.from) {
            (Some(name), _) => name,
            (None, From::Address(address)) if !address.starts_with("data:") => address,
            _ => "file",
        }
    }

    /// Reads it, and keeps its bytes on the disk.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and what would be right.
    pub(crate) async fn keep(
        self,
        takes: Takes,
        limit: u64,
        channel: &str,
        blobs: &Blobs,
        now: Millis,
    ) -> Result<FileRef, ErrorShape> {
        let most = takes.max_bytes.min(limit);
        let too_large = || {
            let own = if limit < takes.max_bytes {
                " (agents.defaults.mediaMaxMb)"
            } else {
                ""
            };
            refused(format!(
                "a file to {channel} may have {} MB{own}; make it smaller, or send a link",
                most >> 20
            ))
        };
        let Self {
            from,
            name,
            mime,
            style,
        } = self;
        let (bytes, name, mime) = match from {
            From::Base64(text) => (decoded(&text, most).ok_or_else(too_large)??, name, mime),
            From::Address(address) => match data(&address) {
                Some((said, text)) => {
                    let bytes = decoded(text, most).ok_or_else(too_large)??;
                    (bytes, name, mime.or(said))
                }
                None => fetched(&address, most).await?.ok_or_else(too_large)?,
            },
        };
        if bytes.is_empty() {
            return Err(refused("the file is empty"));
        }
        let mime = mime_of(&bytes, name.as_deref().unwrap_or_default(), mime.as_deref());
        let name = name_of(name.as_deref(), &mime);
        let (blobs, size) = (blobs.clone(), bytes.len() as u64);
        let keeping = tokio::task::spawn_blocking(move || blobs.put(&bytes, now));
        let kept = keeping.await.map_err(|error| error.to_string());
        let kept = kept.and_then(|kept| kept.map_err(|error| error.to_string()));
        let id =
            kept.map_err(|why| ErrorShape::unavailable(format!("the file cannot be kept: {why}")))?;
        Ok(FileRef {
            id: id.artifact_id(),
            name,
            mime,
            bytes: size,
            style,
        })
    }
}

/// The bytes; `None` where they are more than so many.
fn decoded(text: &str, most: u64) -> Option<Result<Vec<u8>, ErrorShape>> {
    let text = text.trim();
    if text.len() as u64 / 4 * 3 > most.saturating_add(3) {
        return None;
    }
    match media::BASE64.decode(text) {
        Ok(bytes) if bytes.len() as u64 > most => None,
        Ok(bytes) => Some(Ok(bytes)),
        Err(_) => Some(Err(refused(
            "the file is not base64; encode its bytes as standard base64",
        ))),
    }
}

/// Type and text of a `data:` address.
fn data(address: &str) -> Option<(Option<String>, &str)> {
    let (head, text) = address.strip_prefix("data:")?.split_once(',')?;
    let mime = head.strip_suffix(";base64")?;
    Some((Some(mime.to_owned()).filter(|mime| !mime.is_empty()), text))
}

/// A file of the public web; `None` where it has more than so many bytes.
async fn fetched(
    address: &str,
    most: u64,
) -> Result<Option<(Vec<u8>, Option<String>, Option<String>)>, ErrorShape> {
    let web = tokio::task::spawn_blocking(web::Client::new).await;
    let web = web.map_err(|error| error.to_string()).and_then(|web| web);
    let web = web.map_err(ErrorShape::unavailable)?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let file = web.download(address, most).await;
    let file = file.map_err(|error| refused(format!("the file cannot be fetched: {error}")))?;
    Ok(file.map(|file| (file.bytes, file.name, Some(file.kind))))
}
