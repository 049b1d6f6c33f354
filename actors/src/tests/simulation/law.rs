//! The reference: what was promised, granted and done, kept apart from the machines, and what they
//! may therefore never do. It survives every crash, as people's memory does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openclaw_protocol::Scopes;

use crate::clock::Millis;
use crate::dedupe::state::KeyId;

/// How long a connection may still be served whose trust ended on the disk: the answer to the owner,
/// and the way of the close to its hub.
const CLOSING: Duration = Duration::from_secs(1);
/// The same where that was not confirmed: until the registry looks at the disk by itself.
const UNCONFIRMED: Duration = Duration::from_secs(35);

/// A token that was handed out.
#[derive(Debug)]
struct Token {
    device: String,
    scopes: Scopes,
    dead: bool,
}

/// How often each thing happened, so that a test can say that it happened at all.
#[derive(Debug, Default, Clone)]
pub(super) struct Counts {
    pub(super) crashes: u64,
    pub(super) unconfirmed: u64,
    pub(super) acknowledged: u64,
    pub(super) replays: u64,
    pub(super) interrupted: u64,
    pub(super) admitted: u64,
    pub(super) by_token: u64,
    pub(super) refused: u64,
    pub(super) trusts_ended: u64,
    pub(super) delivered: u64,
    pub(super) dropped: u64,
    pub(super) lagged: u64,
    pub(super) salvaged: u64,
    pub(super) transports: u64,
    pub(super) taken: u64,
    pub(super) answered: u64,
    pub(super) unknown: u64,
    pub(super) slots: u64,
    pub(super) made_up: u64,
    pub(super) resumed: u64,
}

impl Counts {
    /// Each with its name.
    pub(super) fn rows(&self) -> [(&'static str, u64); 20] {
        [
            ("crashes", self.crashes),
            ("commits that failed", self.unconfirmed),
            ("requests acknowledged", self.acknowledged),
            ("replays answered", self.replays),
            ("requests interrupted by a crash", self.interrupted),
            ("connections admitted", self.admitted),
            ("of these by a token", self.by_token),
            ("connections refused", self.refused),
            ("trusts ended", self.trusts_ended),
            ("events read", self.delivered),
            ("events dropped for a slow reader", self.dropped),
            ("events lost to a full hub", self.lagged),
            ("gateways rebuilt in place", self.salvaged),
            ("transports begun", self.transports),
            ("messages taken from the platform", self.taken),
            ("pieces that arrived there", self.answered),
            ("pieces of which nobody knows", self.unknown),
            ("slots begun", self.slots),
            ("of these late", self.made_up),
            ("runs of jobs taken up again", self.resumed),
        ]
    }

    pub(super) fn add(&mut self, other: &Self) {
        let sum = [
            (&mut self.crashes, other.crashes),
            (&mut self.unconfirmed, other.unconfirmed),
            (&mut self.acknowledged, other.acknowledged),
            (&mut self.replays, other.replays),
            (&mut self.interrupted, other.interrupted),
            (&mut self.admitted, other.admitted),
            (&mut self.by_token, other.by_token),
            (&mut self.refused, other.refused),
            (&mut self.trusts_ended, other.trusts_ended),
            (&mut self.delivered, other.delivered),
            (&mut self.dropped, other.dropped),
            (&mut self.lagged, other.lagged),
            (&mut self.salvaged, other.salvaged),
            (&mut self.transports, other.transports),
            (&mut self.taken, other.taken),
            (&mut self.answered, other.answered),
            (&mut self.unknown, other.unknown),
            (&mut self.slots, other.slots),
            (&mut self.made_up, other.made_up),
            (&mut self.resumed, other.resumed),
        ];
        for (own, more) in sum {
            *own += more;
        }
    }
}

/// The reference.
#[derive(Default)]
pub(super) struct Law {
    /// Time, as the agenda has it.
    pub(super) now: Duration,
    pub(super) counts: Counts,
    /// Keys whose requests were acknowledged.
    pub(super) acknowledged: BTreeSet<KeyId>,
    /// The final answer that somebody was given for a key.
    results: BTreeMap<KeyId, String>,
    /// Runs that began: what they did cannot be taken back.
    begun: BTreeSet<String>,
    /// What owners gave each device, at most.
    granted: BTreeMap<String, Scopes>,
    /// What each request for a pairing asked for, at most.
    asked: BTreeMap<String, (String, Scopes)>,
    tokens: BTreeMap<String, Token>,
    /// When the trust of a device last ended on the disk, and how many had by then.
    ended: BTreeMap<String, (u64, Duration)>,
    /// Until when connections of that trust may be served.
    served: BTreeMap<String, Duration>,
    ends: u64,
    /// Pieces that arrived, or may have.
    left: BTreeSet<String>,
    /// The run of each slot.
    slots: BTreeMap<(String, Millis), String>,
}

impl Law {
    // --- idempotency ---

    pub(super) fn acknowledge(&mut self, id: &KeyId, is_durable: bool) {
        assert!(is_durable, "{id:?} is acknowledged, and not on the disk");
        self.counts.acknowledged += 1;
        self.acknowledged.insert(id.clone());
    }

    pub(super) fn begin_run(&mut self, run: &str) {
        assert!(self.begun.insert(run.to_owned()), "{run} runs twice");
    }

    /// Somebody is told the end of a request.
    pub(super) fn tell(&mut self, id: &KeyId, result: &str) {
        let known = self
            .results
            .entry(id.clone())
            .or_insert_with(|| result.to_owned());
        assert_eq!(known, result, "{id:?} is answered in two ways");
    }

    // --- trust ---

    pub(super) const fn ends(&self) -> u64 {
        self.ends
    }

    /// A device asks under this request for no more than this.
    pub(super) fn asks(&mut self, request: &str, device: &str, scopes: Scopes) {
        let asked = self.asked.entry(request.to_owned());
        let asked = asked.or_insert_with(|| (device.to_owned(), Scopes::NONE));
        assert_eq!(asked.0, device, "one request, two devices");
        asked.1 = asked.1.union(scopes);
    }

    pub(super) fn asked(&self, request: &str) -> Option<(String, Scopes)> {
        self.asked.get(request).cloned()
    }

    /// An owner's yes, or a silent one, is on the disk.
    pub(super) fn grant(&mut self, device: &str, scopes: Scopes) {
        let granted = self
            .granted
            .entry(device.to_owned())
            .or_insert(Scopes::NONE);
        *granted = granted.union(scopes);
    }

    pub(super) fn minted(&mut self, token: &str, device: &str, scopes: Scopes) {
        self.tokens
            .entry(token.to_owned())
            .or_insert_with(|| Token {
                device: device.to_owned(),
                scopes,
                dead: false,
            });
    }

    /// The tokens that a device has now.
    pub(super) fn tokens_of(&self, device: &str) -> Vec<String> {
        let own = self
            .tokens
            .iter()
            .filter(|(_, token)| token.device == device);
        own.map(|(text, _)| text.clone()).collect()
    }

    /// An owner's no is on the disk: these tokens are dead for ever.
    pub(super) fn end(&mut self, device: &str, tokens: &[String], trust: bool) {
        for token in tokens {
            if let Some(token) = self.tokens.get_mut(token) {
                token.dead = true;
            }
        }
        if trust {
            self.counts.trusts_ended += 1;
            self.granted.remove(device);
            self.ends += 1;
            self.ended.insert(device.to_owned(), (self.ends, self.now));
            let until = self.now + UNCONFIRMED;
            self.served.insert(device.to_owned(), until);
        }
    }

    /// The owner is told that it is.
    pub(super) fn confirm_end(&mut self, device: &str) {
        let until = self.now + CLOSING;
        if let Some(served) = self.served.get_mut(device) {
            *served = until;
        }
    }

    /// Whether a device may come in with this.
    pub(super) fn allows(&self, device: &str, token: Option<&str>, scopes: Scopes) -> bool {
        let granted = self
            .granted
            .get(device)
            .is_some_and(|all| all.covers(scopes));
        granted
            && token.is_none_or(|token| {
                self.tokens.get(token).is_some_and(|token| {
                    !token.dead && token.device == device && token.scopes.covers(scopes)
                })
            })
    }

    /// A connection that was judged when `judged` trusts had ended is served.
    pub(super) fn serve(&self, device: &str, judged: u64) {
        if let Some((number, at)) = self.ended.get(device) {
            assert!(
                judged >= *number || self.served.get(device) >= Some(&self.now),
                "{device} acts after its trust ended at {at:?}"
            );
        }
    }

    // --- channels ---

    /// A piece arrives at the platform, or may.
    pub(super) fn arrives(&mut self, piece: &str) {
        assert!(self.left.insert(piece.to_owned()), "{piece} is sent twice");
    }

    pub(super) fn has_left(&self, piece: &str) -> bool {
        self.left.contains(piece)
    }

    // --- jobs ---

    pub(super) fn slot(&mut self, job: &str, slot: Millis, run: &str, late: bool) {
        let key = (job.to_owned(), slot);
        let other = self.slots.insert(key, run.to_owned());
        let is_same = other.as_deref().is_none_or(|other| other == run);
        assert!(
            is_same,
            "the slot {slot} of {job} has two runs: {other:?}, {run}"
        );
        self.counts.slots += 1;
        self.counts.made_up += u64::from(late);
    }

    /// The slots of a job that had a run, in their order.
    pub(super) fn slots_of(&self, job: &str) -> Vec<Millis> {
        let own = self.slots.keys().filter(|(of, _)| of == job);
        own.map(|(_, slot)| *slot).collect()
    }
}
