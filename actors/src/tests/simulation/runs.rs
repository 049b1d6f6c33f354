//! Requests with a key, lanes and runs: from the gate of idempotency to the commit of an end.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol::Scope;
use serde_json::{Value, json};

use super::sim::Sim;
use crate::agent::delivery::{Delivery, Said};
use crate::call::ConnKey;
use crate::channel::delivery::Answer;
use crate::dedupe::state::{Bounds, KeyId, KeyRow, Stored, Verdict, interrupted, without_result};
use crate::event::{Audience, EventOut, Plain};
use crate::store::{Op, Table};

/// How long the end of a run that cannot be stored is tried again.
const PATIENCE: Duration = Duration::from_mins(1);

/// What became of keys whose guards are gone; mirrors the messages to `Dedupe`.
pub(super) type Mailbox = Rc<RefCell<VecDeque<(KeyId, bool)>>>;

/// Mirrors `dedupe::KeyGuard`, with what its drop means.
pub(super) struct Guard {
    pub(super) id: KeyId,
    pub(super) digest: String,
    pub(super) session: Option<String>,
    accepted: bool,
    told: bool,
    tell: Mailbox,
}

impl Guard {
    pub(super) fn accepted(&mut self) {
        self.accepted = true;
    }

    /// Its end is committed, or nobody can commit it any more.
    pub(super) fn finished(mut self) {
        self.told = true;
        self.tell.borrow_mut().push_back((self.id.clone(), true));
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.told {
            let end = (self.id.clone(), self.accepted);
            self.tell.borrow_mut().push_back(end);
        }
    }
}

/// Who waits for an answer.
#[derive(Debug, Clone)]
pub(super) enum Asker {
    Conn(ConnKey, u64),
    Job(String, String),
}

/// What a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A turn of a conversation.
    Turn,
    /// A message to the channel.
    Send,
}

/// A request as a client remembers it, until it knows its end.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) serial: u64,
    kind: Kind,
    session: usize,
    pub(super) asked: bool,
    pub(super) done: bool,
    /// It is asked for again in a while.
    again: bool,
    finals: u64,
}

impl Order {
    pub(super) const fn new(serial: u64, kind: Kind, session: usize) -> Self {
        Self {
            serial,
            kind,
            session,
            asked: false,
            done: false,
            again: false,
            finals: 0,
        }
    }

    fn key(&self, device: usize) -> KeyId {
        KeyId {
            method: if self.kind == Kind::Send {
                "send"
            } else {
                "chat.send"
            }
            .into(),
            principal: format!("device:{}", super::trust::name(device)),
            key: format!("order-{}", self.serial),
        }
    }
}

/// Where the end of a run goes.
pub(super) enum Ends {
    Client,
    Channel(Arc<Answer>),
    Job(Asker),
}

/// A run that waits or is under way.
pub(super) struct Run {
    pub(super) session: Arc<str>,
    pub(super) guard: Guard,
    pub(super) ends: Ends,
}

fn again() -> Value {
    json!({ "again": true })
}

impl Sim {
    /// Mirrors `Handler<Settled>` of `Dedupe`.
    pub(super) fn settle_keys(&mut self) {
        while let Some(process) = &mut self.process {
            let Some((id, done)) = process.settled.borrow_mut().pop_front() else {
                return;
            };
            if done {
                process.keys.done(&id);
            } else {
                process.keys.release(&id);
            }
            for asker in process.waiting.remove(&id).unwrap_or_default() {
                if done {
                    self.answer_stored(&id, &asker);
                } else {
                    self.answer(&asker, &Err(again()));
                }
            }
        }
    }

    pub(super) fn answer(&mut self, asker: &Asker, answer: &Result<Value, Value>) {
        match asker {
            Asker::Conn(conn, id) => self.reply(*conn, *id, answer),
            Asker::Job(job, run) => {
                let is_later = match answer {
                    Ok(payload) => payload["status"] == "in_flight",
                    Err(error) => error["again"] == true,
                };
                if is_later {
                    self.job_waits(job.clone(), run.clone());
                } else {
                    self.job_ended(job.clone(), run.clone(), answer.is_ok());
                }
            }
        }
    }

    /// Mirrors `Dedupe::answer_stored`.
    fn answer_stored(&mut self, id: &KeyId, asker: &Asker) {
        self.law.counts.replays += 1;
        let row: Option<KeyRow> = self.disk.row(Table::Idempotency, &id.row_key());
        let Some(row) = row else {
            return self.answer(asker, &Err(json!({ "gone": true })));
        };
        let lost = without_result(id);
        let stored = row.into_result().unwrap_or_else(|| lost.clone());
        let is_lost = stored == lost;
        let answer = if stored.ok {
            Ok(stored.payload.unwrap_or_default())
        } else {
            Err(json!({ "final": stored, "lost": is_lost }))
        };
        self.answer(asker, &answer);
    }

    /// Mirrors `Dedupe::begin`, with `answer_leftover`.
    pub(super) fn claim(&mut self, id: &KeyId, digest: &str) -> Result<Guard, Verdict> {
        let now = self.now();
        let process = self.process.as_mut().expect("its life is not over");
        let (verdict, forgotten) = process.keys.begin(id, digest, now, Bounds::default());
        assert!(forgotten.is_empty(), "nothing is that old here");
        if verdict != Verdict::New {
            return Err(verdict);
        }
        let row: Option<KeyRow> = self.disk.row(Table::Idempotency, &id.row_key());
        if let Some(row) = row {
            process.keys.done(id);
            if row.into_result().is_none() {
                let op = id.op(digest, None, Some(interrupted(id)), now).unwrap();
                self.commit(vec![op], |_, _| {});
            }
            return Err(Verdict::Done);
        }
        Ok(Guard {
            id: id.clone(),
            digest: digest.to_owned(),
            session: None,
            accepted: false,
            told: false,
            tell: Rc::clone(&process.settled),
        })
    }

    /// A request of a client is here.
    pub(super) fn asked(&mut self, conn: ConnKey, order: Order) {
        let is_early = self
            .gateway()
            .conns
            .get(&conn)
            .is_some_and(|conn| !conn.open);
        if is_early {
            return self.soon((5, 20), move |sim| sim.asked(conn, order));
        }
        if !self.is_served(conn) {
            return;
        }
        let known = &self.gateway().conns[&conn];
        let asker = Asker::Conn(conn, order.serial);
        if !known.caller.grants(Scope::Write) {
            return self.answer(&asker, &Err(json!({ "scope": true })));
        }
        let id = order.key(known.device);
        match self.claim(&id, "digest") {
            Ok(guard) => self.soon((0, 20), move |sim| {
                if order.kind == Kind::Send {
                    sim.accept_send(guard, &asker, order.session);
                } else {
                    sim.accept_turn(guard, asker, order.session);
                }
            }),
            Err(Verdict::InFlight) if order.kind == Kind::Send => {
                self.gateway().waiting.entry(id).or_default().push(asker);
            }
            Err(Verdict::InFlight) => self.answer(&asker, &Ok(json!({ "status": "in_flight" }))),
            Err(Verdict::Done) => self.answer_stored(&id, &asker),
            Err(other) => unreachable!("{other:?} for {id:?}"),
        }
    }

    fn accept_turn(&mut self, guard: Guard, asker: Asker, session: usize) {
        let session: Arc<str> = format!("agent:main:{session}").into();
        self.accept(guard, session, move |sim, guard, session| match guard {
            Ok(guard) => {
                sim.answer(&asker, &Ok(json!({ "status": "started" })));
                sim.submit(Run {
                    session,
                    guard,
                    ends: Ends::Client,
                });
            }
            Err(()) => sim.answer(&asker, &Err(again())),
        });
    }

    /// The commit that accepts a message: its row, and its key without a result.
    pub(super) fn accept(
        &mut self,
        mut guard: Guard,
        session: Arc<str>,
        then: impl FnOnce(&mut Self, Result<Guard, ()>, Arc<str>) + 'static,
    ) {
        let now = self.now();
        guard.session = Some(session.to_string());
        let ops = vec![
            Op::put(Table::Transcript, guard.id.row_key(), "said"),
            guard
                .id
                .op(&guard.digest, guard.session.as_deref(), None, now)
                .unwrap(),
        ];
        self.commit(ops, move |sim, ok| {
            if !ok {
                sim.law.counts.unconfirmed += 1;
                // First the key is free, then it is said why.
                drop(guard);
                sim.settle_keys();
                return then(sim, Err(()), session);
            }
            guard.accepted();
            let key = guard.id.row_key();
            let is_durable = sim.disk.get(Table::Idempotency, &key).is_some();
            sim.law.acknowledge(&guard.id, is_durable);
            then(sim, Ok(guard), session);
        });
    }

    pub(super) fn submit(&mut self, run: Run) {
        let process = self.gateway();
        process.next_run += 1;
        let number = process.next_run;
        let session = Arc::clone(&run.session);
        process.runs.insert(number, run);
        let started = process.lanes.submit(&session, number);
        self.begin_runs(started);
    }

    fn begin_runs(&mut self, started: Vec<u64>) {
        for number in started {
            let id = self.gateway().runs[&number].guard.id.key.clone();
            self.law.begin_run(&id);
            self.soon((100, 15_000), move |sim| sim.end(number, Duration::ZERO));
        }
    }

    /// Mirrors `agent::finish`: the end in one commit, tried again for a while.
    fn end(&mut self, number: u64, tried_for: Duration) {
        let now = self.now();
        let run = &self.gateway().runs[&number];
        let guard = &run.guard;
        let id = guard.id.key.clone();
        let stored = Stored {
            ok: true,
            payload: Some(json!({ "runId": id, "status": "ok" })),
            error: None,
        };
        let session = guard.session.as_deref();
        let mut ops = vec![
            guard
                .id
                .op(&guard.digest, session, Some(stored), now)
                .unwrap(),
            Op::put(
                Table::Transcript,
                format!("{id}/end").into_bytes(),
                "answered",
            ),
        ];
        if let Ends::Channel(answer) = &run.ends {
            ops.extend(
                answer
                    .ops(Some(Said::Text(&format!("to {id}"))), now)
                    .unwrap(),
            );
        }
        let key = guard.id.row_key();
        self.commit(ops, move |sim, ok| {
            if ok {
                return sim.ended(number, true);
            }
            sim.law.counts.unconfirmed += 1;
            let wait = if tried_for.is_zero() {
                Duration::from_millis(100)
            } else {
                tried_for.min(Duration::from_secs(2))
            };
            if tried_for + wait > PATIENCE {
                return sim.ended(number, false);
            }
            sim.after(wait, move |sim| {
                let row: Option<KeyRow> = sim.disk.row(Table::Idempotency, &key);
                if row.is_some_and(|row| row.into_result().is_some()) {
                    return sim.ended(number, true);
                }
                sim.end(number, tried_for + wait);
            });
        });
    }

    fn ended(&mut self, number: u64, stored: bool) {
        let run = self.gateway().runs.remove(&number).expect("it runs");
        let Run {
            session,
            guard,
            ends,
        } = run;
        let id = guard.id.key.clone();
        guard.finished();
        match ends {
            Ends::Client => {}
            Ends::Channel(answer) if stored => answer.committed(true),
            Ends::Channel(answer) => drop(answer),
            Ends::Job(asker) => {
                let end = Ok(json!({ "runId": id, "status": "ok" }));
                let end = if stored {
                    end
                } else {
                    Err(json!({ "lost": true }))
                };
                self.answer(&asker, &end);
            }
        }
        let body = Plain(json!({ "runId": id, "state": "final" }));
        let audience = Audience::Session(Arc::clone(&session));
        self.emit(EventOut::new("chat", audience, body));
        let started = self.gateway().lanes.done(&session);
        self.begin_runs(started);
        self.kick_outbox();
        self.kick_inbox();
    }

    /// A client is answered.
    pub(super) fn order_heard(&mut self, device: usize, serial: u64, ok: bool, frame: &Value) {
        let Some(order) = self.outside.devices[device].orders.get_mut(&serial) else {
            return;
        };
        let id = order.key(device);
        let (payload, error) = (&frame["payload"], &frame["error"]);
        assert!(error["gone"] != true, "the result of {id:?} is gone");
        if error["scope"] == true {
            // It comes back with more.
            return self.outside((10, 500), move |sim| {
                let conn = sim.outside.devices[device].conn;
                if let (Some(_), Some(conn)) = (&sim.process, conn) {
                    sim.hang_up(conn);
                }
            });
        }
        let under_way = ["started", "in_flight"]
            .iter()
            .any(|word| payload["status"] == *word);
        if !(under_way || error["again"] == true) {
            order.finals += 1;
            // Some programs ask once more.
            order.done = order.finals > serial % 2;
            if error["lost"] != true {
                let told = if ok { payload } else { error };
                self.law.tell(&id, &told.to_string());
            }
        }
        if std::mem::replace(&mut order.again, true) {
            return;
        }
        self.outside((300, 9_000), move |sim| {
            if let Some(order) = sim.outside.devices[device].orders.get_mut(&serial) {
                order.asked = false;
                order.again = false;
            }
            if sim.process.is_some() {
                sim.send_orders(device);
            }
        });
    }
}
