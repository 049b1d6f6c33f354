//! Events on their way from an owner to the clients.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use openclaw_protocol::connect::StateVersion;
use openclaw_protocol::frame::{to_bytes, write_json_string};
use openclaw_protocol::{Generation, Scope};
use serde::Serialize;

/// Who may receive an event, besides its scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// Every connection, nodes included.
    Everyone,
    /// Operators that hold the scope.
    Operators(Scope),
    /// Operators with read scope that subscribed to the session list.
    SessionIndex,
    /// Operators with read scope that subscribed to this session's messages (canonical key).
    SessionMessages(Arc<str>),
    /// Operators with read scope; those that asked for session-scoped events only get the sessions
    /// that they subscribed to.
    Session(Arc<str>),
    /// The same, and only those that announced that they can show tools (`tool-events`).
    SessionTools(Arc<str>),
}

/// What a slow reader may miss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// A reader that is too slow for it is closed.
    Keep,
    /// It may be dropped; the reader sees a gap in `seq`.
    Droppable,
    /// A piece of a stream: droppable, and after a drop the next piece carries the whole text.
    Delta(StreamKey),
    /// The end of the streams of a run.
    EndOfRun(Arc<str>),
}

/// A stream of text of one run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StreamKey {
    /// The run.
    pub run: Arc<str>,
    /// Which of its streams.
    pub stream: &'static str,
    /// Whether this is the first piece.
    pub first: bool,
}

/// Which of its forms a payload is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The increment.
    Normal,
    /// The whole text so far, for a reader that missed a piece.
    Replace,
}

/// How a payload was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// Complete.
    Whole,
    /// Without its session key and without its closing brace: the connection adds the key as its
    /// client wrote it.
    OpenForSessionKey,
    /// This generation does not know the event.
    Nothing,
}

/// A payload that can be written for each generation.
pub trait EventBody: Send + Sync + fmt::Debug {
    /// Writes the payload as JSON.
    fn write(&self, generation: Generation, form: Form, out: &mut Vec<u8>) -> Written;
}

/// A payload that is the same in both generations.
#[derive(Debug)]
pub struct Plain<T>(pub T);

impl<T: Serialize + Send + Sync + fmt::Debug> EventBody for Plain<T> {
    fn write(&self, _: Generation, _: Form, out: &mut Vec<u8>) -> Written {
        out.extend_from_slice(&to_bytes(&self.0));
        Written::Whole
    }
}

/// A payload that only the newer generation knows.
#[derive(Debug)]
pub struct PlainV4<T>(pub T);

impl<T: Serialize + Send + Sync + fmt::Debug> EventBody for PlainV4<T> {
    fn write(&self, generation: Generation, _: Form, out: &mut Vec<u8>) -> Written {
        if generation == Generation::V3 {
            return Written::Nothing;
        }
        out.extend_from_slice(&to_bytes(&self.0));
        Written::Whole
    }
}

/// JSON text that is ready.
#[derive(Debug)]
pub struct Ready(pub Bytes);

impl EventBody for Ready {
    fn write(&self, _: Generation, _: Form, out: &mut Vec<u8>) -> Written {
        out.extend_from_slice(&self.0);
        Written::Whole
    }
}

/// Which version an event raises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bump {
    /// The presence version.
    Presence,
    /// The health version.
    Health,
}

/// An event as its owner hands it to the Gateway.
#[derive(Debug, Clone)]
pub struct EventOut {
    /// Wire name.
    pub name: &'static str,
    /// Who may receive it.
    pub audience: Audience,
    /// What a slow reader may miss.
    pub class: Class,
    /// The version that it raises; the frame then carries both.
    pub bump: Option<Bump>,
    /// The payload.
    pub body: Arc<dyn EventBody>,
}

impl EventOut {
    /// An event that must arrive.
    pub fn new(name: &'static str, audience: Audience, body: impl EventBody + 'static) -> Self {
        Self {
            name,
            audience,
            class: Class::Keep,
            bump: None,
            body: Arc::new(body),
        }
    }

    /// The same event with another class.
    #[must_use]
    pub fn class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    /// The same event raising a version.
    #[must_use]
    pub fn bump(mut self, bump: Bump) -> Self {
        self.bump = Some(bump);
        self
    }
}

/// A frame up to where the connection's own part follows.
#[derive(Debug, Clone)]
pub struct Head {
    bytes: Bytes,
    open_for_session_key: bool,
}

/// An event that the Gateway has ordered; shared by every connection that gets it.
#[derive(Debug)]
pub struct Event {
    /// Position in the Gateway's order; for logs and tests.
    pub number: u64,
    /// Wire name.
    pub name: &'static str,
    /// Who may receive it.
    pub audience: Audience,
    /// What a slow reader may miss.
    pub class: Class,
    versions: Option<StateVersion>,
    body: Arc<dyn EventBody>,
    heads: [OnceLock<Option<Head>>; 3],
}

impl Event {
    /// Gives `out` its number; `versions` are written where the event raises one.
    pub fn order(out: EventOut, number: u64, versions: StateVersion) -> Self {
        Self {
            number,
            name: out.name,
            audience: out.audience,
            class: out.class,
            versions: out.bump.map(|_| versions),
            body: out.body,
            heads: Default::default(),
        }
    }

    /// The shared part of the frame, made at most once per generation and form.
    pub fn head(&self, generation: Generation, form: Form) -> Option<&Head> {
        let slot = match (generation, form) {
            (Generation::V4, Form::Normal) => 0,
            (Generation::V4, Form::Replace) => 1,
            // The text of a v3 piece is cumulative: it needs no second form.
            (Generation::V3, _) => 2,
        };
        self.heads[slot]
            .get_or_init(|| self.make_head(generation, form))
            .as_ref()
    }

    fn make_head(&self, generation: Generation, form: Form) -> Option<Head> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(br#"{"type":"event","event":"#);
        write_json_string(&mut out, self.name);
        out.extend_from_slice(br#","payload":"#);
        let written = self.body.write(generation, form, &mut out);
        if written == Written::Nothing {
            return None;
        }
        if let Some(versions) = self.versions {
            out.extend_from_slice(br#","stateVersion":"#);
            out.extend_from_slice(&to_bytes(&versions));
        }
        Some(Head {
            bytes: out.into(),
            open_for_session_key: written == Written::OpenForSessionKey,
        })
    }

    /// The session that the event is about, by its canonical key.
    pub const fn session(&self) -> Option<&Arc<str>> {
        match &self.audience {
            Audience::Session(key)
            | Audience::SessionTools(key)
            | Audience::SessionMessages(key) => Some(key),
            Audience::Everyone | Audience::Operators(_) | Audience::SessionIndex => None,
        }
    }
}

impl Head {
    /// The shared bytes.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Writes what differs per connection: the session key as its client wrote it, and `seq` where it
    /// is a broadcast.
    pub fn write_tail(&self, session_key: Option<&str>, seq: Option<u64>, out: &mut Vec<u8>) {
        if self.open_for_session_key {
            out.extend_from_slice(br#","sessionKey":"#);
            write_json_string(out, session_key.unwrap_or_default());
            out.push(b'}');
        }
        if let Some(seq) = seq {
            out.extend_from_slice(br#","seq":"#);
            out.extend_from_slice(seq.to_string().as_bytes());
        }
        out.push(b'}');
    }
}

/// The frame of an event for one connection alone; it has no place in anyone's order, and no `seq`.
pub fn targeted<T: Serialize>(name: &str, payload: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(br#"{"type":"event","event":"#);
    write_json_string(&mut out, name);
    out.extend_from_slice(br#","payload":"#);
    out.extend_from_slice(&to_bytes(payload));
    out.push(b'}');
    out
}

/// Writes `value` without its closing brace, for [`Written::OpenForSessionKey`].
pub fn write_open<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Written {
    out.extend_from_slice(&to_bytes(value));
    out.pop();
    Written::OpenForSessionKey
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug)]
    struct Keyed;

    impl EventBody for Keyed {
        fn write(&self, generation: Generation, form: Form, out: &mut Vec<u8>) -> Written {
            match generation {
                Generation::V3 => write_open(&json!({"runId": "r"}), out),
                Generation::V4 => Plain(json!({"runId": "r", "replace": form == Form::Replace}))
                    .write(generation, form, out),
            }
        }
    }

    fn frame(event: &Event, generation: Generation, form: Form, key: Option<&str>) -> Value {
        let head = event.head(generation, form).unwrap();
        let mut bytes = head.bytes().to_vec();
        head.write_tail(key, Some(7), &mut bytes);
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn one_body_gives_each_generation_and_form_its_own_frame() {
        let out = EventOut::new("chat", Audience::Session("agent:main:main".into()), Keyed);
        let event = Event::order(out, 1, StateVersion::default());
        assert_eq!(
            frame(&event, Generation::V4, Form::Replace, None),
            json!({"type":"event","event":"chat","payload":{"runId":"r","replace":true},"seq":7})
        );
        assert_eq!(
            frame(&event, Generation::V3, Form::Normal, Some("ma\"in")),
            json!({"type":"event","event":"chat","payload":{"runId":"r","sessionKey":"ma\"in"},"seq":7})
        );
    }

    #[test]
    fn versions_ride_only_on_events_that_raise_one() {
        let versions = StateVersion {
            presence: 4,
            health: 2,
        };
        let out = EventOut::new(
            "presence",
            Audience::Operators(Scope::Read),
            Plain(json!({"presence": []})),
        )
        .bump(Bump::Presence);
        let event = Event::order(out, 1, versions);
        assert_eq!(
            frame(&event, Generation::V4, Form::Normal, None)["stateVersion"],
            json!({"presence": 4, "health": 2})
        );
        assert!(
            Event::order(
                EventOut::new("new", Audience::Everyone, PlainV4(1)),
                2,
                versions
            )
            .head(Generation::V3, Form::Normal)
            .is_none()
        );
    }
}
