//! An async client of the gateway protocol: connect, request, listen.
//!
//! [`connect`] opens the socket, answers the challenge and returns a [`Connection`]. Its [`Client`]
//! half sends requests and can be cloned; its [`Events`] half is a bounded stream that says when
//! events were missed ([`Event::Gap`]), because the gateway never replays one. The connection closes
//! when both halves are dropped. [`Reconnecting`] keeps one alive over restarts of the gateway.
//!
//! A program that offers commands to a gateway is a [`node`].
//!
//! A device is a [`DeviceIdentity`] in a file of its own; the token that a gateway gives it is in
//! `hello.auth` and is kept in a [`DeviceTokenStore`]. `examples/follow.rs` has all of it together.
//!
//! A `wss:` address needs a process-wide rustls provider, installed by the program. Its certificate is
//! one that the system trusts, or the one that [`Options::tls_fingerprint`] pins.
//!
//! ```no_run
//! use openclaw_client::{ClientId, ClientMode, Event, Options, client_info, connect};
//! use openclaw_protocol::methods::system::{EmptyParams, SystemPresence};
//!
//! # async fn example() -> Result<(), openclaw_client::Error> {
//! let options = Options {
//!     token: Some("the gateway's token".into()),
//!     scopes: vec!["operator.read".into()],
//!     ..Options::new(client_info(ClientId::GatewayClient, ClientMode::Backend, "1.0"))
//! };
//! let connection = connect("ws://127.0.0.1:18789", &options).await?;
//! println!("connected to {}", connection.hello.server.version);
//!
//! let (client, mut events) = connection.into_parts();
//! for row in client.request::<SystemPresence>(&EmptyParams {}).await? {
//!     println!("{}", row.text.unwrap_or_default());
//! }
//! while let Some(event) = events.next().await {
//!     match event {
//!         Event::Message(message) => println!("{}: {}", message.name, message.payload),
//!         Event::Gap { missed } => println!("{missed} events missed: ask again for the state"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod connection;
mod driver;
mod error;
mod handshake;
mod identity;
mod inbound;
pub mod node;
mod options;
mod private_file;
mod reconnect;
#[cfg(test)]
mod tests;
mod tls;
mod tokens;

pub use connection::{Client, Connection, Events, TwoStage};
pub use error::{CloseReason, Error, Refusal};
pub use handshake::{connect, connect_on};
pub use identity::DeviceIdentity;
pub use inbound::{Event, EventMessage};
pub use openclaw_protocol::connect::{ClientInfo, HelloOk};
pub use openclaw_protocol::{ClientId, ClientMode, Role};
pub use options::{Options, client_info};
pub use private_file::FileError;
pub use reconnect::{Backoff, Reconnecting, SessionEvent};
pub use tls::{Fingerprint, Untrusted};
pub use tokens::{DeviceTokenStore, KnownGateways, StoredToken};
