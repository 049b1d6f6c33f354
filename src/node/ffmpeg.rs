//! Pictures and films through the ffmpeg of this machine.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use openclaw_client::node::CommandError;
use serde_json::{Value, json};
use tokio::process::Command;

use super::programs::{command, run_or_fail};

/// Largest file that is given, as base64, bytes: what every gateway and client takes in one frame.
const MAX_BASE64: usize = 5 * 1024 * 1024;
/// How long a device may take to open, and a film to be packed, besides its own length.
const AROUND: Duration = Duration::from_secs(20);
/// Longest film, milliseconds.
pub(super) const LONGEST_MS: u64 = 60_000;
/// Largest width, pixels.
const MAX_WIDTH: u32 = 8_192;

/// Where ffmpeg reads from: a format of its own (`v4l2`, `x11grab`, `lavfi`, ...) and its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaSource {
    /// The format.
    pub format: String,
    /// The input.
    pub input: String,
}

impl MediaSource {
    /// A source of a format.
    pub fn new(format: &str, input: impl Into<String>) -> Self {
        Self {
            format: format.to_owned(),
            input: input.into(),
        }
    }
}

impl fmt::Display for MediaSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.format, self.input)
    }
}

impl FromStr for MediaSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = |format: &str| {
            !format.is_empty()
                && format
                    .bytes()
                    .all(|c| c.is_ascii_alphanumeric() || c == b'_')
        };
        match text.split_once(':') {
            Some((format, input)) if word(format) && !input.is_empty() => {
                Ok(Self::new(format, input))
            }
            _ => Err("write FORMAT:INPUT as ffmpeg has them, such as v4l2:/dev/video0".into()),
        }
    }
}

/// How a picture is to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Picture {
    pub(super) max_width: Option<u32>,
    /// From 0 to 1.
    pub(super) quality: Option<f64>,
    /// How long the source runs before, for a camera that has to find its light.
    pub(super) delay: Duration,
    pub(super) png: bool,
}

/// How a film is to be.
#[derive(Debug, Clone)]
pub(super) struct Film {
    pub(super) duration: Duration,
    pub(super) fps: Option<u32>,
    pub(super) audio: Option<MediaSource>,
}

/// The ffmpeg of this machine.
#[derive(Debug, Clone)]
pub(super) struct Ffmpeg {
    pub(super) program: PathBuf,
    /// Where films are made: their container needs a file.
    pub(super) folder: PathBuf,
}

/// Ends of a file that is on its way.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // ffmpeg may not have made it.
        std::fs::remove_file(&self.0).ok();
    }
}

impl Ffmpeg {
    fn start(&self) -> Command {
        let mut ffmpeg = command(&self.program);
        ffmpeg.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"]);
        ffmpeg
    }

    fn draft(&self, extension: &str) -> Result<Draft, CommandError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder);
        made.map_err(|error| {
            let message = format!("cannot make {}: {error}", self.folder.display());
            CommandError::new("UNAVAILABLE", message)
        })?;
        let name = format!("{}.{extension}", uuid::Uuid::new_v4().simple());
        Ok(Draft(self.folder.join(name)))
    }

    /// Takes a picture; gives its format, its data and its size.
    pub(super) async fn picture(
        &self,
        source: &MediaSource,
        how: Picture,
        code: &str,
    ) -> Result<Value, CommandError> {
        let (extension, format) = if how.png {
            ("png", "png")
        } else {
            ("jpg", "jpg")
        };
        let draft = self.draft(extension)?;
        let mut ffmpeg = self.start();
        ffmpeg.args(["-f", &source.format, "-i", &source.input]);
        if !how.delay.is_zero() {
            ffmpeg.args(["-ss", &seconds(how.delay)]);
        }
        ffmpeg.args(["-frames:v", "1", "-update", "1"]);
        if let Some(width) = how.max_width.map(|width| width.clamp(16, MAX_WIDTH)) {
            ffmpeg.args(["-vf", &format!("scale='min({width},iw)':-2")]);
        }
        if !how.png {
            ffmpeg.args([
                "-pix_fmt",
                "yuvj420p",
                "-q:v",
                &scale(how.quality).to_string(),
            ]);
        }
        ffmpeg.arg(&draft.0);
        run_or_fail(ffmpeg, how.delay + AROUND, "ffmpeg", code).await?;
        let data = read(&draft.0, code)?;
        let (width, height) = size(&data)
            .ok_or_else(|| CommandError::new(code, format!("{source} gave no picture")))?;
        let base64 = encode(&data, "lower maxWidth or quality")?;
        Ok(json!({ "format": format, "base64": base64, "width": width, "height": height }))
    }

    /// Makes a film; gives its data and what it is.
    pub(super) async fn film(
        &self,
        source: &MediaSource,
        how: &Film,
        code: &str,
    ) -> Result<Value, CommandError> {
        let draft = self.draft("mp4")?;
        let mut ffmpeg = self.start();
        if let (Some(fps), "x11grab") = (how.fps, source.format.as_str()) {
            ffmpeg.args(["-framerate", &fps.to_string()]);
        }
        ffmpeg.args(["-f", &source.format, "-i", &source.input]);
        if let Some(audio) = &how.audio {
            ffmpeg.args(["-f", &audio.format, "-i", &audio.input]);
            ffmpeg.args([
                "-map", "0:v:0", "-map", "1:a:0", "-c:a", "aac", "-b:a", "64k",
            ]);
        }
        ffmpeg.args(["-t", &seconds(how.duration)]);
        if let Some(fps) = how.fps {
            ffmpeg.args(["-r", &fps.to_string()]);
        }
        // Even sides, as the pixel format that every player takes wants them.
        ffmpeg.args([
            "-vf",
            "scale=trunc(iw/2)*2:trunc(ih/2)*2",
            "-pix_fmt",
            "yuv420p",
        ]);
        ffmpeg.args(["-c:v", "libx264", "-preset", "veryfast", "-crf", "28"]);
        ffmpeg.args(["-movflags", "+faststart"]);
        ffmpeg.arg(&draft.0);
        run_or_fail(ffmpeg, how.duration + AROUND, "ffmpeg", code).await?;
        let data = read(&draft.0, code)?;
        let base64 = encode(&data, "record for a shorter time")?;
        let millis = u64::try_from(how.duration.as_millis()).unwrap_or(LONGEST_MS);
        Ok(json!({
            "format": "mp4", "base64": base64, "durationMs": millis, "hasAudio": how.audio.is_some(),
        }))
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64())
}

/// From 0..1 to ffmpeg's scale, on which 2 is best and 31 worst.
fn scale(quality: Option<f64>) -> u32 {
    let worse = 1.0
        - quality
            .filter(|it| it.is_finite())
            .unwrap_or(0.9)
            .clamp(0.0, 1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 2 and 31"
    )]
    let scaled = worse.mul_add(29.0, 2.0).round() as u32;
    scaled
}

fn read(path: &Path, code: &str) -> Result<Vec<u8>, CommandError> {
    let data = std::fs::read(path).unwrap_or_default();
    if data.is_empty() {
        return Err(CommandError::new(code, "ffmpeg recorded nothing"));
    }
    Ok(data)
}

fn encode(data: &[u8], remedy: &str) -> Result<String, CommandError> {
    let size = data.len().div_ceil(3) * 4;
    if size > MAX_BASE64 {
        let message = format!(
            "it has {} bytes, more than fits into an answer: {remedy}",
            data.len()
        );
        return Err(CommandError::new("PAYLOAD_TOO_LARGE", message));
    }
    Ok(base64::engine::general_purpose::STANDARD.encode(data))
}

/// Width and height of a PNG or a JPEG.
pub(super) fn size(data: &[u8]) -> Option<(u32, u32)> {
    let pair = |at: usize| {
        Some(u32::from(u16::from_be_bytes([
            *data.get(at)?,
            *data.get(at + 1)?,
        ])))
    };
    if data.starts_with(b"\x89PNG") {
        let long = |at: usize| Some(pair(at)? << 16 | pair(at + 2)?);
        return Some((long(16)?, long(20)?));
    }
    if !data.starts_with(b"\xff\xd8") {
        return None;
    }
    // Segments, up to the one that begins the picture.
    let mut at = 2;
    loop {
        let marker = *data.get(at + 1)?;
        if *data.get(at)? != 0xff {
            return None;
        }
        match marker {
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                return Some((pair(at + 7)?, pair(at + 5)?));
            }
            _ => at += 2 + usize::try_from(pair(at + 2)?).ok()?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_written_as_ffmpeg_has_them() {
        for text in [
            "v4l2:/dev/video0",
            "lavfi:testsrc2=size=640x480:rate=30",
            "x11grab::99",
        ] {
            assert_eq!(text.parse::<MediaSource>().unwrap().to_string(), text);
        }
        for text in ["", "v4l2", "v4l2:", ":0", "/dev/video0:x", "-i:x"] {
            assert!(text.parse::<MediaSource>().is_err(), "{text}");
        }
    }

    #[test]
    fn quality_is_on_the_scale_of_ffmpeg() {
        for (quality, expected) in [(Some(1.0), 2), (Some(0.0), 31), (Some(7.0), 2), (None, 5)] {
            assert_eq!(scale(quality), expected);
        }
        assert_eq!(scale(Some(f64::NAN)), 5);
    }

    #[test]
    fn the_size_of_a_picture_is_in_its_header() {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        png.extend([0, 0, 2, 128, 0, 0, 1, 224]);
        assert_eq!(size(&png), Some((640, 480)));
        let mut jpeg = vec![0xff, 0xd8, 0xff, 0xe0, 0, 4, 0, 0];
        jpeg.extend([0xff, 0xc0, 0, 11, 8, 1, 224, 2, 128]);
        assert_eq!(size(&jpeg), Some((640, 480)));
        for broken in [&jpeg[..12], b"GIF89a", b"", b"\xff\xd8\0\0\0\0"] {
            assert_eq!(size(broken), None);
        }
    }
}
