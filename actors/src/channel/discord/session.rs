//! The life of one connection to the gateway: identify or resume, heartbeats, how it ends. Pure.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::api::unknown_token;
use crate::channel::ChannelError;

/// Guilds, messages in them, direct messages, and their content.
const INTENTS: u64 = 1 | 1 << 9 | 1 << 12 | 1 << 15;
/// Between a session that was refused and the next one that is asked for.
const PAUSE: Duration = Duration::from_secs(2);
/// How many sessions in a row may be refused.
const REFUSALS: u32 = 3;
/// How long the gateway may take to say hello, and to take us in.
const WELCOME: Duration = Duration::from_secs(30);
/// How many connections in a row may fail to resume before the session is given up.
pub(super) const RESUMES: u32 = 3;

/// Where a session goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Resume {
    /// The session.
    pub(super) session: String,
    /// Its gateway.
    pub(super) url: String,
    /// The last event whose message is stored.
    pub(super) seq: u64,
}

/// What a step comes to.
#[derive(Debug, PartialEq)]
pub(super) enum Effect {
    /// A frame for the gateway.
    Send(Value),
    /// It took us in, or took us up again.
    Connected,
    /// An event, and what is stored up to where.
    Event {
        /// Its name.
        name: String,
        /// What belongs to it.
        data: Value,
    },
    /// The connection is over.
    End(ChannelError),
}

/// A connection.
pub(super) struct Session<'a> {
    token: &'a SecretString,
    /// Our name and id, once the gateway said so.
    pub(super) me: (String, String),
    resume: Option<Resume>,
    /// The last event that came; what is stored may be behind.
    seq: Option<u64>,
    ready: bool,
    resuming: bool,
    refusals: u32,
    beat: Option<Duration>,
    next_beat: Option<Duration>,
    acknowledged: bool,
    again: Option<Duration>,
    began: Duration,
}

impl<'a> Session<'a> {
    /// A connection that was opened now.
    pub(super) fn new(
        token: &'a SecretString,
        me: (String, String),
        resume: Option<Resume>,
        now: Duration,
    ) -> Self {
        Self {
            token,
            me,
            seq: resume.as_ref().map(|resume| resume.seq),
            resume,
            ready: false,
            resuming: false,
            refusals: 0,
            beat: None,
            next_beat: None,
            acknowledged: true,
            again: None,
            began: now,
        }
    }

    /// Where the session goes on, with the last event that came: for what is stored with it.
    pub(super) fn mark(&self) -> Option<Resume> {
        let resume = self.resume.clone()?;
        Some(Resume {
            seq: self.seq.unwrap_or(resume.seq),
            ..resume
        })
    }

    /// When something is to be done next, if nothing comes.
    pub(super) fn wake(&self) -> Duration {
        let welcome = (!self.ready).then(|| self.began + WELCOME);
        let times = [self.next_beat, self.again, welcome];
        let earliest = times.into_iter().flatten().min();
        earliest.unwrap_or(self.began + Duration::from_hours(1))
    }

    /// Time went by.
    pub(super) fn tick(&mut self, now: Duration) -> Vec<Effect> {
        if !self.ready && now >= self.began + WELCOME {
            return end("the Discord gateway did not take us in within its time");
        }
        let mut effects = Vec::new();
        if let (Some(at), Some(beat)) = (self.next_beat, self.beat)
            && now >= at
        {
            if !self.acknowledged {
                return end("the Discord gateway does not acknowledge heartbeats");
            }
            self.acknowledged = false;
            self.next_beat = Some(now + beat);
            effects.push(self.heartbeat());
        }
        if self.again.is_some_and(|at| now >= at) {
            self.again = None;
            effects.push(self.enter());
        }
        effects
    }

    fn heartbeat(&self) -> Effect {
        Effect::Send(json!({ "op": 1, "d": self.seq }))
    }

    /// Takes a frame; `chance` is in `0.0..1.0`.
    pub(super) fn frame(&mut self, frame: Value, now: Duration, chance: f64) -> Vec<Effect> {
        let number = |key: &str| frame.get(key).and_then(Value::as_u64);
        match number("op") {
            Some(0) => self.dispatch(frame),
            // It asks for a heartbeat.
            Some(1) => vec![self.heartbeat()],
            Some(7) => end("the Discord gateway asked for another connection"),
            Some(9) => self.refused(frame.get("d") == Some(&Value::Bool(true)), now, chance),
            Some(10) => {
                let beat = frame["d"]["heartbeat_interval"].as_u64().unwrap_or(41_250);
                let beat = Duration::from_millis(beat.clamp(100, 600_000));
                self.beat = Some(beat);
                // The first one comes at any time, so that programs do not beat together.
                self.next_beat = Some(now + beat.mul_f64(chance));
                vec![self.enter()]
            }
            Some(11) => {
                self.acknowledged = true;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// Asks for a session, or for the one before.
    fn enter(&mut self) -> Effect {
        let token = self.token.expose_secret();
        self.resuming = self.resume.is_some();
        Effect::Send(match &self.resume {
            Some(resume) => json!({ "op": 6, "d": {
                "token": token, "session_id": resume.session, "seq": resume.seq,
            } }),
            None => json!({ "op": 2, "d": {
                "token": token,
                "intents": INTENTS,
                "properties": { "os": std::env::consts::OS, "browser": "openclaw", "device": "openclaw" },
            } }),
        })
    }

    /// The gateway refuses the session that was asked for.
    fn refused(&mut self, resumable: bool, now: Duration, chance: f64) -> Vec<Effect> {
        if self.ready && resumable {
            return end("the Discord gateway ended the session, which can be resumed");
        }
        self.refusals += 1;
        self.ready = false;
        self.began = now;
        if self.refusals > REFUSALS {
            return end("the Discord gateway gives no session");
        }
        if !resumable {
            self.resume = None;
            self.seq = None;
        }
        self.again = Some(now + PAUSE.mul_f64(0.5 + chance));
        Vec::new()
    }

    fn dispatch(&mut self, mut frame: Value) -> Vec<Effect> {
        if let Some(seq) = frame.get("s").and_then(Value::as_u64) {
            self.seq = Some(seq);
        }
        let name = frame.get("t").and_then(Value::as_str).unwrap_or_default();
        let name = name.to_owned();
        let data = frame.get_mut("d").map(Value::take).unwrap_or_default();
        match name.as_str() {
            "READY" => {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                self.resume = Some(Resume {
                    session: text(&data["session_id"]),
                    url: text(&data["resume_gateway_url"]),
                    seq: self.seq.unwrap_or_default(),
                });
                self.me = (text(&data["user"]["id"]), text(&data["user"]["username"]));
                self.welcome()
            }
            "RESUMED" => self.welcome(),
            _ => vec![Effect::Event { name, data }],
        }
    }

    fn welcome(&mut self) -> Vec<Effect> {
        self.ready = true;
        self.refusals = 0;
        vec![Effect::Connected]
    }

    /// The gateway closed the connection.
    pub(super) fn closed(&mut self, code: Option<u16>, reason: &str) -> ChannelError {
        let fatal = |what: &str| {
            ChannelError::Auth(format!(
                "Discord refuses the bot: {what}; then: openclaw channels start discord"
            ))
        };
        match code {
            Some(4004) => unknown_token(),
            Some(4014) => fatal(
                "switch on Message Content Intent below Bot in the Developer Portal (close code 4014)",
            ),
            Some(4010..=4013) => {
                fatal("the gateway takes nothing of what we ask for (update openclaw)")
            }
            code => {
                // The session is over with these.
                if matches!(code, Some(4003 | 4007 | 4009)) {
                    self.resume = None;
                }
                let code = code.map_or_else(String::new, |code| format!(" with {code}"));
                let why = format!("the Discord gateway closed the connection{code} {reason}");
                ChannelError::Transient(why.trim_end().to_owned())
            }
        }
    }

    /// Whether the connection was to take up an earlier session, and did not come to that.
    pub(super) const fn failed_to_resume(&self) -> bool {
        self.resuming && !self.ready
    }
}

fn end(why: &str) -> Vec<Effect> {
    vec![Effect::End(ChannelError::Transient(why.to_owned()))]
}
