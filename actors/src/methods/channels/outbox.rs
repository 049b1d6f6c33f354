//! `channels.outbox.*`: a person's word about messages that did not arrive; owner: channels.

use std::sync::Arc;

use actix::Handler;
use openclaw_protocol::methods::channel_outbox::{
    ChannelsOutboxDiscard, ChannelsOutboxList, ChannelsOutboxListParams, ChannelsOutboxListResult,
    ChannelsOutboxParams, ChannelsOutboxResend, ChannelsOutboxResult, OutboxMessage,
};
use openclaw_protocol::{ErrorShape, Method};

use crate::call::Call;
use crate::channel::AccountRef;
use crate::channel::account::Account;
use crate::channel::outbox::{self, Entry, Row, SendState, lost};
use crate::channel::supervisor::{Channels, ChannelsDeps};
use crate::clock::Millis;
use crate::methods::store_error;
use crate::store::Op;

/// Most messages of one account that a list has.
const MOST: usize = 200;
/// Longest beginning of a text that it has, characters.
const BEGINNING: usize = 500;

impl Handler<Call<ChannelsOutboxList>> for Channels {
    type Result = ();

    fn handle(&mut self, call: Call<ChannelsOutboxList>, _: &mut Self::Context) {
        let Call { params, reply, .. } = call;
        let deps = self.deps.clone();
        actix_rt::spawn(async move { reply.settle(deps.outbox_list(&params).await) });
    }
}

impl Handler<Call<ChannelsOutboxResend>> for Channels {
    type Result = ();

    fn handle(&mut self, call: Call<ChannelsOutboxResend>, _: &mut Self::Context) {
        let Call { params, reply, .. } = call;
        let deps = self.deps.clone();
        actix_rt::spawn(async move {
            let name = ChannelsOutboxResend::NAME;
            reply.settle(deps.decide(name, &params, Word::Resend).await);
        });
    }
}

impl Handler<Call<ChannelsOutboxDiscard>> for Channels {
    type Result = ();

    fn handle(&mut self, call: Call<ChannelsOutboxDiscard>, _: &mut Self::Context) {
        let Call { params, reply, .. } = call;
        let deps = self.deps.clone();
        actix_rt::spawn(async move {
            let name = ChannelsOutboxDiscard::NAME;
            reply.settle(deps.decide(name, &params, Word::Discard).await);
        });
    }
}

/// What a person says about a message.
#[derive(Clone, Copy)]
enum Word {
    Resend,
    Discard,
}

/// A person's decision under way: one at a time about one message.
struct Deciding {
    account: Arc<Account>,
    seq: u64,
    done: bool,
}

impl Drop for Deciding {
    fn drop(&mut self) {
        let (seq, done) = (self.seq, self.done);
        self.account.outbox.with(|outbox| outbox.decided(seq, done));
        self.account.note(|_| ());
    }
}

fn shown(who: &AccountRef, row: &Row) -> OutboxMessage {
    OutboxMessage {
        id: row.id.clone(),
        channel: who.channel.to_string(),
        account_id: who.account.to_string(),
        to: row.to.to_string(),
        at: Millis(row.at).wire(),
        state: row.state.as_str().to_owned(),
        why: row.why.clone(),
        by: row.by.clone(),
        text: match &row.file {
            Some(file) => format!("[{}] {}", file.name, row.text),
            None => row.text.clone(),
        }
        .trim()
        .chars()
        .take(BEGINNING)
        .collect(),
    }
}

impl ChannelsDeps {
    /// The accounts that a request means, configured ones only.
    fn meant(&self, channel: Option<&str>, account: Option<&str>) -> Vec<AccountRef> {
        let settings = self.shared.views.settings.load();
        let is = |wanted: Option<&str>, own: &str| {
            wanted.is_none_or(|wanted| wanted.trim().eq_ignore_ascii_case(own))
        };
        let accounts = settings.channels.accounts.keys();
        accounts
            .filter(|who| is(channel, &who.channel) && is(account, &who.account))
            .cloned()
            .collect()
    }

    /// The pieces of an account, read where nobody waits for it.
    async fn pieces(&self, who: &AccountRef) -> Result<Vec<(u64, Row)>, ErrorShape> {
        let who = who.clone();
        let reader = self.shared.store.reader();
        let rows = reader.offload(move |reader| lost::all(reader, &who)).await;
        rows.map_err(|error| store_error(&error))
    }

    async fn outbox_list(
        &self,
        params: &ChannelsOutboxListParams,
    ) -> Result<ChannelsOutboxListResult, ErrorShape> {
        let mut messages = Vec::new();
        for who in self.meant(params.channel.as_deref(), params.account_id.as_deref()) {
            let rows = self.pieces(&who).await?;
            let newest = rows.len().saturating_sub(MOST);
            messages.extend(rows[newest..].iter().map(|(_, row)| shown(&who, row)));
        }
        messages.sort_by_key(|message| message.at);
        Ok(ChannelsOutboxListResult { messages })
    }

    async fn decide(
        &self,
        method: &str,
        params: &ChannelsOutboxParams,
        word: Word,
    ) -> Result<ChannelsOutboxResult, ErrorShape> {
        let invalid =
            |problem: String| ErrorShape::invalid(format!("invalid {method} params: {problem}"));
        let id = params.id.trim();
        let mut found = None;
        for who in self.meant(params.channel.as_deref(), params.account_id.as_deref()) {
            let rows = self.pieces(&who).await?;
            let row = rows.into_iter().find(|(_, row)| row.id == id);
            found = found.or(row.map(|(seq, row)| (who, seq, row)));
        }
        let (who, seq, row) = found.ok_or_else(|| {
            invalid(format!(
                "no message \"{id}\" waits or was lost; see openclaw channels outbox"
            ))
        })?;
        if !row.state.is_over() {
            return Err(invalid(format!(
                "the message \"{id}\" is still {}; only what did not arrive, or of which nobody knows, can be decided about",
                row.state.as_str()
            )));
        }
        let account = self.accounts.with(|accounts| accounts.get(&who));
        let account = account.ok_or_else(|| {
            ErrorShape::unavailable(format!("{who} is starting; try again")).retry_after(500)
        })?;
        if !account.outbox.with(|outbox| outbox.decide(seq)) {
            return Err(invalid(format!("somebody decides about \"{id}\" just now")));
        }
        let mut deciding = Deciding {
            account: Arc::clone(&account),
            seq,
            done: false,
        };
        // Somebody may have decided between the reading and now.
        let still = lost::one(self.shared.store.reader(), &who, seq);
        let still = still.map_err(|error| store_error(&error))?;
        if !still.is_some_and(|row| row.state.is_over()) {
            return Err(invalid(format!("\"{id}\" is decided about already")));
        }
        let to = row.to.to_string();
        let outcome = self.carry_out(&account, seq, row, word).await?;
        deciding.done = true;
        tracing::info!(account = %who, id, to, outcome, "a person decided about a message that did not arrive");
        Ok(ChannelsOutboxResult {
            id: id.to_owned(),
            channel: who.channel.to_string(),
            account_id: who.account.to_string(),
            to,
            outcome: outcome.to_owned(),
        })
    }

    async fn carry_out(
        &self,
        account: &Arc<Account>,
        seq: u64,
        row: Row,
        word: Word,
    ) -> Result<&'static str, ErrorShape> {
        let who = &account.who;
        let mut ops: Vec<Op> = vec![lost::forget(who, seq)];
        let mut again = None;
        if matches!(word, Word::Resend) {
            if !account.outbox.with(|outbox| outbox.has_room(1)) {
                return Err(ErrorShape::unavailable(format!(
                    "too many messages wait to be sent by {who}"
                ))
                .retry_after(10_000));
            }
            let now = account.now();
            let number = account.outbox.with(|outbox| outbox.reserve(1, now)).start;
            let row = Row {
                state: SendState::Queued,
                why: None,
                at: now.get(),
                ..row
            };
            let op = outbox::op(who, number, &row).map_err(|error| store_error(&error))?;
            ops.push(op);
            again = Some((number, row));
        }
        if let Err(error) = self.shared.store.commit(ops).await {
            let (account, store) = (Arc::clone(account), self.shared.store.clone());
            let rows = again.into_iter().collect();
            actix_rt::spawn(async move { account.take_up(&store, rows).await });
            return Err(store_error(&error));
        }
        let outcome = if again.is_some() {
            "queued"
        } else {
            "discarded"
        };
        let again = again.into_iter();
        account.enqueue(again.map(|(number, row)| (number, Entry::new(row))));
        Ok(outcome)
    }
}
