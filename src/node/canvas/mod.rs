//! `canvas.*`: pages and surfaces in a Chromium of this machine.
//!
//! The browser is started by the first command that shows something, and ends with the node; one that
//! crashed or went silent is replaced by the next command, with the page that was shown. Commands take
//! turns. What people do on pages of the gateway goes to the agent (`agent.request`), from no other page.

mod address;
mod browser;
mod cdp;
mod page;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use openclaw_client::node::{CommandError, Gateway, Invocation, Node};
use openclaw_protocol::a2ui;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;

use super::ffmpeg::size;
use super::programs::Programs;
use address::{A2UI, Address, CANVAS};
use browser::{Browser, Launch};
use cdp::CdpError;

/// Names of the browser.
const PROGRAMS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];
/// Actions of people that wait for the gateway.
const ACTIONS: usize = 32;
/// Largest picture that is given, as base64, bytes.
const MAX_BASE64: usize = 5 * 1024 * 1024;
/// Largest side of a page, pixels.
const MAX_SIDE: u32 = 8_192;

/// Where the canvas is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum CanvasPlace {
    /// In a window, if there is a display.
    #[default]
    Auto,
    /// In a window.
    Window,
    /// Nowhere: only pictures of it are taken.
    Headless,
}

/// The gateway that the node is connected to now.
pub(super) type Connected = watch::Receiver<Option<Gateway>>;

struct Canvas {
    launch: Launch,
    browser: Mutex<Option<Browser>>,
    /// One that is on its way.
    starting: Mutex<Option<JoinHandle<Result<Browser, CdpError>>>>,
    /// What is shown, as it was asked for.
    shown: std::sync::Mutex<Option<Address>>,
    connected: Connected,
    actions: mpsc::Sender<String>,
}

#[derive(Deserialize)]
struct Present {
    url: Option<String>,
    placement: Option<Placement>,
}

#[derive(Deserialize)]
struct Placement {
    x: Option<f64>,
    y: Option<f64>,
    width: Option<f64>,
    height: Option<f64>,
}

#[derive(Deserialize)]
struct Navigate {
    url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Eval {
    java_script: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Snapshot {
    format: Option<String>,
    max_width: Option<f64>,
    quality: Option<f64>,
}

#[derive(Deserialize)]
struct Push {
    messages: Option<Vec<Value>>,
    jsonl: Option<String>,
}

/// Offers the canvas, if there is a browser; else says why not.
pub(super) fn offer(
    node: &mut Node,
    programs: &Programs,
    place: CanvasPlace,
    has_display: bool,
    folder: &Path,
    connected: &Connected,
) -> Result<(), String> {
    let Some(program) = PROGRAMS.iter().find_map(|name| programs.find(name)) else {
        return Err("canvas: install chromium".into());
    };
    let window = match place {
        CanvasPlace::Auto => has_display,
        CanvasPlace::Window => true,
        CanvasPlace::Headless => false,
    };
    let profile = folder.join("canvas-profile");
    let (actions, done) = mpsc::channel(ACTIONS);
    let canvas = Arc::new(Canvas {
        launch: Launch {
            program,
            profile,
            window,
        },
        browser: Mutex::new(None),
        starting: Mutex::new(None),
        shown: std::sync::Mutex::new(None),
        connected: connected.clone(),
        actions,
    });
    tokio::spawn(Arc::clone(&canvas).follow(done));
    node.cap("canvas");
    for (name, command) in [
        ("canvas.present", Command::Present),
        ("canvas.hide", Command::Hide),
        ("canvas.navigate", Command::Navigate),
        ("canvas.eval", Command::Eval),
        ("canvas.snapshot", Command::Snapshot),
        ("canvas.a2ui.push", Command::Push),
        ("canvas.a2ui.pushJSONL", Command::Push),
        ("canvas.a2ui.reset", Command::Reset),
    ] {
        let canvas = Arc::clone(&canvas);
        node.command(name, move |asked| {
            let canvas = Arc::clone(&canvas);
            async move { canvas.carry_out(command, asked).await }
        });
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Command {
    Present,
    Hide,
    Navigate,
    Eval,
    Snapshot,
    Push,
    Reset,
}

fn failed(error: &CdpError) -> CommandError {
    CommandError::new("CANVAS_FAILED", error.to_string())
}

/// Whole pixels within bounds.
fn pixels(number: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 8,192"
    )]
    let whole = number.clamp(0.0, f64::from(MAX_SIDE)).round() as u32;
    whole
}

impl Canvas {
    async fn carry_out(&self, command: Command, asked: Invocation) -> Result<Value, CommandError> {
        let mut slot = self.browser.lock().await;
        // A browser that is asked and does not answer would not answer the next command either.
        let mut asked = asked;
        let outcome = match command {
            Command::Present => self.present(&mut slot, asked.params()?).await,
            Command::Hide => hide(slot.as_ref()).await,
            Command::Navigate => {
                let Navigate { url } = asked.params()?;
                self.show(
                    &mut slot,
                    Address::read(&url).map_err(CommandError::invalid)?,
                )
                .await
            }
            Command::Eval => {
                let time = asked.time;
                self.eval(&mut slot, asked.params()?, time).await
            }
            Command::Snapshot => self.snapshot(&mut slot, asked.params()?).await,
            Command::Push => self.push(&mut slot, asked.params()?).await,
            Command::Reset => self.reset(&mut slot).await,
        };
        if slot.as_ref().is_some_and(Browser::ended) {
            *slot = None;
        }
        outcome
    }

    /// The browser, with what was shown before.
    async fn browser<'a>(
        &self,
        slot: &'a mut Option<Browser>,
    ) -> Result<&'a Browser, CommandError> {
        if let Some(browser) = slot.as_ref()
            && !browser.answers().await
        {
            *slot = None;
        }
        if slot.is_none() {
            // Whoever asked may be gone before it is there; the next one takes up the same start.
            let mut starting = self.starting.lock().await;
            let begun = starting.get_or_insert_with(|| {
                tokio::spawn(Browser::start(self.launch.clone(), self.actions.clone()))
            });
            let started = begun.await;
            *starting = None;
            let started = started.unwrap_or(Err(CdpError::Ended));
            let started = started.map_err(|error| failed(&error))?;
            let before = self.shown();
            if let Some(before) = before {
                // A page that cannot be opened any more is no reason to show no other.
                self.open(&started, &before).await.ok();
            }
            *slot = Some(started);
        }
        slot.as_ref().ok_or_else(|| failed(&CdpError::Ended))
    }

    fn shown(&self) -> Option<Address> {
        self.shown
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    /// Where the gateway's pages are for this node.
    async fn base(&self) -> Result<String, CommandError> {
        let gateway = self.connected.borrow().clone();
        let gateway =
            gateway.ok_or_else(|| CommandError::new("UNAVAILABLE", "no gateway is connected"))?;
        gateway.surface("canvas").await.map_err(|error| {
            let message = format!("the gateway shows no canvas to this node: {error}");
            CommandError::new("CANVAS_UNAVAILABLE", message)
        })
    }

    async fn open(&self, browser: &Browser, address: &Address) -> Result<(), CommandError> {
        let url = match address {
            Address::Elsewhere(url) => url.clone(),
            Address::Gateway(_) => {
                let base = self.base().await?;
                browser.trust(Some(&base));
                address.resolve(&base)
            }
        };
        browser.open(&url).await.map_err(|error| failed(&error))
    }

    async fn show(
        &self,
        slot: &mut Option<Browser>,
        address: Address,
    ) -> Result<Value, CommandError> {
        // What is asked for now takes the place of what a new browser would show again.
        *self
            .shown
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = None;
        let browser = self.browser(slot).await?;
        self.open(browser, &address).await?;
        *self
            .shown
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(address);
        Ok(Value::Null)
    }

    async fn present(
        &self,
        slot: &mut Option<Browser>,
        wanted: Present,
    ) -> Result<Value, CommandError> {
        let address = match wanted.url.as_deref() {
            Some(url) => Some(Address::read(url).map_err(CommandError::invalid)?),
            None if self.shown().is_none() => Some(Address::Gateway(CANVAS.into())),
            None => None,
        };
        if let Some(address) = address {
            self.show(slot, address).await?;
        }
        let browser = self.browser(slot).await?;
        let normal = browser.place(json!({ "windowState": "normal" })).await;
        normal.map_err(|error| failed(&error))?;
        if let Some(placement) = &wanted.placement {
            put(browser, placement)
                .await
                .map_err(|error| failed(&error))?;
        }
        let front = browser.call("Page.bringToFront", json!({})).await;
        front.map_err(|error| failed(&error))?;
        Ok(Value::Null)
    }

    async fn eval(
        &self,
        slot: &mut Option<Browser>,
        wanted: Eval,
        time: Duration,
    ) -> Result<Value, CommandError> {
        let browser = self.browser(slot).await?;
        let result = evaluate(browser, &wanted.java_script, time).await?;
        Ok(json!({ "result": result }))
    }

    async fn snapshot(
        &self,
        slot: &mut Option<Browser>,
        wanted: Snapshot,
    ) -> Result<Value, CommandError> {
        let browser = self.browser(slot).await?;
        let jpeg = matches!(wanted.format.as_deref(), Some("jpeg" | "jpg"));
        let mut params = json!({ "format": if jpeg { "jpeg" } else { "png" } });
        if jpeg {
            let quality = wanted
                .quality
                .filter(|it| it.is_finite())
                .unwrap_or(0.9)
                .clamp(0.0, 1.0);
            params["quality"] = json!(pixels(quality * 100.0));
        }
        if let Some(most) = wanted.max_width.filter(|width| *width >= 16.0) {
            let metrics = browser.call("Page.getLayoutMetrics", json!({})).await;
            let view = metrics.map_err(|error| failed(&error))?["cssVisualViewport"].take();
            let width = view["clientWidth"].as_f64().unwrap_or_default();
            if width > most {
                params["clip"] = json!({
                    "x": view["pageX"], "y": view["pageY"], "width": view["clientWidth"],
                    "height": view["clientHeight"], "scale": most / width,
                });
            }
        }
        let taken = browser.call("Page.captureScreenshot", params).await;
        let base64 = taken.map_err(|error| failed(&error))?["data"].take();
        let text = base64.as_str().unwrap_or_default();
        if text.len() > MAX_BASE64 {
            let message =
                "the picture is larger than fits into an answer: lower maxWidth, or ask for jpeg";
            return Err(CommandError::new("PAYLOAD_TOO_LARGE", message));
        }
        let data = base64::engine::general_purpose::STANDARD
            .decode(text)
            .unwrap_or_default();
        let Some((width, height)) = size(&data) else {
            return Err(CommandError::new(
                "CANVAS_FAILED",
                "the browser gave no picture",
            ));
        };
        Ok(json!({
            "format": if jpeg { "jpeg" } else { "png" }, "base64": base64, "width": width, "height": height,
        }))
    }

    /// Draws surfaces, on the gateway's page for them.
    async fn push(&self, slot: &mut Option<Browser>, wanted: Push) -> Result<Value, CommandError> {
        let messages = match (wanted.jsonl, wanted.messages) {
            (Some(text), _) => a2ui::read_lines(&text),
            (None, Some(messages)) => a2ui::check(&messages).map(|_| messages),
            (None, None) => return Err(CommandError::invalid("jsonl or messages is missing")),
        };
        let messages = messages.map_err(|wrong| {
            let wrong: Vec<String> = wrong.iter().map(ToString::to_string).collect();
            CommandError::invalid(format!("this is no A2UI v0.8: {}", wrong.join("; ")))
        })?;
        let page = Address::Gateway(A2UI.into());
        let there = {
            let browser = self.browser(slot).await?;
            self.shown().as_ref() == Some(&page) && browser.url().contains(A2UI)
        };
        if !there {
            self.show(slot, page).await?;
        }
        let browser = self.browser(slot).await?;
        let script = format!(
            "(async () => {{ for (let tries = 0; !globalThis.openclawA2UI; tries += 1) {{ if (tries > 400) throw new Error('the page for surfaces did not start'); await new Promise((resolve) => setTimeout(resolve, 25)); }} return openclawA2UI.applyMessages({}); }})()",
            json!(messages)
        );
        let drawn = evaluate(browser, &script, Duration::from_secs(15)).await?;
        Ok(serde_json::from_str(&drawn).unwrap_or(Value::Null))
    }

    async fn reset(&self, slot: &mut Option<Browser>) -> Result<Value, CommandError> {
        let Some(browser) = slot.as_ref() else {
            return Ok(Value::Null);
        };
        let script = "globalThis.openclawA2UI ? openclawA2UI.reset() : null";
        evaluate(browser, script, Duration::from_secs(10)).await?;
        Ok(Value::Null)
    }

    /// Tells the gateway what people do, and opens its page again when it was away: the address of the page
    /// ended with the connection.
    async fn follow(self: Arc<Self>, mut actions: mpsc::Receiver<String>) {
        let mut connected = self.connected.clone();
        loop {
            tokio::select! {
                action = actions.recv() => match action {
                    Some(action) => self.act(&action).await,
                    None => return,
                },
                changed = connected.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.reopen().await;
                }
            }
        }
    }

    async fn reopen(&self) {
        let slot = self.browser.lock().await;
        if let (Some(browser), Some(address @ Address::Gateway(_))) = (slot.as_ref(), self.shown())
        {
            // Not approved yet, or gone again: the next command shows it.
            if let Err(error) = self.open(browser, &address).await {
                tracing::debug!(%error, "the canvas stays as it was");
            }
        }
    }

    async fn act(&self, action: &str) {
        let Ok(payload) = serde_json::from_str::<Value>(action) else {
            return;
        };
        let gateway = self.connected.borrow().clone();
        let told = match gateway {
            None => Err("no gateway is connected".to_owned()),
            Some(gateway) => {
                let told = gateway.tell("agent.request", &payload).await;
                told.map(drop).map_err(|error| error.to_string())
            }
        };
        let mut detail = json!({ "id": payload["userAction"]["id"], "ok": told.is_ok() });
        if let Err(why) = told {
            detail["error"] = json!(why);
        }
        let script = format!(
            "dispatchEvent(new CustomEvent('openclaw:a2ui-action-status', {{ detail: {detail} }}))"
        );
        let slot = self.browser.lock().await;
        if let Some(browser) = slot.as_ref() {
            let said = evaluate(browser, &script, Duration::from_secs(5)).await;
            if let Err(error) = said {
                tracing::debug!(%error, "the page does not learn what became of an action");
            }
        }
    }
}

async fn hide(browser: Option<&Browser>) -> Result<Value, CommandError> {
    if let Some(browser) = browser {
        let hidden = browser.place(json!({ "windowState": "minimized" })).await;
        hidden.map_err(|error| failed(&error))?;
    }
    Ok(Value::Null)
}

async fn put(browser: &Browser, at: &Placement) -> Result<(), CdpError> {
    let size = at
        .width
        .zip(at.height)
        .map(|(width, height)| (pixels(width), pixels(height)));
    if !browser.has_window() {
        return match size {
            Some((width @ 1.., height @ 1..)) => browser.resize(width, height).await,
            _ => Ok(()),
        };
    }
    let mut bounds = json!({});
    let sides = [
        ("left", at.x),
        ("top", at.y),
        ("width", at.width),
        ("height", at.height),
    ];
    for (key, number) in sides {
        if let Some(number) = number {
            bounds[key] = json!(pixels(number));
        }
    }
    browser.place(bounds).await
}

/// Runs a script in the page; gives its result as text, other values as JSON.
async fn evaluate(browser: &Browser, script: &str, time: Duration) -> Result<String, CommandError> {
    let params = json!({
        "expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true,
    });
    let done = browser.call_within("Runtime.evaluate", params, time).await;
    let done = done.map_err(|error| failed(&error))?;
    if let Some(exception) = done.get("exceptionDetails") {
        let words = exception["exception"]["description"]
            .as_str()
            .or_else(|| exception["text"].as_str());
        let message = words
            .unwrap_or("the script failed")
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();
        return Err(CommandError::new("CANVAS_EVAL_FAILED", message));
    }
    let result = &done["result"];
    Ok(match &result["value"] {
        Value::String(text) => text.clone(),
        Value::Null if result["type"] == "undefined" => String::new(),
        // Numbers without an end, and what is no number.
        Value::Null if result["unserializableValue"].is_string() => result["unserializableValue"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        value => value.to_string(),
    })
}
