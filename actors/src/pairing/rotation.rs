//! What follows from another configuration: what ends with a shared secret (tokens that were bound to
//! it, and connections that came by it), and what nodes may ask for.

use actix::{Context, Handler, Message};
use openclaw_protocol::Role;

use super::PairingRegistry;
use super::closing::CLOSED_BY_OWNER;
use super::effects::Effects;
use super::node_decisions::Claim;
use super::records::SecretMark;
use super::state::PairingState;
use crate::audit::{AuditRow, Kind};
use crate::gateway::Kick;
use crate::store::Op;

/// The gate's mode or secret is another one; it is published already.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct AuthChanged;

/// What the configuration says about commands of nodes is another thing; it is published already.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct CommandsChanged;

impl PairingState {
    /// Takes away the tokens whose secret is no longer the gateway's. They open nothing from the
    /// moment on in which the mark changes; this is so that they never come back with the secret.
    pub(crate) fn end_bound_tokens(&mut self, mark: Option<&SecretMark>) -> Effects {
        let mut effects = Effects::default();
        for (id, device) in &mut self.devices {
            let mut ended: Vec<(Role, usize)> = Vec::new();
            for (role, grant) in &mut device.roles {
                let before = grant.tokens.len();
                grant.tokens.retain(|token| token.is_live(mark));
                let gone = before - grant.tokens.len();
                if gone > 0 {
                    ended.push((*role, gone));
                }
            }
            if ended.is_empty() {
                continue;
            }
            effects.put_device(id, device);
            for (role, count) in ended {
                let row = AuditRow::new(Kind::TokenEnded)
                    .device(id)
                    .role(role)
                    .reason(format!(
                        "{count} of its tokens ended with the gateway's secret"
                    ));
                effects.notes.push(device.about.to_audit(row));
            }
        }
        effects
    }
}

impl Handler<AuthChanged> for PairingRegistry {
    type Result = ();

    fn handle(&mut self, _: AuthChanged, _: &mut Context<Self>) {
        // Connections first: closing them needs no disk.
        let epoch = self.views().auth_epoch.now();
        #[expect(
            clippy::disallowed_methods,
            reason = "as rare as changes of a file, and never to be lost"
        )]
        self.deps.gateway.addr().do_send(Kick {
            matches: Box::new(move |caller| caller.auth_epoch.is_some_and(|own| own < epoch)),
            code: CLOSED_BY_OWNER,
            reason: "gateway auth changed".to_owned(),
        });
        if self.ready().is_err() {
            // The tokens open nothing all the same, and their rows end when they are next touched.
            return;
        }
        let mark = self.mark();
        let mut effects = self.decide(|state, _| state.end_bound_tokens(mark.as_ref()));
        let ops: Vec<Op> = std::mem::take(&mut effects.ops);
        if ops.is_empty() {
            return;
        }
        let ticket = self.deps.writes.begin("", self.deps.store.commit(ops));
        let audit = self.deps.views.audit.clone();
        actix_rt::spawn(async move {
            match ticket.done().await {
                Ok(()) => effects.notes.iter().for_each(|row| audit.record(row)),
                Err(error) => tracing::warn!(
                    %error,
                    "tokens that ended with the gateway's secret are still on the disk; they open nothing"
                ),
            }
        });
    }
}

impl Handler<CommandsChanged> for PairingRegistry {
    type Result = ();

    fn handle(&mut self, _: CommandsChanged, _: &mut Context<Self>) {
        // What is in effect is asked for each time. What waits for an owner is filed here: a command
        // that is denied no more waits from now on, not from the node's next connect.
        if self.ready().is_err() {
            return;
        }
        let (policy, entropy) = (self.command_policy(), self.entropy());
        let nodes = self.views().nodes.load();
        for (id, node) in nodes.iter() {
            let Some(declared) = node.declared() else {
                continue;
            };
            let claim = Claim {
                id,
                surface: &declared.surface,
                client: &node.caller.client,
            };
            let mut effects = Effects::about(id);
            self.decide(|state, now| state.claim(&claim, &policy, now, &*entropy, &mut effects));
            self.follow(effects);
        }
    }
}
