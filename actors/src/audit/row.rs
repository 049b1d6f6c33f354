//! A decision about trust, as whoever made it says it.

use std::fmt::Write as _;

use openclaw_protocol::connect::ClientInfo;
use openclaw_protocol::methods::audit::AuditEntry;
use openclaw_protocol::{ErrorShape, Role, Scopes};

use crate::call::Caller;
use crate::clock::Millis;

/// Longest text of a row, characters; what is longer ends in `…`.
const MAX_TEXT: usize = 256;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $weight:ident;)+) => {
        /// What was decided.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind { $($(#[$doc])* $name),+ }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The wire name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// How it is kept.
            pub const fn weight(self) -> Weight {
                match self { $(Self::$name => Weight::$weight),+ }
            }
        }
    };
}

/// How a row is kept when there are many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// An owner or the gateway itself changed trust: never counted together with others, and kept
    /// before everything else.
    Decision,
    /// What clients cause, as often as they like: alike ones of a minute are one row.
    Traffic,
}

kinds! {
    /// A client was let in, the first time since the gateway started.
    ConnectAccepted = "connect.accepted", Traffic;
    /// A client was not let in.
    ConnectRefused = "connect.refused", Traffic;
    /// A client called what it has no right to.
    AccessRefused = "access.refused", Traffic;
    /// An address is locked out after too many failures.
    Lockout = "connect.lockout", Traffic;
    /// A device waits for an owner.
    PairingRequested = "pairing.requested", Traffic;
    /// A request took the place of an older one of the same device.
    PairingSuperseded = "pairing.superseded", Traffic;
    /// Nobody decided in time.
    PairingExpired = "pairing.expired", Traffic;
    /// A device was paired.
    PairingApproved = "pairing.approved", Decision;
    /// An owner said no.
    PairingRejected = "pairing.rejected", Decision;
    /// An owner ended a pairing.
    DeviceRemoved = "device.removed", Decision;
    /// An owner named a device.
    DeviceRenamed = "device.renamed", Decision;
    /// A device got a further token.
    TokenIssued = "token.issued", Traffic;
    /// An owner replaced the tokens of a role.
    TokenRotated = "token.rotated", Decision;
    /// An owner ended a role and its tokens.
    TokenRevoked = "token.revoked", Decision;
    /// Tokens ended because the secret that they were bound to did.
    TokenEnded = "token.ended", Decision;
    /// A paired device asks for more.
    UpgradeRequested = "upgrade.requested", Traffic;
    /// A paired device was given more.
    UpgradeApproved = "upgrade.approved", Decision;
    /// A setup code was made.
    SetupIssued = "setup.issued", Decision;
    /// A setup code was used.
    SetupUsed = "setup.used", Decision;
    /// A node declares what it offers.
    NodeRequested = "node.requested", Traffic;
    /// An owner allowed what a node offers.
    NodeApproved = "node.approved", Decision;
    /// An owner did not.
    NodeRejected = "node.rejected", Decision;
    /// An owner took back what a node was allowed.
    NodeRemoved = "node.removed", Decision;
    /// A setup code's device may not have been told what it got.
    SetupUncertain = "setup.uncertain", Traffic;
    /// Somebody let a program run.
    ExecApproved = "exec.approved", Decision;
    /// Somebody did not.
    ExecDenied = "exec.denied", Decision;
    /// Nobody decided about a program, or who asked waits no more.
    ExecExpired = "exec.expired", Traffic;
    /// A yes to a program was used: one of a person, or a lasting rule.
    ExecStarted = "exec.started", Traffic;
    /// A program was not run: a rule says so, or it is not what was said yes to.
    ExecRefused = "exec.refused", Traffic;
    /// The lasting rules of programs were replaced.
    ExecRulesChanged = "exec.rules.changed", Decision;
    /// An owner let somebody write to a channel.
    ChannelApproved = "channel.approved", Decision;
    /// An owner forgot that somebody asked to.
    ChannelDismissed = "channel.dismissed", Decision;
    /// An owner took that back.
    ChannelRemoved = "channel.removed", Decision;
    /// The gateway's auth mode or its secret is another one.
    AuthChanged = "auth.changed", Decision;
    /// A client wrote the configuration file.
    ConfigWritten = "config.written", Decision;
    /// A changed configuration is in force.
    ConfigApplied = "config.applied", Decision;
    /// A changed configuration is wrong, and the one before stays in force.
    ConfigRefused = "config.refused", Decision;
}

impl Kind {
    /// The kind with this wire name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }
}

/// One decision. Build it with [`AuditRow::new`] and what is known; it must hold no secret. Texts
/// may be as strangers wrote them: they are made safe when they are noted.
#[derive(Debug, Clone)]
pub struct AuditRow {
    kind: Kind,
    entry: AuditEntry,
    remedy: Option<String>,
}

/// A text that may be missing.
pub trait Said {
    /// The text.
    fn said(self) -> Option<String>;
}

impl Said for &str {
    fn said(self) -> Option<String> {
        Some(self.to_owned())
    }
}

impl Said for String {
    fn said(self) -> Option<String> {
        Some(self)
    }
}

impl Said for &String {
    fn said(self) -> Option<String> {
        Some(self.clone())
    }
}

impl<T: Said> Said for Option<T> {
    fn said(self) -> Option<String> {
        self.and_then(Said::said)
    }
}

impl Said for &Option<String> {
    fn said(self) -> Option<String> {
        self.clone()
    }
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident => $field:ident;)+) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $name(mut self, text: impl Said) -> Self {
                self.entry.$field = text.said();
                self
            }
        )+
    };
}

impl AuditRow {
    /// A decision of which nothing else is known yet.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            entry: AuditEntry::default(),
            remedy: None,
        }
    }

    setters! {
        /// The device that it is about.
        device => device_id;
        /// What that device calls itself.
        name => device_name;
        /// By which way: `silent`, `owner`, `bootstrap`; what a connect proved itself with.
        via => via;
        /// Who decided.
        by => by;
        /// The client's address.
        address => address;
        /// The page of a browser.
        origin => origin;
        /// The request that was decided.
        request => request_id;
        /// The finer code, as in `details.code`.
        code => code;
        /// Why.
        reason => reason;
    }

    /// What undoes it or goes on from it, for the log line; names the exact command.
    #[must_use]
    pub fn remedy(mut self, text: impl Said) -> Self {
        self.remedy = text.said();
        self
    }

    /// The client program and what it calls itself.
    #[must_use]
    pub fn client(mut self, client: &ClientInfo) -> Self {
        self.entry.client = Some(format!("{}/{}", client.id.as_str(), client.mode.as_str()));
        self.entry.device_name.clone_from(&client.display_name);
        self
    }

    /// The client program, as `id/mode`.
    #[must_use]
    pub fn program(mut self, program: impl Said) -> Self {
        self.entry.client = program.said();
        self
    }

    /// The role.
    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        self.entry.role = Some(role.as_str().to_owned());
        self
    }

    /// The scopes.
    #[must_use]
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.entry.scopes = Some(scopes.names().into_iter().map(str::to_owned).collect());
        self
    }

    /// The connection that it is about.
    #[must_use]
    pub fn caller(self, caller: &Caller) -> Self {
        self.client(&caller.client)
            .device(&caller.device_id)
            .address(&caller.remote_ip)
            .role(caller.role)
            .scopes(caller.scopes)
    }

    /// Code, request, reason and remedy of a refusal.
    #[must_use]
    pub fn refusal(self, error: &ErrorShape) -> Self {
        let detail = |key: &str| {
            let details = error.details.as_ref()?;
            details[key].as_str().map(str::to_owned)
        };
        let code = detail("code").unwrap_or_else(|| error.code.as_str().to_owned());
        self.code(code)
            .request(detail("requestId"))
            .remedy(detail("remediationHint"))
            .reason(&*error.message)
    }

    /// Whether this is its finer code.
    pub fn is_code(&self, code: &str) -> bool {
        self.entry.code.as_deref() == Some(code)
    }

    /// What was decided.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The row as it is kept: safe texts, no number yet.
    pub(super) fn to_entry(&self, now: Millis) -> AuditEntry {
        let safe = |text: &Option<String>| text.as_deref().map(clean);
        let entry = &self.entry;
        AuditEntry {
            id: 0,
            ts: now.wire(),
            kind: self.kind.as_str().to_owned(),
            code: safe(&entry.code),
            reason: safe(&entry.reason),
            device_id: safe(&entry.device_id),
            device_name: safe(&entry.device_name),
            client: safe(&entry.client),
            role: entry.role.clone(),
            scopes: entry.scopes.clone(),
            via: safe(&entry.via),
            by: safe(&entry.by),
            address: safe(&entry.address),
            origin: safe(&entry.origin),
            request_id: safe(&entry.request_id),
            count: None,
            last_ts: None,
        }
    }

    /// What the log says about it, the remedy included.
    pub(super) fn headline(&self, entry: &AuditEntry) -> String {
        let mut line = headline(self.kind).to_owned();
        if let Some(reason) = &entry.reason {
            let _ = write!(line, ": {reason}");
        }
        let approve = || {
            let id = entry.request_id.as_deref()?;
            Some(format!("`openclaw devices approve {id}`"))
        };
        let remove = || {
            let id = entry.device_id.as_deref()?;
            Some(format!("undo: `openclaw devices remove {id}`"))
        };
        let next = match self.kind {
            Kind::PairingRequested | Kind::UpgradeRequested => approve(),
            Kind::ConnectRefused if self.is_code("PAIRING_REQUIRED") => approve(),
            Kind::PairingApproved | Kind::UpgradeApproved
                if entry.via.as_deref() == Some("silent") =>
            {
                remove()
            }
            _ => self.remedy.as_deref().map(clean),
        };
        if let Some(next) = next {
            let _ = write!(line, "; {next}");
        }
        line
    }
}

const fn headline(kind: Kind) -> &'static str {
    match kind {
        Kind::ConnectAccepted => "a client was let in for the first time since the start",
        Kind::ConnectRefused => "connection refused",
        Kind::AccessRefused => "a call was not allowed",
        Kind::Lockout => "locked out after too many failures",
        Kind::PairingRequested => "a device waits for approval",
        Kind::PairingSuperseded => "a request took the place of an older one",
        Kind::PairingExpired => "a request ended without a decision",
        Kind::PairingApproved => "a device was paired",
        Kind::PairingRejected => "an owner turned a request down",
        Kind::DeviceRemoved => "an owner removed a device",
        Kind::DeviceRenamed => "an owner named a device",
        Kind::TokenIssued => "a device got a further token",
        Kind::TokenRotated => "an owner replaced the tokens of a role",
        Kind::TokenRevoked => "an owner ended a role and its tokens",
        Kind::TokenEnded => "tokens ended with the secret that they were bound to",
        Kind::UpgradeRequested => "a device asks for more than it was approved for",
        Kind::UpgradeApproved => "a device was given more",
        Kind::SetupIssued => "a setup code was made",
        Kind::SetupUsed => "a setup code was used",
        Kind::NodeRequested => "a node declares what it offers and waits for approval",
        Kind::NodeApproved => "an owner allowed what a node offers",
        Kind::NodeRejected => "an owner turned a node's offer down",
        Kind::NodeRemoved => "an owner took back what a node was allowed",
        Kind::SetupUncertain => "a setup code's device may not have been told what it got",
        Kind::ExecApproved => "a program may run",
        Kind::ExecDenied => "a program may not run",
        Kind::ExecExpired => "nobody decided about a program",
        Kind::ExecStarted => "a program is run by a yes that was given",
        Kind::ExecRefused => "a program was not run",
        Kind::ExecRulesChanged => "the rules of programs were replaced",
        Kind::ChannelApproved => "somebody may write to a channel from now on",
        Kind::ChannelDismissed => "an owner turned down who asked to write to a channel",
        Kind::ChannelRemoved => "somebody may no longer write to a channel",
        Kind::AuthChanged => "the gateway's auth mode or secret was changed",
        Kind::ConfigWritten => "a client wrote the configuration file",
        Kind::ConfigApplied => "a changed configuration is in force",
        Kind::ConfigRefused => "a changed configuration is wrong and was not applied",
    }
}

/// Text that can be shown and logged: control characters and those that turn the reading direction
/// are escaped, and it is not longer than a person reads.
pub fn clean(text: &str) -> String {
    let mut safe = String::with_capacity(text.len().min(MAX_TEXT));
    for (count, c) in text.chars().enumerate() {
        if count == MAX_TEXT {
            safe.push('…');
            break;
        }
        if c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found_again() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(*kind));
        }
        assert_eq!(Kind::parse("connect"), None);
    }

    #[test]
    fn what_a_stranger_wrote_stays_on_its_line_and_short() {
        let row = AuditRow::new(Kind::ConnectRefused)
            .name("a\r\n\u{1b}[2J\u{202e}b")
            .reason("x".repeat(100_000))
            .origin(None::<String>);
        let entry = row.to_entry(Millis(5));
        assert_eq!(
            entry.device_name.as_deref(),
            Some("a\\r\\n\\u{1b}[2J\\u{202e}b")
        );
        assert_eq!(entry.reason.map(|text| text.chars().count()), Some(257));
        assert_eq!((entry.ts, entry.origin), (5, None));
    }

    #[test]
    fn the_log_line_names_the_command() {
        let waiting = AuditRow::new(Kind::PairingRequested).request("r-1");
        let line = waiting.headline(&waiting.to_entry(Millis(0)));
        assert!(line.ends_with("`openclaw devices approve r-1`"), "{line}");
        let silent = AuditRow::new(Kind::PairingApproved)
            .via("silent")
            .device("d-1");
        let line = silent.headline(&silent.to_entry(Millis(0)));
        assert!(
            line.ends_with("; undo: `openclaw devices remove d-1`"),
            "{line}"
        );
    }
}
