//! `channels.pairing.*`: who may write to an account; owner: channels.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::Handler;
use jiff::Timestamp;
use openclaw_protocol::methods::channels::{
    ChannelsPairingApprove, ChannelsPairingApproveParams, ChannelsPairingApproveResult,
    ChannelsPairingDismiss, ChannelsPairingDismissResult, ChannelsPairingList,
    ChannelsPairingListParams, ChannelsPairingListResult, ChannelsPairingRemove,
    ChannelsPairingRemoveResult, CommandOwnerBootstrap, PairingAccount, PairingLimits,
    PairingNotification, PairingRequest,
};
use openclaw_protocol::{ErrorShape, Method};

use crate::audit::{AuditRow, Kind};
use crate::call::{Call, Caller};
use crate::channel::outbox::{self, Entry, Row, SendState};
use crate::channel::pairing::{Desk, MAX_PENDING, Request, TTL};
use crate::channel::policy::{DmPolicy, plain_id};
use crate::channel::supervisor::{Channels, ChannelsDeps};
use crate::channel::{AccountRef, Target, status};
use crate::clock::Millis;
use crate::methods::store_error;

/// Most people who are named in an answer.
const NAMED: usize = 20;

/// What an owner decided about somebody. What they call themselves proves nothing, their id does.
fn note(deps: &ChannelsDeps, kind: Kind, by: &Caller, who: &AccountRef, sender: &str) {
    let row = AuditRow::new(kind)
        .by(by.principal())
        .address(&by.remote_ip)
        .reason(format!("{who}: {sender}"));
    let undo = (kind == Kind::ChannelApproved).then(|| {
        format!(
            "undo: `openclaw pairing remove {} {sender} --account {}`",
            who.channel, who.account
        )
    });
    deps.shared.views.audit.record(&row.remedy(undo));
}

fn time(at: Millis) -> String {
    Timestamp::from_millisecond(at.get())
        .map(|at| at.to_string())
        .unwrap_or_default()
}

impl Handler<Call<ChannelsPairingList>> for Channels {
    type Result = ();

    fn handle(&mut self, call: Call<ChannelsPairingList>, _: &mut Self::Context) {
        let result = self.pairing_list(&call.params);
        call.reply.ok(&result);
    }
}

impl Channels {
    fn pairing_list(&self, params: &ChannelsPairingListParams) -> ChannelsPairingListResult {
        let settings = self.deps.shared.views.settings.load();
        let wanted = |who: &&AccountRef| {
            let is =
                |wanted: &Option<String>, own: &str| wanted.as_ref().is_none_or(|one| one == own);
            is(&params.channel, &who.channel) && is(&params.account_id, &who.account)
        };
        let mut result = ChannelsPairingListResult {
            accounts: Vec::new(),
            requests: Vec::new(),
            command_owner_configured: !settings.channels.command_owners.is_empty(),
            limits: PairingLimits {
                pending_per_account: u32::try_from(MAX_PENDING).unwrap_or(u32::MAX),
                ttl_ms: u64::try_from(TTL.as_millis()).unwrap_or(u64::MAX),
            },
        };
        let desk = &self.deps.shared.desk;
        for who in settings.channels.accounts.keys().filter(wanted) {
            let own = &settings.channels.accounts[who];
            if own.policy.dm != DmPolicy::Pairing {
                continue;
            }
            let label = match &own.setup {
                Ok(setup) => setup.facts().label.to_owned(),
                Err(_) => status::capitalised(&who.channel),
            };
            let account = PairingAccount {
                channel: who.channel.to_string(),
                channel_label: label,
                account_id: who.account.to_string(),
                account_label: own.name.clone(),
                notify_supported: true,
            };
            let waiting = desk.with(|book| book.waiting(who, desk.now()));
            let rows = waiting.iter().map(|request| row(&account, request));
            result.requests.extend(rows);
            result.accounts.push(account);
        }
        result
    }

    fn request(
        &self,
        method: &str,
        channel: &str,
        account: &str,
        wanted: &str,
    ) -> Result<(AccountRef, Request), ErrorShape> {
        let settings = self.deps.shared.views.settings.load();
        let channel = channel.trim().to_lowercase();
        let who = settings.channels.find(&channel, Some(account));
        let who = who.map_err(|problem| {
            ErrorShape::invalid(format!("invalid {method} params: {problem}"))
        })?;
        let desk = &self.deps.shared.desk;
        let found = desk.with(|book| book.find(&who, wanted.trim(), desk.now()));
        let request = found.ok_or_else(|| {
            ErrorShape::invalid(format!(
                "no pairing request \"{wanted}\" waits for {who}: it was decided, or its hour is over; the person writes again to get a new code (openclaw pairing list)"
            ))
        })?;
        Ok((who, request))
    }
}

fn row(account: &PairingAccount, request: &Request) -> PairingRequest {
    let created = Millis(request.created_at);
    let mut metadata = BTreeMap::from([("code".to_owned(), request.code.clone())]);
    if let Some(username) = &request.sender.username {
        metadata.insert("username".into(), username.clone());
    }
    if let Some(name) = &request.sender.name {
        metadata.insert("name".into(), name.clone());
    }
    PairingRequest {
        request_id: request.id.clone(),
        channel: account.channel.clone(),
        channel_label: account.channel_label.clone(),
        account_id: account.account_id.clone(),
        account_label: account.account_label.clone(),
        sender_id: request.sender.id.clone(),
        sender_label: request.sender.label().to_owned(),
        metadata: Some(metadata),
        created_at: time(created),
        last_seen_at: time(Millis(request.last_seen_at)),
        expires_at: time(created.plus(TTL)),
        notify_supported: account.notify_supported,
    }
}

impl Handler<Call<ChannelsPairingApprove>> for Channels {
    type Result = ();

    fn handle(&mut self, call: Call<ChannelsPairingApprove>, _: &mut Self::Context) {
        let Call {
            params,
            reply,
            caller,
            ..
        } = call;
        let name = ChannelsPairingApprove::NAME;
        let found = self.request(
            name,
            &params.channel,
            &params.account_id,
            &params.request_id,
        );
        let (who, request) = match found {
            Ok(found) => found,
            Err(error) => return reply.error(error),
        };
        let deps = self.deps.clone();
        actix_rt::spawn(async move {
            let approved = approve(&deps, &params, &who, &request).await;
            if approved.is_ok() {
                let sender = &request.sender.id;
                note(&deps, Kind::ChannelApproved, &caller, &who, sender);
            }
            reply.settle(approved);
        });
    }
}

async fn approve(
    deps: &ChannelsDeps,
    params: &ChannelsPairingApproveParams,
    who: &AccountRef,
    request: &Request,
) -> Result<ChannelsPairingApproveResult, ErrorShape> {
    let desk = &deps.shared.desk;
    if !desk.has_room(who) {
        return Err(ErrorShape::invalid(format!(
            "{who} has too many approved people already"
        )));
    }
    let wrong = |error| store_error(&error);
    let mut ops = vec![desk.approval(who, request).map_err(wrong)?];
    let account = deps.accounts.with(|accounts| accounts.get(who));
    // What is not connected would tell them at some later time, or never.
    let account = account.filter(|account| account.is_connected());
    let mut note = None;
    if params.notify == Some(true)
        && let Some(account) = &account
    {
        let now = desk.now();
        let seq = account.outbox.with(|outbox| outbox.reserve(1, now)).start;
        let row = welcome(request, now);
        ops.push(outbox::op(who, seq, &row).map_err(wrong)?);
        note = Some((Arc::clone(account), seq, row));
    }
    deps.shared.store.commit(ops).await.map_err(wrong)?;
    desk.approved(who, request);
    let notification = match (params.notify, note) {
        (Some(true), Some((account, seq, row))) => {
            account.enqueue([(seq, Entry::new(row))]);
            PairingNotification::Sent
        }
        (Some(true), None) => PairingNotification::Failed,
        _ => PairingNotification::NotRequested,
    };
    let settings = deps.shared.views.settings.load();
    Ok(ChannelsPairingApproveResult {
        request_id: request.id.clone(),
        sender_id: request.sender.id.clone(),
        notification,
        command_owner_bootstrap: match params.bootstrap_command_owner {
            Some(true) if settings.channels.command_owners.is_empty() => {
                // Whoever is approved may give commands in their own chat; more is a setting.
                CommandOwnerBootstrap::Unavailable
            }
            Some(true) => CommandOwnerBootstrap::AlreadyConfigured,
            _ => CommandOwnerBootstrap::NotRequested,
        },
    })
}

/// What an approved person is told.
fn welcome(request: &Request, now: Millis) -> Row {
    Row {
        id: format!("{}#approved", request.id),
        to: Target {
            chat: request.chat.clone(),
            thread: None,
        },
        text: "You are let in. Write, and you are answered.".into(),
        reply_to: None,
        silent: false,
        edits: None,
        file: None,
        at: now.get(),
        by: format!("pairing of {}", request.sender.id),
        state: SendState::Queued,
        why: None,
    }
}

impl Handler<Call<ChannelsPairingDismiss>> for Channels {
    type Result = ();

    fn handle(&mut self, call: Call<ChannelsPairingDismiss>, _: &mut Self::Context) {
        let Call {
            params,
            reply,
            caller,
            ..
        } = call;
        let name = ChannelsPairingDismiss::NAME;
        let found = self.request(
            name,
            &params.channel,
            &params.account_id,
            &params.request_id,
        );
        let (who, request) = match found {
            Ok(found) => found,
            Err(error) => return reply.error(error),
        };
        let deps = self.deps.clone();
        actix_rt::spawn(async move {
            let shared = &deps.shared;
            let gone = shared
                .store
                .commit(vec![Desk::dismissal(&who, &request)])
                .await;
            if let Err(error) = gone {
                return reply.error(store_error(&error));
            }
            shared.desk.with(|book| book.retract(&who, &request.id));
            let sender = &request.sender.id;
            note(&deps, Kind::ChannelDismissed, &caller, &who, sender);
            reply.ok(&ChannelsPairingDismissResult {
                request_id: request.id,
                sender_id: request.sender.id,
            });
        });
    }
}

impl Handler<Call<ChannelsPairingRemove>> for Channels {
    type Result = ();

    fn handle(&mut self, call: Call<ChannelsPairingRemove>, _: &mut Self::Context) {
        let Call {
            params,
            reply,
            caller,
            ..
        } = call;
        let found =
            self.find::<ChannelsPairingRemove>(&params.channel, params.account_id.as_deref());
        let who = match found {
            Ok(who) => who,
            Err(error) => return reply.error(error),
        };
        let sender = plain_id(&who.channel, &params.sender_id).to_owned();
        let desk = &self.deps.shared.desk;
        if !desk.is_approved(&who, &sender) {
            let people = desk.with(|book| book.approved(&who));
            return reply.error(unknown(&who, &sender, &people));
        }
        let deps = self.deps.clone();
        actix_rt::spawn(async move {
            let op = Desk::removal(&who, &sender);
            if let Err(error) = deps.shared.store.commit(vec![op]).await {
                return reply.error(store_error(&error));
            }
            deps.shared.desk.removed(&who, &sender);
            note(&deps, Kind::ChannelRemoved, &caller, &who, &sender);
            reply.ok(&ChannelsPairingRemoveResult {
                channel: who.channel.to_string(),
                account_id: who.account.to_string(),
                sender_id: sender,
            });
        });
    }
}

fn unknown(who: &AccountRef, sender: &str, people: &[String]) -> ErrorShape {
    let named = people.iter().take(NAMED).cloned().collect::<Vec<_>>();
    let approved = match people.len() {
        0 => "nobody is".to_owned(),
        1..=NAMED => format!("approved: {}", named.join(", ")),
        more => format!("approved: {} and {} more", named.join(", "), more - NAMED),
    };
    ErrorShape::invalid(format!(
        "\"{sender}\" was not approved for {who} ({approved}); who is named in the configuration is let in by channels.{}.allowFrom",
        who.channel
    ))
}
