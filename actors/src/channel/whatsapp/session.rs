//! What a session needs before it begins: the program, the locks, and whole keys; and how it is forgotten.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::lock::{Locks, Owner};
use super::{BAILEYS, Program, SCRIPT, WhatsApp, auth};
use crate::channel::ChannelError;
use crate::channel::login::Wish;

impl WhatsApp {
    /// How the account is named in commands.
    pub(super) fn named(&self) -> String {
        match &*self.who.account {
            "default" => String::new(),
            account => format!(" --account {account}"),
        }
    }

    /// Takes the locks, and looks at the device's keys under them.
    pub(super) async fn own(
        &self,
        wish: Option<&Wish>,
    ) -> Result<(Locks, Option<String>), ChannelError> {
        let folder = self.setup.auth_dir.clone();
        let mut locks = lock_session(&folder, self.started_at_ms).await?;
        // Keys of a device that is none any more are of no use to a login.
        let over = wish.is_some() && self.logged_out.take();
        let over = over || wish.is_some_and(|wish| wish.force);
        let (named, linking) = (self.named(), wish.is_some());
        // The locks go with it: whoever does not wait for its end does not give them up.
        let looking = blocking(move || {
            let found = look(&folder, over, linking, &named)?;
            Ok((locks, found))
        });
        let found;
        (locks, found) = looking.await?;
        if over {
            self.logins.forgotten(&self.who);
        }
        if found.restored {
            tracing::warn!(account = %self.who, folder = %self.setup.auth_dir.display(), "the credentials were damaged; the copy of the last start is used");
        }
        let me = found.me.map(|me| me.number);
        if let Some(number) = &me {
            self.lock_number(&mut locks, number).await?;
        }
        Ok((locks, me))
    }

    pub(super) async fn lock_number(
        &self,
        locks: &mut Locks,
        number: &str,
    ) -> Result<(), ChannelError> {
        let host = self.setup.host_dir.clone();
        let path = host.join(lock_name(number));
        blocking(move || auth::make(&host).map_err(broken)).await?;
        // Errors stand in the log, which does not tell whose number it is.
        let end = number
            .get(number.len().saturating_sub(2)..)
            .unwrap_or_default();
        let what = format!("the WhatsApp session of the number that ends with {end}");
        locks.take(&path, &what).await
    }
}

/// The file that is locked for a number; its name does not tell which that is.
pub fn lock_name(number: &str) -> String {
    let hash = crate::channel::hex(&Sha256::digest(number));
    format!("whatsapp-{}.lock", &hash[..16])
}

/// Does what waits for the disk beside the thread that all channels share.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ChannelError> + Send + 'static,
) -> Result<T, ChannelError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(ChannelError::Transient(error.to_string())))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what errors are mapped with"
)]
fn broken(error: auth::AuthError) -> ChannelError {
    ChannelError::Transient(error.to_string())
}

/// Takes the lock of a device's keys.
async fn lock_session(folder: &Path, started_at_ms: i64) -> Result<Locks, ChannelError> {
    let own = folder.to_owned();
    blocking(move || auth::make(&own).map_err(broken)).await?;
    let mut locks = Locks::new(Owner::this(started_at_ms));
    let lock = folder.join("session.lock");
    let what = format!("the WhatsApp session in {}", folder.display());
    locks.take(&lock, &what).await?;
    Ok(locks)
}

/// Removes a device's keys, once nobody uses them: also the process of a connection that has ended
/// writes for a moment more.
pub(super) async fn forget(folder: &Path, started_at_ms: i64) -> Result<(), String> {
    let own = folder.to_owned();
    let gone = blocking(move || Ok(!own.is_dir())).await;
    let forgotten = async {
        if gone? {
            return Ok(());
        }
        let locks = lock_session(folder, started_at_ms).await?;
        let own = folder.to_owned();
        blocking(move || {
            let _locks = locks;
            auth::clear(&own).map_err(broken)
        })
        .await
    };
    forgotten.await.map_err(|error| error.to_string())
}

/// Looks at a device's keys. `over` says that they are of no use, `linking` that there may be none.
fn look(
    folder: &Path,
    over: bool,
    linking: bool,
    account: &str,
) -> Result<auth::Found, ChannelError> {
    auth::sweep(folder);
    if over {
        auth::clear(folder).map_err(broken)?;
    }
    let found = match auth::prepare(folder) {
        Ok(found) => found,
        Err(auth::AuthError::Damaged { path }) => {
            return Err(ChannelError::Auth(format!(
                "the credentials in {} are damaged, and there is no whole copy; link the device anew: openclaw channels login whatsapp{account} --force",
                path.display(),
            )));
        }
        Err(error) => return Err(broken(error)),
    };
    match (&found.me, linking) {
        (Some(_), _) => {}
        (None, false) => {
            return Err(ChannelError::Auth(format!(
                "no phone is linked; link one: openclaw channels login whatsapp{account}"
            )));
        }
        // What an earlier login began is of no use to another.
        (None, true) => auth::clear(folder).map_err(broken)?,
    }
    Ok(found)
}

/// The script, as this release has it, where the packages are that it needs.
pub(super) fn installed(program: &Program, account: &str) -> Result<(), ChannelError> {
    let script = &program.script;
    if !program.ours {
        return Ok(());
    }
    let folder = script.parent().unwrap_or(script);
    // The file that npm writes last.
    let whole = folder.join("node_modules/.package-lock.json").is_file();
    let package = std::fs::read_to_string(folder.join("node_modules/baileys/package.json"));
    let version = format!("\"version\": \"{BAILEYS}\"");
    if !whole || !package.is_ok_and(|package| package.contains(&version)) {
        return Err(ChannelError::Auth(format!(
            "Baileys {BAILEYS}, which speaks with WhatsApp, is not installed in {}; run: openclaw channels add whatsapp, then: openclaw channels start whatsapp{}",
            folder.display(),
            account
        )));
    }
    let known = std::fs::read(script).is_ok_and(|text| text == SCRIPT.as_bytes());
    if known {
        return Ok(());
    }
    let beside = script.with_extension("writing");
    std::fs::write(&beside, SCRIPT)
        .and_then(|()| std::fs::rename(&beside, script))
        .map_err(|error| {
            ChannelError::Transient(format!("cannot write {}: {error}", script.display()))
        })
}
