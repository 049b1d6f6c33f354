//! The life of one connection: the locks, the process, what it is told and what it says.

use std::collections::BTreeMap;
use std::future::pending;
use std::pin::Pin;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::close::{After, after};
use super::lock::{Locks, Owner};
use super::process::{Heard, Sidecar};
use super::session::{blocking, installed};
use super::translate::{self, Me};
use super::wire::{Answer, Class, Event, Message, PROTOCOL};
use super::{Job, WhatsApp, away};
use crate::channel::login::Step;
use crate::channel::{ChannelError, Inbound, Link, SendFailure};

/// Most messages that wait to be stored. The sidecar holds back before that; one that does not is broken.
const HELD: usize = 1_000;
/// Before a batch is tried again that the store did not take.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(1);
/// The ids of our own requests; those of jobs come behind them.
const START: u64 = 1;
const PING: u64 = 2;
const STOP: u64 = 3;
const FIRST: u64 = 10;

/// Messages on their way to the disk, and what is acknowledged then.
type Taking<'a> = Pin<Box<dyn Future<Output = u64> + 'a>>;

/// Connects and works until that fails.
pub(super) async fn run(
    wa: &WhatsApp,
    link: &Link,
    jobs: &mut mpsc::Receiver<Job>,
) -> ChannelError {
    loop {
        let began = Instant::now();
        let ended = match connect(wa, link, jobs).await {
            Ok(After::Restart) if began.elapsed() >= wa.setup.timing.lived => continue,
            // A device that was just linked is taken in by its next connection.
            Ok(After::Restart) if wa.logins.wish(&wa.who).is_some() => continue,
            Ok(After::Restart) => ChannelError::Transient(
                "WhatsApp asked for another connection at once (515)".into(),
            ),
            Ok(After::End(error)) | Err(error) => error,
        };
        if matches!(ended, ChannelError::Auth(_) | ChannelError::Conflict(_)) {
            wa.logins.step(&wa.who, Step::Failed(ended.to_string()));
        }
        return ended;
    }
}

/// One connection, from its start to its end.
async fn connect(
    wa: &WhatsApp,
    link: &Link,
    jobs: &mut mpsc::Receiver<Job>,
) -> Result<After, ChannelError> {
    // There is nothing to hand over yet.
    let mut connection = tokio::select! {
        biased;
        () = link.stopping() => return Err(ChannelError::Transient("it is stopped".into())),
        opened = open(wa, link) => opened?,
    };
    connection.work(jobs).await
}

/// Starts the sidecar, and has it connect.
async fn open<'a>(wa: &'a WhatsApp, link: &'a Link) -> Result<Connection<'a>, ChannelError> {
    let (program, named) = (wa.setup.program.clone(), wa.named());
    blocking(move || installed(&program, &named)).await?;
    let wish = wa.logins.wish(&wa.who);
    let owned = wa.own(wish.as_ref()).await;
    let (mut locks, me) = match owned {
        Ok(owned) => owned,
        Err(error) => {
            if matches!(error, ChannelError::Auth(_)) {
                link.linked(false);
            }
            return Err(error);
        }
    };
    link.linked(me.is_some());
    let program = &wa.setup.program;
    let mut sidecar = Sidecar::start(&program.node, &program.script, &wa.who.to_string())?;
    let hello = timeout(wa.setup.timing.start, sidecar.hear()).await;
    greet(hello)?;
    // Before it connects it looks whether it is named there.
    locks.name(sidecar.process())?;
    let start = json!({ "id": START, "method": "start", "params": {
        "authDir": wa.setup.auth_dir,
        "locks": locks.paths(),
        "me": me,
        "server": wa.setup.server,
        "keepAliveMs": millis(wa.setup.timing.keep_alive),
        "confirmMs": millis(wa.setup.timing.answer),
        "pairing": wish.as_ref().and_then(|wish| wish.phone.as_deref()),
        "name": ["OpenClaw", "Desktop", env!("CARGO_PKG_VERSION")],
    } });
    sidecar.keep(locks);
    sidecar.say(&start)?;
    let now = Instant::now();
    Ok(Connection {
        wa,
        link,
        sidecar,
        linking: me.is_none(),
        number: None,
        me: Me::default(),
        held: Vec::new(),
        seen: 0,
        told: 0,
        next: FIRST,
        asked: BTreeMap::new(),
        ping: now + wa.setup.timing.ask,
        pinged: Some(now),
        parting: false,
        ended: None,
    })
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn greet(hello: Result<Heard, tokio::time::error::Elapsed>) -> Result<(), ChannelError> {
    let transient = |text: String| Err(ChannelError::Transient(text));
    match hello {
        Ok(Heard::Line(line)) => match serde_json::from_value(line) {
            Ok(Event::Hello { protocol, baileys }) if protocol == PROTOCOL => {
                tracing::debug!(baileys, "the WhatsApp sidecar runs");
                Ok(())
            }
            Ok(Event::Hello { protocol, .. }) => transient(format!(
                "the WhatsApp sidecar speaks version {protocol}, and this gateway {PROTOCOL}; run: openclaw channels add whatsapp"
            )),
            _ => transient("the WhatsApp sidecar does not say hello".into()),
        },
        Ok(Heard::End(how)) => transient(format!(
            "the WhatsApp sidecar did not start: {how}; the log says more (openclaw logs)"
        )),
        Err(_) => transient("the WhatsApp sidecar did not start in time".into()),
    }
}

/// A request under way.
struct Asked {
    done: Option<oneshot::Sender<Result<Value, SendFailure>>>,
    until: Instant,
}

struct Connection<'a> {
    wa: &'a WhatsApp,
    link: &'a Link,
    sidecar: Sidecar,
    linking: bool,
    /// The lock of a number that was linked just now.
    number: Option<Locks>,
    me: Me,
    held: Vec<Inbound>,
    /// Newest message that was handed over by the sidecar, and newest that it was told of.
    seen: u64,
    told: u64,
    next: u64,
    asked: BTreeMap<u64, Asked>,
    /// When it is asked next whether it lives.
    ping: Instant,
    /// Since when it owes an answer.
    pinged: Option<Instant>,
    /// Whether it was told that no connection is wanted any more.
    parting: bool,
    /// What it said of its end.
    ended: Option<After>,
}

impl<'a> Connection<'a> {
    async fn work(&mut self, jobs: &mut mpsc::Receiver<Job>) -> Result<After, ChannelError> {
        let mut taking = None;
        let ended = self.serve(jobs, &mut taking).await;
        self.finish(jobs, taking).await;
        ended
    }

    async fn serve(
        &mut self,
        jobs: &mut mpsc::Receiver<Job>,
        taking: &mut Option<Taking<'a>>,
    ) -> Result<After, ChannelError> {
        let link = self.link;
        loop {
            if taking.is_none() && self.seen > self.told {
                let batch = std::mem::take(&mut self.held);
                *taking = Some(Box::pin(store(self.link, batch, self.seen)));
                self.told = self.seen;
            }
            let late = self.late();
            tokio::select! {
                biased;
                seq = finished(taking) => {
                    *taking = None;
                    self.sidecar.say(&json!({ "ack": seq }))?;
                }
                heard = self.sidecar.hear() => {
                    match heard {
                        Heard::Line(line) => self.line(line).await?,
                        Heard::End(how) => {
                            return Err(ChannelError::Transient(format!(
                                "the WhatsApp sidecar is gone: {how}"
                            )));
                        }
                    }
                    if let Some(ended) = self.ended.take() {
                        return Ok(ended);
                    }
                }
                // It hands over what WhatsApp was told that came, and ends.
                () = link.stopping(), if !self.parting => {
                    self.parting = true;
                    self.sidecar.say(&json!({ "id": STOP, "method": "stop" }))?;
                }
                job = jobs.recv() => if let Some(job) = job { self.job(job)?; },
                () = sleep_until(self.ping) => self.ask_whether_it_lives()?,
                () = sleep_until(late) => self.give_up(),
            }
        }
    }

    /// The end, whatever it was. What came is stored first: WhatsApp was told that it came.
    async fn finish(&mut self, jobs: &mut mpsc::Receiver<Job>, taking: Option<Taking<'a>>) {
        self.sidecar.end();
        // There is no more to come than what was on its way, and the end is known already.
        while let Heard::Line(line) = self.sidecar.hear().await {
            if line.get("event").is_none() {
                let answer = serde_json::from_value(line);
                let _ = answer.map(|answer| self.answer(answer));
            } else if let Ok(Event::Message { seq, message }) = serde_json::from_value(line) {
                let _ = self.message(seq, &message);
            }
        }
        self.asked.clear();
        let (link, held, seen) = (self.link, std::mem::take(&mut self.held), self.seen);
        let storing = async move {
            if let Some(taking) = taking {
                taking.await;
            }
            if !held.is_empty() {
                store(link, held, seen).await;
            }
        };
        let late = || {
            link.trouble("the connection to WhatsApp ended; the next one begins when there is room for what came with it, because so many messages wait for their answer");
        };
        meanwhile(storing, jobs, late).await;
    }

    /// When the next request is late.
    fn late(&self) -> Instant {
        let jobs = self.asked.values().map(|asked| asked.until).min();
        jobs.unwrap_or_else(|| Instant::now() + std::time::Duration::from_hours(1))
    }

    fn give_up(&mut self) {
        let now = Instant::now();
        let late: Vec<u64> = self
            .asked
            .iter()
            .filter_map(|(id, asked)| (asked.until <= now).then_some(*id))
            .collect();
        for id in late {
            if let Some(done) = self.asked.remove(&id).and_then(|asked| asked.done) {
                let _ = done.send(Err(SendFailure::Unknown(
                    "WhatsApp did not confirm it in time".into(),
                )));
            }
        }
    }

    fn ask_whether_it_lives(&mut self) -> Result<(), ChannelError> {
        let now = Instant::now();
        let timing = &self.wa.setup.timing;
        if self.pinged.is_some_and(|at| now >= at + timing.answer) {
            return Err(ChannelError::Transient(
                "the WhatsApp sidecar hangs: it does not answer".into(),
            ));
        }
        self.ping = now + timing.ask;
        if self.pinged.is_none() {
            self.pinged = Some(now);
            self.sidecar.say(&json!({ "id": PING, "method": "ping" }))?;
        }
        Ok(())
    }

    fn job(&mut self, job: Job) -> Result<(), ChannelError> {
        let id = self.next;
        self.next += 1;
        let line = json!({ "id": id, "method": job.method, "params": job.params });
        job.begun.set(true);
        let asked = Asked {
            done: job.done,
            until: Instant::now() + self.wa.setup.timing.answer * 2,
        };
        self.asked.insert(id, asked);
        self.sidecar.say(&line)
    }

    async fn line(&mut self, line: Value) -> Result<(), ChannelError> {
        if line.get("event").is_some() {
            return match serde_json::from_value(line) {
                Ok(event) => self.event(event).await,
                Err(error) => {
                    tracing::warn!(%error, "an event of the WhatsApp sidecar cannot be read");
                    Ok(())
                }
            };
        }
        match serde_json::from_value::<Answer>(line) {
            Ok(answer) => self.answer(answer),
            Err(error) => {
                tracing::warn!(%error, "an answer of the WhatsApp sidecar cannot be read");
                Ok(())
            }
        }
    }

    fn answer(&mut self, answer: Answer) -> Result<(), ChannelError> {
        if matches!(answer.id, START | PING) {
            self.pinged = None;
        }
        if answer.id == PING {
            let heard = answer.result["heardMs"].as_u64();
            let ask = self.wa.setup.timing.ask.as_millis();
            if heard.is_some_and(|heard| u128::from(heard) <= ask) {
                self.link.alive();
            }
        }
        if answer.id == START
            && let Some(problem) = &answer.error
        {
            return Err(ChannelError::Transient(format!(
                "the WhatsApp sidecar cannot connect: {}",
                problem.message
            )));
        }
        let asked = self.asked.remove(&answer.id);
        let Some(done) = asked.and_then(|asked| asked.done) else {
            return Ok(());
        };
        let outcome = match answer.error {
            None => Ok(answer.result),
            Some(problem) => Err(match problem.class {
                Class::NotSent => SendFailure::NotSent(ChannelError::Transient(problem.message)),
                Class::Refused => SendFailure::Refused(problem.message),
                Class::Unknown => SendFailure::Unknown(problem.message),
            }),
        };
        // Whoever asked may be gone.
        let _ = done.send(outcome);
        Ok(())
    }

    async fn event(&mut self, event: Event) -> Result<(), ChannelError> {
        let logins = &self.wa.logins;
        let who = &self.wa.who;
        match event {
            Event::Qr { code } => logins.step(who, Step::Scan(code)),
            Event::PairingCode { code } => logins.step(who, Step::Type(code)),
            Event::Creds { me: Some(number) } if self.linking => {
                // From here on there is an account, and it may be somebody's already.
                let mut locks = Locks::new(Owner::this(self.wa.started_at_ms));
                self.wa.lock_number(&mut locks, &number).await?;
                self.number = Some(locks);
                self.linking = false;
                self.link.linked(true);
            }
            Event::Open { me } => {
                self.me = Me::of(&me);
                let words = self.me.words();
                self.link.linked(true);
                self.link.connected(&words);
                logins.step(who, Step::Linked(words));
            }
            Event::Message { seq, message } => return self.message(seq, &message),
            Event::Receipt { id, status } => {
                tracing::debug!(account = %who, id, status, "a message of ours came further");
            }
            Event::Close { code, why } => {
                self.wa.logged_out.set(matches!(code, 401 | 411));
                let named = self.wa.named();
                self.ended = Some(after(code, &why, &named, self.linking));
            }
            Event::Hello { .. } | Event::Creds { .. } | Event::Other => {}
        }
        Ok(())
    }

    fn message(&mut self, seq: u64, message: &Message) -> Result<(), ChannelError> {
        self.seen = self.seen.max(seq);
        self.link.alive();
        let (wa, now) = (self.wa, self.link.now().get());
        let own = wa.setup.self_chat;
        let inbound = translate::inbound(message, &self.me, own, now, |id| wa.is_ours(id));
        if let Some(inbound) = inbound {
            if let Some(id) = &inbound.message_id {
                wa.is_unseen(&inbound.chat, id);
            }
            self.held.push(inbound);
        }
        if self.held.len() > HELD {
            return Err(ChannelError::Transient(
                "the WhatsApp sidecar does not wait for acknowledgements".into(),
            ));
        }
        Ok(())
    }
}

/// Stores a batch, however often that has to be tried: the platform does not keep it for us.
async fn store(link: &Link, batch: Vec<Inbound>, seq: u64) -> u64 {
    while let Err(refused) = link.take(batch.clone(), None).await {
        link.trouble(&refused.to_string());
        sleep(AGAIN).await;
    }
    seq
}

/// Does something, however long that takes, while nobody is there for whoever asks; says so when it takes long.
pub(super) async fn meanwhile(
    work: impl Future<Output = ()>,
    jobs: &mut mpsc::Receiver<Job>,
    late: impl FnOnce(),
) {
    let told = sleep(AGAIN);
    tokio::pin!(work, told);
    let mut late = Some(late);
    loop {
        tokio::select! {
            biased;
            () = &mut work => return,
            Some(job) = jobs.recv() => {
                // Whoever asked may be gone.
                let _ = job.done.map(|done| done.send(Err(away())));
            }
            () = &mut told, if late.is_some() => {
                if let Some(late) = late.take() {
                    late();
                }
            }
        }
    }
}

async fn finished(taking: &mut Option<Taking<'_>>) -> u64 {
    match taking {
        Some(taking) => taking.await,
        None => pending().await,
    }
}
