//! Follows what happens at a gateway, over its restarts:
//!
//! ```sh
//! OPENCLAW_GATEWAY_TOKEN=... cargo run -p openclaw-client --example follow -- ws://127.0.0.1:18789
//! ```
//!
//! The first time the gateway's owner may have to approve this device (`openclaw devices approve`);
//! later the token that the gateway gave is enough. A third argument pins the certificate of a
//! `wss:` address: what `openclaw gateway tls fingerprint` prints on the gateway's host.

use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use openclaw_client::{
    Backoff, ClientId, ClientMode, DeviceIdentity, DeviceTokenStore, Event, Fingerprint, Options,
    Reconnecting, SessionEvent, StoredToken, client_info, connect,
};
use openclaw_protocol::methods::common::EmptyParams;
use openclaw_protocol::methods::system::SystemPresence;

const IDENTITY: &str = "follow-identity.json";
const TOKENS: &str = "follow-tokens.json";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // `wss:` needs a provider; a second one changes nothing.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let mut args = std::env::args().skip(1);
    let url = args
        .next()
        .unwrap_or_else(|| "ws://127.0.0.1:18789".to_owned());
    let pin = args.next();

    // Who this is: a key that stays the same, and what the gateway gave it.
    let identity = DeviceIdentity::load_or_create(Path::new(IDENTITY))?;
    let mut tokens = DeviceTokenStore::open(Path::new(TOKENS))?;
    let known = tokens.get(&url, identity.id(), "operator").cloned();
    let device = identity.id().to_owned();
    // A pin that cannot be read must not become no pin.
    let tls_fingerprint = match pin.as_deref() {
        Some(pin) => Some(Fingerprint::parse(pin).ok_or("the pin is not a SHA-256 fingerprint")?),
        None => None,
    };
    let options = Options {
        scopes: vec!["operator.read".into()],
        device_token: known.as_ref().map(|known| known.token.clone()),
        // The shared secret only until there is a token of our own.
        token: std::env::var("OPENCLAW_GATEWAY_TOKEN")
            .ok()
            .filter(|_| known.is_none()),
        identity: Some(Arc::new(identity)),
        tls_fingerprint,
        ..Options::new(client_info(
            ClientId::GatewayClient,
            ClientMode::Backend,
            "1.0",
        ))
    };

    let address = url.clone();
    let mut session = Reconnecting::start(
        move || {
            let (address, options) = (address.clone(), options.clone());
            async move { connect(&address, &options).await }
        },
        Backoff::default(),
    );
    let mut out = std::io::stdout();
    while let Some(report) = session.next().await {
        match report {
            SessionEvent::Connected(hello) => {
                writeln!(out, "connected to {}", hello.server.version)?;
                if let Some(auth) = &hello.auth
                    && let Some(token) = &auth.device_token
                {
                    let scopes = auth.scopes.names().into_iter().map(str::to_owned);
                    let stored = StoredToken {
                        token: token.clone(),
                        scopes: scopes.collect(),
                    };
                    tokens.put(&url, &device, &auth.role, stored)?;
                }
                // Events before this moment were missed: ask for the state.
                if let Some(client) = session.client() {
                    for row in client.request::<SystemPresence>(&EmptyParams {}).await? {
                        writeln!(out, "here: {}", row.text.unwrap_or_default())?;
                    }
                }
            }
            SessionEvent::Event(Event::Message(message)) => {
                writeln!(out, "{}: {}", message.name, message.payload)?;
            }
            SessionEvent::Event(Event::Gap { missed }) => {
                writeln!(out, "{missed} events missed: ask again for what you show")?;
            }
            SessionEvent::Disconnected { error, retry_in } => {
                writeln!(out, "{error}; again in {} s", retry_in.as_secs_f32())?;
            }
            SessionEvent::Stopped(error) => return Err(error.into()),
        }
    }
    Ok(())
}
