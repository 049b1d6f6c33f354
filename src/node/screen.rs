//! `screen.record` and `screen.snapshot`: the screen of this machine, through ffmpeg.

use std::sync::Arc;
use std::time::Duration;

use openclaw_client::node::{CommandError, Node};
use serde::Deserialize;
use serde_json::{Value, json};

use super::ffmpeg::{Ffmpeg, Film, LONGEST_MS, MediaSource, Picture};

/// Length of a film when the caller names none, milliseconds.
const FILM_MS: u64 = 10_000;
/// Pictures a second when the caller names no number.
const FPS: u32 = 10;
/// Most pictures a second.
const MAX_FPS: u32 = 60;

/// Which screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Screen {
    /// The X display of this session (`DISPLAY`).
    OfThisSession,
    /// This source.
    One(MediaSource),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    duration_ms: Option<u64>,
    screen_index: Option<u32>,
    fps: Option<f64>,
    include_audio: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Snapshot {
    screen_index: Option<u32>,
    max_width: Option<u32>,
    quality: Option<f64>,
    format: Option<String>,
}

struct Shared {
    source: MediaSource,
    audio: Option<MediaSource>,
    ffmpeg: Ffmpeg,
}

/// Offers them, if there is a screen; else says why not.
pub(super) fn offer(
    node: &mut Node,
    screen: &Screen,
    audio: Option<&MediaSource>,
    display: Option<&str>,
    ffmpeg: Ffmpeg,
) -> Result<(), String> {
    let source = match (screen, display) {
        (Screen::One(source), _) => source.clone(),
        (Screen::OfThisSession, Some(display)) => MediaSource::new("x11grab", display),
        (Screen::OfThisSession, None) => {
            return Err(
                "screen: there is no X display (DISPLAY); name a source with --screen=FORMAT:INPUT"
                    .into(),
            );
        }
    };
    let audio = audio.cloned();
    let shared = Arc::new(Shared {
        source,
        audio,
        ffmpeg,
    });
    node.cap("screen").permission("screenRecording", true);
    let own = Arc::clone(&shared);
    node.command("screen.record", move |mut asked| {
        let shared = Arc::clone(&own);
        async move { shared.record(asked.params()?).await }
    });
    node.command("screen.snapshot", move |mut asked| {
        let shared = Arc::clone(&shared);
        async move { shared.snapshot(asked.params()?).await }
    });
    Ok(())
}

impl Shared {
    /// The source of one screen; only an X display has several.
    fn of(&self, index: Option<u32>) -> Result<MediaSource, CommandError> {
        match index {
            None | Some(0) => Ok(self.source.clone()),
            Some(index) if self.source.format == "x11grab" => Ok(MediaSource::new(
                "x11grab",
                numbered(&self.source.input, index),
            )),
            Some(_) => Err(CommandError::invalid(
                "this node has one screen, with the index 0",
            )),
        }
    }

    async fn record(&self, wanted: Record) -> Result<Value, CommandError> {
        let source = self.of(wanted.screen_index)?;
        let millis = wanted.duration_ms.unwrap_or(FILM_MS).clamp(100, LONGEST_MS);
        let fps = rate(wanted.fps);
        let how = Film {
            duration: Duration::from_millis(millis),
            fps: Some(fps),
            audio: self
                .audio
                .clone()
                .filter(|_| wanted.include_audio.unwrap_or(true)),
        };
        let mut film = self.ffmpeg.film(&source, &how, "SCREEN_FAILED").await?;
        film["fps"] = json!(fps);
        film["screenIndex"] = json!(wanted.screen_index.unwrap_or_default());
        Ok(film)
    }

    async fn snapshot(&self, wanted: Snapshot) -> Result<Value, CommandError> {
        let source = self.of(wanted.screen_index)?;
        let how = Picture {
            max_width: wanted.max_width,
            quality: wanted.quality,
            delay: Duration::ZERO,
            png: wanted.format.as_deref() == Some("png"),
        };
        let mut picture = self.ffmpeg.picture(&source, how, "SCREEN_FAILED").await?;
        picture["screenIndex"] = json!(wanted.screen_index.unwrap_or_default());
        Ok(picture)
    }
}

/// An X display with another screen: `:0` and `:0.0` are the first, `:0.1` the second.
fn numbered(display: &str, index: u32) -> String {
    let (host, number) = display.rsplit_once(':').unwrap_or(("", display));
    let number = number.split('.').next().unwrap_or_default();
    format!("{host}:{number}.{index}")
}

fn rate(fps: Option<f64>) -> u32 {
    let wanted = fps.filter(|fps| fps.is_finite()).unwrap_or(f64::from(FPS));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and 60"
    )]
    let fps = wanted.clamp(1.0, f64::from(MAX_FPS)).round() as u32;
    fps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn screens_of_a_display_have_numbers() {
        assert_eq!(numbered(":0", 1), ":0.1");
        assert_eq!(numbered("host:10.0", 2), "host:10.2");
    }

    #[test]
    fn the_rate_stays_within_bounds() {
        for (wanted, expected) in [
            (None, 10),
            (Some(0.0), 1),
            (Some(1e9), 60),
            (Some(f64::NAN), 10),
        ] {
            assert_eq!(rate(wanted), expected);
        }
    }
}
