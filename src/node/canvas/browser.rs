//! A Chromium with one page: started, steered, ended with its node.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStderr};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::super::programs::{Group, command};
use super::cdp::{Cdp, CdpError, CdpEvent};
use super::page::{BINDING, Effect, Page};

/// How long a page may load before it is taken as it is.
const LOAD: Duration = Duration::from_secs(15);
/// How long a browser may take to start: on a small board, from a card.
const START: Duration = Duration::from_secs(45);
/// How long a browser that did not answer is waited for once more.
const PROBE: Duration = Duration::from_secs(2);
/// How often its first page is looked for, and how long it is waited for in between.
const LOOKS: usize = 40;
const LOOK: Duration = Duration::from_millis(50);
/// How long the complaints of a browser that ended are waited for.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Bytes of a complaint that are kept.
const COMPLAINT: u64 = 16 * 1024;
/// Events that wait.
const EVENTS: usize = 256;
/// Size of the page without a window, pixels.
const SIZE: (u32, u32) = (1280, 800);

/// How a browser is started.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    pub(super) program: PathBuf,
    /// Its profile, of this node alone.
    pub(super) profile: PathBuf,
    /// Whether people see it.
    pub(super) window: bool,
}

/// What its events come to, shared with the task that takes them.
struct Shared {
    page: Mutex<Page>,
    /// Counts events, for those who wait for one.
    changed: watch::Sender<u64>,
    /// Where pages of the gateway are.
    trusted: Mutex<Option<String>>,
}

/// A browser.
pub(super) struct Browser {
    cdp: Arc<Cdp>,
    session: String,
    target: String,
    window: bool,
    shared: Arc<Shared>,
    /// It was asked something and has not answered.
    silent: AtomicBool,
    taking: JoinHandle<()>,
    _group: Group,
    _child: Child,
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.taking.abort();
    }
}

/// A panic while the lock was held leaves a page that is as good as before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn arguments(launch: &Launch, root: bool) -> Vec<String> {
    let mut all: Vec<String> = [
        "--remote-debugging-pipe",
        "--no-first-run",
        "--no-default-browser-check",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-default-apps",
        "--disable-extensions",
        "--disable-sync",
        "--password-store=basic",
        "--autoplay-policy=no-user-gesture-required",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect();
    all.push(format!("--user-data-dir={}", launch.profile.display()));
    all.push(format!("--window-size={},{}", SIZE.0, SIZE.1));
    if root {
        // Chromium refuses to start otherwise; `openclaw node run` says that it should not be root.
        all.push("--no-sandbox".into());
    }
    if launch.window {
        all.push("--ozone-platform-hint=auto".into());
        all.push("--app=about:blank".into());
    } else {
        all.extend(["--headless=new", "--hide-scrollbars", "--mute-audio"].map(str::to_owned));
        all.push("about:blank".into());
    }
    all
}

impl Browser {
    /// Starts one; what people do on pages of the gateway goes to `actions`.
    pub(super) async fn start(
        launch: Launch,
        actions: mpsc::Sender<String>,
    ) -> Result<Self, CdpError> {
        let refused = |what: &str, error: &dyn std::fmt::Display| {
            CdpError::Refused(format!(
                "cannot {what} {}: {error}",
                launch.program.display()
            ))
        };
        // Chromium takes the protocol from its third and fourth file: a shell moves them there.
        let mut shell = command(Path::new("/bin/sh"));
        shell.args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 0</dev/null 1>/dev/null"#]);
        shell.arg(&launch.program);
        shell.args(arguments(&launch, rustix::process::geteuid().is_root()));
        shell.stdin(Stdio::piped());
        let mut child = shell.spawn().map_err(|error| refused("start", &error))?;
        let group = Group::of(&child);
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(CdpError::Ended);
        };
        let said = tokio::spawn(last_words(child.stderr.take()));
        let (sender, events) = mpsc::channel(EVENTS);
        let cdp = Arc::new(Cdp::new(output, input, sender));
        let target = match first_page(&cdp).await {
            Err(CdpError::Ended) => {
                let said = timeout(LAST_WORDS, said).await;
                let said = said.ok().and_then(Result::ok).unwrap_or_default();
                return Err(refused("show pages with", &said));
            }
            found => found?,
        };
        let params = json!({ "targetId": target, "flatten": true });
        let attached = cdp.call(None, "Target.attachToTarget", params).await?;
        let session = attached["sessionId"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let shared = Arc::new(Shared {
            page: Mutex::new(Page::new(target.clone())),
            changed: watch::channel(0).0,
            trusted: Mutex::new(None),
        });
        let taking = take_events(
            Arc::clone(&shared),
            Arc::clone(&cdp),
            session.clone(),
            events,
            actions,
        );
        let browser = Self {
            cdp,
            session,
            target,
            window: launch.window,
            shared,
            silent: AtomicBool::new(false),
            taking: tokio::spawn(taking),
            _group: group,
            _child: child,
        };
        browser.prepare().await?;
        Ok(browser)
    }

    async fn prepare(&self) -> Result<(), CdpError> {
        let bridge = format!(
            "window.openclawCanvasA2UIAction={{postMessage:(text)=>globalThis.{BINDING}(String(text))}};"
        );
        for (method, params) in [
            ("Page.enable", json!({})),
            ("Page.setLifecycleEventsEnabled", json!({ "enabled": true })),
            ("Runtime.enable", json!({})),
            ("Runtime.addBinding", json!({ "name": BINDING })),
            (
                "Page.addScriptToEvaluateOnNewDocument",
                json!({ "source": bridge }),
            ),
        ] {
            self.call(method, params).await?;
        }
        // A page that an agent opens puts no files onto this machine.
        let deny = json!({ "behavior": "deny" });
        self.cdp
            .call(None, "Browser.setDownloadBehavior", deny)
            .await?;
        if !self.window {
            self.resize(SIZE.0, SIZE.1).await?;
        }
        Ok(())
    }

    /// Whether it can be used no more.
    pub(super) fn ended(&self) -> bool {
        self.cdp.ended() || lock(&self.shared.page).crashed
    }

    /// Whether it can be used: a page whose script never ends answers nothing more.
    pub(super) async fn answers(&self) -> bool {
        if !self.silent.load(Ordering::Relaxed) {
            return !self.ended();
        }
        let params = json!({ "expression": "1" });
        let asked = self.call_within("Runtime.evaluate", params, PROBE);
        asked.await.is_ok() && !self.ended()
    }

    /// The address of its page.
    pub(super) fn url(&self) -> String {
        lock(&self.shared.page).url.clone()
    }

    /// Says where pages of the gateway are, whose actions count.
    pub(super) fn trust(&self, base: Option<&str>) {
        *lock(&self.shared.trusted) = base.map(str::to_owned);
    }

    /// Asks the page.
    pub(super) async fn call(&self, method: &str, params: Value) -> Result<Value, CdpError> {
        let answer = self.cdp.call(Some(&self.session), method, params);
        self.heard(answer).await
    }

    /// The same, with another limit.
    pub(super) async fn call_within(
        &self,
        method: &str,
        params: Value,
        limit: Duration,
    ) -> Result<Value, CdpError> {
        let session = Some(self.session.as_str());
        let answer = self.cdp.call_within(session, method, params, limit);
        self.heard(answer).await
    }

    /// Remembers what was asked in vain, also where whoever asked did not wait for it.
    async fn heard(
        &self,
        answer: impl Future<Output = Result<Value, CdpError>>,
    ) -> Result<Value, CdpError> {
        self.silent.store(true, Ordering::Relaxed);
        let answer = answer.await;
        let silent = matches!(answer, Err(CdpError::Silent { .. }));
        self.silent.store(silent, Ordering::Relaxed);
        answer
    }

    /// Opens a page and waits until it is there; one that goes on loading is taken as it is.
    pub(super) async fn open(&self, url: &str) -> Result<(), CdpError> {
        let mut changed = self.shared.changed.subscribe();
        let begun = self.call("Page.navigate", json!({ "url": url })).await?;
        if let Some(why) = begun["errorText"].as_str().filter(|why| !why.is_empty()) {
            return Err(CdpError::Refused(format!(
                "the page cannot be opened: {why}"
            )));
        }
        // The same page, at another place of it.
        let Some(loader) = begun["loaderId"].as_str() else {
            return Ok(());
        };
        let shared = &self.shared;
        let there = changed.wait_for(|_| lock(&shared.page).loaded.as_deref() == Some(loader));
        // It ended meanwhile: the next call says so.
        timeout(LOAD, there).await.map(drop).ok();
        Ok(())
    }

    /// Sets the size of the page, without a window.
    pub(super) async fn resize(&self, width: u32, height: u32) -> Result<(), CdpError> {
        let params =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", params)
            .await
            .map(drop)
    }

    /// Moves, shows or hides the window; does nothing without one.
    pub(super) async fn place(&self, bounds: Value) -> Result<(), CdpError> {
        if !self.window {
            return Ok(());
        }
        let params = json!({ "targetId": self.target });
        let window = self
            .cdp
            .call(None, "Browser.getWindowForTarget", params)
            .await?;
        let params = json!({ "windowId": window["windowId"], "bounds": bounds });
        self.cdp
            .call(None, "Browser.setWindowBounds", params)
            .await
            .map(drop)
    }

    /// Whether people see it.
    pub(super) const fn has_window(&self) -> bool {
        self.window
    }
}

/// What a browser complains of first; the rest is read and left out, so that it never waits for a reader.
async fn last_words(from: Option<ChildStderr>) -> String {
    let Some(mut from) = from else {
        return String::new();
    };
    let mut text = Vec::new();
    let mut sink = tokio::io::sink();
    // A pipe that breaks has nothing more.
    (&mut from)
        .take(COMPLAINT)
        .read_to_end(&mut text)
        .await
        .ok();
    tokio::io::copy(&mut from, &mut sink).await.ok();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(2)..].join("; ")
}

/// The page that the browser starts with; it may need a moment to be there.
async fn first_page(cdp: &Cdp) -> Result<String, CdpError> {
    let mut limit = START;
    for _ in 0..LOOKS {
        let all = cdp
            .call_within(None, "Target.getTargets", json!({}), limit)
            .await?;
        let all = all["targetInfos"].as_array().cloned().unwrap_or_default();
        let found = all.iter().find(|target| target["type"] == "page");
        if let Some(id) = found.and_then(|target| target["targetId"].as_str()) {
            return Ok(id.to_owned());
        }
        limit = LOOK * 100;
        sleep(LOOK).await;
    }
    Err(CdpError::Refused("the browser has no page".into()))
}

async fn take_events(
    shared: Arc<Shared>,
    cdp: Arc<Cdp>,
    session: String,
    mut events: mpsc::Receiver<CdpEvent>,
    actions: mpsc::Sender<String>,
) {
    while let Some(event) = events.recv().await {
        let trusted = lock(&shared.trusted).clone();
        let effect = lock(&shared.page).take(&event, trusted.as_deref());
        match effect {
            Effect::Nothing => {}
            Effect::Action(text) => {
                if actions.try_send(text).is_err() {
                    tracing::warn!("what was done on the canvas was lost: too much waits already");
                }
            }
            Effect::Dialog => {
                let (cdp, session) = (Arc::clone(&cdp), session.clone());
                // Its answer is read by the task that feeds this one.
                tokio::spawn(async move {
                    let no = json!({ "accept": false });
                    let closed = cdp
                        .call(Some(&session), "Page.handleJavaScriptDialog", no)
                        .await;
                    if let Err(error) = closed {
                        tracing::debug!(%error, "a dialog stays");
                    }
                });
            }
        }
        shared
            .changed
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}
