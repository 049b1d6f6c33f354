//! Device tokens: made, handed out again for a moment, recognised.

use std::time::Duration;

use openclaw_protocol::device::encode;
use openclaw_protocol::{Role, Scopes};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use super::IssuedToken;
use super::records::{ApprovedVia, Device, Fresh, Grant, SecretMark, Token, hash_token};
use crate::clock::{Entropy, Millis};

/// Most tokens of one device and role.
pub(super) const MAX_TOKENS: usize = 4;
/// For this long a new token is handed out again to connects of the same device, role and scopes,
/// instead of a further one: devices connect many times at once, and nobody's token must be pushed
/// out by that. Its text is in memory for no longer.
pub(super) const FRESH_FOR: Duration = Duration::from_mins(1);

/// What a device is handed, and whether something has to be written first.
#[derive(Debug)]
pub(super) struct HandOut {
    /// The token.
    pub(super) token: IssuedToken,
    /// Whether it is new.
    pub(super) minted: bool,
}

/// Gives a device that came in by the shared secret its token: the one made a moment ago for the
/// same scopes, else a further one.
pub(super) fn hand_out(
    grant: &mut Grant,
    scopes: Scopes,
    mark: Option<&SecretMark>,
    now: Millis,
    entropy: &dyn Entropy,
) -> HandOut {
    if let Some(token) = grant.tokens.iter_mut().find(|token| {
        token.scopes == scopes
            && token.is_live(mark)
            && token
                .fresh
                .as_ref()
                .is_some_and(|fresh| now.since(fresh.minted) < FRESH_FOR)
    }) && let Some(fresh) = &token.fresh
    {
        token.last_used_at_ms = Some(now);
        return HandOut {
            token: IssuedToken {
                token: fresh.plain.expose_secret().to_owned(),
                issued_at_ms: token.issued().wire(),
            },
            minted: false,
        };
    }
    let token = mint(grant, scopes, mark, now, entropy);
    HandOut {
        token,
        minted: true,
    }
}

/// Makes a further token; the least recently used one goes when there are too many.
pub(super) fn mint(
    grant: &mut Grant,
    scopes: Scopes,
    mark: Option<&SecretMark>,
    now: Millis,
    entropy: &dyn Entropy,
) -> IssuedToken {
    let plain = encode(&entropy.bytes32());
    grant.tokens.retain(|token| token.is_live(mark));
    while grant.tokens.len() >= MAX_TOKENS {
        let oldest = grant
            .tokens
            .iter()
            .enumerate()
            .min_by_key(|(_, token)| token.used())
            .map(|(index, _)| index);
        if let Some(index) = oldest {
            grant.tokens.remove(index);
        }
    }
    grant.tokens.push(Token {
        hash: hash_token(&plain),
        scopes,
        created_at_ms: now,
        rotated_at_ms: None,
        last_used_at_ms: None,
        bound_to: (grant.via == ApprovedVia::Silent)
            .then(|| mark.cloned())
            .flatten(),
        fresh: Some(Fresh {
            plain: SecretString::from(plain.clone()),
            minted: now,
        }),
    });
    IssuedToken {
        token: plain,
        issued_at_ms: now.wire(),
    }
}

/// The token of this device and role that was presented. Compares with every one of them, in
/// constant time.
pub(super) fn find<'a>(
    device: &'a mut Device,
    role: Role,
    presented: &str,
    mark: Option<&SecretMark>,
) -> Option<(&'a mut Token, Scopes)> {
    let grant = device.grant_mut(role)?;
    let hash = hash_token(presented);
    let mut found = None;
    for (index, token) in grant.tokens.iter().enumerate() {
        if bool::from(token.hash.as_bytes().ct_eq(hash.as_bytes())) {
            found = Some(index);
        }
    }
    let approved = grant.scopes;
    let token = grant.tokens.get_mut(found?)?;
    token.is_live(mark).then_some((token, approved))
}

/// Forgets the text of tokens that are no longer new.
pub(super) fn forget(device: &mut Device, now: Millis) {
    for token in device
        .roles
        .values_mut()
        .flat_map(|grant| &mut grant.tokens)
    {
        token
            .fresh
            .take_if(|fresh| now.since(fresh.minted) >= FRESH_FOR);
    }
}
