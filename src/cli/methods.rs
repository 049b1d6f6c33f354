//! Which command stands for which method. A test holds it to the methods and the grammar: a method that
//! comes without a command fails it, and so does one whose command is gone.

/// Methods with the command that calls them.
pub const COMMANDS: &[(&str, &str)] = &[
    ("agent", "agent"),
    ("backup.snapshot", "backup create"),
    ("channels.link", "channels login"),
    ("channels.logout", "channels logout"),
    ("channels.outbox.discard", "channels discard"),
    ("channels.outbox.list", "channels outbox"),
    ("channels.outbox.resend", "channels resend"),
    ("channels.pairing.approve", "pairing approve"),
    ("channels.pairing.dismiss", "pairing dismiss"),
    ("channels.pairing.list", "pairing list"),
    ("channels.pairing.remove", "pairing remove"),
    ("channels.start", "channels start"),
    ("channels.status", "channels status"),
    ("channels.stop", "channels stop"),
    ("chat.abort", "chat"),
    ("chat.history", "sessions show"),
    ("chat.send", "chat"),
    ("config.get", "config get"),
    ("config.patch", "config set"),
    ("cron.add", "cron add"),
    ("cron.list", "cron list"),
    ("cron.remove", "cron rm"),
    ("cron.run", "cron run"),
    ("cron.runs", "cron runs"),
    ("cron.status", "cron status"),
    ("cron.update", "cron edit"),
    ("device.pair.approve", "devices approve"),
    ("device.pair.list", "devices list"),
    ("device.pair.reject", "devices reject"),
    ("device.pair.remove", "devices remove"),
    ("device.pair.rename", "devices rename"),
    ("device.pair.setupCode", "qr"),
    ("device.token.revoke", "devices revoke"),
    ("device.token.rotate", "devices rotate"),
    ("exec.approval.list", "approvals list"),
    ("exec.approval.resolve", "approvals allow"),
    ("exec.approvals.get", "approvals rules"),
    ("health", "health"),
    ("last-heartbeat", "system heartbeat last"),
    ("logs.tail", "logs"),
    ("models.list", "models list"),
    ("models.probe", "models test"),
    ("node.describe", "nodes describe"),
    ("node.invoke", "nodes invoke"),
    ("node.list", "nodes list"),
    ("node.pair.approve", "nodes approve"),
    ("node.pair.list", "nodes pending"),
    ("node.pair.reject", "nodes reject"),
    ("node.pair.remove", "nodes remove"),
    ("node.rename", "nodes rename"),
    ("send", "message send"),
    ("sessions.list", "sessions list"),
    ("sessions.reset", "sessions reset"),
    ("sessions.usage", "sessions usage"),
    ("set-heartbeats", "system heartbeat disable"),
    ("status", "status"),
    ("system-presence", "system presence"),
    ("trust.audit.list", "audit list"),
    ("wake", "system event"),
    ("web.login.start", "channels login"),
    ("web.login.wait", "channels login"),
];

/// Methods that are called with `gateway call` only, and why.
pub const CALLED_ONLY: &[(&[&str], &str)] = &[
    (
        &[
            "chat.metadata",
            "chat.startup",
            "sessions.messages.subscribe",
            "sessions.messages.unsubscribe",
            "sessions.preview",
            "sessions.subscribe",
            "sessions.unsubscribe",
            "commands.list",
            "models.authStatus",
            "agent.identity.get",
            "tools.catalog",
            "tools.effective",
            "usage.cost",
            "usage.status",
        ],
        "they are what a page with conversations asks for",
    ),
    (
        &[
            "agent.wait",
            "device.pair.setupStatus",
            "device.scopes.requestUpgrade",
            "device.scopes.waitUpgrade",
            "exec.approval.request",
            "exec.approval.waitDecision",
            "exec.approval.get",
            "gateway.identity.get",
            "node.pending.enqueue",
            "system-event",
            "voicewake.get",
            "voicewake.set",
        ],
        "they are steps of what programs do among themselves",
    ),
    (
        &[
            "config.apply",
            "config.schema",
            "config.schema.lookup",
            "config.set",
            "exec.approvals.set",
            "exec.approvals.node.get",
            "exec.approvals.node.set",
            "agents.files.get",
            "agents.files.list",
            "agents.files.set",
        ],
        "they replace whole files: an editor is the better command",
    ),
    (
        &[
            "agents.list",
            "artifacts.download",
            "artifacts.get",
            "artifacts.list",
            "chat.inject",
            "cron.get",
            "sessions.abort",
            "sessions.compact",
            "sessions.create",
            "sessions.delete",
            "sessions.describe",
            "sessions.patch",
            "sessions.resolve",
            "sessions.search",
            "sessions.send",
            "message.action",
            "poll",
            "tools.invoke",
        ],
        "they have no command of their own yet; a chat's own commands (/compact, /stop) do some of it",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;
    use openclaw_protocol::Access;
    use openclaw_protocol::methods::ALL;

    use super::*;
    use crate::cli::args::Cli;

    #[test]
    fn every_method_of_operators_has_a_command_or_a_reason() {
        let methods: BTreeSet<&str> = ALL
            .iter()
            .filter(|spec| !matches!(spec.access, Access::Node))
            .map(|spec| spec.name)
            .collect();
        let listed: Vec<&str> = COMMANDS
            .iter()
            .map(|(method, _)| *method)
            .chain(
                CALLED_ONLY
                    .iter()
                    .flat_map(|(methods, _)| methods.iter().copied()),
            )
            .collect();
        let known: BTreeSet<&str> = listed.iter().copied().collect();
        let missing: Vec<&&str> = methods.difference(&known).collect();
        assert!(
            missing.is_empty(),
            "neither a command nor a reason: {missing:?}"
        );
        let gone: Vec<&&str> = known.difference(&methods).collect();
        assert!(gone.is_empty(), "no such method: {gone:?}");
        assert_eq!(known.len(), listed.len(), "a method is listed twice");
    }

    #[test]
    fn every_command_that_is_named_is_there() {
        let grammar = Cli::command();
        for (method, command) in COMMANDS {
            let found = command
                .split(' ')
                .try_fold(&grammar, |at, word| at.find_subcommand(word));
            assert!(
                found.is_some(),
                "{method}: there is no `openclaw {command}`"
            );
        }
    }
}
