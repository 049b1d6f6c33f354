//! What a transport is given: the way in, and what it says of itself.

use std::rc::Rc;

use super::ProviderDeps;
use crate::channel::inbox::{self, Backlog, Item, Known, cursor};
use crate::channel::outbox::{self, Entry, Row, SendState};
use crate::channel::pairing::{Asked, Request};
use crate::channel::policy::Verdict;
use crate::channel::{ChannelError, Inbound};
use crate::clock::Millis;
use crate::store::{Op, StoreError};

/// The account's side of one transport.
pub struct Link {
    deps: Rc<ProviderDeps>,
    generation: u64,
}

/// A batch was not stored: the platform must keep it.
#[derive(Debug, thiserror::Error)]
#[error("what came in cannot be stored now, so the platform keeps it: {0}")]
pub struct Refused(#[from] StoreError);

impl From<Refused> for ChannelError {
    fn from(refused: Refused) -> Self {
        Self::Transient(refused.to_string())
    }
}

/// What a batch comes to.
struct Batch {
    ops: Vec<Op>,
    items: Vec<Item>,
    requests: Requests,
    out: Vec<(u64, Row)>,
}

/// Requests of strangers on their way to the disk. Dropped before, they were never made: whoever wrote
/// is told how they come in the next time.
struct Requests {
    deps: Rc<ProviderDeps>,
    ids: Vec<String>,
}

impl Drop for Requests {
    fn drop(&mut self) {
        if self.ids.is_empty() {
            return;
        }
        self.deps.shared.desk.with(|book| {
            for id in &self.ids {
                book.retract(&self.deps.account.who, id);
            }
        });
    }
}

impl Link {
    pub(super) fn new(deps: Rc<ProviderDeps>, generation: u64) -> Self {
        Self { deps, generation }
    }

    /// The platform was heard, and said who we are. From here on the account counts as connected.
    pub fn connected(&self, identity: &str) {
        let account = &self.deps.account;
        let at = account.monotonic();
        let is_new = account
            .machine
            .with(|machine| machine.connected(self.generation, at));
        if !is_new {
            return;
        }
        let now = account.now().wire();
        tracing::info!(account = %account.who, generation = self.generation, "a channel is connected");
        tracing::debug!(account = %account.who, identity, "who the platform says we are");
        account.note(|status| {
            status.connected_at = Some(now);
            status.transport_at = Some(now);
            status.probe_at = Some(now);
            status.identity = Some(identity.to_owned());
            status.error = None;
        });
        account.outbox_wake.notify_one();
    }

    /// The platform was heard, whatever it said.
    pub fn alive(&self) {
        let now = self.deps.account.now().wire();
        self.deps
            .account
            .note(|status| status.transport_at = Some(now));
    }

    /// Whether a phone has linked the account.
    pub fn linked(&self, linked: bool) {
        self.deps
            .account
            .note(|status| status.linked = Some(linked));
    }

    /// Something is wrong that a person should know of, and the connection goes on.
    pub fn trouble(&self, why: &str) {
        let account = &self.deps.account;
        tracing::warn!(account = %account.who, why, "a channel is in trouble");
        account.note(|status| status.error = Some(why.to_owned()));
    }

    /// Now.
    pub fn now(&self) -> Millis {
        self.deps.account.now()
    }

    /// Ends when no transport is wanted any more.
    pub async fn stopping(&self) {
        let mut wish = self.deps.account.wish.subscribe();
        // Whoever wishes lives as long as the account.
        let _ = wish.wait_for(|wish| !wish.run).await;
    }

    /// Where receiving goes on.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn cursor(&self) -> Result<Option<String>, ChannelError> {
        cursor::read(self.deps.shared.store.reader(), &self.deps.account.who)
            .map_err(|error| Refused(error).into())
    }

    /// Takes up what an earlier transport put on the disk without hearing of it: a commit that was not
    /// confirmed, or whose transport ended meanwhile.
    pub(super) async fn recall(&self) -> Result<(), ChannelError> {
        let account = &self.deps.account;
        let before = account.inbox.with(|inbox| inbox.ids());
        let who = account.who.clone();
        let reader = self.deps.shared.store.reader();
        let disk = reader.offload(move |reader| Backlog::load(reader, &who));
        let disk = disk.await.map_err(|error| {
            ChannelError::Transient(format!("what waits for an answer cannot be read: {error}"))
        })?;
        let found = account.inbox.with(|inbox| inbox.complete(disk, &before));
        if found > 0 {
            tracing::warn!(account = %account.who, found, "messages were stored without that being confirmed; they are answered now");
            account.note(|_| ());
            account.inbox_wake.notify_one();
        }
        Ok(())
    }

    /// Takes messages over. When this returns they are on the disk, together with the cursor, and only
    /// then may the platform forget them. Waits while too many wait for their answer, but not where no transport
    /// is wanted any more: what is on its way then is taken, and no more comes.
    ///
    /// # Errors
    ///
    /// [`Refused`]: none of them was taken.
    pub async fn take(&self, messages: Vec<Inbound>, next: Option<&str>) -> Result<(), Refused> {
        let account = &self.deps.account;
        loop {
            let room = account.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            let is_last = !account.wish.borrow().run;
            if is_last || account.inbox.with(|inbox| inbox.has_room(messages.len())) {
                break;
            }
            tokio::select! {
                () = room => {}
                () = self.stopping() => {}
            }
        }
        let mut batch = Batch {
            ops: Vec::new(),
            items: Vec::new(),
            requests: Requests {
                deps: Rc::clone(&self.deps),
                ids: Vec::new(),
            },
            out: Vec::new(),
        };
        for message in messages {
            self.sort(message, &mut batch)?;
        }
        if let Some(next) = next {
            batch.ops.push(cursor::op(&account.who, next)?);
        }
        let ops = std::mem::take(&mut batch.ops);
        if ops.is_empty() {
            if !batch.items.is_empty() {
                keep(&self.deps, batch);
            }
            return Ok(());
        }
        // A task of its own: the transport may end meanwhile, and what is then on the disk is known here.
        let deps = Rc::clone(&self.deps);
        let storing = actix_rt::spawn(async move {
            deps.shared.store.commit(ops).await?;
            keep(&deps, batch);
            Ok(())
        });
        let stored = storing.await.unwrap_or_else(|_| {
            Err(StoreError::Unavailable(
                "the gateway failed while storing it; the log has the place".into(),
            ))
        });
        Ok(stored?)
    }

    /// Decides about one message.
    fn sort(&self, message: Inbound, batch: &mut Batch) -> Result<(), StoreError> {
        let account = &self.deps.account;
        let shared = &self.deps.shared;
        let known = if account.inbox.with(|inbox| inbox.knows(&message.id))
            || batch.items.iter().any(|item| item.message.id == message.id)
        {
            Known::Over
        } else {
            inbox::known(shared.store.reader(), &account.who, &message.id)?
        };
        match known {
            Known::New => {}
            Known::Over => {
                tracing::debug!(account = %account.who, id = message.id, "a message came twice");
                return Ok(());
            }
            // The platform was told that it was not taken, and the disk had it after all.
            Known::Waiting(item) => {
                batch.items.push(item);
                return Ok(());
            }
        }
        let (who, sender) = (&account.who, &message.sender.id);
        let owner = shared.views.settings.load().channels.is_owner(who, sender);
        let paired = shared.desk.is_approved(who, sender);
        match self.deps.current().policy.decide(&message, paired, owner) {
            Verdict::Take { trusted } => {
                let now = account.now();
                let item = account
                    .inbox
                    .with(|inbox| inbox.draft(message, trusted, now));
                batch.ops.push(item.op(who)?);
                batch.items.push(item);
            }
            Verdict::Pair => self.pair(&message, batch)?,
            Verdict::Ignore(why) => {
                tracing::debug!(account = %who, id = message.id, why, "a message is not answered");
            }
        }
        Ok(())
    }

    /// A stranger wrote: the first time they are told how they come in.
    fn pair(&self, message: &Inbound, batch: &mut Batch) -> Result<(), StoreError> {
        let account = &self.deps.account;
        let desk = &self.deps.shared.desk;
        let (asked, op) = desk.ask(&account.who, &message.sender, &message.chat.chat)?;
        let Asked::Created(request) = asked else {
            return Ok(());
        };
        batch.requests.ids.push(request.id.clone());
        batch.ops.extend(op);
        tracing::info!(account = %account.who, "somebody new wrote; see `openclaw pairing list`");
        tracing::debug!(account = %account.who, sender = message.sender.id, "who wrote");
        let (seq, row) = self.words(message, &request, account.now());
        batch.ops.push(outbox::op(&account.who, seq, &row)?);
        batch.out.push((seq, row));
        Ok(())
    }

    /// What a stranger is told.
    fn words(&self, message: &Inbound, request: &Request, now: Millis) -> (u64, Row) {
        let who = &self.deps.account.who;
        let word = match &self.deps.settings.setup {
            Ok(setup) => setup.facts().sender_word,
            Err(_) => "id",
        };
        let account = if &*who.account == "default" {
            String::new()
        } else {
            format!(" --account {}", who.account)
        };
        let text = format!(
            "This is a private assistant, and it does not know you yet.\n\nYour {word}: `{}`\n\nPairing code: `{}`\n\nIts owner lets you in with:\n\n`openclaw pairing approve {} {}{account}`",
            message.sender.id, request.code, who.channel, request.code
        );
        let seq = self
            .deps
            .account
            .outbox
            .with(|outbox| outbox.reserve(1, now));
        let row = Row {
            id: format!("{}#pairing", message.id),
            to: message.chat.clone(),
            text,
            reply_to: None,
            silent: false,
            edits: None,
            file: None,
            at: now.get(),
            by: format!("pairing of {}", message.sender.id),
            state: SendState::Queued,
            why: None,
        };
        (seq.start, row)
    }
}

/// The batch is on the disk.
fn keep(deps: &ProviderDeps, mut batch: Batch) {
    let account = &deps.account;
    batch.requests.ids.clear();
    let came = !batch.items.is_empty();
    account.inbox.with(|inbox| {
        for item in std::mem::take(&mut batch.items) {
            // A transport that began meanwhile may have found it on the disk.
            if !inbox.knows(&item.message.id) {
                inbox.insert(item);
            }
        }
    });
    let out = std::mem::take(&mut batch.out).into_iter();
    account.enqueue(out.map(|(seq, row)| (seq, Entry::new(row))));
    let now = account.now().wire();
    account.note(|status| {
        status.transport_at = Some(now);
        if came {
            status.inbound_at = Some(now);
        }
    });
    account.inbox_wake.notify_one();
}
