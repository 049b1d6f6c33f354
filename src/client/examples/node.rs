//! A node of one's own in a few lines: it tells the temperature of this machine.
//!
//! ```sh
//! OPENCLAW_GATEWAY_TOKEN=... cargo run -p openclaw-client --example node -- ws://127.0.0.1:18789
//! openclaw nodes pending          # an owner approves `sensor.temperature`
//! openclaw nodes invoke sensor --command sensor.temperature
//! ```

use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use openclaw_client::node::{CommandError, Node, NodeLink, NodeReport};
use openclaw_client::{
    Backoff, ClientId, ClientMode, DeviceIdentity, DeviceTokenStore, Options, client_info, connect,
};
use serde_json::json;

const SENSOR: &str = "/sys/class/thermal/thermal_zone0/temp";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1);
    let url = url.unwrap_or_else(|| "ws://127.0.0.1:18789".to_owned());

    let mut node = Node::default();
    node.command("sensor.temperature", |_asked| async {
        let read = std::fs::read_to_string(SENSOR);
        let text = read.map_err(|error| CommandError::new("NO_SENSOR", error.to_string()))?;
        Ok(json!({ "milliCelsius": text.trim() }))
    });

    let mut client = client_info(ClientId::NodeHost, ClientMode::Node, "1.0");
    client.display_name = Some("sensor".into());
    let link = NodeLink {
        place: url.clone(),
        options: Options {
            token: std::env::var("OPENCLAW_GATEWAY_TOKEN").ok(),
            identity: Some(Arc::new(DeviceIdentity::load_or_create(Path::new(
                "node-identity.json",
            ))?)),
            ..Options::new(client)
        },
        tokens: DeviceTokenStore::open(Path::new("node-tokens.json"))?,
        backoff: Backoff::default(),
    };
    let dial = |options: Options| {
        let url = url.clone();
        async move { connect(&url, &options).await }
    };
    let say = |report: NodeReport<'_>| {
        let line = match report {
            NodeReport::Connected(gateway) => {
                format!("connected to {}", gateway.hello.server.version)
            }
            NodeReport::Waiting { message, .. } => message.to_owned(),
            NodeReport::Disconnected { error, retry_in } => {
                format!("{error}; again in {} s", retry_in.as_secs_f32())
            }
            NodeReport::Done { command, error, .. } => format!("{command}: {error:?}"),
        };
        // Nobody reads it: the node goes on.
        writeln!(std::io::stdout(), "{line}").ok();
    };
    Err(node.run(link, dial, say).await.into())
}
