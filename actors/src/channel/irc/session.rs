//! The life of one connection: what is written, what came in, when it is dead. Pure.
//!
//! The protocol confirms no message. A server works off one client's lines in order, so a PING behind
//! the last line of a piece, once it is answered, says that the whole piece was taken or refused.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;

use super::format;
use super::line::{Line, is_channel, is_name, lower, same};
use super::talk;
use super::{IrcSetup, Timing};
use crate::channel::{ChannelError, Inbound, Piece, SendFailure};

/// Most bytes of a line, with its end.
const LINE: usize = 512;
/// What a server puts before our lines for others: `:nick!user@host `, at its longest beside the nick.
const RELAYED: usize = 1 + 1 + 11 + 1 + 63 + 1;
/// Between two lines that others see, once the first ones are out.
const GAP: Duration = Duration::from_millis(800);
/// How many of them may leave at once.
const BURST: u32 = 5;
/// Other nicks that are tried where ours is taken.
const OTHERS: usize = 4;
/// How long a server is left alone that finds us too quick.
const THROTTLED: Duration = Duration::from_mins(1);

/// What a step comes to, beside lines to write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The server took us in, under this nick.
    Connected(String),
    /// Somebody wrote.
    Message(Box<Inbound>),
    /// The piece that was on its way came to its end.
    Sent(Result<String, SendFailure>),
    /// Something is wrong that does not end the connection.
    Trouble(String),
    /// The connection is over.
    End(ChannelError),
}

/// The piece that is on its way.
#[derive(Debug)]
struct Sending {
    token: String,
    target: String,
    lines: VecDeque<String>,
    begun: bool,
    asked: Option<Duration>,
}

/// How far signing in with SASL has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sasl {
    /// Not wanted, not offered, or over.
    Off,
    /// The server is asked for it.
    Asked,
    /// We are who we say we are.
    Done,
}

/// A connection.
pub(super) struct Session<'a> {
    setup: &'a IrcSetup,
    /// Makes ids of messages: the protocol has none.
    base: String,
    count: u64,
    nick: String,
    others: usize,
    offered: String,
    sasl: Sasl,
    welcomed: bool,
    ready: bool,
    urgent: VecDeque<String>,
    sending: Option<Sending>,
    absent: BTreeSet<String>,
    pace: Duration,
    began: Duration,
    heard: Duration,
    pinged: Option<Duration>,
    chores: Duration,
}

impl<'a> Session<'a> {
    /// A connection that was opened now; `base` is unique to it.
    pub(super) fn new(setup: &'a IrcSetup, base: String, now: Duration) -> Self {
        let mut session = Self {
            setup,
            base,
            count: 0,
            nick: setup.nick.clone(),
            others: 0,
            offered: String::new(),
            sasl: Sasl::Off,
            welcomed: false,
            ready: false,
            urgent: VecDeque::new(),
            sending: None,
            absent: BTreeSet::new(),
            pace: Duration::ZERO,
            began: now,
            heard: now,
            pinged: None,
            chores: now,
        };
        if setup.nickserv.is_some() {
            session.sasl = Sasl::Asked;
            session.write("CAP LS 302");
        }
        if let Some(password) = &setup.password {
            session.write(format!("PASS :{}", password.expose_secret()));
        }
        session.write(format!("NICK {}", setup.nick));
        session.write(format!("USER {} 0 * :{}", setup.username, setup.realname));
        session
    }

    fn write(&mut self, line: impl Into<String>) {
        // An end of line within would be another command.
        let line: String = line.into();
        let clean = line.replace(['\r', '\n', '\0'], " ");
        self.urgent.push_back(clean);
    }

    fn timing(&self) -> &Timing {
        &self.setup.timing
    }

    /// Whether a piece may be sent.
    pub(super) const fn is_free(&self) -> bool {
        self.ready && self.sending.is_none()
    }

    /// Whether a line of the piece that is on its way was given out.
    pub(super) fn has_begun(&self) -> bool {
        self.sending.as_ref().is_some_and(|sending| sending.begun)
    }

    /// Nobody waits for the piece any more; what of it did not leave stays here.
    pub(super) fn abandon(&mut self) {
        self.sending = None;
    }

    /// Begins to send a piece.
    ///
    /// # Errors
    ///
    /// Where it cannot go, or has no text.
    pub(super) fn send(&mut self, piece: &Piece) -> Result<(), SendFailure> {
        let target = &piece.to.chat;
        if !is_name(target) {
            return Err(SendFailure::Refused(format!(
                "\"{target}\" is neither a nick nor a channel of IRC"
            )));
        }
        let frame = RELAYED + self.nick.len() + "PRIVMSG  :\r\n".len() + target.len();
        let lines = format::lines(&piece.text, LINE - frame);
        if lines.is_empty() {
            return Err(SendFailure::Refused("it has no text".into()));
        }
        self.count += 1;
        let lines = lines.iter();
        self.sending = Some(Sending {
            token: format!("sent-{}", self.count),
            target: target.clone(),
            lines: lines
                .map(|line| format!("PRIVMSG {target} :{line}"))
                .collect(),
            begun: false,
            asked: None,
        });
        Ok(())
    }

    /// The next line that may be written now.
    pub(super) fn due(&mut self, now: Duration) -> Option<String> {
        if let Some(line) = self.urgent.pop_front() {
            return Some(line);
        }
        let sending = self.sending.as_mut()?;
        if sending.lines.is_empty() {
            if sending.asked.is_some() {
                return None;
            }
            sending.asked = Some(now);
            return Some(format!("PING :{}", sending.token));
        }
        if self.pace > now + GAP * BURST {
            return None;
        }
        self.pace = self.pace.max(now) + GAP;
        sending.begun = true;
        sending.lines.pop_front()
    }

    /// When something is to be done next, if nothing comes.
    pub(super) fn wake(&self) -> Duration {
        let timing = self.timing();
        let mut wake = match self.pinged {
            Some(at) => at + timing.answer,
            None => self.heard + timing.quiet,
        };
        if !self.ready {
            wake = wake.min(self.began + timing.welcome);
        }
        if let Some(sending) = &self.sending {
            wake = wake.min(match sending.asked {
                Some(at) => at + timing.answer,
                None => self.pace.saturating_sub(GAP * BURST),
            });
        }
        if self.has_chores() {
            wake = wake.min(self.chores + timing.chores);
        }
        wake
    }

    fn has_chores(&self) -> bool {
        self.ready && (!self.absent.is_empty() || !same(&self.nick, &self.setup.nick))
    }

    /// Time went by.
    pub(super) fn tick(&mut self, now: Duration) -> Vec<Effect> {
        let timing = self.timing();
        let (answer, quiet) = (timing.answer, timing.quiet);
        let (welcome, chores) = (timing.welcome, timing.chores);
        let over = |at: Option<Duration>| at.is_some_and(|at| now >= at + answer);
        if !self.ready && now >= self.began + welcome {
            return end("the IRC server did not take us in within its time");
        }
        if over(self.pinged) {
            return end("the IRC server does not answer a ping");
        }
        if over(self.sending.as_ref().and_then(|sending| sending.asked)) {
            return end("the IRC server does not confirm a message");
        }
        if self.pinged.is_none() && now >= self.heard + quiet {
            self.pinged = Some(now);
            self.write("PING :alive");
        }
        if self.has_chores() && now >= self.chores + chores {
            self.chores = now;
            if !same(&self.nick, &self.setup.nick) {
                self.write(format!("NICK {}", self.setup.nick));
            }
            self.join();
        }
        Vec::new()
    }

    /// Nothing was read until now, so that the server's silence says nothing.
    pub(super) const fn deaf(&mut self, now: Duration) {
        self.heard = now;
        if let Some(at) = &mut self.pinged {
            *at = now;
        }
        if let Some(sending) = &mut self.sending
            && let Some(at) = &mut sending.asked
        {
            *at = now;
        }
    }

    /// Takes a line of the server; `at` is the time of day, milliseconds since the epoch.
    pub(super) fn line(&mut self, text: &str, now: Duration, at: i64) -> Vec<Effect> {
        self.heard = now;
        self.pinged = None;
        let Some(line) = Line::parse(text) else {
            return Vec::new();
        };
        match line.command {
            "PING" => self.write(format!("PONG :{}", line.words())),
            "PONG" => {
                let answered = self
                    .sending
                    .take_if(|sending| sending.asked.is_some() && sending.token == line.words());
                if let Some(sending) = answered {
                    return vec![Effect::Sent(Ok(format!("{}-{}", self.base, sending.token)))];
                }
            }
            "PRIVMSG" => return self.message(&line, at),
            "CAP" => self.capability(&line),
            "AUTHENTICATE" if line.param(0) == "+" => self.authenticate(),
            "ERROR" => return vec![Effect::End(self.error(line.words()))],
            "NICK" if self.is_own(&line) => line.param(0).clone_into(&mut self.nick),
            "JOIN" if self.is_own(&line) => {
                self.absent.remove(&lower(line.param(0)));
            }
            "PART" if self.is_own(&line) => self.left(line.param(0), now),
            "KICK" if same(line.param(1), &self.nick) => {
                self.left(line.param(0), now);
                return vec![Effect::Trouble(format!(
                    "we were kicked out of {} ({}); trying to come back",
                    line.param(0),
                    line.words()
                ))];
            }
            numeric if numeric.len() == 3 => return self.numeric(numeric, &line, now),
            _ => {}
        }
        Vec::new()
    }

    fn is_own(&self, line: &Line<'_>) -> bool {
        line.nick().is_some_and(|nick| same(nick, &self.nick))
    }

    fn message(&mut self, line: &Line<'_>, at: i64) -> Vec<Effect> {
        let id = format!("{}-{}", self.base, self.count + 1);
        let names = [self.nick.as_str(), self.setup.nick.as_str()];
        let Some(message) = talk::inbound(line, names, id, at) else {
            return Vec::new();
        };
        self.count += 1;
        vec![Effect::Message(Box::new(message))]
    }

    fn left(&mut self, channel: &str, now: Duration) {
        self.absent.insert(lower(channel));
        self.chores = now;
    }

    fn numeric(&mut self, numeric: &str, line: &Line<'_>, now: Duration) -> Vec<Effect> {
        match numeric {
            "001" => {
                self.welcomed = true;
                line.param(0).clone_into(&mut self.nick);
            }
            // The end of the welcome, with or without a text of the day.
            "376" | "422" if !self.ready => return self.welcome(now),
            "433" | "436" | "437" if !self.welcomed => return self.other_nick(),
            "432" if !self.welcomed => {
                return vec![Effect::End(ChannelError::Auth(format!(
                    "the IRC server does not take the nick \"{}\" ({}); set another one (nick below channels.irc), then: openclaw channels start irc",
                    self.nick,
                    line.words()
                )))];
            }
            "464" => return vec![Effect::End(password(line.words()))],
            "465" => return vec![Effect::End(banned(line.words()))],
            "903" => {
                self.sasl = Sasl::Done;
                self.write("CAP END");
            }
            "902" | "904" | "905" | "906" | "908" if self.sasl == Sasl::Asked => {
                self.sasl = Sasl::Off;
                self.write("CAP END");
                return vec![Effect::Trouble(format!(
                    "the IRC server does not accept nickserv.password by SASL ({})",
                    line.words()
                ))];
            }
            "401" | "403" | "404" | "405" | "407" | "411" | "412" | "413" | "415" | "417"
            | "437" | "471" | "473" | "474" | "475" | "476" | "477" | "486" | "489" | "492"
            | "520" | "531" | "716" => return self.refusal(line),
            _ => {}
        }
        Vec::new()
    }

    /// The server refuses a message, or a channel.
    fn refusal(&mut self, line: &Line<'_>) -> Vec<Effect> {
        let (place, why) = (line.param(1), line.words());
        let ours = self
            .sending
            .take_if(|sending| sending.begun && same(&sending.target, place));
        if ours.is_some() {
            let why = format!("the IRC server refused it: {place}: {why}");
            return vec![Effect::Sent(Err(SendFailure::Refused(why)))];
        }
        if is_channel(place) && self.absent.contains(&lower(place)) {
            return vec![Effect::Trouble(format!(
                "the channel {place} cannot be joined: {why}"
            ))];
        }
        Vec::new()
    }

    fn welcome(&mut self, now: Duration) -> Vec<Effect> {
        self.ready = true;
        self.chores = now;
        let setup = self.setup;
        if let Some(nickserv) = &setup.nickserv
            && self.sasl != Sasl::Done
        {
            let (service, secret) = (&nickserv.service, nickserv.password.expose_secret());
            if let Some(email) = &nickserv.register {
                self.write(format!("PRIVMSG {service} :REGISTER {secret} {email}"));
            }
            // Under another nick it has to be said whose password it is.
            let account = if same(&self.nick, &setup.nick) {
                String::new()
            } else {
                format!("{} ", setup.nick)
            };
            self.write(format!("PRIVMSG {service} :IDENTIFY {account}{secret}"));
        }
        self.absent = setup
            .channels
            .iter()
            .map(|channel| lower(channel))
            .collect();
        self.join();
        let mut effects = vec![Effect::Connected(self.nick.clone())];
        if !same(&self.nick, &setup.nick) {
            effects.push(Effect::Trouble(format!(
                "the nick {} is taken; this is {} until it is free",
                setup.nick, self.nick
            )));
        }
        effects
    }

    fn join(&mut self) {
        let absent: Vec<String> = self.absent.iter().cloned().collect();
        for channel in absent {
            let key = self.setup.keys.get(&lower(&channel));
            let key = key.map_or_else(String::new, |key| format!(" {}", key.expose_secret()));
            self.write(format!("JOIN {channel}{key}"));
        }
    }

    fn other_nick(&mut self) -> Vec<Effect> {
        self.others += 1;
        if self.others > OTHERS {
            return end("the nick and its variants are in use on the IRC server");
        }
        self.nick = format!("{}{}", self.setup.nick, "_".repeat(self.others));
        self.write(format!("NICK {}", self.nick));
        Vec::new()
    }

    fn capability(&mut self, line: &Line<'_>) {
        match line.param(1) {
            "LS" => {
                self.offered.push(' ');
                self.offered.push_str(line.words());
                if line.param(2) == "*" {
                    return;
                }
                let has = self
                    .offered
                    .split(' ')
                    .any(|name| name.split('=').next() == Some("sasl"));
                if has {
                    self.write("CAP REQ :sasl");
                } else {
                    self.sasl = Sasl::Off;
                    self.write("CAP END");
                }
            }
            "ACK" => self.write("AUTHENTICATE PLAIN"),
            "NAK" => {
                self.sasl = Sasl::Off;
                self.write("CAP END");
            }
            _ => {}
        }
    }

    fn authenticate(&mut self) {
        let Some(nickserv) = &self.setup.nickserv else {
            return;
        };
        let nick = &self.setup.nick;
        let secret = nickserv.password.expose_secret();
        let proof = STANDARD.encode(format!("{nick}\0{nick}\0{secret}"));
        // Parts of 400; one that is full says that another one follows.
        let mut rest = proof.as_str();
        loop {
            let (part, tail) = rest.split_at(rest.len().min(400));
            self.write(format!(
                "AUTHENTICATE {}",
                if part.is_empty() { "+" } else { part }
            ));
            rest = tail;
            if part.len() < 400 {
                break;
            }
        }
    }

    fn error(&self, words: &str) -> ChannelError {
        let lower = words.to_lowercase();
        let says = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
        if !self.ready && says(&["password"]) {
            return password(words);
        }
        if says(&["k-line", "g-line", "z-line", "banned"]) {
            return banned(words);
        }
        if says(&["throttl", "too fast", "too many"]) {
            return ChannelError::RateLimited {
                delay: THROTTLED,
                why: format!("the IRC server wants fewer connections ({words})"),
            };
        }
        ChannelError::Transient(format!("the IRC server ended the connection ({words})"))
    }
}

fn password(words: &str) -> ChannelError {
    ChannelError::Auth(format!(
        "the IRC server does not accept the server password ({words}); set password below channels.irc (or IRC_PASSWORD), then: openclaw channels start irc"
    ))
}

fn banned(words: &str) -> ChannelError {
    ChannelError::Auth(format!(
        "the IRC server does not let us in ({words}); ask its operators, then: openclaw channels start irc"
    ))
}

fn end(why: &str) -> Vec<Effect> {
    vec![Effect::End(ChannelError::Transient(why.to_owned()))]
}
