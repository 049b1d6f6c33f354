//! `camera.list`, `camera.snap` and `camera.clip`: the cameras of this machine, through ffmpeg.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use openclaw_client::node::{CommandError, Node};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::device::text;
use super::ffmpeg::{Ffmpeg, Film, LONGEST_MS, MediaSource, Picture};

/// Width of a photo when the caller names none, pixels.
const WIDTH: u32 = 1_600;
/// Length of a clip when the caller names none, milliseconds.
const CLIP_MS: u64 = 3_000;
/// Longest wait before a photo, milliseconds.
const LONGEST_DELAY_MS: u64 = 10_000;

/// Which cameras there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cameras {
    /// Those that the system knows.
    OfThisMachine,
    /// This one.
    One(MediaSource),
}

/// A camera.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Camera {
    name: String,
    source: MediaSource,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Snap {
    max_width: Option<u32>,
    quality: Option<f64>,
    delay_ms: Option<u64>,
    device_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Clip {
    duration_ms: Option<u64>,
    include_audio: Option<bool>,
    device_id: Option<String>,
}

/// What the commands share.
struct Shared {
    cameras: Cameras,
    audio: Option<MediaSource>,
    ffmpeg: Ffmpeg,
    /// A camera serves one at a time; others wait for it.
    busy: Mutex<()>,
}

/// Offers them, if there is a camera; else says why not. Cameras are looked for anew each time.
pub(super) fn offer(
    node: &mut Node,
    cameras: &Cameras,
    audio: Option<&MediaSource>,
    ffmpeg: Ffmpeg,
) -> Result<(), String> {
    let shared = Arc::new(Shared {
        cameras: cameras.clone(),
        audio: audio.cloned(),
        ffmpeg,
        busy: Mutex::new(()),
    });
    if shared.all().is_empty() {
        return Err(
            "camera: there is none (/dev/video*); name one with --camera=FORMAT:INPUT".into(),
        );
    }
    node.cap("camera").permission("camera", true);
    let own = Arc::clone(&shared);
    node.command("camera.list", move |_| {
        let devices: Vec<Value> = own.all().iter().map(Camera::shown).collect();
        async move { Ok(json!({ "devices": devices })) }
    });
    let own = Arc::clone(&shared);
    node.command("camera.snap", move |mut asked| {
        let shared = Arc::clone(&own);
        async move { shared.snap(asked.params()?).await }
    });
    node.command("camera.clip", move |mut asked| {
        let shared = Arc::clone(&shared);
        async move { shared.clip(asked.params()?).await }
    });
    Ok(())
}

impl Camera {
    fn id(&self) -> &str {
        &self.source.input
    }

    fn shown(&self) -> Value {
        json!({
            "id": self.id(), "name": self.name, "position": "unspecified", "deviceType": self.source.format,
        })
    }
}

impl Shared {
    fn all(&self) -> Vec<Camera> {
        match &self.cameras {
            Cameras::OfThisMachine => known(Path::new("/")),
            Cameras::One(source) => vec![Camera {
                name: source.to_string(),
                source: source.clone(),
            }],
        }
    }

    /// The camera that is meant: these do not know whether they look to the front or to the back.
    fn find(&self, id: Option<&str>) -> Result<Camera, CommandError> {
        let all = self.all();
        let found = match id {
            None => all.first(),
            Some(id) => all
                .iter()
                .find(|camera| camera.id() == id || camera.name == id),
        };
        found.cloned().ok_or_else(|| {
            let known: Vec<&str> = all.iter().map(Camera::id).collect();
            let message = format!("there is no such camera; there are: {}", known.join(", "));
            CommandError::new("CAMERA_UNAVAILABLE", message)
        })
    }

    async fn snap(&self, wanted: Snap) -> Result<Value, CommandError> {
        let camera = self.find(wanted.device_id.as_deref())?;
        let delay = wanted.delay_ms.unwrap_or_default().min(LONGEST_DELAY_MS);
        let how = Picture {
            max_width: Some(wanted.max_width.unwrap_or(WIDTH)),
            quality: wanted.quality,
            delay: Duration::from_millis(delay),
            png: false,
        };
        let _one_at_a_time = self.busy.lock().await;
        self.ffmpeg
            .picture(&camera.source, how, "CAMERA_FAILED")
            .await
    }

    async fn clip(&self, wanted: Clip) -> Result<Value, CommandError> {
        let camera = self.find(wanted.device_id.as_deref())?;
        let millis = wanted.duration_ms.unwrap_or(CLIP_MS).clamp(100, LONGEST_MS);
        let how = Film {
            duration: Duration::from_millis(millis),
            fps: None,
            audio: self
                .audio
                .clone()
                .filter(|_| wanted.include_audio.unwrap_or(true)),
        };
        let _one_at_a_time = self.busy.lock().await;
        self.ffmpeg
            .film(&camera.source, &how, "CAMERA_FAILED")
            .await
    }
}

/// The cameras that the kernel knows. One device may have several files; the first of them gives the picture.
fn known(root: &Path) -> Vec<Camera> {
    let listed = std::fs::read_dir(root.join("sys/class/video4linux"));
    let mut folders: Vec<PathBuf> = listed
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|folder| text(&folder.join("index")).is_none_or(|index| index == "0"))
        .collect();
    folders.sort();
    folders
        .iter()
        .filter_map(|folder| {
            let file = folder.file_name()?.to_str()?;
            root.join("dev").join(file).exists().then(|| Camera {
                name: text(&folder.join("name")).unwrap_or_else(|| file.to_owned()),
                source: MediaSource::new("v4l2", format!("/dev/{file}")),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_with_two_files_is_one_camera() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(known(root.path()), []);
        for (file, index) in [("video0", "0"), ("video1", "1"), ("video2", "0")] {
            let folder = root.path().join("sys/class/video4linux").join(file);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("index"), index).unwrap();
            std::fs::write(folder.join("name"), format!("Cam of {file}\n")).unwrap();
        }
        std::fs::create_dir(root.path().join("dev")).unwrap();
        for file in ["video0", "video1"] {
            std::fs::write(root.path().join("dev").join(file), "").unwrap();
        }
        let found = known(root.path());
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            (found[0].id(), found[0].name.as_str()),
            ("/dev/video0", "Cam of video0")
        );
    }
}
