//! Opens the connection that a command needs, with the least that it needs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openclaw_client::{
    ClientId, ClientMode, Connection, DeviceIdentity, DeviceTokenStore, Error, Options, Role,
    StoredToken, client_info, connect,
};
use openclaw_protocol::{Scope, Scopes};

use super::VERSION;
use super::failure::Failure;
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
    if plan(target, None, wanted.scopes) == [Attempt::Secret] {
        return connect(&target.url, &options(target, wanted, Attempt::Secret, None))
            .await
            .map_err(|error| Failure::connect(&error, target));
    }
    open_as_device(target, wanted).await
}

/// What to try, in order.
fn plan(target: &Target, stored: Option<&StoredToken>, scopes: &[Scope]) -> Vec<Attempt> {
    if target.loopback && target.secret.is_some() {
        return vec![Attempt::Secret];
    }
    // A secret on the command line is meant to be used; otherwise the device's own token goes first,
    // because each use of the shared secret makes the gateway issue one more.
    let covers = stored
        .filter(|_| target.secret_source != Some(Source::Flag))
        .is_some_and(|stored| Scopes::parse(&stored.scopes).covers(Scopes::of(scopes)));
    if covers {
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
        if matches!(seen, Err(Error::Unreachable { .. })) {
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
        .get(&target.url, device.identity.id(), role)
        .cloned();
    let attempts = plan(target, stored.as_ref(), wanted.scopes);
    let mut last = None;
    for attempt in attempts {
        let mut options = options(target, wanted, attempt, stored.as_ref());
        options.identity = Some(Arc::clone(&device.identity));
        let connected = connect(&target.url, &options).await;
        device.keep(connected.as_ref())?;
        match connected {
            Ok(connection) => {
                remember(&mut device, target, &connection)?;
                return Ok(connection);
            }
            Err(error) if attempt == Attempt::DeviceToken && is_stale(&error) => {
                device
                    .tokens
                    .remove(&target.url, device.identity.id(), role)
                    .map_err(|error| Failure::file(&error))?;
                last = Some(error);
            }
            Err(error) => return Err(Failure::connect(&error, target)),
        }
    }
    let error = last.unwrap_or_else(|| Error::Protocol("nothing was tried".into()));
    Err(Failure::connect(&error, target))
}

/// Whether the gateway no longer takes a stored device token.
fn is_stale(error: &Error) -> bool {
    let Error::Refused(refusal) = error else {
        return false;
    };
    matches!(
        refusal.detail_code(),
        Some("AUTH_DEVICE_TOKEN_MISMATCH" | "AUTH_SCOPE_MISMATCH")
    )
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
        .put(&target.url, device.identity.id(), &auth.role, stored)
        .map_err(|error| Failure::file(&error))
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

    fn target(loopback: bool, secret_source: Option<Source>) -> Target {
        Target {
            url: "ws://gw".into(),
            url_source: Source::Flag,
            secret: secret_source.map(|_| Secret::Token("t".into())),
            secret_source,
            loopback,
            gateway_dir: "/nowhere".into(),
        }
    }

    #[test]
    fn on_the_gateways_host_the_shared_secret_is_enough() {
        let local = target(true, Some(Source::Config));
        assert_eq!(plan(&local, None, &[Scope::Read]), [Attempt::Secret]);
        let without = target(true, None);
        assert_eq!(plan(&without, None, &[Scope::Read]), [Attempt::Device]);
    }

    #[test]
    fn a_stored_token_goes_first_when_it_covers_the_command() {
        let stored = StoredToken {
            token: "d".into(),
            scopes: vec!["operator.write".into()],
        };
        let remote = target(false, Some(Source::Config));
        let planned = |target: &Target, scope| plan(target, Some(&stored), &[scope]);
        assert_eq!(
            planned(&remote, Scope::Read),
            [Attempt::DeviceToken, Attempt::Device]
        );
        assert_eq!(planned(&remote, Scope::Pairing), [Attempt::Device]);
        let explicit = target(false, Some(Source::Flag));
        assert_eq!(planned(&explicit, Scope::Read), [Attempt::Device]);
    }
}
