//! `device.info` and `device.status`: what this machine is, and how it is.

use std::fs;
use std::path::Path;

use openclaw_client::node::{CommandError, Node};
use serde_json::{Value, json};

use crate::cli::VERSION;

/// Degrees, in thousandths, from which a machine is warm, hot, and too hot.
const WARM: [(i64, &str); 3] = [(95_000, "critical"), (85_000, "serious"), (75_000, "fair")];

/// Offers both.
pub(super) fn offer(node: &mut Node, name: &str) {
    let name = name.to_owned();
    node.cap("device").command("device.info", move |_| {
        let name = name.clone();
        async move { Ok(info(Path::new("/"), &name)) }
    });
    node.command("device.status", |_| async {
        // Files of `/proc` and `/sys` are read without waiting for a disk.
        status(Path::new("/"))
            .ok_or_else(|| CommandError::new("UNAVAILABLE", "this machine tells nothing of itself"))
    });
}

/// What the machine calls itself: `Raspberry Pi 5 Model B`, `ThinkPad X13`.
pub(super) fn model(root: &Path) -> Option<String> {
    let tree = text(&root.join("proc/device-tree/model"));
    tree.or_else(|| text(&root.join("sys/class/dmi/id/product_name")))
}

fn info(root: &Path, name: &str) -> Value {
    let release = fs::read_to_string(root.join("etc/os-release")).unwrap_or_default();
    let of = |key: &str| {
        let line = release
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.map(|value| value.trim_matches('"').to_owned())
    };
    let language = std::env::var("LANG").unwrap_or_default();
    json!({
        "deviceName": name,
        "modelIdentifier": model(root).unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        "systemName": of("NAME").unwrap_or_else(|| "Linux".to_owned()),
        "systemVersion": of("VERSION_ID").unwrap_or_else(kernel),
        "appVersion": VERSION,
        "appBuild": option_env!("OPENCLAW_COMMIT").unwrap_or(VERSION),
        "locale": language.split('.').next().filter(|name| !name.is_empty()).unwrap_or("C"),
    })
}

fn kernel() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}

fn status(root: &Path) -> Option<Value> {
    let uptime = text(&root.join("proc/uptime"))?;
    let seconds: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    let disk = rustix::fs::statvfs(root).ok()?;
    let (total, free) = (disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize);
    let interfaces = interfaces(root);
    let mut status = json!({
        "battery": battery(root),
        "storage": { "totalBytes": total, "freeBytes": free, "usedBytes": total.saturating_sub(disk.f_bfree * disk.f_frsize) },
        "network": {
            "status": if interfaces.is_empty() { "unsatisfied" } else { "satisfied" },
            "isExpensive": false, "isConstrained": false, "interfaces": interfaces,
        },
        "uptimeSeconds": seconds,
    });
    if let Some(thermal) = thermal(root) {
        status["thermal"] = json!({ "state": thermal });
    }
    Some(status)
}

fn battery(root: &Path) -> Value {
    let supplies = entries(&root.join("sys/class/power_supply"));
    let found = supplies
        .iter()
        .find(|path| text(&path.join("type")).as_deref() == Some("Battery"));
    let Some(found) = found else {
        return json!({ "state": "unknown", "lowPowerModeEnabled": false });
    };
    let state = match text(&found.join("status")).as_deref() {
        Some("Charging") => "charging",
        Some("Discharging" | "Not charging") => "unplugged",
        Some("Full") => "full",
        _ => "unknown",
    };
    let percent: Option<f64> = text(&found.join("capacity")).and_then(|text| text.parse().ok());
    json!({
        "level": percent.map(|percent| percent / 100.0), "state": state, "lowPowerModeEnabled": false,
    })
}

/// Kinds of the interfaces that are up.
fn interfaces(root: &Path) -> Vec<&'static str> {
    let mut kinds: Vec<&'static str> = entries(&root.join("sys/class/net"))
        .iter()
        .filter(|path| text(&path.join("operstate")).as_deref() == Some("up"))
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            match &*name {
                _ if path.join("wireless").exists() => "wifi",
                name if name.starts_with("ww") => "cellular",
                name if name.starts_with("en") || name.starts_with("eth") => "wired",
                _ => "other",
            }
        })
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

fn thermal(root: &Path) -> Option<&'static str> {
    let zones = entries(&root.join("sys/class/thermal"));
    let hottest = zones
        .iter()
        .filter_map(|zone| text(&zone.join("temp"))?.parse::<i64>().ok())
        .max()?;
    let state = WARM.iter().find(|(from, _)| hottest >= *from);
    Some(state.map_or("nominal", |(_, state)| state))
}

fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    found.sort();
    found
}

/// A small file of the system without the blanks and zeros around it; `None` where it says nothing.
pub(super) fn text(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn a_laptop_tells_of_its_battery_network_and_heat() {
        let laptop = machine(&[
            (
                "etc/os-release",
                "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n",
            ),
            ("sys/class/dmi/id/product_name", "ThinkPad X13\n"),
            ("proc/uptime", "12.50 3.00\n"),
            ("sys/class/power_supply/AC/type", "Mains\n"),
            ("sys/class/power_supply/BAT0/type", "Battery\n"),
            ("sys/class/power_supply/BAT0/status", "Discharging\n"),
            ("sys/class/power_supply/BAT0/capacity", "42\n"),
            ("sys/class/net/wlp1s0/operstate", "up\n"),
            ("sys/class/net/wlp1s0/wireless/x", ""),
            ("sys/class/net/eth0/operstate", "down\n"),
            ("sys/class/thermal/thermal_zone0/temp", "86000\n"),
        ]);
        let info = info(laptop.path(), "attic");
        assert_eq!(info["systemName"], "Debian GNU/Linux");
        assert_eq!(info["systemVersion"], "12");
        assert_eq!(info["modelIdentifier"], "ThinkPad X13");
        let status = status(laptop.path()).unwrap();
        assert_eq!(
            status["battery"],
            json!({ "level": 0.42, "state": "unplugged", "lowPowerModeEnabled": false })
        );
        assert_eq!(status["network"]["interfaces"], json!(["wifi"]));
        assert_eq!(status["thermal"]["state"], "serious");
        assert_eq!(status["uptimeSeconds"], 12.5);
        assert!(status["storage"]["totalBytes"].as_u64() > Some(0));
    }

    #[test]
    fn what_a_machine_does_not_know_is_not_made_up() {
        let board = machine(&[
            ("proc/uptime", "1 1"),
            ("proc/device-tree/model", "Raspberry Pi 5\0"),
        ]);
        assert_eq!(model(board.path()).as_deref(), Some("Raspberry Pi 5"));
        let status = status(board.path()).unwrap();
        assert_eq!(status["battery"]["state"], "unknown");
        assert!(status["thermal"].is_null());
        assert_eq!(status["network"]["status"], "unsatisfied");
    }
}
