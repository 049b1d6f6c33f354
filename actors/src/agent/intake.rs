//! Messages that take a while to be accepted: files are kept before, off the actor's thread, and a
//! command is done before it is told. What comes to the same session meanwhile waits behind it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, WrapFuture as _};
use openclaw_protocol::methods::common::Attachment;
use openclaw_protocol::methods::message::ContentPart;
use openclaw_protocol::{ErrorShape, Method};

use super::AgentRunner;
use crate::call::Reply;
use crate::clock::Millis;
use crate::media::{self, Blobs, Limits, Reference};

/// Sessions whose files are stored at one time.
const MAX_KEEPING: usize = 8;
/// Bytes of files (as base64) that are held in memory by messages that are being stored or wait for that, over
/// all sessions; one message may always come.
const MAX_HELD: usize = 64 * 1024 * 1024;
/// Messages of one session that wait behind one with files.
const MAX_WAITING: usize = 100;

/// What is done with a message once its turn comes.
pub(super) type Go = Box<dyn FnOnce(&mut AgentRunner, &mut Context<AgentRunner>)>;

/// A message that waits.
struct Next {
    bytes: usize,
    go: Go,
}

/// A session whose files are being stored, or whose command is being done, and what waits behind.
#[derive(Default)]
struct Storing {
    bytes: usize,
    waiting: VecDeque<Next>,
}

/// The sessions in which something is not accepted yet, by canonical key.
#[derive(Default)]
pub(super) struct Intake(BTreeMap<Arc<str>, Storing>);

impl Intake {
    /// Sessions whose files are being stored now.
    fn keeping(&self) -> usize {
        self.0.values().filter(|storing| storing.bytes > 0).count()
    }

    fn held(&self) -> usize {
        let waiting =
            |storing: &Storing| storing.waiting.iter().map(|next| next.bytes).sum::<usize>();
        let held = |storing: &Storing| storing.bytes + waiting(storing);
        self.0.values().map(held).sum()
    }

    /// Whether something of this session is not accepted yet.
    pub(super) fn is_busy(&self, key: &Arc<str>) -> bool {
        self.0.contains_key(key)
    }

    /// Lets what comes to this session wait until [`AgentRunner::go_on`]; false when it does already,
    /// for something else.
    pub(super) fn hold(&mut self, key: &Arc<str>) -> bool {
        let is_free = !self.is_busy(key);
        if is_free {
            self.0.insert(Arc::clone(key), Storing::default());
        }
        is_free
    }

    /// Lets a message without files wait behind what is not accepted yet.
    pub(super) fn line_up(&mut self, key: &Arc<str>, go: Go) {
        let storing = self.0.entry(Arc::clone(key)).or_default();
        storing.waiting.push_back(Next { bytes: 0, go });
    }

    /// Why a message of `bytes` of files cannot wait.
    pub(super) fn refusal(&self, key: &Arc<str>, bytes: usize) -> Option<ErrorShape> {
        self.is_full(key, bytes).then(|| {
            ErrorShape::unavailable("too many messages and files are being stored; try again")
                .retry_after(1_000)
        })
    }

    /// Whether there is no room for a message of `bytes` in this session.
    fn is_full(&self, key: &Arc<str>, bytes: usize) -> bool {
        let session = self.0.get(key);
        let held = if bytes == 0 { 0 } else { self.held() };
        session.is_some_and(|storing| storing.waiting.len() >= MAX_WAITING)
            || session.is_none() && bytes > 0 && self.keeping() >= MAX_KEEPING
            || held > 0 && held + bytes > MAX_HELD
    }
}

fn weight(attachments: &[Attachment]) -> usize {
    let content = attachments.iter().filter_map(|file| file.content.as_ref());
    content.map(String::len).sum()
}

impl AgentRunner {
    /// Keeps the files of a message, then goes on with the parts that name them: at once where there
    /// are none and no earlier message of the session waits for its own.
    pub(crate) fn take_in<M: Method>(
        &mut self,
        key: &Arc<str>,
        attachments: Option<Vec<Attachment>>,
        reply: Reply<M>,
        ctx: &mut Context<Self>,
        then: impl FnOnce(&mut Self, Reply<M>, Vec<ContentPart>, &mut Context<Self>) + 'static,
    ) {
        let attachments = attachments.unwrap_or_default();
        let bytes = weight(&attachments);
        if let Some(busy) = self.intake.refusal(key, bytes) {
            // It holds the key, which is free when the refusal is heard.
            drop(then);
            return reply.error(busy);
        }
        if let Some(storing) = self.intake.0.get_mut(key) {
            let key = Arc::clone(key);
            storing.waiting.push_back(Next {
                bytes,
                go: Box::new(move |act, ctx| {
                    act.take_now(&key, attachments, reply, ctx, then);
                }),
            });
            return;
        }
        self.take_now(key, attachments, reply, ctx, then);
    }

    fn take_now<M: Method>(
        &mut self,
        key: &Arc<str>,
        attachments: Vec<Attachment>,
        reply: Reply<M>,
        ctx: &mut Context<Self>,
        then: impl FnOnce(&mut Self, Reply<M>, Vec<ContentPart>, &mut Context<Self>) + 'static,
    ) {
        if attachments.is_empty() {
            return then(self, reply, Vec::new(), ctx);
        }
        let key = Arc::clone(key);
        let storing = Storing {
            bytes: weight(&attachments),
            waiting: VecDeque::new(),
        };
        self.intake.0.insert(Arc::clone(&key), storing);
        let media = self.deps.media.clone();
        let limits = self.deps.views.settings.load().attachments;
        let now = self.deps.clock.now();
        let keeping = tokio::task::spawn_blocking(move || keep(&media, &attachments, limits, now));
        ctx.spawn(keeping.into_actor(self).map(move |kept, act, ctx| {
            match kept {
                Ok(Ok(parts)) => then(act, reply, parts, ctx),
                Ok(Err(error)) => {
                    // It holds the key, which is free when the refusal is heard.
                    drop(then);
                    reply.error(error);
                }
                Err(error) => {
                    drop(then);
                    tracing::error!(%error, "storing files failed");
                    reply.error(ErrorShape::unavailable(
                        "storing the files failed; try again",
                    ));
                }
            }
            act.go_on(&key, ctx);
        }));
    }

    /// What waited goes on in its order, until one of them has files itself.
    pub(super) fn go_on(&mut self, key: &Arc<str>, ctx: &mut Context<Self>) {
        let storing = self.intake.0.remove(key);
        let mut waiting = storing.map(|storing| storing.waiting).unwrap_or_default();
        while let Some(next) = waiting.pop_front() {
            (next.go)(self, ctx);
            if let Some(behind) = self.intake.0.get_mut(key) {
                behind.waiting = waiting;
                return;
            }
        }
    }
}

fn keep(
    media: &Blobs,
    attachments: &[Attachment],
    limits: Limits,
    now: Millis,
) -> Result<Vec<ContentPart>, ErrorShape> {
    let files = media::read(attachments, limits)?;
    let kept = files.iter().map(|file| {
        let id = media.put(&file.bytes, now)?;
        Ok(Reference::of(id, file).part())
    });
    kept.collect::<Result<_, media::MediaError>>()
        .map_err(|error| {
            tracing::warn!(%error, "a file that came with a message could not be stored");
            ErrorShape::unavailable(format!(
                "a file could not be stored: {error}; see that the disk has room, then try again"
            ))
            .retry_after(2_000)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_with_files_is_bounded_by_bytes_and_one_message_may_always_come() {
        let (here, there): (Arc<str>, Arc<str>) = ("here".into(), "there".into());
        let mut intake = Intake::default();
        assert!(!intake.is_full(&here, 2 * MAX_HELD));
        let next = |bytes| Next {
            bytes,
            go: Box::new(|_, _| {}),
        };
        let half = MAX_HELD / 2;
        let storing = Storing {
            bytes: half,
            waiting: VecDeque::from([next(half - 1)]),
        };
        intake.0.insert(Arc::clone(&here), storing);
        assert!(!intake.is_full(&here, 1));
        assert!(intake.is_full(&here, 2));
        assert!(intake.is_full(&there, 2));
        // Words alone wait in any case, up to their number.
        assert!(!intake.is_full(&here, 0));
        let waiting = &mut intake.0.get_mut(&here).unwrap().waiting;
        waiting.extend((1..MAX_WAITING).map(|_| next(0)));
        assert!(intake.is_full(&here, 0));
        assert!(!intake.is_full(&there, 0));
    }
}
