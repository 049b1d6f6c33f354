//! Announcements in the local network, with Avahi on another host as the one who hears and speaks.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::TOKEN;
use crate::harness::child::{Gateway, Home};
use crate::harness::hosts::{GATEWAY, Hosts, OTHER_TAILNET, PROXY, REMOTE, Remote};

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program and waits for a line with this text, on either of its outputs; gives the line.
fn start(mut command: Command, text: &str) -> (Running, String) {
    let name = format!("{command:?}");
    // Both outputs in one, so that the order of the lines does not matter.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let child = command
        .stdin(Stdio::null())
        .stdout(writer.try_clone().expect("a second end"))
        .stderr(writer)
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    drop(command);
    let running = Running(child);
    let (sender, lines) = std::sync::mpsc::channel();
    // To the end, so that it never writes into a closed pipe.
    std::thread::spawn(move || {
        for line in BufReader::new(reader).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let mut said = String::new();
    for line in lines {
        if line.contains(text) {
            return (running, line);
        }
        said.push_str(&line);
        said.push('\n');
    }
    panic!("{name} ended without: {text}\n{said}");
}

/// Avahi on the other host, with a bus of its own.
struct Avahi {
    folder: TempDir,
    _bus: Running,
    _daemon: Running,
}

impl Avahi {
    /// Starts it; the calling thread is on the other host.
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let address = format!("--address={}", bus(folder.path()));
        let mut dbus = Command::new("dbus-daemon");
        dbus.args(["--session", "--nofork", "--print-address", &address]);
        let (bus_runs, _) = start(dbus, "unix:");
        let config = folder.path().join("avahi.conf");
        std::fs::write(&config, "[server]\nhost-name=remote\nuse-ipv6=no\n").expect("a file");
        // Its folder is the same for all daemons of a machine; this one gets one of its own.
        let script = "mkdir -p /run/avahi-daemon && mount -t tmpfs none /run/avahi-daemon && exec avahi-daemon --no-drop-root --no-chroot --no-rlimits -f \"$1\"";
        let mut daemon = Command::new("unshare");
        daemon
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(&config)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("DBUS_SYSTEM_BUS_ADDRESS", bus(folder.path()));
        let (daemon, _) = start(daemon, "Server startup complete");
        Self {
            folder,
            _bus: bus_runs,
            _daemon: daemon,
        }
    }

    /// A program that speaks with it.
    fn client(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .env("DBUS_SYSTEM_BUS_ADDRESS", bus(self.folder.path()));
        command
    }
}

fn bus(folder: &Path) -> String {
    format!("unix:path={}", folder.join("bus").display())
}

/// Does something on the other host; within a time that a slow machine needs too.
async fn there<T: Send + 'static>(remote: &Remote, work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = remote.run(|| async move { work() });
    tokio::time::timeout(Duration::from_mins(1), done)
        .await
        .expect("Avahi answers")
}

#[test]
fn avahi_finds_the_gateway_and_the_gateways_program_finds_what_avahi_announces() {
    let test = "avahi_finds_the_gateway_and_the_gateways_program_finds_what_avahi_announces";
    let Some(hosts) = Hosts::make(test) else {
        return;
    };
    let remote = hosts.remote();
    hosts.on_gateway(move || async move {
        let home = Home::with(&json!({
            "gateway": { "auth": { "mode": "token", "token": TOKEN }, "tls": { "enabled": true },
                "bind": "custom", "customBindHost": GATEWAY.to_string() },
            "discovery": { "mdns": { "mode": "minimal" } },
        }));
        let gateway = Gateway::start(&home).await;
        let (_, fingerprint, _) = home.run(&["gateway", "tls", "fingerprint"]).await;

        // `=` is a service with its address, its port and its hints.
        let (avahi, line) = there(&remote, || {
            let avahi = Avahi::start();
            let browse = avahi.client("avahi-browse", &["-rp", "_openclaw-gw._tcp"]);
            let (_, line) = start(browse, "=;");
            (avahi, line)
        })
        .await;
        let port = gateway.port.to_string();
        let fields: Vec<&str> = line.split(';').collect();
        assert_eq!(
            (fields[7], fields[8]),
            (GATEWAY.to_string().as_str(), port.as_str()),
            "{line}"
        );
        let hint = format!("\"gatewayTlsSha256={}\"", fingerprint.trim());
        for hint in [
            &hint,
            "\"role=gateway\"",
            "\"gatewayTls=1\"",
            "\"gatewayDirectReachable=1\"",
        ] {
            assert!(line.contains(hint), "{hint} is not in {line}");
        }
        for not in [TOKEN, "cliPath", "sshPort"] {
            assert!(!line.contains(not), "{line}");
        }

        // The other way, with hints that lie: they are shown, and lead nowhere.
        let (_avahi, _published) = there(&remote, move || {
            let args = [
                "-s",
                "Attic",
                "_openclaw-gw._tcp",
                "4242",
                "gatewayPort=1",
                "lanHost=evil.example",
                "gatewayTls=1",
                "gatewayTlsSha256=00",
            ];
            let publish = avahi.client("avahi-publish", &args);
            let (published, _) = start(publish, "Established under name");
            (avahi, published)
        })
        .await;
        let (code, out, error) = home
            .run(&["gateway", "discover", "--json", "--timeout", "4s"])
            .await;
        assert_eq!(code, Some(0), "{out}{error}");
        let found: Value = serde_json::from_str(&out).expect("JSON");
        let urls: Vec<&Value> = found["beacons"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| &one["wsUrl"])
            .collect();
        let own = json!(format!("wss://{GATEWAY}:{port}"));
        // The other host has three addresses.
        let others = [REMOTE, PROXY, OTHER_TAILNET].map(|ip| json!(format!("wss://{ip}:4242")));
        assert!(urls.contains(&&own), "{found}");
        assert!(others.iter().any(|url| urls.contains(&url)), "{found}");
        let known = home.state().join("gateway/cli-gateways.json");
        assert!(!known.exists(), "nothing that was announced is trusted");
        let (_, out, error) = home.run(&["gateway", "discover", "--timeout", "3s"]).await;
        assert!(
            out.contains("Attic") && out.contains(":4242"),
            "{out}{error}"
        );
        assert!(
            error.contains("openclaw gateway tls fingerprint"),
            "{error}"
        );
        gateway.terminate();
        gateway.ended().await;
    });
}
