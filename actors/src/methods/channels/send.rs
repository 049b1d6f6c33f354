//! `send` to a channel's platform; owner: channels. Acknowledged when the platform has it; until then
//! it is in the outbox, from the commit that takes its key.

use std::sync::Arc;
use std::time::Duration;

use actix::Handler;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::message::{Message, MessageRole};
use openclaw_protocol::methods::messaging::{Send, SendParams, SendResult};

use crate::call::{Call, Caller};
use crate::channel::account::Account;
use crate::channel::outbox::{self, Entry};
use crate::channel::sends::{self, Asker, Order};
use crate::channel::state::Phase;
use crate::channel::supervisor::{Channels, ChannelsDeps};
use crate::dedupe::Admitted;
use crate::dedupe::state::Stored;
use crate::methods::{injected, store_error};
use crate::sessions::keys::{self, SessionKey};
use crate::sessions::state::Draft;
use crate::sessions::{Append, Appended};
use crate::store::Op;

/// How long whoever asks waits for the platform before being told that it is sent later.
const PATIENCE: Duration = Duration::from_secs(20);

impl Handler<Admitted<Send>> for Channels {
    type Result = ();

    fn handle(&mut self, msg: Admitted<Send>, _: &mut Self::Context) {
        match self.deps.prepare(&msg.call.params) {
            Ok((order, account)) => {
                let deps = self.deps.clone();
                actix_rt::spawn(async move { deps.post(order, account, msg).await });
            }
            Err(error) => msg.guard.refuse(msg.call.reply, error),
        }
    }
}

/// Who sends, for people who ask what a message was.
fn by(caller: &Caller) -> String {
    let name = caller.client.display_name.as_deref();
    format!("send by {}", name.unwrap_or(caller.client.id.as_str()))
}

impl ChannelsDeps {
    fn prepare(&self, params: &SendParams) -> Result<(Order, Arc<Account>), ErrorShape> {
        let settings = self.shared.views.settings.load();
        let order = sends::order(&settings.channels, params)?;
        let account = self.accounts.with(|accounts| accounts.get(&order.who));
        let account = account.ok_or_else(|| {
            ErrorShape::unavailable(format!("{} is starting; try again", order.who))
                .retry_after(500)
        })?;
        match sends::refusal(&account, order.size()) {
            Some(refusal) => Err(refusal),
            None => Ok((order, account)),
        }
    }

    async fn post(self, mut order: Order, account: Arc<Account>, msg: Admitted<Send>) {
        let Admitted { call, mut guard } = msg;
        let Call {
            params,
            reply,
            caller,
        } = call;
        let now = account.now();
        let run_id = params.idempotency_key.clone();
        let most = self.shared.views.settings.load().attachments.max_bytes;
        let mut names = String::new();
        for medium in std::mem::take(&mut order.media) {
            names = format!("{names}[{}]\n", medium.label());
            let (takes, channel) = (order.takes, &order.who.channel);
            let kept = medium.keep(takes, most, channel, &self.shared.media, now);
            match kept.await {
                Ok(file) => order.files.push(file),
                Err(error) => return guard.refuse(reply, error),
            }
        }
        let rows = order.rows(&account, &run_id, &by(&caller), now);
        // Until it is sent, this is what the same key is answered with after a restart.
        let stored = Stored {
            ok: false,
            payload: None,
            error: Some(sends::queued(&order.who)),
        };
        let ops = rows
            .iter()
            .map(|(seq, row)| outbox::op(&order.who, *seq, row))
            .chain([guard.finish(stored, now)])
            .collect::<Result<Vec<Op>, _>>();
        let ops = match ops {
            Ok(ops) => ops,
            Err(error) => return guard.refuse(reply, store_error(&error)),
        };
        let shown = match self.commit(&params, &names, ops, now.wire()).await {
            Ok(shown) => shown,
            Err(error) => {
                guard.refuse(reply, error);
                return account.take_up(&self.shared.store, rows).await;
            }
        };
        guard.accepted();
        let result = SendResult {
            run_id: run_id.clone(),
            message_id: String::new(),
            channel: order.who.channel.to_string(),
            chat_id: Some(order.to.chat.clone()),
            channel_id: None,
            conversation_id: None,
            to_jid: None,
        };
        let asker = Asker::new(result, guard, reply);
        let last = rows.len().saturating_sub(1);
        let entries = rows.into_iter().enumerate();
        account.enqueue(entries.map(|(part, (seq, row))| {
            (
                seq,
                Entry::new(row).with(Asker::waiter(&asker), part == last),
            )
        }));
        if let Some((appended, session, row)) = shown {
            injected::show(&self.shared.gateway, appended, run_id, session, row);
        }
        // What waits for its next try may wait for long.
        if *account.phase.borrow() != Phase::Backoff {
            tokio::time::sleep(PATIENCE).await;
        }
        Asker::release(&asker, &order.who);
    }

    /// Writes the message down, with a row in the conversation that is to remember it.
    async fn commit(
        &self,
        params: &SendParams,
        files: &str,
        ops: Vec<Op>,
        at: u64,
    ) -> Result<Option<(Appended, SessionKey, Message)>, ErrorShape> {
        let Some(written) = &params.session_key else {
            let done = self.shared.store.commit(ops).await;
            return done.map(|()| None).map_err(|error| store_error(&error));
        };
        let settings = self.shared.views.settings.load();
        let session = keys::canonical(written, params.agent_id.as_deref(), &settings)
            .map_err(|error| ErrorShape::invalid(format!("invalid send params: {error}")))?;
        let text = params.message.as_deref().unwrap_or_default();
        let text = format!("{files}{text}").trim().to_owned();
        let mut row = Message::text(MessageRole::Assistant, text, at);
        row.provider = Some("openclaw".into());
        row.model = Some("gateway-injected".into());
        row.idempotency_key = Some(params.idempotency_key.clone());
        let draft = Draft {
            key: Arc::clone(&session.canonical),
            agent_id: session.agent.clone(),
            messages: vec![row.clone()],
            session_id: None,
            last_run: None,
            ops,
        };
        let appending = self.shared.sessions.send(Append {
            draft,
            run_id: Some(params.idempotency_key.clone()),
            reason: "send",
        });
        let appended = injected::stored(appending).await?;
        Ok(Some((appended, session, row)))
    }
}
