//! The gateway as a service: units by systemd's own judgement, what it tells its service manager, and a
//! port that somebody else keeps.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tokio::net::{TcpStream, UnixDatagram};

use crate::harness::child::{Gateway, Home};
use crate::harness::{TOKEN, soon};

fn plain() -> Value {
    json!({ "gateway": { "auth": { "mode": "token", "token": TOKEN } } })
}

/// What `gateway install` would write: path and text.
async fn would_write(home: &Home, flags: &[&str]) -> Vec<(String, String)> {
    let args = [&["gateway", "install", "--dry-run", "--json"], flags].concat();
    let (code, out, error) = home.run(&args).await;
    assert_eq!(code, Some(0), "{error}");
    let steps: Value = serde_json::from_str(&out).expect("it works in a test");
    let written = steps["steps"]
        .as_array()
        .expect("it works in a test")
        .iter()
        .filter_map(|step| {
            let path = step["write"].as_str()?.to_owned();
            Some((path, step["text"].as_str()?.to_owned()))
        });
    written.collect()
}

fn run(program: &str, args: &[&str]) -> (bool, String) {
    let done = Command::new(program)
        .args(args)
        // Without a session of systemd, it asks where its own files would be.
        .env("XDG_RUNTIME_DIR", std::env::temp_dir())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; apt-get install systemd"));
    let text = [done.stdout, done.stderr].concat();
    (
        done.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

fn write_all(folder: &Path, files: &[(String, String)]) -> Vec<String> {
    let place = |(path, text): &(String, String)| {
        let name = Path::new(path).file_name().expect("it works in a test");
        let path = folder.join(name);
        std::fs::write(&path, text).expect("it works in a test");
        path.display().to_string()
    };
    files.iter().map(place).collect()
}

#[tokio::test]
async fn systemd_finds_nothing_wrong_with_the_unit_of_a_node_and_no_secret_in_it() {
    let home = Home::with(&plain());
    let flags = [
        "--display-name",
        "100% Attic",
        "--camera=lavfi:testsrc",
        "--location=1,2",
    ];
    let args = [&["node", "install", "--dry-run", "--json"][..], &flags].concat();
    let (code, out, error) = home.run(&args).await;
    assert_eq!(code, Some(0), "{error}");
    assert!(!out.contains(TOKEN), "{out}");
    let shown: Value = serde_json::from_str(&out).expect("it works in a test");
    let steps = shown["steps"].as_array().expect("it works in a test");
    let text = steps[0]["text"]
        .as_str()
        .expect("it works in a test")
        .to_owned();
    assert!(
        text.contains("\"--display-name=100%% Attic\" --camera=lavfi:testsrc"),
        "{text}"
    );
    let secrets = home.state().join("gateway/node/secrets");
    assert_eq!(steps[1]["write"], secrets.display().to_string());
    assert_eq!(
        steps[3]["run"],
        json!(["systemctl", "--user", "enable", "openclaw-node.service"])
    );
    let folder = tempfile::tempdir().expect("it works in a test");
    let unit = ("openclaw-node.service".to_owned(), text);
    let files = write_all(folder.path(), &[unit]);
    let args = [
        "--user",
        "verify",
        "--man=no",
        "--recursive-errors=no",
        &files[0],
    ];
    let (good, said) = run("systemd-analyze", &args);
    assert!(good && !said.contains("openclaw"), "{said}");
    let (code, out, error) = home.run(&["node", "uninstall", "--dry-run"]).await;
    assert_eq!(code, Some(0), "{error}");
    assert!(
        out.contains(&format!("rm -f {}", secrets.display())),
        "{out}"
    );
}

#[tokio::test]
async fn systemd_finds_nothing_wrong_with_the_units_and_little_exposed() {
    let home = Home::with(&plain());
    for flags in [&["--socket"][..], &["--system", "--socket"][..]] {
        let folder = tempfile::tempdir().expect("it works in a test");
        let files = write_all(folder.path(), &would_write(&home, flags).await);
        assert_eq!(files.len(), 2, "{files:?}");
        let mut args = vec!["verify", "--man=no", "--recursive-errors=no"];
        if flags[0] == "--socket" {
            args.insert(0, "--user");
        }
        args.extend(files.iter().map(String::as_str));
        let (good, said) = run("systemd-analyze", &args);
        let of_ours: Vec<&str> = said
            .lines()
            .filter(|line| line.contains("openclaw"))
            .collect();
        assert!(good && of_ours.is_empty(), "{said}");
    }
    let folder = tempfile::tempdir().expect("it works in a test");
    let files = write_all(folder.path(), &would_write(&home, &["--system"]).await);
    // Points of ten; 2.0 and less is what it calls OK.
    let args = ["security", "--offline=true", "--threshold=20", &files[0]];
    let (good, said) = run("systemd-analyze", &args);
    assert!(good, "{said}");
}

#[tokio::test]
async fn the_agent_for_launchd_is_a_property_list() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/deploy/launchd/ai.openclaw.gateway.plist"
    );
    let script = "import plistlib,sys; p=plistlib.load(open(sys.argv[1],'rb')); print(p['Label'], p['ProgramArguments'][1], p['KeepAlive']['SuccessfulExit'])";
    let (good, said) = run("python3", &["-c", script, file]);
    assert!(good, "{said}");
    assert_eq!(said.trim(), "ai.openclaw.gateway gateway False");
}

#[tokio::test]
async fn the_service_manager_hears_that_it_is_ready_alive_and_stopping() {
    let home = Home::with(&plain());
    let name = home.runtime().join("notify");
    let socket = UnixDatagram::bind(&name).expect("it works in a test");
    let hear = async || {
        let mut bytes = [0; 1_024];
        let read = soon("a word to the service manager", socket.recv(&mut bytes)).await;
        String::from_utf8(bytes[..read.expect("it works in a test")].to_vec())
            .expect("it works in a test")
    };
    let variables = [
        ("NOTIFY_SOCKET", name.display().to_string()),
        ("WATCHDOG_USEC", "200000".to_owned()),
    ];
    let gateway = Gateway::start_in(&home, &variables).await;
    let ready = hear().await;
    assert!(ready.starts_with("READY=1\nSTATUS="), "{ready}");
    assert!(ready.contains(&gateway.port.to_string()), "{ready}");
    for _ in 0..3 {
        let alive = hear().await;
        assert!(alive.starts_with("WATCHDOG=1\nSTATUS="), "{alive}");
    }
    gateway.terminate();
    let last = loop {
        let heard = hear().await;
        if !heard.starts_with("WATCHDOG=1") {
            break heard;
        }
    };
    assert!(last.starts_with("STOPPING=1\n"), "{last}");
    let (status, _) = gateway.ended().await;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_port_that_systemd_keeps_is_served_to_whoever_came_before_the_gateway() {
    let home = Home::with(&plain());
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("it works in a test");
    let port = free.local_addr().expect("it works in a test").port();
    drop(free);
    let ours = home.command(&["gateway", "--port", "1"]);
    let ours = ours.as_std();
    let mut activate = tokio::process::Command::new("systemd-socket-activate");
    activate.arg("-l").arg(format!("127.0.0.1:{port}"));
    for (name, value) in ours.get_envs() {
        let value = value
            .expect("it works in a test")
            .to_str()
            .expect("it works in a test");
        activate.arg("-E").arg(format!(
            "{}={value}",
            name.to_str().expect("it works in a test")
        ));
    }
    activate.arg(ours.get_program()).args(ours.get_args());
    let mut child = activate
        .kill_on_drop(true)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it works in a test");
    // It says when it listens; only then somebody comes, and the gateway is started for them.
    let mut said = tokio::io::BufReader::new(child.stderr.take().expect("it works in a test"));
    let mut line = String::new();
    while !line.contains("Listening on") {
        line.clear();
        let read = tokio::io::AsyncBufReadExt::read_line(&mut said, &mut line);
        assert!(
            soon("its first words", read)
                .await
                .expect("it works in a test")
                > 0,
            "it ended"
        );
    }
    let mut first = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .await
        .expect("it works in a test");
    let request = b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut first, request)
        .await
        .expect("it works in a test");
    let mut answer = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut first, &mut answer);
    soon("the answer", read).await.expect("it works in a test");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    child.start_kill().expect("it works in a test");
    soon("its end", child.wait())
        .await
        .expect("it works in a test");
}

#[tokio::test]
async fn a_gateway_that_nobody_keeps_up_is_shown_and_stopped() {
    let home = Home::with(&plain());
    let (code, said, _) = home.run(&["gateway", "status"]).await;
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains("not installed: openclaw gateway install"),
        "{said}"
    );
    let gateway = Gateway::start(&home).await;
    let (code, said, _) = home.run(&["gateway", "status", "--json"]).await;
    let status: Value = serde_json::from_str(&said).expect("it works in a test");
    assert_eq!(
        (code, &status["running"]),
        (Some(0), &json!(true)),
        "{said}"
    );
    assert_eq!(status["gateway"]["port"], json!(gateway.port));
    let (code, _, error) = home.run(&["gateway", "restart"]).await;
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("openclaw gateway install"), "{error}");
    let (code, said, error) = home.run(&["gateway", "stop"]).await;
    assert_eq!(code, Some(0), "{said}{error}");
    let (code, said, _) = home.run(&["gateway", "status"]).await;
    assert_eq!(code, Some(3), "it is gone when that is said: {said}");
    let (status, _) = gateway.ended().await;
    assert_eq!(status.code(), Some(0));
}
