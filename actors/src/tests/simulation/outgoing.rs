//! What goes out to the platform, and what has become of everything at the end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use super::channel::{SendWaiter, result_of, transient};
use super::disk::Weather;
use super::runs::{Asker, Guard};
use super::sim::Sim;
use crate::channel::inbox::{self, Known};
use crate::channel::outbox::{self, Entry, Next, Outcome, Row, SendState, Settled, SharedWaiter};
use crate::channel::{ChannelError, SendFailure, Target, sends};
use crate::dedupe::state::Stored;
use crate::store::Table;

const LIMIT: Duration = Duration::from_mins(1);
/// Before a commit that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

impl Sim {
    // --- out; mirrors `provider::send` ---

    /// A client's `send`: its key and its piece in one commit.
    pub(super) fn accept_send(&mut self, mut guard: Guard, asker: &Asker, chat: usize) {
        let (account, now) = (self.account(), self.now());
        if !account.wish.borrow().run {
            drop(guard);
            self.settle_keys();
            return self.answer(asker, &Err(json!({ "again": true })));
        }
        let seq = account.outbox.with(|outbox| outbox.reserve(1, now)).start;
        let row = Row {
            id: format!("{}#0", guard.id.key),
            to: Target {
                chat: format!("chat-{chat}"),
                thread: None,
            },
            text: "hi".into(),
            reply_to: None,
            silent: false,
            edits: None,
            file: None,
            at: now.get(),
            by: "somebody".into(),
            state: SendState::Queued,
            why: None,
        };
        // Until it is sent, this is what the same key is answered with after a restart.
        let queued = Stored {
            ok: false,
            payload: None,
            error: Some(sends::queued(&account.who)),
        };
        let ops = vec![
            guard.id.op(&guard.digest, None, Some(queued), now).unwrap(),
            outbox::op(&account.who, seq, &row).unwrap(),
        ];
        let asker = asker.clone();
        self.commit(ops, move |sim, ok| {
            if !ok {
                drop(guard);
                sim.settle_keys();
                sim.answer(&asker, &Err(json!({ "again": true })));
                return sim.take_up(seq, row);
            }
            guard.accepted();
            let waiter = SendWaiter {
                id: guard.id.clone(),
                digest: guard.digest.clone(),
            };
            let waiter: SharedWaiter = Arc::new(Mutex::new(waiter));
            sim.side().asks.insert(seq, (guard, asker));
            account.enqueue([(seq, Entry::new(row).with(waiter, true))]);
            sim.kick_outbox();
        });
    }

    /// Mirrors `Account::take_up`: the commit of a piece was not confirmed.
    fn take_up(&mut self, seq: u64, row: Row) {
        if self.writer.weather != Weather::Fair {
            return self.after(RETRY, move |sim| sim.take_up(seq, row));
        }
        let account = self.account();
        if self
            .disk
            .get(Table::Sends, &outbox::row_key(&account.who, seq))
            .is_some()
        {
            account.enqueue([(seq, Entry::new(row))]);
            self.kick_outbox();
        }
    }

    pub(super) fn kick_outbox(&mut self) {
        let account = self.account();
        if !self.side().up {
            return;
        }
        loop {
            let (now, clock) = (self.monotonic(), self.now());
            match account.outbox.with(|outbox| outbox.next(now, clock)) {
                Next::Send(_) if !account.is_connected() => return,
                Next::Send(seq) => self.leave(seq),
                Next::Wait(Some(until)) => {
                    let at = self.side().outbox_at;
                    if at.is_none_or(|at| at > until) {
                        self.side().outbox_at = Some(until);
                        self.after(until.saturating_sub(now), move |sim| {
                            sim.side().outbox_at.take_if(|at| *at == until);
                            sim.kick_outbox();
                        });
                    }
                    return;
                }
                Next::Wait(None) => return,
                Next::Expire(seq) => unreachable!("{seq} did not wait for a day"),
            }
        }
    }

    fn leave(&mut self, seq: u64) {
        let (account, now) = (self.account(), self.monotonic());
        let Some(row) = account.outbox.with(|outbox| outbox.leaving(seq, now)) else {
            return;
        };
        let op = outbox::op(&account.who, seq, &row).unwrap();
        self.commit(vec![op], move |sim, ok| {
            if ok {
                return sim.soon((5, 700), move |sim| sim.arrive(seq, &row.id));
            }
            let until = sim.monotonic() + RETRY;
            account.outbox.with(|outbox| outbox.stayed(seq, until));
            sim.after(RETRY, Self::kick_outbox);
        });
    }

    /// The piece reaches the platform, or not.
    fn arrive(&mut self, seq: u64, piece: &str) {
        let unknown = || Err(SendFailure::Unknown("nobody knows".into()));
        let chance = self.dice.below(if self.calm { 12 } else { 20 });
        let (wait, result) = match chance {
            12..15 => (1, Err(SendFailure::NotSent(transient()))),
            15 => {
                let why = String::new();
                let delay = Duration::from_secs(7);
                let limited = ChannelError::RateLimited { delay, why };
                (1, Err(SendFailure::NotSent(limited)))
            }
            16 => (1, Err(SendFailure::Refused("no".into()))),
            17 | 18 => (1, unknown()),
            19 => (LIMIT.as_secs() * 1_000, unknown()),
            _ => (1, Ok(format!("platform-{piece}"))),
        };
        match &result {
            Ok(_) => {
                self.law.arrives(piece);
                self.law.counts.answered += 1;
            }
            Err(SendFailure::Unknown(_)) => {
                self.law.arrives(piece);
                self.law.counts.unknown += 1;
            }
            Err(_) => {}
        }
        self.soon((wait, wait + 400), move |sim| sim.judge_piece(seq, result));
    }

    fn judge_piece(&mut self, seq: u64, result: Result<String, SendFailure>) {
        let (account, now) = (self.account(), self.monotonic());
        match account.outbox.with(|outbox| outbox.judge(seq, result, now)) {
            Outcome::End(settled) => self.settle_piece(seq, settled),
            Outcome::Again => self.put_back(seq),
        }
    }

    fn settle_piece(&mut self, seq: u64, settled: Settled) {
        let (account, now) = (self.account(), self.now());
        let ops = account
            .outbox
            .with(|outbox| outbox.end_ops(&account.who, seq, &settled, now))
            .unwrap();
        self.commit(ops, move |sim, ok| {
            if !ok {
                return sim.after(RETRY, move |sim| sim.settle_piece(seq, settled));
            }
            account.outbox.with(|outbox| outbox.ended(seq, &settled));
            account.note(|_| ());
            if let Some((guard, asker)) = sim.side().asks.remove(&seq) {
                guard.finished();
                let stored = result_of(&settled);
                let answer = if stored.ok {
                    Ok(stored.payload.unwrap_or_default())
                } else {
                    Err(json!({ "final": stored, "lost": false }))
                };
                sim.answer(&asker, &answer);
            }
            sim.kick_outbox();
            sim.kick_inbox();
        });
    }

    fn put_back(&mut self, seq: u64) {
        let account = self.account();
        let op = account
            .outbox
            .with(|outbox| outbox.back_op(&account.who, seq))
            .unwrap();
        self.commit(op.into_iter().collect(), move |sim, ok| {
            if !ok {
                return sim.after(RETRY, move |sim| sim.put_back(seq));
            }
            account
                .outbox
                .with(|outbox| outbox.stayed(seq, Duration::ZERO));
            sim.kick_outbox();
        });
    }

    // --- the end ---

    /// Everything that was written there was taken, and answered as far as anybody can tell.
    pub(super) fn judge_channel(&self) {
        let account = &self.process.as_ref().expect("it runs").channel.account;
        let who = &account.who;
        let lost: Vec<Row> = self
            .disk
            .all(Table::Sends)
            .map(|(_, row)| crate::store::rows::decode(Table::Sends, row).unwrap())
            .collect();
        for written in &self.outside.platform.written {
            assert!(written.forgotten, "{} was never taken", written.id);
            let row = self
                .disk
                .get(Table::ChannelInbox, &inbox::row_key(who, &written.id));
            let known = Known::of(row);
            assert!(matches!(known, Known::Over), "{} is {known:?}", written.id);
            let piece = format!("{}#0", written.id);
            let is_shown = lost
                .iter()
                .any(|row| row.id == piece && row.state.is_over());
            let told = self.law.has_left(&piece) || is_shown;
            assert!(told, "{} is not answered", written.id);
        }
        assert!(account.is_idle(), "something waits for ever");
        let open: Vec<_> = lost.iter().filter(|row| !row.state.is_over()).collect();
        assert!(open.is_empty(), "{open:?}");
    }
}
