//! From an error to an exit code and two lines: what happened, and what to do about it.

use std::io::ErrorKind;
use std::process::ExitCode;

use openclaw_client::{Error, FileError, Fingerprint, Refusal, Untrusted};
use openclaw_protocol::ErrorShape;

use super::target::{Secret, Source, Target};

/// Exit codes; `--help` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The gateway said no, or a run failed.
    Failed = 1,
    /// Wrong usage.
    Usage = 2,
    /// The gateway is not reachable (`EX_UNAVAILABLE`).
    Unreachable = 69,
    /// Credentials or pairing refused (`EX_NOPERM`).
    Refused = 77,
    /// The configuration cannot be used (`EX_CONFIG`).
    Config = crate::app::run::EXIT_REFUSED,
    /// Ctrl-C.
    Interrupted = 130,
}

/// A command that did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What happened; empty when there is nothing to say.
    pub what: String,
    /// What to do.
    pub remedy: Option<String>,
    /// The reader of standard output went away: not an error of ours.
    pub(crate) broken_pipe: bool,
    /// A certificate that nobody said yes or no to yet.
    pub(crate) unknown_certificate: Option<Fingerprint>,
    /// How far a connect came.
    pub(crate) stage: Stage,
}

/// Where a connect was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Before or beside a connect.
    Other,
    /// At the socket, or what is said on it before a WebSocket.
    Socket,
    /// At the certificate.
    Certificate,
    /// At the WebSocket, or what follows on it before an answer.
    Upgrade,
    /// At the credentials.
    Auth,
    /// At the device's pairing.
    Pairing,
    /// At what the device may do.
    Scopes,
}

impl Failure {
    fn new(exit: Exit, what: String, remedy: Option<String>) -> Self {
        Self {
            exit,
            what,
            remedy,
            broken_pipe: false,
            unknown_certificate: None,
            stage: Stage::Other,
        }
    }

    /// The gateway said no, or a run failed.
    pub fn failed(what: String, remedy: Option<String>) -> Self {
        Self::new(Exit::Failed, what, remedy)
    }

    /// Wrong usage.
    pub fn usage(what: String) -> Self {
        Self::new(Exit::Usage, what, Some("see `openclaw --help`".into()))
    }

    /// The configuration cannot be used.
    pub fn configuration(what: String, remedy: Option<String>) -> Self {
        Self::new(Exit::Config, what, remedy)
    }

    /// The configuration cannot be used; the error says where and why.
    pub fn config(error: &dyn std::error::Error) -> Self {
        Self::configuration(error.to_string(), None)
    }

    /// Ctrl-C.
    pub fn interrupted(what: String) -> Self {
        Self::new(Exit::Interrupted, what, None)
    }

    /// Standard output cannot be written. A reader that has seen enough, like `head`, is fine.
    pub fn output(error: &std::io::Error) -> Self {
        let broken_pipe = error.kind() == ErrorKind::BrokenPipe;
        Self {
            broken_pipe,
            ..Self::failed(format!("cannot write the output: {error}"), None)
        }
    }

    /// A file of ours cannot be used.
    pub fn file(error: &FileError) -> Self {
        Self::config(error)
    }

    /// The exit code of the process.
    pub fn code(&self) -> ExitCode {
        if self.broken_pipe {
            return ExitCode::SUCCESS;
        }
        ExitCode::from(self.exit as u8)
    }

    /// The lines to print; none after a broken pipe.
    pub fn lines(&self) -> Vec<String> {
        if self.broken_pipe || self.what.is_empty() {
            return Vec::new();
        }
        let what = format!("openclaw: {}", self.what);
        std::iter::once(what).chain(self.remedy.clone()).collect()
    }

    /// A connect failed.
    pub fn connect(error: &Error, target: &Target) -> Self {
        Self {
            stage: stage(error),
            ..Self::of_connect(error, target)
        }
    }

    fn of_connect(error: &Error, target: &Target) -> Self {
        match error {
            Error::Refused(refusal) => Self::refused(refusal, target),
            Error::Untrusted { untrusted, .. } => Self::untrusted(untrusted, target),
            Error::Unreachable { source, .. } => Self::new(
                Exit::Unreachable,
                format!("gateway not reachable at {}: {}", target.url, reason(source.as_ref())),
                Some(reach_remedy(source.as_ref(), target)),
            ),
            Error::Timeout { after, .. } => Self::new(
                Exit::Unreachable,
                format!("{} does not answer like a gateway (waited {} s)", target.url, after.as_secs_f64()),
                Some("check that the address and the port are the gateway's, or wait longer with --timeout".into()),
            ),
            Error::Closed(reason) => Self::new(
                Exit::Unreachable,
                format!("{} closed the connection: {reason}", target.url),
                Some("try again; the gateway's log says more".into()),
            ),
            Error::Gateway(_) | Error::Protocol(_) => {
                Self::failed(format!("{}: {error}", target.url), Some(version_remedy()))
            }
        }
    }

    /// Something with another certificate answers.
    fn untrusted(untrusted: &Untrusted, target: &Target) -> Self {
        let url = &target.url;
        if untrusted.pinned.is_some() {
            return Self::new(
                Exit::Refused,
                format!("{url}: {untrusted}"),
                Some("if the gateway's certificate was exchanged, `openclaw gateway tls fingerprint` on its host shows the one that you found: pass it with --tls-fingerprint, or set gateway.remote.tlsFingerprint. If it does not, somebody is in between".into()),
            );
        }
        Self {
            unknown_certificate: Some(untrusted.found),
            ..Self::new(
                Exit::Refused,
                format!("{url}: {untrusted}; its SHA-256 fingerprint is {}", untrusted.found),
                Some("if `openclaw gateway tls fingerprint` on the gateway's host shows the same, pass it with --tls-fingerprint, or set gateway.remote.tlsFingerprint; SSL_CERT_FILE=FILE names another authority to trust".into()),
            )
        }
    }

    /// A request failed.
    pub fn request(error: &Error, target: &Target) -> Self {
        match error {
            Error::Gateway(shape) => Self::failed(shape.message.to_string(), request_remedy(shape)),
            Error::Timeout { what, after } => Self::new(
                Exit::Unreachable,
                format!(
                    "no answer to `{what}` from {} within {} s",
                    target.url,
                    after.as_secs_f64()
                ),
                Some(
                    "wait longer with --timeout; `openclaw logs` says what the gateway is doing"
                        .into(),
                ),
            ),
            Error::Closed(reason) => Self::new(
                Exit::Unreachable,
                format!("{} went away: {reason}", target.url),
                Some("try again when the gateway is back".into()),
            ),
            Error::Protocol(what) => Self::failed(what.clone(), Some(version_remedy())),
            Error::Refused(_) | Error::Untrusted { .. } | Error::Unreachable { .. } => {
                Self::connect(error, target)
            }
        }
    }

    fn refused(refusal: &Refusal, target: &Target) -> Self {
        let told = format!("{}: {}", target.url, refusal.message);
        let code = refusal.detail_code().unwrap_or(&refusal.code);
        let (exit, remedy) = match code {
            "PAIRING_REQUIRED" => (Exit::Refused, pairing_remedy(refusal)),
            "DEVICE_IDENTITY_REQUIRED" => (Exit::Refused, secret_remedy(target)),
            "AUTH_SCOPE_MISMATCH" => (
                Exit::Refused,
                "this device was approved for less: ask for more with the gateway's --token, then have it approved".into(),
            ),
            "AUTH_RATE_LIMITED" => (Exit::Refused, wait_remedy(refusal)),
            "PROTOCOL_MISMATCH" => (Exit::Failed, version_remedy()),
            "HTTP_400" if target.url.starts_with("ws:") && refusal.message.contains("TLS") => (
                Exit::Refused,
                format!("try {}", target.url.replacen("ws:", "wss:", 1)),
            ),
            "HTTP_403" => (
                Exit::Refused,
                "a proxy in front of the gateway adds forwarding headers: name it in gateway.trustedProxies".into(),
            ),
            _ if code.starts_with("AUTH_") => (Exit::Refused, secret_remedy(target)),
            _ if refusal.is_temporary() => (Exit::Unreachable, wait_remedy(refusal)),
            _ => (Exit::Refused, hint(refusal).unwrap_or_else(|| "the gateway's log says more".into())),
        };
        Self::new(exit, told, Some(remedy))
    }
}

/// The operating system's words without the library's.
fn reason(source: &(dyn std::error::Error + Send + Sync + 'static)) -> String {
    match io_kind(source) {
        Some(ErrorKind::ConnectionRefused) => "nothing listens there".into(),
        Some(ErrorKind::NetworkUnreachable) => "no way to that network".into(),
        Some(ErrorKind::HostUnreachable) => "no way to that host".into(),
        _ => source.to_string(),
    }
}

fn io_kind(source: &(dyn std::error::Error + Send + Sync + 'static)) -> Option<ErrorKind> {
    Some(source.downcast_ref::<std::io::Error>()?.kind())
}

fn stage(error: &Error) -> Stage {
    match error {
        Error::Unreachable { .. } => Stage::Socket,
        Error::Untrusted { .. } => Stage::Certificate,
        Error::Refused(refusal) if refusal.code.starts_with("HTTP_") => Stage::Upgrade,
        Error::Refused(refusal) => match refusal.detail_code() {
            Some("AUTH_SCOPE_MISMATCH") => Stage::Scopes,
            _ if refusal.code == "NOT_PAIRED" => Stage::Pairing,
            _ => Stage::Auth,
        },
        Error::Timeout { .. } | Error::Closed(_) | Error::Gateway(_) | Error::Protocol(_) => {
            Stage::Upgrade
        }
    }
}

fn reach_remedy(
    source: &(dyn std::error::Error + Send + Sync + 'static),
    target: &Target,
) -> String {
    if let Some(ssh) = &target.ssh {
        return format!(
            "try `ssh {} true`: it must log in without a question; and check that the gateway runs there",
            ssh.host
        );
    }
    if source.to_string().contains("certificate") {
        return "name the certificate to trust with SSL_CERT_FILE=FILE, or use an SSH tunnel"
            .into();
    }
    match (io_kind(source), target.loopback, target.url_source) {
        (Some(ErrorKind::ConnectionRefused), true, Source::Config) => {
            "start it with `openclaw gateway`".into()
        }
        (Some(ErrorKind::ConnectionRefused), true, _) => {
            "start it with `openclaw gateway`, or open the tunnel to it".into()
        }
        // An answer that is none, or not of the expected kind: TLS errors are `InvalidData`.
        (None | Some(ErrorKind::InvalidData), ..) | (_, true, _) => {
            "something else seems to listen there: check the address, the port, and ws:// or wss://"
                .into()
        }
        (_, false, _) => {
            "check the address, that the gateway runs, and that the tunnel or VPN to it is up"
                .into()
        }
    }
}

fn pairing_remedy(refusal: &Refusal) -> String {
    match refusal.request_id() {
        Some(id) => {
            format!("on the gateway's host run `openclaw devices approve {id}`, then try again")
        }
        None => "on the gateway's host run `openclaw devices list` and approve this device".into(),
    }
}

fn secret_remedy(target: &Target) -> String {
    let kind = match target.secret {
        Some(Secret::Password(_)) => "password",
        _ => "token",
    };
    let wrong = match target.secret_source {
        None => {
            return "pass the gateway's token with --token, or set OPENCLAW_GATEWAY_TOKEN".into();
        }
        Some(Source::Flag) => format!("the {kind} came from the command line"),
        Some(Source::Variable) => format!(
            "the {kind} came from OPENCLAW_GATEWAY_{}",
            kind.to_uppercase()
        ),
        Some(Source::Config) if target.loopback => {
            format!(
                "the {kind} came from this host's configuration; if it was changed, restart the gateway"
            )
        }
        Some(Source::Config) => {
            format!(
                "the {kind} came from gateway.remote.{kind}; set it to the gateway's gateway.auth.{kind}"
            )
        }
    };
    format!("{wrong}; `openclaw dashboard --no-open` on the gateway's host shows the right one")
}

fn wait_remedy(refusal: &Refusal) -> String {
    match refusal.retry_after {
        Some(time) => format!("try again in {} s", time.as_secs_f64().ceil()),
        None => "try again in a moment".into(),
    }
}

fn version_remedy() -> String {
    "check that the address is a gateway's, and that both sides are up to date".into()
}

fn hint(refusal: &Refusal) -> Option<String> {
    let hint = refusal.details.as_ref()?.get("remediationHint")?.as_str()?;
    Some(hint.to_owned())
}

fn request_remedy(shape: &ErrorShape) -> Option<String> {
    let detail = |key: &str| shape.details.as_ref()?.get(key)?.as_str();
    if let Some(hint) = detail("remediationHint") {
        return Some(hint.to_owned());
    }
    if detail("code") == Some("MISSING_SCOPE") {
        return Some(
            "this device may not do that: approve it with more scopes, or pass the gateway's token"
                .into(),
        );
    }
    let millis = shape.retry_after_ms?;
    Some(format!("try again in {} s", millis.div_ceil(1000)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use openclaw_client::CloseReason;
    use serde_json::json;

    use super::*;

    fn target(loopback: bool, secret_source: Option<Source>) -> Target {
        let url = if loopback {
            "ws://127.0.0.1:18789"
        } else {
            "wss://gw"
        };
        Target {
            url: url.into(),
            url_source: Source::Config,
            secret: secret_source.map(|_| Secret::Token("s3cret".into())),
            secret_source,
            loopback,
            tls_fingerprint: None,
            ssh: None,
            gateway_dir: "/state/gateway".into(),
        }
    }

    fn refused(code: &str, details: serde_json::Value) -> Error {
        Error::Refused(Box::new(Refusal {
            code: code.into(),
            message: "no".into(),
            details: Some(details),
            retryable: false,
            retry_after: None,
            close_code: Some(1008),
        }))
    }

    #[test]
    fn nobody_listening_says_how_to_start_the_gateway() {
        let error = Error::Unreachable {
            url: "ws://127.0.0.1:18789".into(),
            source: std::io::Error::from(ErrorKind::ConnectionRefused).into(),
        };
        let failure = Failure::connect(&error, &target(true, None));
        assert_eq!(failure.exit, Exit::Unreachable);
        assert_eq!(
            failure.lines(),
            [
                "openclaw: gateway not reachable at ws://127.0.0.1:18789: nothing listens there",
                "start it with `openclaw gateway`"
            ]
        );
    }

    #[test]
    fn something_else_listening_is_told_apart_from_nobody() {
        let remedy = |kind: ErrorKind, loopback| {
            let error = Error::Unreachable {
                url: "ws://h".into(),
                source: std::io::Error::from(kind).into(),
            };
            Failure::connect(&error, &target(loopback, None))
                .remedy
                .unwrap()
        };
        assert!(remedy(ErrorKind::InvalidData, false).contains("ws:// or wss://"));
        assert!(remedy(ErrorKind::TimedOut, true).contains("something else"));
        assert!(remedy(ErrorKind::TimedOut, false).contains("tunnel or VPN"));
    }

    #[test]
    fn a_certificate_that_is_not_trusted_says_how_to_trust_it() {
        let error = Error::Unreachable {
            url: "wss://gw".into(),
            source: std::io::Error::new(
                ErrorKind::InvalidData,
                "invalid peer certificate: UnknownIssuer",
            )
            .into(),
        };
        let failure = Failure::connect(&error, &target(false, None));
        assert!(failure.remedy.unwrap().contains("SSL_CERT_FILE"));
    }

    #[test]
    fn a_pairing_request_says_exactly_what_to_run() {
        let error = refused(
            "NOT_PAIRED",
            json!({ "code": "PAIRING_REQUIRED", "requestId": "r-7" }),
        );
        let failure = Failure::connect(&error, &target(false, None));
        assert_eq!(failure.exit, Exit::Refused);
        assert_eq!(
            failure.remedy.unwrap(),
            "on the gateway's host run `openclaw devices approve r-7`, then try again"
        );
    }

    #[test]
    fn a_wrong_token_says_where_it_came_from_and_never_what_it_is() {
        let error = refused("INVALID_REQUEST", json!({ "code": "AUTH_TOKEN_MISMATCH" }));
        for (source, words) in [
            (None, "--token"),
            (Some(Source::Flag), "command line"),
            (Some(Source::Variable), "OPENCLAW_GATEWAY_TOKEN"),
            (Some(Source::Config), "configuration"),
        ] {
            let failure = Failure::connect(&error, &target(true, source));
            assert_eq!(failure.exit, Exit::Refused);
            let text = failure.lines().join("\n");
            assert!(text.contains(words) && !text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn every_end_has_its_exit_code() {
        let target = target(false, None);
        let exit = |error: &Error| Failure::connect(error, &target).exit;
        let closed = Error::Closed(CloseReason {
            code: Some(1013),
            reason: "gateway starting".into(),
        });
        assert_eq!(exit(&closed), Exit::Unreachable);
        let slow = Error::Timeout {
            what: "the handshake".into(),
            after: Duration::from_secs(1),
        };
        assert_eq!(exit(&slow), Exit::Unreachable);
        assert_eq!(exit(&refused("UNAVAILABLE", json!({}))), Exit::Unreachable);
        assert_eq!(
            exit(&refused(
                "INVALID_REQUEST",
                json!({ "code": "PROTOCOL_MISMATCH" })
            )),
            Exit::Failed
        );
        let said_no = Error::Gateway(ErrorShape::invalid("unknown requestId"));
        assert_eq!(Failure::request(&said_no, &target).exit, Exit::Failed);
        assert_eq!(Failure::request(&closed, &target).exit, Exit::Unreachable);
    }

    #[test]
    fn a_reader_that_left_is_no_error() {
        let error = std::io::Error::from(ErrorKind::BrokenPipe);
        assert!(Failure::output(&error).lines().is_empty());
        let error = std::io::Error::from(ErrorKind::StorageFull);
        assert!(!Failure::output(&error).lines().is_empty());
    }
}
