//! What can be seen without a gateway that runs.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use openclaw_actors::network::{Interfaces as _, SystemInterfaces, is_tailnet};

use super::{Finding, Mend, word};
use crate::config::gateway::{Bind, TailscaleMode};
use crate::config::{Loaded, auth};
use crate::lock::{Holder, LOCK_FILE, Lock};
use crate::service::{Manager, Surroundings, unit_file};
use crate::state_dir::StatePaths;
use crate::tls::Files;

/// Below this much room the database may stop, bytes.
const ROOM: u64 = 200 * 1024 * 1024;
/// Before this the clock is certainly wrong: 2026-01-01, milliseconds since the epoch.
const YOUNGEST: u64 = 1_767_225_600_000;

/// What is looked at.
pub struct Place<'a> {
    /// Where things are.
    pub paths: &'a StatePaths,
    /// The configuration, or what is wrong with it.
    pub config: Result<&'a Loaded, String>,
    /// The gateway that has the state directory.
    pub holder: Option<&'a Holder>,
    /// `PATH`.
    pub path: Option<&'a str>,
    /// Where the service's unit is.
    pub around: &'a Surroundings,
    /// Milliseconds since the epoch.
    pub now_ms: u64,
}

/// Everything that can be seen without a gateway that runs.
pub fn local(place: &Place<'_>) -> Vec<Finding> {
    let mut findings = configuration(place);
    findings.extend(private(place.paths));
    findings.extend(room(&place.paths.state_dir));
    findings.extend(clock(place.now_ms));
    findings.extend(database(place));
    findings.extend(port(place));
    findings.extend(certificate(place));
    findings.extend(tailnet(place));
    findings.extend(unit(place));
    findings.extend(programs(place));
    findings
}

fn edit(paths: &StatePaths) -> String {
    format!(
        "${{EDITOR:-vi}} {}",
        word(&paths.config_path.display().to_string())
    )
}

fn configuration(place: &Place<'_>) -> Vec<Finding> {
    let path = place.paths.config_path.display();
    let loaded = match &place.config {
        Err(error) => return vec![Finding::fail("config", error, edit(place.paths))],
        Ok(loaded) => loaded,
    };
    let mut findings = vec![match &loaded.raw {
        Some(_) => Finding::ok("config", format!("{path} can be used")),
        None => Finding::warn(
            "config",
            format!("there is no {path} yet"),
            "openclaw gateway",
        ),
    }];
    let mut warnings = loaded.warnings.clone();
    match auth::resolve(loaded) {
        Ok(auth) => warnings.extend(auth.warnings),
        Err(error) => findings.push(Finding::fail(
            "secret",
            error.to_string(),
            edit(place.paths),
        )),
    }
    for warning in warnings {
        findings.push(Finding::warn("config", warning, edit(place.paths)));
    }
    findings
}

/// Files that hold secrets are this user's alone.
fn private(paths: &StatePaths) -> Vec<Finding> {
    if !paths.state_dir.is_dir() {
        let path = paths.state_dir.display().to_string();
        let what = format!("there is no {path} yet");
        let made = Finding::warn("state", what, format!("mkdir -m 700 {}", word(&path)));
        return vec![made.mended_by(Mend::Folder(paths.state_dir.clone()))];
    }
    let folders = [(&paths.state_dir, 0o700), (&paths.gateway_dir, 0o700)];
    let (store, token, config) = (paths.store_file(), paths.token_file(), &paths.config_path);
    let (profiles, dotenv) = (paths.auth_profiles(), paths.state_dir.join(".env"));
    let files = [config, &store, &token, &profiles, &dotenv].map(|path| (path, 0o600));
    let mut findings = Vec::new();
    for (path, wanted) in folders.into_iter().chain(files) {
        let Ok(meta) = path.metadata() else { continue };
        let mode = meta.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let shown = path.display().to_string();
            let what = format!("other users have access to {shown} ({mode:o})");
            let fix = format!("chmod {wanted:o} {}", word(&shown));
            findings.push(
                Finding::fail("private", what, fix).mended_by(Mend::Mode(path.clone(), wanted)),
            );
        }
    }
    if findings.is_empty() {
        let path = paths.state_dir.display();
        findings.push(Finding::ok("private", format!("{path} is yours alone")));
    }
    findings
}

fn room(state_dir: &Path) -> Option<Finding> {
    let there = state_dir.ancestors().find(|path| path.is_dir())?;
    let stat = rustix::fs::statvfs(there).ok()?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let megabytes = free / 1_000_000;
    let shown = there.display().to_string();
    if rustix::fs::access(there, rustix::fs::Access::WRITE_OK).is_err() {
        let what = format!("{shown} cannot be written to");
        return Some(Finding::fail(
            "disk",
            what,
            format!("ls -ld {}", word(&shown)),
        ));
    }
    Some(if free < ROOM {
        let what = format!("the disk of {shown} has {megabytes} MB left");
        let fix = format!("du -xsh {}/* | sort -h", word(&shown));
        Finding::fail("disk", what, fix)
    } else {
        Finding::ok("disk", format!("{megabytes} MB free"))
    })
}

/// Devices sign with the time; a clock that is far off locks them out.
fn clock(now_ms: u64) -> Option<Finding> {
    let what = "this host's clock is years behind, so that devices are refused";
    (now_ms < YOUNGEST).then(|| Finding::fail("clock", what, "timedatectl set-ntp true"))
}

fn database(place: &Place<'_>) -> Vec<Finding> {
    let store = place.paths.store_file();
    let mut findings = Vec::new();
    for kept in damaged_beside(&store) {
        let shown = kept.display().to_string();
        let what = format!(
            "the database was damaged once; what could not be read of it is still in {shown}"
        );
        findings.push(Finding::warn(
            "database",
            what,
            format!("rm {}", word(&shown)),
        ));
    }
    if !store.exists() || place.holder.is_some() {
        return findings;
    }
    match openclaw_actors::store::verify(&store) {
        Ok(found) if found.unreadable > 0 => {
            let what = format!("{} rows of the database cannot be read", found.unreadable);
            findings.push(Finding::warn(
                "database",
                what,
                "openclaw backup restore FILE",
            ));
        }
        Ok(found) => findings.push(Finding::ok(
            "database",
            format!("{} rows, all readable", found.rows),
        )),
        // A gateway started meanwhile and writes.
        Err(_) if has_holder(place.paths) => {}
        Err(error) => {
            let latest = newest_backup(place.paths);
            let fix = latest.map_or_else(
                || "openclaw gateway".to_owned(),
                |path| {
                    format!(
                        "openclaw backup restore {}",
                        word(&path.display().to_string())
                    )
                },
            );
            findings.push(Finding::fail("database", error.to_string(), fix));
        }
    }
    findings
}

fn has_holder(paths: &StatePaths) -> bool {
    let holder = Lock::holder(&paths.gateway_dir.join(LOCK_FILE));
    holder.is_ok_and(|holder| holder.is_some())
}

fn damaged_beside(store: &Path) -> Vec<PathBuf> {
    let name = store
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let marked = format!("{name}.damaged-");
    let entries = store
        .parent()
        .and_then(|folder| std::fs::read_dir(folder).ok());
    let entries = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let is_one = |path: &PathBuf| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with(&marked))
    };
    let mut found: Vec<PathBuf> = entries.filter(is_one).collect();
    found.sort();
    found
}

fn newest_backup(paths: &StatePaths) -> Option<PathBuf> {
    let entries = std::fs::read_dir(paths.gateway_dir.join("backups")).ok()?;
    let archives = entries.flatten().map(|entry| entry.path());
    archives
        .filter(|path| path.extension().is_some_and(|kind| kind == "tar"))
        .max()
}

fn port(place: &Place<'_>) -> Option<Finding> {
    if let Some(holder) = place.holder {
        return Some(Finding::ok("gateway", format!("runs: {holder}")));
    }
    let port = place.config.as_ref().ok()?.config.gateway.port;
    Some(match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Finding::warn("gateway", "does not run", "openclaw gateway start"),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Finding::fail(
            "port",
            format!("another program has port {port}"),
            format!("ss -ltnp sport = :{port}"),
        ),
        Err(error) => Finding::fail(
            "port",
            format!("port {port} cannot be used: {error}"),
            edit(place.paths),
        ),
    })
}

/// The certificate of the listener, by which clients know it.
fn certificate(place: &Place<'_>) -> Option<Finding> {
    let loaded = place.config.as_ref().ok()?;
    if !loaded.config.gateway.tls.enabled {
        return None;
    }
    let files = Files::of(loaded);
    Some(match files.usable() {
        Ok(fingerprint) => Finding::ok("tls", format!("clients see the certificate {fingerprint}")),
        Err(_) if files.generate && !files.certificate.exists() && !files.key.exists() => {
            let what = "the certificate is made by the first start";
            Finding::warn("tls", what, "openclaw gateway")
        }
        Err(error) => {
            let meanwhile = if place.holder.is_some() {
                "; the gateway that runs goes on with the certificate it had before, until it is started again"
            } else {
                ""
            };
            let what = format!("gateway.tls: {error}{meanwhile}");
            Finding::fail("tls", what, edit(place.paths))
        }
    })
}

/// Whether there is an address for `gateway.bind: "tailnet"`.
fn tailnet(place: &Place<'_>) -> Option<Finding> {
    let gateway = &place.config.as_ref().ok()?.config.gateway;
    if gateway.bind != Bind::Tailnet {
        return None;
    }
    let own = SystemInterfaces.addresses().unwrap_or_default();
    let own = own.iter().find(|address| is_tailnet(address));
    Some(match own {
        Some(address) => Finding::ok("tailnet", format!("this host is {address} there")),
        None => Finding::fail(
            "tailnet",
            "gateway.bind is \"tailnet\", and this host has no tailnet address",
            "sudo tailscale up",
        ),
    })
}

fn unit(place: &Place<'_>) -> Option<Finding> {
    let manager = if cfg!(target_os = "macos") {
        Manager::Launchd
    } else {
        Manager::User
    };
    let user = unit_file(manager, place.around);
    let system = unit_file(Manager::System, place.around);
    let (path, install) = if system.exists() {
        (system, "sudo openclaw gateway install --system")
    } else if user.exists() {
        (user, "openclaw gateway install")
    } else {
        let what = "nobody keeps the gateway up: it is not installed as a service";
        return Some(Finding::warn("service", what, "openclaw gateway install"));
    };
    let text = std::fs::read_to_string(&path).ok()?;
    let program = text
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    let program = program.map(|line| {
        line.trim_end_matches(" gateway")
            .trim_matches('"')
            .replace("%%", "%")
    });
    let shown = path.display();
    Some(match program {
        Some(program) if !Path::new(&program).exists() => Finding::fail(
            "service",
            format!("{shown} starts `{program}`, which is not there"),
            install,
        ),
        _ => Finding::ok("service", format!("{shown} keeps the gateway up")),
    })
}

/// What the configuration needs besides this program.
fn programs(place: &Place<'_>) -> Vec<Finding> {
    let Ok(loaded) = &place.config else {
        return Vec::new();
    };
    let needed = [
        ("whatsapp", "node", "apt-get install nodejs npm"),
        (
            "signal",
            "signal-cli",
            "https://github.com/AsamK/signal-cli/releases",
        ),
    ];
    let mut findings = Vec::new();
    let mode = loaded.config.gateway.tailscale.mode;
    if mode != TailscaleMode::Off && !on_path("tailscale", place.path) {
        let what = "gateway.tailscale.mode needs `tailscale`, which is not on PATH";
        findings.push(Finding::fail(
            "programs",
            what,
            "https://tailscale.com/download",
        ));
    }
    for (channel, program, fix) in needed {
        let wanted = loaded
            .value
            .pointer(&format!("/channels/{channel}"))
            .is_some_and(|section| section["enabled"] != false);
        if wanted && !on_path(program, place.path) {
            let what = format!("channels.{channel} needs `{program}`, which is not on PATH");
            findings.push(Finding::fail("programs", what, fix));
        }
    }
    findings
}

fn on_path(program: &str, path: Option<&str>) -> bool {
    path.is_some_and(|path| {
        std::env::split_paths(path).any(|folder| folder.join(program).is_file())
    })
}
