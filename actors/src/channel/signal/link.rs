//! Linking: signal-cli says what a phone has to scan, and is a device of its account once it did.
//!
//! One that runs elsewhere is asked for it. Where signal-cli is ours to run, it is run for this alone, so
//! that nobody else has its data meanwhile.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use super::api::{Api, ApiError};
use super::{Managed, Signal, Way, daemon};
use crate::channel::ChannelError;
use crate::channel::login::Step;

/// What the phone calls this device.
const DEVICE: &str = "OpenClaw";
/// How often a picture is asked for; Signal gives each about a minute.
const TRIES: usize = 4;
/// How long a person may take with one.
const SCANNING: Duration = Duration::from_mins(3);
/// Largest answer, bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// Most bytes of what it complains about.
const MAX_SAID: u64 = 4 * 1024;

/// Why a picture was not scanned.
enum Failed {
    /// Another picture may be.
    Again(String),
    /// None will be.
    Never(ChannelError),
}

/// Links the account to the phone that scans the picture.
///
/// # Errors
///
/// Why that came to nothing, with what to do.
pub(super) async fn link(signal: &Signal) -> Result<(), ChannelError> {
    let mut last = String::new();
    for _ in 0..TRIES {
        let linked = match &signal.setup.way {
            Way::External { url } => by_request(signal, url).await,
            Way::Managed(own) => by_program(signal, own).await,
        };
        match linked {
            Ok(number) => return is_ours(signal, &number),
            Err(Failed::Again(why)) => last = why,
            Err(Failed::Never(error)) => return Err(error),
        }
    }
    Err(if is_late(&last) {
        ChannelError::Auth(format!(
            "nobody scanned the code in time; once more: openclaw channels login signal{}",
            named(signal)
        ))
    } else {
        never(signal, &last)
    })
}

/// How the account is named in commands.
fn named(signal: &Signal) -> String {
    match &*signal.who.account {
        "default" => String::new(),
        account => format!(" --account {account}"),
    }
}

fn never(signal: &Signal, why: &str) -> ChannelError {
    ChannelError::Auth(format!(
        "signal-cli could not be linked: {why}; once more: openclaw channels login signal{}",
        named(signal)
    ))
}

/// The phone's number is the one that is configured.
fn is_ours(signal: &Signal, number: &str) -> Result<(), ChannelError> {
    match &signal.setup.account {
        Some(own) if own != number => Err(ChannelError::Auth(format!(
            "the phone that scanned the code is {number}, and channels.signal.account is {own}; set it to {number}, then: openclaw channels start signal{}",
            named(signal)
        ))),
        _ => Ok(()),
    }
}

/// Whether these words say that nobody came in time.
fn is_late(why: &str) -> bool {
    why.contains("timed out")
}

/// Whether another picture may help: this one was too old, or the connection that waited for the phone
/// ended.
fn failed(signal: &Signal, why: String) -> Failed {
    if is_late(&why) || why.contains("Link request error") {
        Failed::Again(why)
    } else {
        Failed::Never(never(signal, &why))
    }
}

async fn by_request(signal: &Signal, url: &str) -> Result<String, Failed> {
    let api = Api::new(signal.http.clone(), url, signal.setup.timing.request);
    let wrong = |error: ApiError| match error {
        error if error.is_unknown_method() => Failed::Never(ChannelError::Auth(format!(
            "the signal-cli at {url} serves one account only; link it on its host: signal-cli link -n {DEVICE}"
        ))),
        ApiError::Answered { why, .. } => failed(signal, why),
        other => Failed::Never(other.class()),
    };
    let begun = api.call("startLink", &json!({})).await.map_err(wrong)?;
    let text = |value: &Value, key: &str| value[key].as_str().map(str::to_owned);
    let odd = || Failed::Never(never(signal, "its answer cannot be read"));
    let address = text(&begun, "deviceLinkUri").ok_or_else(odd)?;
    let params = json!({ "deviceLinkUri": address, "deviceName": DEVICE });
    signal.logins.step(&signal.who, Step::Scan(address));
    let linked = api.call_within("finishLink", &params, SCANNING, MAX_ANSWER);
    let linked = linked.await.map_err(|error| match error {
        // Nobody waits for that answer any more.
        ApiError::Lost(_) => Failed::Again("the link request timed out".to_owned()),
        other => wrong(other),
    })?;
    text(&linked, "number").ok_or_else(odd)
}

async fn by_program(signal: &Signal, own: &Managed) -> Result<String, Failed> {
    daemon::alone(&signal.ending).await;
    let args = ["link", "-n", DEVICE].map(str::to_owned);
    let mut child = daemon::spawn(own, &args).map_err(Failed::Never)?;
    // Dropped, its input ends, and it with that.
    let _input = child.stdin.take();
    let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Failed::Never(never(signal, "it has no output")));
    };
    let mut said = Vec::new();
    let mut errors = errors.take(MAX_SAID);
    let mut number = None;
    let reading = async {
        let mut lines = BufReader::new(output.take(MAX_ANSWER as u64)).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let line = line.trim();
            if line.starts_with("sgnl:") || line.starts_with("tsdevice:") {
                signal.logins.step(&signal.who, Step::Scan(line.to_owned()));
            } else if let Some(who) = line.strip_prefix("Associated with:") {
                number = Some(who.trim().to_owned());
            }
        }
    };
    // What it complained about until its output ended.
    let ((), _) = tokio::join!(reading, errors.read_to_end(&mut said));
    let _ = child.wait().await;
    number.ok_or_else(|| {
        let said = String::from_utf8_lossy(&said);
        let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
        failed(signal, last.unwrap_or("it ended without a word").to_owned())
    })
}
