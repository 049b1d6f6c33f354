//! What the tailscale daemon of this host is asked, behind a trait, and how its answers read.
//!
//! The shapes are those of Tailscale's `LocalAPI` and of `tailscale status|whois --json`, which print
//! the same documents.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::Deserialize;

/// What tailscaled says of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Whether it has a network interface of its own. Without one it hands the connections of
    /// tailnet peers on from a loopback address.
    pub interface: bool,
    /// This host's tailnet addresses.
    pub own: Vec<IpAddr>,
}

/// Who a tailnet peer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The login name; none for a tagged device.
    pub login: Option<String>,
    /// Its tailnet addresses.
    pub addresses: Vec<IpAddr>,
}

/// Whom a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The holder of a tailnet address.
    Address(IpAddr),
    /// The peer behind a connection that reached this host from here.
    Connection(SocketAddr),
}

impl fmt::Display for Subject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(out),
            Self::Connection(address) => address.fmt(out),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// No tailscaled runs here.
    #[error("tailscaled is not running")]
    Absent,
    /// It runs, and did not answer as it should.
    #[error("tailscaled did not answer: {0}")]
    Failed(String),
}

/// An answer of tailscaled.
pub type Asked<T> = BoxFuture<'static, Result<T, AskError>>;

/// A way to ask tailscaled. `None` of [`Tailscale::whois`] means that it knows no such peer.
pub trait Tailscale: Send + Sync {
    /// Whether it may have come up since it was last asked; one look at the file system at most.
    fn seems_up(&self) -> bool;
    /// What it says of this host.
    fn status(&self) -> Asked<Status>;
    /// Who somebody is.
    fn whois(&self, subject: Subject) -> Asked<Option<Identity>>;
}

/// Several ways to ask; the first one that works.
#[derive(Clone, Default)]
pub struct FirstOf(Arc<Vec<Arc<dyn Tailscale>>>);

impl FirstOf {
    /// These ways, in this order; with none of them there is no tailscale.
    pub fn new(ways: Vec<Arc<dyn Tailscale>>) -> Self {
        Self(Arc::new(ways))
    }

    /// Asks one after the other. A way that is absent says nothing about the next one.
    fn first<T: Send + 'static>(
        &self,
        ask: impl Fn(&dyn Tailscale) -> Asked<T> + Send + 'static,
    ) -> Asked<T> {
        let ways = Arc::clone(&self.0);
        async move {
            let mut last = AskError::Absent;
            for way in ways.iter() {
                match ask(way.as_ref()).await {
                    Ok(answer) => return Ok(answer),
                    Err(AskError::Absent) => {}
                    Err(failed) => last = failed,
                }
            }
            Err(last)
        }
        .boxed()
    }
}

impl Tailscale for FirstOf {
    fn seems_up(&self) -> bool {
        self.0.iter().any(|way| way.seems_up())
    }

    fn status(&self) -> Asked<Status> {
        self.first(|way| way.status())
    }

    fn whois(&self, subject: Subject) -> Asked<Option<Identity>> {
        self.first(move |way| way.whois(subject))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StatusDocument {
    /// Old daemons do not say; then nothing is taken for granted.
    #[serde(rename = "TUN", default)]
    tun: bool,
    #[serde(default)]
    backend_state: String,
    #[serde(rename = "TailscaleIPs", default)]
    addresses: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WhoisDocument {
    #[serde(default)]
    node: Option<NodeDocument>,
    #[serde(default)]
    user_profile: Option<ProfileDocument>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NodeDocument {
    /// Networks, of which those of a node itself hold one address.
    #[serde(default)]
    addresses: Option<Vec<String>>,
    #[serde(default)]
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ProfileDocument {
    #[serde(default)]
    login_name: String,
}

/// Reads the answer to a question about this host.
///
/// # Errors
///
/// [`AskError::Failed`] when it is no such document.
pub(super) fn read_status(text: &[u8]) -> Result<Status, AskError> {
    let document: StatusDocument =
        serde_json::from_slice(text).map_err(|error| unreadable(&error))?;
    let running = document.backend_state == "Running";
    let addresses = document.addresses.unwrap_or_default();
    let own = addresses.iter().filter_map(|text| address(text));
    Ok(Status {
        interface: document.tun,
        own: own.filter(|_| running).collect(),
    })
}

/// Reads the answer to a question about a peer.
///
/// # Errors
///
/// As [`read_status`].
pub(super) fn read_whois(text: &[u8]) -> Result<Identity, AskError> {
    let document: WhoisDocument =
        serde_json::from_slice(text).map_err(|error| unreadable(&error))?;
    let node = document.node.unwrap_or_default();
    let tagged = node.tags.is_some_and(|tags| !tags.is_empty());
    let login = document.user_profile.map(|profile| profile.login_name);
    let addresses = node.addresses.unwrap_or_default();
    Ok(Identity {
        login: login.filter(|login| !tagged && !login.trim().is_empty()),
        addresses: addresses.iter().filter_map(|text| address(text)).collect(),
    })
}

fn address(text: &str) -> Option<IpAddr> {
    let bare = text.split_once('/').map_or(text, |(address, _)| address);
    bare.parse().ok()
}

fn unreadable(error: &serde_json::Error) -> AskError {
    AskError::Failed(format!("its answer is not what it documents: {error}"))
}
