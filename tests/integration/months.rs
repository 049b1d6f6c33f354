//! What a host does to a gateway in months: its clock is set, its disk fills up, its service manager ends the gateway
//! in the middle of work, and the log goes from file to file all the while.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::chat::{history, message};
use crate::harness::child::{Gateway, Home, config};
use crate::harness::device::Device;
use crate::harness::http::ask;
use crate::harness::model::Model;
use crate::harness::socket::{Inbound, Socket, connect_params};
use crate::harness::{noticed, soon};

/// Says, past the capture of output, that a test did not run; `tests/lib/counts` counts it.
fn not_run(test: &str, why: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "\n*** {test} DID NOT RUN: {why}\nhost: 0 passed, 0 failed, 1 skipped"
    )
    .expect("stdout is open");
}

/// A clock that the test sets under the gateway, by Debian's libfaketime; time that only passes is left alone.
struct HostClock(PathBuf);

impl HostClock {
    const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

    fn of(home: &Home) -> Option<(Self, Vec<(&'static str, String)>)> {
        if !Path::new(Self::LIBRARY).exists() {
            return None;
        }
        let clock = Self(home.runtime().join("clock"));
        clock.set("+0");
        let variables = vec![
            ("LD_PRELOAD", Self::LIBRARY.to_owned()),
            ("FAKETIME_TIMESTAMP_FILE", clock.0.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        Some((clock, variables))
    }

    /// Sets it so far from the true time.
    fn set(&self, offset: &str) {
        // In one step: the gateway reads it whenever it looks at the clock.
        let next = self.0.with_extension("next");
        std::fs::write(&next, format!("{offset}\n")).expect("it is written");
        std::fs::rename(&next, &self.0).expect("it is put in place");
    }
}

/// A job that runs when a person says so. Whenever one ends, the scheduler looks at the clock.
async fn look(owner: &mut Socket, idle: &Value) {
    let run = owner
        .call("cron.run", json!({ "id": idle["id"], "mode": "force" }))
        .await;
    ended(owner, &run["runId"]).await;
}

async fn ended(owner: &mut Socket, run: &Value) {
    let frame = owner
        .until(|frame| {
            frame["event"] == "cron"
                && frame["payload"]["action"] == "finished"
                && frame["payload"]["runId"] == *run
        })
        .await;
    assert_eq!(frame["payload"]["status"], "ok", "{frame}");
}

/// The ends of a job's runs that are in its history.
async fn runs(owner: &mut Socket, job: &Value) -> u64 {
    let runs = owner.call("cron.runs", json!({ "id": job["id"] })).await;
    runs["total"].as_u64().expect("a number")
}

async fn add(owner: &mut Socket, name: &str, schedule: Value) -> Value {
    let job = json!({
        "name": name, "schedule": schedule, "sessionTarget": "isolated", "wakeMode": "now",
        "payload": { "kind": "agentTurn", "message": name },
    });
    owner.call("cron.add", job).await
}

#[tokio::test]
async fn a_clock_that_is_set_forward_and_back_neither_repeats_nor_forgets_anything() {
    let model = Model::echoing().await;
    let home = Home::with(&config(&model));
    let Some((clock, variables)) = HostClock::of(&home) else {
        return not_run("clock jumps", "apt-get install libfaketime");
    };
    let gateway = Gateway::start_in(&home, &variables).await;
    let mut owner = gateway.client().await;
    let idle = add(
        &mut owner,
        "idle",
        json!({ "kind": "every", "everyMs": 864_000_000 }),
    )
    .await;
    let hourly = add(
        &mut owner,
        "hourly",
        json!({ "kind": "every", "everyMs": 3_600_000 }),
    )
    .await;
    let begun = owner.call("health", json!({})).await["ts"]
        .as_u64()
        .expect("a time");
    owner.call("chat.send", message("main", "one", "k1")).await;
    owner.chat("k1", "final").await;

    clock.set("+150m");
    look(&mut owner, &idle).await;
    let finished = owner
        .until(|frame| {
            frame["payload"]["action"] == "finished" && frame["payload"]["jobId"] == hourly["id"]
        })
        .await;
    assert_eq!(finished["payload"]["status"], "ok", "{finished}");
    look(&mut owner, &idle).await;
    assert_eq!(
        runs(&mut owner, &hourly).await,
        1,
        "two missed hours are one run"
    );
    let shown = owner.call("cron.get", json!({ "id": hourly["id"] })).await;
    let next = shown["nextRunAtMs"].as_u64().expect("a time");
    let minutes = (next - begun) / 60_000;
    assert!((175..=185).contains(&minutes), "in step: {minutes} min");
    owner.call("chat.send", message("main", "two", "k2")).await;
    owner.chat("k2", "final").await;

    clock.set("-120m");
    look(&mut owner, &idle).await;
    look(&mut owner, &idle).await;
    assert_eq!(
        runs(&mut owner, &hourly).await,
        1,
        "its hours come a second time"
    );
    owner
        .call("chat.send", message("main", "three", "k3"))
        .await;
    owner.chat("k3", "final").await;
    let rows = history(&mut owner, "main").await;
    let users: Vec<&str> = rows
        .iter()
        .filter(|(role, _)| role == "user")
        .map(|(_, text)| text.as_str())
        .collect();
    assert_eq!(users, ["one", "two", "three"], "in the order of arrival");
    let again = owner.call("chat.send", message("main", "two", "k2")).await;
    assert_ne!(again["status"], "started", "a key stays used: {again}");

    // Whoever comes now is let in, and who was there stays.
    let mut other = gateway.client().await;
    assert_eq!(other.call("health", json!({})).await["ok"], true);
    assert_eq!(owner.call("health", json!({})).await["ok"], true);
    clock.set("+0");
    look(&mut owner, &idle).await;
    assert_eq!(runs(&mut owner, &hourly).await, 1);
    gateway.terminate();
    let (status, said) = gateway.ended().await;
    assert_eq!(status.code(), Some(0), "{said}");
}

/// A file system of so many megabytes for the state of a gateway, where the test may make one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn under(home: &Home, megabytes: u32) -> Result<Self, String> {
        let place = home.state();
        std::fs::create_dir_all(&place).expect("the state folder");
        let options = format!("size={megabytes}m,mode=700");
        mount(&["-t", "tmpfs", "-o", &options, "none"], &place).map(|()| Self(place))
    }

    /// Leaves no byte free.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("filler")).expect("it is made");
        let piece = [0; 4_096];
        while file.write_all(&piece).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("filler")).expect("it is removed");
    }

    fn writable(&self, writable: bool) {
        let options = if writable { "remount,rw" } else { "remount,ro" };
        mount(&["-o", options], &self.0).expect("it is mounted again");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status();
    }
}

fn mount(options: &[&str], place: &Path) -> Result<(), String> {
    let output = std::process::Command::new("mount")
        .args(options)
        .arg(place)
        .output()
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr);
    output
        .status
        .success()
        .then_some(())
        .ok_or_else(|| said.trim().to_owned())
}

#[tokio::test]
async fn a_full_disk_refuses_what_cannot_be_kept_and_a_read_only_one_the_start() {
    let model = Model::echoing().await;
    let home = Home::new();
    let disk = match SmallDisk::under(&home, 24) {
        Ok(disk) => disk,
        Err(why) => return not_run("full disk", &why),
    };
    let mut settings = config(&model);
    settings["logging"] = json!({ "file": home.runtime().join("log") });
    home.configure(&settings);
    let gateway = Gateway::start(&home).await;
    let mut owner = gateway.client().await;
    let address = ([127, 0, 0, 1], gateway.port).into();
    let text = |number: usize| format!("{number} {}", "x".repeat(20_000));
    let mut kept = 0;
    let refusal = loop {
        if kept == 20 {
            disk.fill();
        }
        let send = message(&format!("s{}", kept % 10), &text(kept), &format!("k{kept}"));
        let answer = owner.request("chat.send", send).await;
        if answer["ok"] != true {
            break answer["error"].clone();
        }
        kept += 1;
        assert!(kept < 2_000, "the disk never fills");
    };
    assert_eq!(refusal["code"], "UNAVAILABLE", "{refusal}");
    assert_eq!(refusal["details"]["code"], "store-unavailable", "{refusal}");
    // It is published a moment later.
    let health = soon("health says so", async {
        loop {
            let health = owner.call("health", json!({})).await;
            if health["ok"] == false {
                return health;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(health.to_string().contains("No space left"), "{health}");
    assert_eq!(ask(address, "GET", "/readyz", "").await.status, 503);
    assert_eq!(ask(address, "GET", "/healthz", "").await.status, 200);
    owner
        .call("chat.history", json!({ "sessionKey": "s0" }))
        .await;

    disk.free();
    soon("it takes messages again", async {
        loop {
            let send = message("s0", "there is room", "after");
            let answer = owner.request("chat.send", send).await;
            if answer["ok"] == true {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    soon("it is ready again", async {
        while ask(address, "GET", "/readyz", "").await.status != 200 {}
    })
    .await;
    gateway.terminate();
    let (status, said) = gateway.ended().await;
    assert_eq!(status.code(), Some(0), "{said}");

    disk.writable(false);
    let (code, out, err) = home.run(&["gateway", "--port", "0"]).await;
    assert_ne!(code, Some(0), "{out}");
    let said = format!("{out}{err}");
    let place = home.state().display().to_string();
    assert!(
        said.contains("ead-only") && said.contains(&place),
        "it names the place and the reason: {said}"
    );
    disk.writable(true);
    let gateway = Gateway::start(&home).await;
    let mut owner = gateway.client().await;
    for session in 0..10 {
        let rows = history(&mut owner, &format!("s{session}")).await;
        for number in (session..kept).step_by(10) {
            let begin = format!("{number} x");
            let times = rows
                .iter()
                .filter(|(role, text)| role == "user" && text.starts_with(&begin))
                .count();
            assert_eq!(times, 1, "message {number}");
        }
    }
}

/// What all clients together sent.
#[derive(Default)]
struct Sent {
    acknowledged: AtomicUsize,
    one_more: Notify,
}

/// Sends messages until its gateway goes; gives those that were acknowledged.
async fn chatter(mut client: Socket, who: usize, sent: Arc<Sent>) -> Vec<String> {
    let mut kept = Vec::new();
    for number in 0.. {
        let text = format!("m{who}-{number}");
        let id = client
            .ask("chat.send", message(&format!("s{who}"), &text, &text))
            .await;
        loop {
            match client.next().await {
                Inbound::Frame(frame) if frame["id"] == id.as_str() => {
                    if frame["ok"] == true {
                        kept.push(text);
                        sent.acknowledged.fetch_add(1, Ordering::Relaxed);
                        sent.one_more.notify_waiters();
                        break;
                    }
                    // It is stopping, or has as much as it takes: the next one is another try.
                    assert_eq!(frame["error"]["code"], "UNAVAILABLE", "{frame}");
                    let closed = client.closed_in_the_end().await;
                    assert_eq!(closed, Some((1012, "service restart".to_owned())));
                    return kept;
                }
                Inbound::Frame(_) | Inbound::Pong(_) => {}
                Inbound::Close(code, reason) => {
                    assert_eq!((code, reason.as_str()), (1012, "service restart"));
                    return kept;
                }
                Inbound::Gone => panic!("{who} was not told"),
            }
        }
    }
    kept
}

#[tokio::test]
async fn sigterm_in_the_middle_of_the_work_of_many_loses_nothing_that_was_acknowledged() {
    const CLIENTS: usize = 16;
    let model = Model::echoing().await;
    let home = Home::with(&config(&model));
    let gateway = Gateway::start(&home).await;
    let sent = Arc::new(Sent::default());
    let mut clients = tokio::task::JoinSet::new();
    for who in 0..CLIENTS {
        let (client, sent) = (gateway.client().await, Arc::clone(&sent));
        clients.spawn(async move { (who, chatter(client, who, sent).await) });
    }
    noticed(&sent.one_more, "work", || {
        sent.acknowledged.load(Ordering::Relaxed) >= 10 * CLIENTS
    })
    .await;
    gateway.terminate();
    let (status, said) = gateway.ended().await;
    assert_eq!(status.code(), Some(0), "{said}");
    let kept = soon("every client's end", clients.join_all()).await;

    let gateway = Gateway::start(&home).await;
    let mut owner = gateway.client().await;
    for (who, messages) in kept {
        let rows = history(&mut owner, &format!("s{who}")).await;
        for text in messages {
            let times = rows
                .iter()
                .filter(|(role, row)| role == "user" && row.split("\n\n").any(|part| part == text))
                .count();
            assert_eq!(times, 1, "{text}: {rows:?}");
        }
    }
}

#[tokio::test]
async fn the_log_goes_from_file_to_file_under_load_and_its_readers_come_along() {
    const LARGEST: u64 = 12_000;
    let model = Model::echoing().await;
    let mut settings = config(&model);
    settings["logging"] = json!({ "level": "trace", "maxFileBytes": LARGEST });
    settings["gateway"]["limits"] = json!({ "handshakesPerSecondPerIp": 1_000_000 });
    let home = Home::with(&settings);
    let gateway = Gateway::start(&home).await;
    let mut reader = gateway.client().await;
    let (mut cursor, mut turned, mut seen) = (Value::Null, 0, 0);
    for round in 0..25 {
        // A device that comes for the first time leaves a few lines.
        for who in 0..4 {
            let number = round * 4 + who;
            let mut client = gateway.socket().await;
            let params = Device::new(number).sign(connect_params(4), &client);
            client.hello(params).await;
            let key = format!("k{number}");
            client
                .call("chat.send", message(&format!("s{who}"), "hello", &key))
                .await;
            client.chat(&key, "final").await;
        }
        let mut params = json!({ "limit": 1_000 });
        if !cursor.is_null() {
            params["cursor"] = cursor;
        }
        let page = reader.call("logs.tail", params).await;
        turned += usize::from(page["reset"] == true);
        let lines = page["lines"].as_array().expect("lines");
        assert!(!lines.is_empty(), "nothing new: {page}");
        for line in lines {
            let text = line.as_str().expect("text");
            serde_json::from_str::<Value>(text).expect("a whole line");
            seen += 1;
        }
        cursor = page["cursor"].clone();
    }
    assert!(turned > 0 && seen > 0, "the file never changed");
    gateway.terminate();
    gateway.ended().await;
    let folder = home.state().join("gateway/logs");
    let files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    assert!((3..=11).contains(&files.len()), "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a log");
        let (name, size) = (file.display(), text.len());
        assert!(size as u64 <= LARGEST, "{name}: {size}");
        assert!(text.ends_with('\n'), "{name} ends in the middle of a line");
        for line in text.lines() {
            serde_json::from_str::<Value>(line).expect("a whole line");
        }
    }
}
