//! Messages that come with files: the files are kept before the message is accepted, off the
//! actor's thread, and what comes to the same session meanwhile waits behind it.

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

/// Messages whose files are kept at one time, over all sessions. Each holds its files in memory.
const MAX_KEEPING: usize = 8;
/// Messages of one session that wait behind one with files.
const MAX_WAITING: usize = 100;

type Next = Box<dyn FnOnce(&mut AgentRunner, &mut Context<AgentRunner>)>;

/// What waits for the files of an earlier message, by canonical session key.
pub(super) type Intake = BTreeMap<Arc<str>, VecDeque<Next>>;

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
        let busy = || {
            ErrorShape::unavailable("too many files are being stored; try again").retry_after(1_000)
        };
        if let Some(waiting) = self.intake.get_mut(key) {
            if waiting.len() >= MAX_WAITING {
                return reply.error(busy());
            }
            let key = Arc::clone(key);
            waiting.push_back(Box::new(move |act, ctx| {
                act.take_now(&key, attachments, reply, ctx, then);
            }));
            return;
        }
        if !attachments.is_empty() && self.intake.len() >= MAX_KEEPING {
            return reply.error(busy());
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
        self.intake.insert(Arc::clone(&key), VecDeque::new());
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
    fn go_on(&mut self, key: &Arc<str>, ctx: &mut Context<Self>) {
        let mut waiting = self.intake.remove(key).unwrap_or_default();
        while let Some(next) = waiting.pop_front() {
            next(self, ctx);
            if let Some(behind) = self.intake.get_mut(key) {
                *behind = waiting;
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
