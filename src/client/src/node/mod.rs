//! A node: a program that offers commands to a gateway, and carries them out.
//!
//! [`Node`] holds what is offered: capabilities, permissions, and commands, each a function from an
//! [`Invocation`] to JSON or a [`CommandError`]. [`Node::run`] keeps it connected: it signs the
//! challenge, keeps the device token that the gateway gives, waits for an owner's approval of the
//! device, and comes back over restarts with backoff. [`Node::serve`] is the same for one connection.
//!
//! Bounds: at most [`Node::limit`] commands run at once, further ones are answered `BUSY`; each ends
//! with its time (`TIMEOUT`), when the gateway cancels it, and with the connection: its future is
//! dropped there. One that panics fails alone (`INTERNAL`). A result that is larger than a frame may be
//! is answered `PAYLOAD_TOO_LARGE`.
//!
//! ```no_run
//! use std::path::Path;
//! use std::sync::Arc;
//! use openclaw_client::node::{CommandError, Node, NodeLink, NodeReport};
//! use openclaw_client::{ClientId, ClientMode, DeviceIdentity, DeviceTokenStore, Options, client_info, connect};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut node = Node::default();
//! node.command("garage.state", |_asked| async { Ok(serde_json::json!({ "open": false })) });
//! node.command("garage.open", |asked| async move {
//!     asked.progress.send("the door moves").await;
//!     Err(CommandError::new("DOOR_STUCK", "the door does not move"))
//! });
//!
//! let url = "ws://127.0.0.1:18789";
//! let link = NodeLink {
//!     place: url.into(),
//!     options: Options {
//!         token: Some("the gateway's token".into()),
//!         identity: Some(Arc::new(DeviceIdentity::load_or_create(Path::new("garage.json"))?)),
//!         ..Options::new(client_info(ClientId::NodeHost, ClientMode::Node, "1.0"))
//!     },
//!     tokens: DeviceTokenStore::open(Path::new("garage-tokens.json"))?,
//!     backoff: Default::default(),
//! };
//! let ended = node
//!     .run(link, |options| async move { connect(url, &options).await }, |report| match report {
//!         NodeReport::Connected(_) => println!("connected"),
//!         NodeReport::Waiting { request, .. } => println!("openclaw devices approve {request:?}"),
//!         NodeReport::Disconnected { error, .. } => println!("{error}"),
//!         NodeReport::Done { command, error, .. } => println!("{command}: {error:?}"),
//!     })
//!     .await;
//! # Err(ended.into())
//! # }
//! ```

mod invocation;
mod link;
mod serve;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use openclaw_protocol::Role;
use serde_json::Value;

pub use invocation::{CommandError, Gateway, Invocation, Progress};
pub use link::{NodeLink, NodeReport};

use crate::Options;

/// What a command comes to.
type Outcome = Pin<Box<dyn Future<Output = Result<Value, CommandError>> + Send>>;
type Handler = Arc<dyn Fn(Invocation) -> Outcome + Send + Sync>;

/// Commands that run at once, unless [`Node::limit`] says another number.
const LIMIT: usize = 16;

/// What a node offers.
#[derive(Clone)]
pub struct Node {
    caps: BTreeSet<String>,
    permissions: BTreeMap<String, bool>,
    commands: BTreeMap<String, Handler>,
    limit: usize,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            caps: BTreeSet::new(),
            permissions: BTreeMap::new(),
            commands: BTreeMap::new(),
            limit: LIMIT,
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Node")
            .field("caps", &self.caps)
            .field("commands", &self.commands.keys())
            .finish_non_exhaustive()
    }
}

impl Node {
    /// Offers a capability, such as `canvas`.
    pub fn cap(&mut self, name: &str) -> &mut Self {
        self.caps.insert(name.to_owned());
        self
    }

    /// Tells a permission that it has, or has not, on its own system.
    pub fn permission(&mut self, name: &str, granted: bool) -> &mut Self {
        self.permissions.insert(name.to_owned(), granted);
        self
    }

    /// Offers a command; one of the same name takes the place of the earlier one.
    pub fn command<C, F>(&mut self, name: &str, carry_out: C) -> &mut Self
    where
        C: Fn(Invocation) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Value, CommandError>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |asked| Box::pin(carry_out(asked)));
        self.commands.insert(name.to_owned(), handler);
        self
    }

    /// How many commands run at once, at least one.
    pub fn limit(&mut self, limit: usize) -> &mut Self {
        self.limit = limit.max(1);
        self
    }

    /// The names of its commands, in order.
    pub fn commands(&self) -> impl Iterator<Item = &str> {
        self.commands.keys().map(String::as_str)
    }

    /// The options of a connect as this node.
    #[must_use]
    pub fn declare(&self, options: Options) -> Options {
        Options {
            role: Role::Node,
            scopes: Vec::new(),
            caps: self.caps.iter().cloned().collect(),
            commands: self.commands.keys().cloned().collect(),
            permissions: (!self.permissions.is_empty()).then(|| self.permissions.clone()),
            ..options
        }
    }
}
