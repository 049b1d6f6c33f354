//! Files to Telegram.

use std::time::Duration;

use serde_json::Value;

use super::api::{Api, ApiError};
use super::format;
use super::translate;
use super::wire::Sent;
use crate::channel::files::{Form, Style, Takes, Upload};
use crate::channel::{Piece, SendFailure};

/// What bots may send.
pub(super) const TAKES: Takes = Takes {
    max_bytes: 50 * 1024 * 1024,
    caption: 1_024,
    mute_sounds: false,
};
/// Largest picture that is shown as one.
const PHOTO: usize = 10 * 1024 * 1024;

/// The method for a file, and what it calls it.
pub(super) fn method(file: &Upload) -> (&'static str, &'static str) {
    match (file.style, file.mime.as_str()) {
        (Some(Style::Voice), mime) if mime.starts_with("audio/") => ("sendVoice", "voice"),
        (Some(Style::Document), _) => ("sendDocument", "document"),
        (_, "image/gif") | (Some(Style::Gif), "video/mp4") => ("sendAnimation", "animation"),
        (_, "image/jpeg" | "image/png" | "image/webp") if file.bytes.len() <= PHOTO => {
            ("sendPhoto", "photo")
        }
        (_, "video/mp4") => ("sendVideo", "video"),
        (_, "audio/mpeg" | "audio/mp4") => ("sendAudio", "audio"),
        _ => ("sendDocument", "document"),
    }
}

fn form(piece: &Piece, file: &Upload, field: &str, html: Option<&str>) -> Form {
    let mut form = Form::new();
    let body = translate::outbound(piece, html);
    for (key, value) in body.as_object().into_iter().flatten() {
        let key = match key.as_str() {
            "text" if piece.text.is_empty() => continue,
            "text" => "caption",
            key => key,
        };
        match value {
            Value::String(text) => form.text(key, text),
            other => form.text(key, &other.to_string()),
        }
    }
    form.file(field, file);
    form
}

/// Sends a file; gives back the id of its message. What is refused for its form did not happen, and goes
/// as a plain document with a plain text.
pub(super) async fn send(
    api: &Api,
    limit: Duration,
    piece: &Piece,
    file: &Upload,
) -> Result<String, SendFailure> {
    let html = format::html(&piece.text);
    let (name, field) = method(file);
    // As long as the file may take on a slow line.
    let limit = limit * 2;
    let sent = api
        .upload::<Sent>(name, form(piece, file, field, Some(&html)), limit)
        .await;
    let sent = match sent {
        Err(ApiError::Answered {
            code: 400,
            description,
            ..
        }) if description.contains("PHOTO_") || description.contains("can't parse entities") => {
            let plain = form(piece, file, "document", None);
            api.upload::<Sent>("sendDocument", plain, limit).await
        }
        other => other,
    };
    sent.map(|sent| sent.message_id.to_string())
        .map_err(ApiError::of_send)
}
