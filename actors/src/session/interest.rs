//! Who behind a hub would take an event. Pure.
//!
//! Kept by the hub's queue, in the queue's order: what an event meets here is what it meets at its
//! connections once they come to it. Counted by kind of connection, so that asking costs as little
//! for a thousand of them as for one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use openclaw_protocol::{Generation, Role, Scope, Scopes};

use crate::call::{Caller, ConnKey, Listen};
use crate::event::Audience;

/// What decides which events a connection may have, apart from what it subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    generation: Generation,
    role: Role,
    scopes: Scopes,
    /// It announced that it can show tools.
    tools: bool,
    /// It asked for nothing but the sessions that it subscribed to.
    scoped: bool,
}

/// Connections by kind; there are a few kinds, however many connections there are.
#[derive(Debug, Default)]
struct Crowd(Vec<(Kind, usize)>);

/// A connection, and what it subscribed to; its owners bound how much that is.
#[derive(Debug)]
struct Member {
    kind: Kind,
    index: bool,
    sessions: BTreeSet<Arc<str>>,
}

/// The connections of one hub, as the next event will find them.
#[derive(Debug, Default)]
pub(super) struct Interest {
    members: HashMap<ConnKey, Member>,
    everyone: Crowd,
    index: Crowd,
    sessions: HashMap<Arc<str>, Crowd>,
}

impl Kind {
    fn of(caller: &Caller) -> Self {
        Self {
            generation: caller.generation,
            role: caller.role,
            scopes: caller.scopes,
            tools: caller.has_cap("tool-events"),
            scoped: caller.has_cap("session-scoped-events"),
        }
    }

    fn holds(self, scope: Scope) -> bool {
        self.role == Role::Operator && self.scopes.grants(scope)
    }

    fn reads(self) -> bool {
        self.holds(Scope::Read)
    }
}

impl Crowd {
    fn enter(&mut self, kind: Kind) {
        match self.0.iter_mut().find(|(own, _)| *own == kind) {
            Some((_, count)) => *count += 1,
            None => self.0.push((kind, 1)),
        }
    }

    fn leave(&mut self, kind: Kind) {
        if let Some(at) = self.0.iter().position(|(own, _)| *own == kind) {
            self.0[at].1 -= 1;
            if self.0[at].1 == 0 {
                self.0.swap_remove(at);
            }
        }
    }

    fn has(&self, wanted: impl Fn(Kind) -> bool) -> bool {
        self.0.iter().any(|(kind, _)| wanted(*kind))
    }
}

impl Interest {
    /// A connection hears events from here on.
    pub(super) fn join(&mut self, caller: &Caller) {
        let kind = Kind::of(caller);
        let member = Member {
            kind,
            index: false,
            sessions: BTreeSet::new(),
        };
        if self.members.insert(caller.conn, member).is_none() {
            self.everyone.enter(kind);
        }
    }

    /// A connection is over.
    pub(super) fn leave(&mut self, conn: ConnKey) {
        let Some(Member {
            kind,
            index,
            sessions,
        }) = self.members.remove(&conn)
        else {
            return;
        };
        self.everyone.leave(kind);
        if index {
            self.index.leave(kind);
        }
        for session in &sessions {
            self.leave_session(session, kind);
        }
    }

    /// A connection's subscriptions change.
    pub(super) fn listen(&mut self, conn: ConnKey, changes: &[Listen]) {
        for change in changes {
            let Some(member) = self.members.get_mut(&conn) else {
                return;
            };
            let kind = member.kind;
            match change {
                Listen::SessionIndex(on) => {
                    let before = std::mem::replace(&mut member.index, *on);
                    match (before, *on) {
                        (false, true) => self.index.enter(kind),
                        (true, false) => self.index.leave(kind),
                        _ => {}
                    }
                }
                Listen::Session(session, true) => {
                    if member.sessions.insert(Arc::clone(session)) {
                        let crowd = self.sessions.entry(Arc::clone(session)).or_default();
                        crowd.enter(kind);
                    }
                }
                Listen::Session(session, false) => {
                    if member.sessions.remove(session) {
                        self.leave_session(session, kind);
                    }
                }
                Listen::Alias { .. } => {}
            }
        }
    }

    fn leave_session(&mut self, session: &Arc<str>, kind: Kind) {
        if let Some(crowd) = self.sessions.get_mut(session) {
            crowd.leave(kind);
            if crowd.0.is_empty() {
                self.sessions.remove(session);
            }
        }
    }

    /// Whether a connection of this generation would take an event with this audience: the rule of
    /// [`super::link::Link::deliver`], for all of them at once.
    pub(super) fn takes(&self, audience: &Audience, generation: Generation) -> bool {
        let everyone = |wanted: &dyn Fn(Kind) -> bool| {
            (self.everyone).has(|kind| kind.generation == generation && wanted(kind))
        };
        let followers = |session: &Arc<str>, wanted: &dyn Fn(Kind) -> bool| {
            let crowd = self.sessions.get(session);
            crowd.is_some_and(|crowd| {
                crowd.has(|kind| kind.generation == generation && wanted(kind))
            })
        };
        match audience {
            Audience::Everyone => everyone(&|_| true),
            Audience::Operators(scope) => everyone(&|kind| kind.holds(*scope)),
            Audience::SessionIndex => {
                (self.index).has(|kind| kind.generation == generation && kind.reads())
            }
            Audience::SessionMessages(session) => followers(session, &|kind| kind.reads()),
            Audience::Session(session) => {
                everyone(&|kind| kind.reads() && !kind.scoped)
                    || followers(session, &|kind| kind.reads() || kind.role == Role::Node)
            }
            Audience::SessionTools(session) => {
                let shows = |kind: Kind| kind.reads() && kind.tools;
                everyone(&|kind| shows(kind) && !kind.scoped) || followers(session, &shows)
            }
        }
    }
}
