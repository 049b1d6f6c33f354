//! One client as the model sees it: what it has to get, and whether it got exactly that.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use bytes::BytesMut;
use openclaw_protocol::{Generation, Role, Scope};
use serde_json::{Value, json};

use crate::call::{Caller, Listen};
use crate::event::Audience;
use crate::session::link::Link;
use crate::tests::peer::Wire;

/// Keys that newer clients may see and older ones must not.
const NEWER_KEYS: [&str; 5] = ["deltaText", "replace", "agentId", "sessionId", "usage"];

/// An event as the model knows it.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) name: &'static str,
    pub(super) audience: Audience,
    pub(super) droppable: bool,
    pub(super) since_v4: bool,
    /// The run, and its text when this left.
    pub(super) run: Option<(String, String)>,
    /// Tells apart events without a run.
    pub(super) mark: u64,
}

/// What a client has to find in its outbox next.
#[derive(Debug)]
pub(super) enum Expected {
    Hello,
    Reply(u64),
    /// With its `seq`, which a node's own have not, and, for a run, the session key as this client is to see it.
    Event(Option<u64>, Told, Option<Arc<str>>),
    Close,
}
/// What a client subscribed to.
#[derive(Debug, Default)]
pub(super) struct Subscribed {
    pub(super) index: bool,
    pub(super) sessions: BTreeSet<Arc<str>>,
}
impl Subscribed {
    pub(super) fn change(&mut self, changes: &[Listen]) {
        for change in changes {
            match change {
                Listen::SessionIndex(on) => self.index = *on,
                Listen::Session(key, true) => {
                    self.sessions.insert(Arc::clone(key));
                }
                Listen::Session(key, false) => {
                    self.sessions.remove(key);
                }
                Listen::Alias { .. } => {}
            }
        }
    }
}
/// One socket's life.
pub(super) struct Client {
    pub(super) caller: Arc<Caller>,
    pub(super) link: Rc<Link>,
    pub(super) max_buffered: usize,
    pub(super) buffer: BytesMut,
    pub(super) joined: bool,
    pub(super) over: bool,
    pub(super) seq: u64,
    /// What it subscribed to, where the hub is.
    pub(super) heard: Subscribed,
    /// The same at the end of the hub's queue, where the next event goes.
    pub(super) ahead: Subscribed,
    pub(super) written: BTreeMap<Arc<str>, Arc<str>>,
    pub(super) expected: VecDeque<Expected>,
    /// What this client has put together of each run and family.
    pub(super) texts: BTreeMap<(String, &'static str), String>,
    pub(super) versions: (u64, u64),
}
/// How often each thing happened, so that a test can say that it happened at all.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) delivered: usize,
    pub(super) dropped: usize,
    pub(super) replaced: usize,
    pub(super) lagged: usize,
    pub(super) overrun: usize,
}
impl Client {
    pub(super) fn is_slow(&self) -> bool {
        self.link.buffered() > self.max_buffered
    }

    /// Older clients see a session key as they last wrote it.
    pub(super) fn key(&self, told: &Told) -> Option<Arc<str>> {
        let Audience::Session(canonical) = &told.audience else {
            return None;
        };
        let older = self.caller.generation == Generation::V3;
        let key = self
            .written
            .get(canonical)
            .filter(|_| older)
            .unwrap_or(canonical);
        Some(Arc::clone(key))
    }

    pub(super) fn foresee(&mut self, expected: Expected, counts: &mut Counts) {
        if self.is_slow() {
            counts.overrun += 1;
            self.over = true;
            self.expected.push_back(Expected::Close);
        } else {
            self.expected.push_back(expected);
        }
    }

    pub(super) fn listen(&mut self, changes: Vec<Listen>) {
        self.heard.change(&changes);
        for change in changes {
            if let Listen::Alias { canonical, written } = change {
                self.written.insert(canonical, written);
            }
        }
    }

    /// Whether it gets this event, having subscribed to this.
    pub(super) fn wants(&self, told: &Told, subscribed: &Subscribed) -> bool {
        let Caller {
            role,
            scopes,
            generation,
            caps,
            ..
        } = &*self.caller;
        if told.since_v4 && *generation == Generation::V3 {
            return false;
        }
        if *role == Role::Node {
            return match &told.audience {
                Audience::Everyone => true,
                Audience::Session(key) => subscribed.sessions.contains(key),
                _ => false,
            };
        }
        let read = scopes.grants(Scope::Read);
        match &told.audience {
            Audience::Everyone => true,
            Audience::Operators(scope) => scopes.grants(*scope),
            Audience::SessionIndex => read && subscribed.index,
            Audience::SessionMessages(key) => read && subscribed.sessions.contains(key),
            Audience::Session(key) => {
                read && (caps.is_empty() || subscribed.sessions.contains(key))
            }
            // No client of this bench shows tools.
            Audience::SessionTools(_) => false,
        }
    }

    /// What a node follows is for it alone, and has no place in an order.
    pub(super) fn is_targeted(&self, told: &Told) -> bool {
        self.caller.role == Role::Node && told.audience != Audience::Everyone
    }

    pub(super) fn check(&mut self, frame: &Wire, counts: &mut Counts) {
        let expected = self.expected.pop_front();
        let (frame, seq, told, key) = match (frame, expected) {
            (Wire::Close(1008, reason), Some(Expected::Close)) if reason == "slow consumer" => {
                return;
            }
            (Wire::Text(frame), Some(Expected::Hello)) => {
                assert_eq!(frame["type"], "hello");
                return self.version(&frame["stateVersion"]);
            }
            (Wire::Text(frame), Some(Expected::Reply(mark))) => {
                assert_eq!(
                    (&frame["type"], &frame["mark"]),
                    (&json!("res"), &json!(mark))
                );
                return;
            }
            (Wire::Text(frame), Some(Expected::Event(seq, told, key))) => (frame, seq, told, key),
            (frame, expected) => unreachable!("{frame:?} instead of {expected:?}"),
        };
        counts.delivered += 1;
        assert_eq!(
            (&frame["event"], &frame["seq"]),
            (&json!(told.name), &json!(seq)),
            "{frame} {told:?}"
        );
        if frame.get("stateVersion").is_some() {
            self.version(&frame["stateVersion"]);
        }
        match &told.run {
            None => assert_eq!(frame["payload"]["mark"], told.mark),
            Some((run, text)) => {
                assert_eq!(
                    frame["payload"]["sessionKey"],
                    key.as_deref().unwrap_or_default()
                );
                assert_eq!(frame["payload"]["runId"], run.as_str());
                self.check_run(&frame["payload"], &told, run, text, counts);
            }
        }
    }

    pub(super) fn version(&mut self, versions: &Value) {
        let versions = (
            versions["presence"].as_u64().unwrap(),
            versions["health"].as_u64().unwrap(),
        );
        assert!(
            versions.0 >= self.versions.0 && versions.1 >= self.versions.1,
            "a version went back"
        );
        self.versions = versions;
    }

    pub(super) fn check_run(
        &mut self,
        payload: &Value,
        told: &Told,
        run: &str,
        text: &str,
        counts: &mut Counts,
    ) {
        let older = self.caller.generation == Generation::V3;
        if older {
            for newer in NEWER_KEYS {
                assert!(payload.get(newer).is_none(), "{newer} in {payload}");
            }
        }
        if !told.droppable {
            return;
        }
        let chat = told.name == "chat";
        let (piece, whole) = if chat {
            (payload, &payload["message"]["content"][0]["text"])
        } else {
            (&payload["data"], &payload["data"]["text"])
        };
        assert_eq!(*whole, text, "the cumulative text");
        if older {
            return;
        }
        let delta = piece[if chat { "deltaText" } else { "delta" }]
            .as_str()
            .unwrap();
        let mine = self.texts.entry((run.to_owned(), told.name)).or_default();
        if piece["replace"] == true {
            counts.replaced += 1;
            delta.clone_into(mine);
        } else {
            mine.push_str(delta);
        }
        assert_eq!(mine, text, "what the client has put together");
    }
}
