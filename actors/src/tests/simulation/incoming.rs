//! What comes in from the platform, and its hand-over to runs.

use std::sync::Arc;
use std::time::Duration;

use super::channel::{Written, transient, who};
use super::runs::{Ends, Guard, Run};
use super::sim::Sim;
use crate::agent::delivery::{Delivery as _, Said};
use crate::agent::offer::TRY;
use crate::channel::ChannelError;
use crate::channel::account::{AGAIN, Account};
use crate::channel::delivery::Answer;
use crate::channel::inbox::{self, Item, Known, cursor};
use crate::channel::outbox::{self, Entry};
use crate::channel::tests::message;
use crate::channel::text::Split;
use crate::dedupe::state::{CHANNEL, KeyId, Verdict};
use crate::store::Table;

const SPLIT: Split = Split { limit: 4_000 };
const LATER: Duration = Duration::from_secs(2);
const MAX_ATTEMPTS: u32 = 3;

impl Sim {
    // --- in ---

    pub(super) fn somebody_writes(&mut self) {
        for _ in 0..=self.dice.below(2) {
            let id = format!("m{}", self.outside.platform.written.len());
            let chat = format!("chat-{}", self.dice.below(2));
            self.outside.platform.written.push(Written {
                id,
                chat,
                forgotten: false,
            });
        }
    }

    /// What the platform hands over: what it did not forget, in any order, and sometimes more.
    pub(super) fn poll(&mut self, generation: u64) {
        if self.side().live != Some(generation) {
            return;
        }
        if !self.calm && self.dice.one_in(30) {
            let error = match self.dice.below(3) {
                0 => ChannelError::Conflict("another program".into()),
                1 => ChannelError::RateLimited {
                    delay: Duration::from_secs(9),
                    why: String::new(),
                },
                _ => transient(),
            };
            return self.transport_ends(generation, &error);
        }
        let mut batch = Vec::new();
        for at in 0..self.outside.platform.written.len() {
            let again = self.outside.platform.written[at].forgotten;
            if again && !self.dice.one_in(20) || batch.len() > 2 {
                continue;
            }
            let place = self.dice.below(batch.len() + 1);
            batch.insert(place, at);
            if self.dice.one_in(10) {
                batch.push(at);
            }
        }
        if batch.is_empty() {
            let span = if self.calm {
                (20_000, 60_000)
            } else {
                (500, 9_000)
            };
            return self.soon(span, move |sim| sim.poll(generation));
        }
        self.take(generation, batch);
    }

    /// Mirrors `Link::take`, `sort` and `keep`.
    fn take(&mut self, generation: u64, batch: Vec<usize>) {
        let (account, now) = (self.account(), self.now());
        let mut ops = Vec::new();
        let mut items: Vec<Item> = Vec::new();
        for at in &batch {
            let written = &self.outside.platform.written[*at];
            let mut inbound = message(&written.chat, "hi");
            inbound.id.clone_from(&written.id);
            let is_here = account.inbox.with(|inbox| inbox.knows(&inbound.id))
                || items.iter().any(|item| item.message.id == inbound.id);
            if is_here {
                continue;
            }
            let key = inbox::row_key(&account.who, &inbound.id);
            match Known::of(self.disk.get(Table::ChannelInbox, &key)) {
                Known::Over => {}
                Known::Waiting(item) => items.push(item),
                Known::New => {
                    let item = account.inbox.with(|inbox| inbox.draft(inbound, true, now));
                    ops.push(item.op(&account.who).unwrap());
                    items.push(item);
                }
            }
        }
        let last = batch.iter().max().copied().unwrap_or_default();
        ops.push(cursor::op(&account.who, &last.to_string()).unwrap());
        self.commit(ops, move |sim, ok| {
            if ok {
                sim.law.counts.taken += items.len() as u64;
                account.inbox.with(|inbox| {
                    for item in items {
                        if !inbox.knows(&item.message.id) {
                            inbox.insert(item);
                        }
                    }
                });
                sim.kick_inbox();
            }
            if sim.side().live != Some(generation) {
                return;
            }
            if !ok {
                return sim.transport_ends(generation, &transient());
            }
            sim.soon((1, 300), move |sim| {
                if sim.side().live == Some(generation) {
                    sim.forget(&batch);
                    sim.poll(generation);
                }
            });
        });
    }

    /// The platform may forget these: they are on the disk.
    fn forget(&mut self, batch: &[usize]) {
        for at in batch {
            let written = &mut self.outside.platform.written[*at];
            let key = inbox::row_key(&who(), &written.id);
            let is_there = self.disk.get(Table::ChannelInbox, &key).is_some();
            assert!(is_there, "{} is forgotten, and not on the disk", written.id);
            written.forgotten = true;
        }
    }

    // --- the hand-over; mirrors `provider::hand_over` ---

    pub(super) fn hand_over_now_and_then(&mut self) {
        // What was dropped wakes the loop, which the simulation sees a little later.
        let span = if self.calm {
            (20_000, 60_000)
        } else {
            (3_000, 12_000)
        };
        self.soon(span, |sim| {
            sim.kick_inbox();
            sim.kick_outbox();
            sim.hand_over_now_and_then();
        });
    }

    pub(super) fn kick_inbox(&mut self) {
        let (account, now) = (self.account(), self.monotonic());
        let side = self.side();
        let has_room = account.outbox.with(|outbox| outbox.has_room(1));
        if !side.up || side.handing || !has_room {
            return;
        }
        let provider = side.provider;
        match account.inbox.with(|inbox| inbox.next(now)) {
            inbox::Next::Offer(item) => {
                self.side().handing = true;
                self.soon((0, 30), move |sim| sim.hand_over(provider, item));
            }
            inbox::Next::Wait(Some(until)) => {
                let at = self.side().inbox_at;
                if at.is_none_or(|at| at > until) {
                    self.side().inbox_at = Some(until);
                    self.after(until.saturating_sub(now), move |sim| {
                        sim.side().inbox_at.take_if(|at| *at == until);
                        sim.kick_inbox();
                    });
                }
            }
            inbox::Next::Wait(None) => {}
        }
    }

    fn handed(&mut self, provider: u64, then: impl FnOnce(&Account)) {
        let account = self.account();
        if self.side().provider == provider {
            then(&account);
            self.side().handing = false;
            self.kick_inbox();
        }
    }

    fn held(&mut self, provider: u64, seq: u64, wait: Duration) {
        let until = self.monotonic() + wait;
        self.handed(provider, |account| {
            account.inbox.with(|inbox| inbox.later(seq, until));
        });
    }

    fn hand_over(&mut self, provider: u64, item: Item) {
        if self.side().provider != provider {
            return;
        }
        let account = self.account();
        let first = format!("{}:{}", account.who, item.message.id);
        let mut claimed = Err(None);
        for attempt in 1..=MAX_ATTEMPTS {
            let key = match attempt {
                1 => first.clone(),
                later => format!("{first}{TRY}{later}"),
            };
            let id = KeyId {
                method: CHANNEL.into(),
                principal: account.who.to_string(),
                key,
            };
            match self.claim(&id, &item.message.id) {
                Ok(guard) => claimed = Ok(guard),
                Err(Verdict::InFlight) => claimed = Err(Some(AGAIN)),
                Err(Verdict::Done) => continue,
                Err(other) => unreachable!("{other:?} for {id:?}"),
            }
            break;
        }
        let key = inbox::row_key(&account.who, &item.message.id);
        if let Known::Over = Known::of(self.disk.get(Table::ChannelInbox, &key)) {
            return self.was_answered(provider, &item);
        }
        match claimed {
            Ok(guard) => self.soon((0, 30), move |sim| sim.offer(provider, item, guard)),
            Err(Some(wait)) => self.held(provider, item.seq, wait),
            Err(None) => self.give_up(provider, item),
        }
    }

    /// Mirrors `answered`: the end was not confirmed, and is on the disk.
    fn was_answered(&mut self, provider: u64, item: &Item) {
        let account = self.account();
        let stored: Vec<_> = item
            .left
            .iter()
            .filter(|(seq, _)| {
                let key = outbox::row_key(&account.who, *seq);
                self.disk.get(Table::Sends, &key).is_some()
            })
            .map(|(seq, row)| (*seq, Entry::new(row.clone())))
            .collect();
        account.enqueue(stored);
        account.answered(item.seq);
        self.kick_outbox();
        self.handed(provider, |_| ());
    }

    fn offer(&mut self, provider: u64, item: Item, guard: Guard) {
        let account = self.account();
        let seq = item.seq;
        let session: Arc<str> = format!("agent:main:{}", item.message.chat.chat).into();
        let answer = Arc::new(Answer::new(&account, item, SPLIT));
        self.accept(guard, session, move |sim, guard, session| {
            let Ok(guard) = guard else {
                drop(answer);
                return sim.soon((0, 60), move |sim| sim.held(provider, seq, LATER));
            };
            sim.soon((0, 60), move |sim| {
                let again = sim.monotonic() + AGAIN;
                sim.handed(provider, |account| {
                    account.inbox.with(|inbox| inbox.accepted(seq, again));
                });
            });
            let ends = Ends::Channel(answer);
            sim.submit(Run {
                session,
                guard,
                ends,
            });
        });
    }

    /// Mirrors `end`: no run will answer it, and its chat is told.
    fn give_up(&mut self, provider: u64, item: Item) {
        let (account, now, seq) = (self.account(), self.now(), item.seq);
        let answer = Answer::new(&account, item, SPLIT);
        let ops = answer
            .ops(Some(Said::Failed("cut off each time")), now)
            .unwrap();
        self.commit(ops, move |sim, ok| {
            if ok {
                answer.committed(true);
                sim.kick_outbox();
                return sim.handed(provider, |_| ());
            }
            drop(answer);
            sim.held(provider, seq, LATER);
        });
    }
}
