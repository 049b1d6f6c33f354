//! What can happen to the registry.

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::*;

#[derive(Debug, Clone)]
pub(super) enum Act {
    /// By the shared secret.
    Connect {
        device: u8,
        node: bool,
        scopes: u8,
        silent: bool,
        v3: bool,
    },
    /// By a token that was handed out at some time.
    Present {
        token: Index,
        device: u8,
        node: bool,
        scopes: u8,
    },
    /// By a setup code that was made at some time.
    UseCode {
        code: Index,
        device: u8,
        node: bool,
        scopes: u8,
        phone: bool,
    },
    /// The device of a code was told.
    Told {
        code: Index,
    },
    MakeCode {
        node: bool,
    },
    Upgrade {
        device: u8,
        scopes: u8,
    },
    Approve {
        which: Index,
        scopes: u8,
    },
    Reject {
        which: Index,
    },
    Rotate {
        device: u8,
        node: bool,
    },
    Revoke {
        device: u8,
        node: bool,
    },
    Remove {
        device: u8,
    },
    NewSecret,
    Wait {
        seconds: i64,
        flush: bool,
    },
    Crash,
}

pub(super) fn act() -> impl Strategy<Value = Act> {
    let (d, s, b) = (|| 0..3u8, || 0..8u8, any::<bool>);
    let i = any::<Index>;
    prop_oneof![
        6 => (d(), b(), s(), b(), b()).prop_map(|(device, node, scopes, silent, v3)| Act::Connect { device, node, scopes, silent, v3 }),
        6 => (i(), d(), b(), s()).prop_map(|(token, device, node, scopes)| Act::Present { token, device, node, scopes }),
        4 => (i(), d(), b(), s(), b()).prop_map(|(code, device, node, scopes, phone)| Act::UseCode { code, device, node, scopes, phone }),
        1 => i().prop_map(|code| Act::Told { code }),
        2 => b().prop_map(|node| Act::MakeCode { node }),
        2 => (d(), s()).prop_map(|(device, scopes)| Act::Upgrade { device, scopes }),
        4 => (i(), s()).prop_map(|(which, scopes)| Act::Approve { which, scopes }),
        1 => i().prop_map(|which| Act::Reject { which }),
        1 => (d(), b()).prop_map(|(device, node)| Act::Rotate { device, node }),
        1 => (d(), b()).prop_map(|(device, node)| Act::Revoke { device, node }),
        1 => d().prop_map(|device| Act::Remove { device }),
        1 => Just(Act::NewSecret),
        3 => (0..400i64, b()).prop_map(|(seconds, flush)| Act::Wait { seconds, flush }),
        2 => Just(Act::Crash),
    ]
}

pub(super) fn scopes(node: bool, bits: u8) -> Scopes {
    let all = [Scope::Admin, Scope::Read, Scope::Approvals];
    let asked = all
        .iter()
        .enumerate()
        .filter(|(bit, _)| bits & (1 << bit) != 0);
    if node {
        Scopes::NONE
    } else {
        asked.fold(Scopes::NONE, |set, (_, scope)| set.with(*scope))
    }
}

pub(super) const fn role(node: bool) -> Role {
    if node { Role::Node } else { Role::Operator }
}
