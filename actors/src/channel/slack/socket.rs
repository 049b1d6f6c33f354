//! Socket Mode: the one socket of an account, opened, read, written and dropped here.
//!
//! An envelope is acknowledged when its message is stored: one that is not comes again. Slack hands what is
//! for any account of an app to any of the app's sockets: each passes on what is for another workspace.

use std::collections::BTreeMap;
use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::translate::{self, Me};
use super::{Slack, events};
use crate::channel::hooks::{Hook, Hooks, Request};
use crate::channel::provider::link::Refused;
use crate::channel::{ChannelError, Inbound, Link};

/// How long one frame may take to be written.
const LIMIT: Duration = Duration::from_secs(20);
/// Largest envelope, bytes.
const LARGEST: usize = 4 * 1024 * 1024;
/// Most messages that wait to be stored; the socket is not read at more.
const HELD: usize = 500;
/// How long other accounts may take to take what is for them; Slack waits for three seconds.
const SOON: Duration = Duration::from_secs(2);

/// How a connection ended that is no failure.
enum Ended {
    /// The platform wants another one in its place, as it does every few hours.
    Exchange,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Messages on their way to the disk, and the envelopes that are acknowledged then.
type Taking<'a> = Pin<Box<dyn Future<Output = Result<Vec<String>, Refused>> + 'a>>;

/// Connects and works until that fails.
pub(super) async fn run(
    slack: &Slack,
    app_token: &SecretString,
    me: &Me,
    link: &Link,
) -> ChannelError {
    let beside = slack.hooks.open(&place(app_token, &me.team));
    tokio::select! {
        error = sockets(slack, app_token, me, link) => error,
        () = passed_on(beside, me, link) => {
            ChannelError::Transient("the way from the app's other sockets was closed".into())
        }
    }
}

/// Where an account takes what came over the sockets of others. No address of a request begins so.
pub(super) fn place(app_token: &SecretString, team: &str) -> String {
    let app = app_token.expose_secret().split('-').nth(2);
    format!("slack {} {team}", app.unwrap_or_default())
}

/// Takes what came over the sockets of others.
async fn passed_on(mut beside: Hook, me: &Me, link: &Link) {
    while let Some(Request { body, answer, .. }) = beside.next().await {
        let callback = serde_json::from_slice(&body).unwrap_or_default();
        let _ = answer.send(events::take(&callback, me, link).await);
    }
}

/// Hands a callback to the account that it is for; whether it was taken.
pub(super) async fn pass_on(hooks: &Hooks, app_token: &SecretString, callback: &Value) -> bool {
    let (headers, body) = (BTreeMap::new(), Bytes::from(callback.to_string()));
    for team in translate::teams(callback) {
        let place = place(app_token, team);
        if hooks.hand_over(&place, &headers, &body).await.status == 200 {
            return true;
        }
    }
    tracing::warn!("a message of Slack is for a workspace of which no account of this app runs");
    false
}

async fn sockets(slack: &Slack, app_token: &SecretString, me: &Me, link: &Link) -> ChannelError {
    loop {
        let began = Instant::now();
        match connect(slack, app_token, me, link).await {
            Ok(Ended::Exchange) if began.elapsed() >= slack.timing.lived => {}
            Ok(Ended::Exchange) => {
                return ChannelError::Transient("Slack ended the connection at once".into());
            }
            Err(error) => return error,
        }
    }
}

async fn connect(
    slack: &Slack,
    app_token: &SecretString,
    me: &Me,
    link: &Link,
) -> Result<Ended, ChannelError> {
    let opened = slack
        .api
        .call(app_token, "apps.connections.open", &json!({}))
        .await;
    let opened = opened.map_err(|error| error.class("appToken"))?;
    link.alive();
    let url = opened
        .get("url")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let config = WebSocketConfig::default()
        .max_message_size(Some(LARGEST))
        .max_frame_size(Some(LARGEST));
    let limit = slack.timing.limit;
    let socket = timeout(limit, connect_async_with_config(url, Some(config), true)).await;
    let why = match socket {
        Ok(Ok((socket, _))) => {
            let now = Instant::now();
            let mut wire = Wire {
                slack,
                app_token,
                me,
                link,
                socket,
                foreign: Vec::new(),
                held: Vec::new(),
                ids: Vec::new(),
                heard: now,
                asked: false,
                greeted: false,
            };
            return wire.work().await;
        }
        // The address holds a ticket, so it is left out.
        Ok(Err(Error::Http(answer))) => format!("HTTP {}", answer.status().as_u16()),
        Ok(Err(Error::Io(error))) => error.to_string(),
        Ok(Err(_)) => "the connection was refused".to_owned(),
        Err(_) => "no answer came in time".to_owned(),
    };
    Err(ChannelError::Transient(format!(
        "Slack's socket cannot be reached: {why}"
    )))
}

struct Wire<'a> {
    slack: &'a Slack,
    app_token: &'a SecretString,
    me: &'a Me,
    link: &'a Link,
    socket: Socket,
    /// Envelopes with what is for other workspaces.
    foreign: Vec<(String, Value)>,
    held: Vec<Inbound>,
    ids: Vec<String>,
    heard: Instant,
    asked: bool,
    greeted: bool,
}

impl Wire<'_> {
    async fn work(&mut self) -> Result<Ended, ChannelError> {
        let (link, hooks, app_token) = (self.link, &self.slack.hooks, self.app_token);
        let mut taking: Option<Taking<'_>> = None;
        loop {
            if taking.is_none() && !(self.ids.is_empty() && self.foreign.is_empty()) {
                let batch = std::mem::take(&mut self.held);
                let mut ids = std::mem::take(&mut self.ids);
                let foreign = std::mem::take(&mut self.foreign);
                taking = Some(Box::pin(async move {
                    link.take(batch, None).await?;
                    let passing = async {
                        for (id, callback) in foreign {
                            if pass_on(hooks, app_token, &callback).await {
                                ids.push(id);
                            }
                        }
                    };
                    // What another account does not take soon comes again.
                    let _ = timeout(SOON, passing).await;
                    Ok(ids)
                }));
            }
            // Who is connected is greeted at once.
            let wait = if self.asked || !self.greeted {
                self.slack.timing.answer
            } else {
                self.slack.timing.quiet
            };
            tokio::select! {
                biased;
                taken = finished(&mut taking) => {
                    taking = None;
                    for id in taken? {
                        self.send(Message::text(json!({ "envelope_id": id }).to_string())).await?;
                    }
                }
                frame = self.socket.next(), if self.held.len() + self.foreign.len() < HELD => {
                    self.heard = Instant::now();
                    self.asked = false;
                    self.link.alive();
                    if let Some(ended) = self.read(frame)? {
                        return Ok(ended);
                    }
                }
                () = sleep_until(self.heard + wait) => {
                    if self.asked || !self.greeted {
                        return Err(ChannelError::Transient("Slack's socket does not answer a ping".into()));
                    }
                    self.heard = Instant::now();
                    self.asked = true;
                    self.send(Message::Ping(Bytes::new())).await?;
                }
            }
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), ChannelError> {
        match timeout(LIMIT, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(lost(&error)),
            Err(_) => Err(ChannelError::Transient(
                "Slack's socket does not read what it is sent".into(),
            )),
        }
    }

    fn read(
        &mut self,
        frame: Option<Result<Message, Error>>,
    ) -> Result<Option<Ended>, ChannelError> {
        let text = match frame {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(_))) | None => {
                return Err(ChannelError::Transient("Slack closed the socket".into()));
            }
            Some(Ok(_)) => return Ok(None),
            Some(Err(error)) => return Err(lost(&error)),
        };
        let Ok(frame) = serde_json::from_str::<Value>(&text) else {
            tracing::warn!("a frame of Slack's socket cannot be read");
            return Ok(None);
        };
        let word = |key| frame.get(key).and_then(Value::as_str);
        match word("type") {
            Some("hello") => {
                self.greeted = true;
                self.link.connected(&self.me.name);
            }
            Some("disconnect") => return disconnect(word("reason").unwrap_or_default()),
            kind => {
                let Some(id) = word("envelope_id") else {
                    return Ok(None);
                };
                let callback = (frame.get("payload")).filter(|_| kind == Some("events_api"));
                if let Some(callback) = callback.filter(|own| !translate::is_ours(own, self.me)) {
                    self.foreign.push((id.to_owned(), callback.clone()));
                    return Ok(None);
                }
                // What is not for us is acknowledged too, or it comes again.
                self.ids.push(id.to_owned());
                if let Some(callback) = callback {
                    self.held.extend(translate::inbound(callback, self.me));
                }
            }
        }
        Ok(None)
    }
}

fn disconnect(reason: &str) -> Result<Option<Ended>, ChannelError> {
    match reason {
        // It goes on for some seconds, and then says so.
        "warning" => Ok(None),
        "link_disabled" => Err(ChannelError::Auth(
            "Socket Mode is switched off for the app; switch it on at api.slack.com/apps, then: openclaw channels start slack".into(),
        )),
        "too_many_websockets" => Err(ChannelError::Conflict(
            "too many programs are connected for this app; end the others, or give each its own app".into(),
        )),
        _ => Ok(Some(Ended::Exchange)),
    }
}

async fn finished(taking: &mut Option<Taking<'_>>) -> Result<Vec<String>, Refused> {
    match taking {
        Some(taking) => taking.await,
        None => pending().await,
    }
}

fn lost(error: &Error) -> ChannelError {
    ChannelError::Transient(format!("the connection to Slack's socket failed: {error}"))
}
