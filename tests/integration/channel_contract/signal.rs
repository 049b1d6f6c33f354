//! Signal, as crabline serves a signal-cli.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openclaw_actors::channel::ChannelSetup;
use openclaw_actors::channel::signal::{SignalSetup, Timing, Way};
use serde_json::{Value, json};

use super::{Pace, Peer, Sent};
use crate::harness::crabline::Crabline;
use crate::harness::faults::{Break, Faults};
use crate::harness::proxy::{Proxy, Shape};

/// Who writes.
const ANN: &str = "+447700900123";

pub(crate) struct Platform {
    platform: Crabline,
    proxy: Proxy,
}

const SHAPE: Shape = Shape {
    receives: &["/api/v1/check", "/api/v1/events"],
    sends: "/api/v1/rpc",
    too_many: |seconds| {
        let result = json!({ "type": "RATE_LIMIT_FAILURE", "retryAfterSeconds": seconds });
        let body = json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -5, "message": "Failed to send message due to rate limiting",
            "data": { "response": { "timestamp": 1, "results": [result] } } } });
        (String::new(), body)
    },
    revoked: || (400, json!({})),
    batch: |_| None,
    brings: |_| false,
};

impl Peer for Platform {
    const CHANNEL: &'static str = "signal";
    const ENDS: &'static [Break] = super::telegram::Platform::ENDS;
    const BEARS: &'static [Break] = &[Break::Duplicate, Break::Reorder];
    const SENDS: &'static [Break] = super::telegram::Platform::SENDS;
    /// Heartbeats of a few minutes; what counts is that silence is no fault while they come.
    const QUIET: usize = 15;
    const FILES: bool = true;

    async fn start() -> Self {
        let platform = Crabline::start("signal").await;
        let proxy = Proxy::start(platform.address(), SHAPE).await;
        Self { platform, proxy }
    }

    fn setup(&self, pace: Pace) -> Arc<dyn ChannelSetup> {
        let account = self.platform.manifest["account"].as_str();
        Arc::new(SignalSetup {
            name: "default".into(),
            way: Way::External {
                url: self.proxy.root.clone(),
            },
            account: account.map(str::to_owned),
            uuid: None,
            read_receipts: false,
            ignore_files: false,
            named: BTreeSet::new(),
            timing: Timing {
                silence: pace.limit(),
                open: pace.limit(),
                request: pace.limit(),
                ..Timing::default()
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
        &self.proxy.faults
    }

    async fn write(&self, texts: &[&str]) {
        for text in texts {
            let message = json!({ "sourceNumber": ANN, "sourceName": "Ann", "text": text });
            self.platform.write(&message).await;
        }
    }

    fn arrived(&self) -> Vec<String> {
        let sent = self.platform.calls("rpc").into_iter();
        let sent = sent.filter(|body| body["method"] == "send");
        sent.filter_map(|body| body["params"]["message"].as_str().map(str::to_owned))
            .collect()
    }

    async fn files(&self) -> Vec<Sent> {
        let sent = self.platform.calls("rpc").into_iter();
        let sent = sent.filter(|body| body["method"] == "send");
        let file = |body: Value| {
            let address = body["params"]["attachments"][0].as_str()?;
            let (_, rest) = address.split_once(";filename=")?;
            let (name, bytes) = rest.split_once(";base64,")?;
            let bytes = STANDARD.decode(bytes).expect("base64");
            Some(Sent {
                name: name.to_owned(),
                size: u64::try_from(bytes.len()).ok(),
                text: body["params"]["message"].as_str()?.to_owned(),
            })
        };
        sent.filter_map(file).collect()
    }
}
