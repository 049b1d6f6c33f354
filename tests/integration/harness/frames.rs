//! What must hold for every frame of every connection, and the record of frames for the official
//! validators.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

/// Checks the frames of one connection, in the order in which it gets them.
#[derive(Default)]
pub(crate) struct FrameCheck {
    generation: Option<u64>,
    seq: u64,
    record: Option<(PathBuf, File)>,
    /// Events may be missing: the test made this client slow.
    pub(crate) gaps_allowed: bool,
}

impl FrameCheck {
    /// A check that writes frames down when `OPENCLAW_FRAMES_DIR` names a folder for them.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let record = std::env::var_os("OPENCLAW_FRAMES_DIR").map(|folder| {
            let name = format!(
                "integration-{}-{}.jsonl",
                std::process::id(),
                NEXT.fetch_add(1, Ordering::Relaxed)
            );
            let path = PathBuf::from(folder).join(name);
            let file = File::create(&path).expect("a file for frames");
            (path, file)
        });
        Self {
            record,
            ..Self::default()
        }
    }

    /// Keeps this connection out of the record: the test breaks the protocol on purpose.
    pub(crate) fn off_the_record(&mut self) {
        if let Some((path, _)) = self.record.take() {
            std::fs::remove_file(path).expect("the record can be removed");
        }
    }

    /// A frame from the client.
    pub(crate) fn outbound(&mut self, text: &str) {
        self.write("client", text);
    }

    /// A frame from the gateway.
    pub(crate) fn inbound(&mut self, text: &str, frame: &Value) {
        self.write("gateway", text);
        if frame["payload"]["type"] == "hello-ok" {
            self.generation = frame["payload"]["protocol"].as_u64();
        }
        if frame["type"] == "event" {
            self.event(frame);
        }
        if self.generation == Some(3) {
            closed(
                frame,
                &[
                    "type",
                    "id",
                    "ok",
                    "payload",
                    "error",
                    "event",
                    "seq",
                    "stateVersion",
                ],
            );
            closed(
                &frame["error"],
                &["code", "message", "details", "retryable", "retryAfterMs"],
            );
        }
    }

    fn event(&mut self, frame: &Value) {
        if let Some(seq) = frame["seq"].as_u64() {
            let next = self.seq + 1;
            assert!(
                seq == next || (self.gaps_allowed && seq > next),
                "seq {seq} after {}: {frame}",
                self.seq
            );
            self.seq = seq;
        }
        if self.generation == Some(3) {
            match frame["event"].as_str() {
                Some("chat") => closed(
                    &frame["payload"],
                    &[
                        "runId",
                        "sessionKey",
                        "seq",
                        "state",
                        "message",
                        "errorMessage",
                        "usage",
                        "stopReason",
                    ],
                ),
                Some("agent") => closed(
                    &frame["payload"],
                    &["runId", "seq", "stream", "ts", "data", "sessionKey"],
                ),
                _ => {}
            }
        }
    }

    fn write(&mut self, from: &str, text: &str) {
        if let Some((_, record)) = &mut self.record {
            let line = serde_json::json!({ "from": from, "text": text });
            writeln!(record, "{line}").expect("the record of frames is written");
        }
    }
}

/// Old clients drop a frame with a key that they do not know.
fn closed(object: &Value, known: &[&str]) {
    for key in object
        .as_object()
        .into_iter()
        .flat_map(|object| object.keys())
    {
        assert!(
            known.contains(&key.as_str()),
            "a v3 client does not know `{key}`: {object}"
        );
    }
}
