//! What is known of this host's networks, and what follows from it. Pure.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::ask::{AskError, Identity, Status};

/// How long an answer about an address is good.
const KEEP: Duration = Duration::from_secs(30);
/// Most answers kept; a further one empties the cache.
const MAX_KEPT: usize = 256;

/// How this host is connected to a tailnet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tailnet {
    /// Nobody has looked yet.
    #[default]
    NotLooked,
    /// It is not.
    Absent,
    /// By a network interface: peers have their own addresses.
    Interface,
    /// Without one: peers come from loopback, and whois tells them apart.
    Userspace,
    /// A tailscaled runs that has never answered.
    Unclear,
}

/// What was found at the last look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The tailnet.
    pub tailnet: Tailnet,
    /// Every address of this host's interfaces; empty when it is not known.
    pub interfaces: Vec<IpAddr>,
    /// This host's own tailnet addresses that an interface has.
    pub own_tailnet: Vec<IpAddr>,
}

impl Surroundings {
    /// What a look found, after `self`.
    #[must_use]
    pub fn after(&self, interfaces: Option<Vec<IpAddr>>, status: Result<Status, AskError>) -> Self {
        let interfaces = interfaces.unwrap_or_else(|| self.interfaces.clone());
        let (tailnet, mut own_tailnet) = match status {
            Ok(status) if status.interface => (Tailnet::Interface, status.own),
            Ok(_) => (Tailnet::Userspace, Vec::new()),
            Err(AskError::Absent) => (Tailnet::Absent, Vec::new()),
            // A daemon that is slow for a moment has not changed its kind.
            Err(AskError::Failed(_)) => match self.tailnet {
                Tailnet::Interface | Tailnet::Userspace => (self.tailnet, self.own_tailnet.clone()),
                _ if interfaces.iter().any(is_tailscale) => (Tailnet::Interface, Vec::new()),
                _ => (Tailnet::Unclear, Vec::new()),
            },
        };
        own_tailnet.retain(|address| interfaces.contains(address));
        Self {
            tailnet,
            interfaces,
            own_tailnet,
        }
    }

    /// Whether a loopback peer may be a tailnet peer, so that whois has to tell.
    pub const fn asks_for_loopback(&self) -> bool {
        matches!(self.tailnet, Tailnet::Userspace | Tailnet::Unclear)
    }
}

/// Tailscale's own part of the private IPv6 addresses, `fd7a:115c:a1e0::/48`.
fn is_tailscale(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.segments()[..3] == [0xfd7a, 0x115c, 0xa1e0])
}

/// Answers about addresses, for a while.
#[derive(Debug, Default)]
pub(super) struct Answers(HashMap<IpAddr, (Duration, Option<Identity>)>);

impl Answers {
    /// The answer that is still good.
    #[expect(
        clippy::option_option,
        reason = "the outer one: whether it was asked; the inner one: the answer"
    )]
    pub(super) fn get(&self, address: IpAddr, now: Duration) -> Option<Option<Identity>> {
        let (asked, answer) = self.0.get(&address)?;
        (now.saturating_sub(*asked) < KEEP).then(|| answer.clone())
    }

    /// Keeps an answer.
    pub(super) fn put(&mut self, address: IpAddr, answer: Option<Identity>, now: Duration) {
        if self.0.len() >= MAX_KEPT {
            self.0.clear();
        }
        self.0.insert(address, (now, answer));
    }

    /// How many are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
