//! Opens the connection that a command needs, with the least that it needs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openclaw_client::{
    ClientId, ClientMode, Connection, DeviceIdentity, DeviceTokenStore, Error, KnownGateways,
    Options, Role, StoredToken, client_info,
};
use openclaw_protocol::{Scope, Scopes};

use super::VERSION;
use super::dial::dial;
use super::failure::Failure;
use super::output::ask;
use super::target::{Secret, Source, Target};

/// What a command asks of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// Scopes, as few as will do.
    pub(crate) scopes: &'a [Scope],
    /// Limit for the connect, and for each answer.
    pub(crate) limit: Duration,
}

/// What one attempt presents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    /// The shared secret alone: the device-less exception for a command line on the gateway's host.
    Secret,
    /// The device with the token that an earlier connect got.
    DeviceToken,
    /// The device with the shared secret, if there is one.
    Device,
}

/// Connects to the target.
///
/// # Errors
///
/// A [`Failure`] with what to do.
pub(crate) async fn open(target: &Target, wanted: Wanted<'_>) -> Result<Connection, Failure> {
    let target = with_known(target)?;
    let failure = match Box::pin(open_trusted(&target, wanted)).await {
        Ok(connection) => {
            renew_known(&target);
            return Ok(connection);
        }
        Err(failure) => failure,
    };
    let asked = ask_to_trust(&target, failure).await?;
    Box::pin(open_trusted(&asked, wanted)).await
}

fn known_gateways(target: &Target) -> Result<KnownGateways, Failure> {
    KnownGateways::open(&target.gateway_dir.join("cli-gateways.json"))
        .map_err(|error| Failure::file(&error))
}

/// The target with the certificate that a person said yes to before, if none is named.
///
/// # Errors
///
/// A [`Failure`] when the list of them cannot be read.
pub(crate) fn with_known(target: &Target) -> Result<Target, Failure> {
    let mut target = target.clone();
    if target.url.starts_with("wss:") && target.tls_fingerprint.is_none() {
        target.tls_fingerprint = known_gateways(&target)?.get(&target.place());
    }
    Ok(target)
}

/// Asks a person about the certificate that a connect stopped at, and keeps it if the answer is yes; the
/// target with it.
///
/// # Errors
///
/// The failure itself, where it is another one or the answer is no.
pub(crate) async fn ask_to_trust(target: &Target, failure: Failure) -> Result<Target, Failure> {
    let Some(found) = failure.unknown_certificate else {
        return Err(failure);
    };
    let question = format!(
        "The certificate of {} is not known here. Its SHA-256 fingerprint is\n  {found}\n`openclaw gateway tls fingerprint` on the gateway's host shows the right one. Is it the same, and is it to be trusted from now on?",
        target.url
    );
    if !ask(question).await {
        return Err(failure);
    }
    known_gateways(target)?
        .trust(&target.place(), found)
        .map_err(|error| Failure::file(&error))?;
    Ok(Target {
        tls_fingerprint: Some(found),
        ..target.clone()
    })
}

/// After a connect: the certificate that was named for it, and was there, takes the place of another one that a
/// person said yes to before. One that the system vouches for stays unlisted.
pub(crate) fn renew_known(target: &Target) {
    let Some(pin) = target.tls_fingerprint else {
        return;
    };
    // A list that cannot be read or written is told of where it is needed.
    let Ok(mut known) = known_gateways(target) else {
        return;
    };
    if known.get(&target.place()).is_some_and(|old| old != pin) {
        let _ = known.trust(&target.place(), pin);
    }
}

/// Connects with the certificate that is known, or that the system trusts. Its future is boxed by
/// [`open`]: it holds a whole handshake.
async fn open_trusted(target: &Target, wanted: Wanted<'_>) -> Result<Connection, Failure> {
    if target.loopback && target.secret.is_some() {
        let options = options(target, wanted, Attempt::Secret, None);
        match dial(target, &options).await {
            Ok(connection) if is_enough(&connection, wanted) => return Ok(connection),
            // A gateway behind a proxy, or in a container, does not see this host as its own.
            Ok(connection) => connection.close().await,
            Err(error) if wants_device(&error) => {}
            Err(error) => return Err(Failure::connect(&error, target)),
        }
    }
    open_as_device(target, wanted).await
}

/// Whether the connection was granted what the command needs.
fn is_enough(connection: &Connection, wanted: Wanted<'_>) -> bool {
    let granted = connection.hello.auth.as_ref().map(|auth| auth.scopes);
    granted.is_none_or(|granted| granted.covers(Scopes::of(wanted.scopes)))
}

fn wants_device(error: &Error) -> bool {
    is_refused_with(error, "DEVICE_IDENTITY_REQUIRED")
}

/// What a device tries, in order.
fn plan(target: &Target, stored: Option<&StoredToken>, scopes: &[Scope]) -> Vec<Attempt> {
    // A secret on the command line is meant to be used; otherwise the device's own token goes first,
    // because each use of the shared secret makes the gateway issue one more. Without a secret it is
    // all there is: the gateway then says what it is not good for.
    let useful = stored
        .filter(|_| target.secret_source != Some(Source::Flag))
        .is_some_and(|stored| {
            target.secret.is_none() || Scopes::parse(&stored.scopes).covers(Scopes::of(scopes))
        });
    if useful {
        vec![Attempt::DeviceToken, Attempt::Device]
    } else {
        vec![Attempt::Device]
    }
}

/// This command line as a device.
struct Device {
    identity: Arc<DeviceIdentity>,
    tokens: DeviceTokenStore,
    /// Where the identity is to be written, when it is new.
    unsaved: Option<PathBuf>,
}

impl Device {
    fn load(target: &Target) -> Result<Self, Failure> {
        let file = |name: &str| -> PathBuf { target.gateway_dir.join(name) };
        let path = file("cli-identity.json");
        let known = DeviceIdentity::load(&path).map_err(|error| Failure::file(&error))?;
        let tokens = DeviceTokenStore::open(&file("cli-tokens.json"))
            .map_err(|error| Failure::file(&error))?;
        Ok(Self {
            unsaved: known.is_none().then_some(path),
            identity: Arc::new(known.unwrap_or_else(DeviceIdentity::generate)),
            tokens,
        })
    }

    /// Keeps a new identity once a gateway has seen it; a mistyped address leaves no file behind.
    fn keep(&mut self, seen: Result<&Connection, &Error>) -> Result<(), Failure> {
        if matches!(
            seen,
            Err(Error::Unreachable { .. } | Error::Untrusted { .. })
        ) {
            return Ok(());
        }
        if let Some(path) = self.unsaved.take() {
            let saved = self.identity.save(&path);
            saved.map_err(|error| Failure::file(&error))?;
        }
        Ok(())
    }
}

async fn open_as_device(target: &Target, wanted: Wanted<'_>) -> Result<Connection, Failure> {
    let mut device = Device::load(target)?;
    let role = Role::Operator.as_str();
    let stored = device
        .tokens
        .get(&target.place(), device.identity.id(), role)
        .cloned();
    let attempts = plan(target, stored.as_ref(), wanted.scopes);
    let mut last = None;
    for attempt in attempts {
        let mut options = options(target, wanted, attempt, stored.as_ref());
        options.identity = Some(Arc::clone(&device.identity));
        let connected = dial(target, &options).await;
        device.keep(connected.as_ref())?;
        match connected {
            Ok(connection) => {
                remember(&mut device, target, &connection)?;
                return Ok(connection);
            }
            Err(error) if attempt == Attempt::DeviceToken && is_stale(&error) => {
                device
                    .tokens
                    .remove(&target.place(), device.identity.id(), role)
                    .map_err(|error| Failure::file(&error))?;
                last = Some(error);
            }
            // The shared secret can ask for more than the token was made for.
            Err(error) if is_too_narrow(&error) && target.secret.is_some() => last = Some(error),
            Err(error) => return Err(Failure::connect(&error, target)),
        }
    }
    let error = last.unwrap_or_else(|| Error::Protocol("nothing was tried".into()));
    Err(Failure::connect(&error, target))
}

/// Whether the gateway no longer takes a stored device token.
fn is_stale(error: &Error) -> bool {
    is_refused_with(error, "AUTH_DEVICE_TOKEN_MISMATCH")
}

/// Whether a device token is good, but not for what was asked.
fn is_too_narrow(error: &Error) -> bool {
    is_refused_with(error, "AUTH_SCOPE_MISMATCH")
}

fn is_refused_with(error: &Error, code: &str) -> bool {
    match error {
        Error::Refused(refusal) => refusal.detail_code() == Some(code),
        _ => false,
    }
}

/// Keeps the device token that the gateway gave, so that later connects need no shared secret.
fn remember(device: &mut Device, target: &Target, connection: &Connection) -> Result<(), Failure> {
    let Some(auth) = &connection.hello.auth else {
        return Ok(());
    };
    let Some(token) = &auth.device_token else {
        return Ok(());
    };
    let stored = StoredToken {
        token: token.clone(),
        scopes: auth.scopes.names().into_iter().map(str::to_owned).collect(),
    };
    device
        .tokens
        .put(&target.place(), device.identity.id(), &auth.role, stored)
        .map_err(|error| Failure::file(&error))
}

/// What an owner reads who is asked to approve this command line.
fn display_name() -> Option<String> {
    let host = rustix::system::uname().nodename().to_str().ok()?.to_owned();
    let host = host.split('.').next().filter(|host| !host.is_empty())?;
    Some(format!("openclaw on {host}"))
}

fn options(
    target: &Target,
    wanted: Wanted<'_>,
    attempt: Attempt,
    stored: Option<&StoredToken>,
) -> Options {
    let mut options = Options {
        scopes: wanted
            .scopes
            .iter()
            .map(|scope| scope.as_str().to_owned())
            .collect(),
        connect_timeout: wanted.limit,
        request_timeout: wanted.limit,
        ..Options::new(client_info(ClientId::Cli, ClientMode::Cli, VERSION))
    };
    options.client.display_name = display_name();
    options.tls_fingerprint = target.tls_fingerprint;
    match (attempt, &target.secret) {
        (Attempt::DeviceToken, _) => {
            options.device_token = stored.map(|stored| stored.token.clone());
        }
        (_, Some(Secret::Token(token))) => options.token = Some(token.clone()),
        (_, Some(Secret::Password(password))) => options.password = Some(password.clone()),
        (_, None) => {}
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(secret_source: Option<Source>) -> Target {
        Target {
            url: "ws://gw".into(),
            url_source: Source::Flag,
            secret: secret_source.map(|_| Secret::Token("t".into())),
            secret_source,
            loopback: false,
            tls_fingerprint: None,
            ssh: None,
            gateway_dir: "/nowhere".into(),
        }
    }

    #[test]
    fn a_stored_token_goes_first_when_it_covers_the_command() {
        let stored = StoredToken {
            token: "d".into(),
            scopes: vec!["operator.write".into()],
        };
        let remote = target(Some(Source::Config));
        let planned = |target: &Target, scope| plan(target, Some(&stored), &[scope]);
        assert_eq!(
            planned(&remote, Scope::Read),
            [Attempt::DeviceToken, Attempt::Device]
        );
        assert_eq!(planned(&remote, Scope::Pairing), [Attempt::Device]);
        assert_eq!(plan(&remote, None, &[]), [Attempt::Device]);
        let without = target(None);
        assert_eq!(
            planned(&without, Scope::Pairing),
            [Attempt::DeviceToken, Attempt::Device]
        );
        let explicit = target(Some(Source::Flag));
        assert_eq!(planned(&explicit, Scope::Read), [Attempt::Device]);
    }
}
