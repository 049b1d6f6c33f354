//! iMessage: an `imsg` that follows its page to the letter. No Mac has run it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use openclaw_actors::channel::ChannelSetup;
use openclaw_actors::channel::imessage::{IMessageSetup, Timing, Way};

use super::{Pace, Peer, Sent};
use crate::harness::faults::{Break, Faults};
use crate::harness::imsg::Mac;

/// Who writes.
const ANN: &str = "+447700900123";

pub(crate) struct Platform(Mac);

impl Peer for Platform {
    const CHANNEL: &'static str = "imessage";
    const ENDS: &'static [Break] = &[
        Break::Refuse,
        Break::Hang,
        Break::HalfOpen,
        Break::CloseMidBody,
    ];
    /// Rows come in their order: that is what the cursor of Messages is.
    const BEARS: &'static [Break] = &[Break::Duplicate, Break::Dribble];
    const SENDS: &'static [Break] = &[
        Break::TooMany(1),
        Break::BadGateway,
        Break::Refuse,
        Break::CloseMidBody,
    ];
    /// Looks whether the watch lives, of twenty minutes.
    const QUIET: usize = 20;
    const FILES: bool = true;

    async fn start() -> Self {
        Self(Mac::start().await)
    }

    fn setup(&self, pace: Pace) -> Arc<dyn ChannelSetup> {
        let look = Duration::from_millis(if pace == Pace::Quiet { 50 } else { 500 });
        Arc::new(IMessageSetup {
            way: Way::Here {
                program: self.0.program.clone(),
            },
            database: None,
            service: None,
            region: None,
            transport: None,
            files: true,
            roots: vec![self.0.folder().display().to_string()],
            files_host: None,
            groups: BTreeSet::new(),
            catch_up: Some(Duration::from_hours(2)),
            timing: Timing {
                probe: pace.limit(),
                answer: pace.limit(),
                look,
                grace: pace.limit(),
            },
        })
    }

    fn people(&self) -> &'static [&'static str] {
        &[ANN]
    }

    fn recipient(&self) -> String {
        ANN.to_owned()
    }

    fn faults(&self) -> &Faults {
        &self.0.faults
    }

    async fn write(&self, texts: &[&str]) {
        for text in texts {
            self.0.write(ANN, text);
        }
    }

    fn arrived(&self) -> Vec<String> {
        self.0.sent()
    }

    async fn files(&self) -> Vec<Sent> {
        let files = self.0.files().into_iter();
        let sent = |(name, bytes, text): (String, Vec<u8>, String)| Sent {
            name,
            size: u64::try_from(bytes.len()).ok(),
            text,
        };
        files.map(sent).collect()
    }
}
