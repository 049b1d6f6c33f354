//! The one socket of an account: opened, read, written and dropped here.

use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::Discord;
use super::api::{ApiError, Method};
use super::session::{Effect, RESUMES, Resume, Session};
use super::translate;
use crate::channel::{ChannelError, Inbound, Link};

/// How long one frame may take to be written.
const LIMIT: Duration = Duration::from_secs(20);
/// Largest event, bytes; a server with many members is one.
const LARGEST: usize = 16 * 1024 * 1024;
/// Most messages that wait to be stored; the socket is not read at more.
const HELD: usize = 500;
/// Between two moments at which it is stored how far the session went without messages.
const STORED: Duration = Duration::from_secs(30);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Messages on their way to the disk, and where the session is once they are there.
type Taking<'a> = Pin<Box<dyn Future<Output = Result<Option<Resume>, ChannelError>> + 'a>>;

/// Connects and works until that fails.
pub(super) async fn run(discord: &Discord, link: &Link) -> ChannelError {
    match connect(discord, link).await {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

async fn connect(discord: &Discord, link: &Link) -> Result<std::convert::Infallible, ChannelError> {
    let api = &discord.api;
    let user = api.call(Method::Get, "/users/@me", None).await;
    let user = user.map_err(ApiError::class)?;
    link.alive();
    let text = |key| {
        user.get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let me = (text("id"), text("username"));
    let mut resume = discord.resume.borrow().clone();
    if resume.is_none() {
        let stored = link.cursor()?;
        resume = stored.and_then(|stored| serde_json::from_str(&stored).ok());
    }
    if discord.failed.get() >= RESUMES {
        // The session is given up rather than asked for for ever.
        discord.failed.set(0);
        resume = None;
    }
    let url = match &resume {
        Some(resume) if !resume.url.is_empty() => resume.url.clone(),
        _ => gateway(discord).await?,
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(LARGEST))
        .max_frame_size(Some(LARGEST));
    let resumes = resume.is_some();
    let opened = timeout(
        api.limit(),
        connect_async_with_config(address(&url), Some(config), true),
    )
    .await;
    let why = match opened {
        Ok(Ok((socket, _))) => {
            let start = Instant::now();
            let session = Session::new(api.token(), me, resume, Duration::ZERO);
            let mut wire = Wire {
                discord,
                link,
                socket,
                session,
                start,
                held: Vec::new(),
                stored: start,
            };
            let ended = wire.work().await;
            let failed = wire.session.failed_to_resume();
            discord
                .failed
                .set(if failed { discord.failed.get() + 1 } else { 0 });
            return ended;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer came in time".to_owned(),
    };
    if resumes {
        discord.failed.set(discord.failed.get() + 1);
    }
    Err(ChannelError::Transient(format!(
        "the Discord gateway cannot be reached: {why}"
    )))
}

/// Where the gateway is, unless no session may be begun for now.
async fn gateway(discord: &Discord) -> Result<String, ChannelError> {
    let told = discord.api.call(Method::Get, "/gateway/bot", None).await;
    let told = told.map_err(ApiError::class)?;
    let limit = &told["session_start_limit"];
    if limit["remaining"].as_u64() == Some(0) {
        let delay = limit["reset_after"].as_u64().unwrap_or(60_000);
        return Err(ChannelError::RateLimited {
            delay: Duration::from_millis(delay),
            why: "Discord lets the bot begin no session for now (session_start_limit)".into(),
        });
    }
    let url = told["url"].as_str().unwrap_or_default();
    Ok(url.to_owned())
}

/// The address with what the gateway is to speak.
fn address(url: &str) -> String {
    let bare = url.split('?').next().unwrap_or(url);
    let has_path = bare
        .split_once("://")
        .is_some_and(|(_, rest)| rest.contains('/'));
    let slash = if has_path { "" } else { "/" };
    format!("{bare}{slash}?v=10&encoding=json")
}

struct Wire<'a> {
    discord: &'a Discord,
    link: &'a Link,
    socket: Socket,
    session: Session<'a>,
    start: Instant,
    held: Vec<Inbound>,
    stored: Instant,
}

impl Wire<'_> {
    async fn work(&mut self) -> Result<std::convert::Infallible, ChannelError> {
        let (discord, link) = (self.discord, self.link);
        let mut taking: Option<Taking<'_>> = None;
        loop {
            if taking.is_none() && (!self.held.is_empty() || self.stored.elapsed() >= STORED) {
                self.stored = Instant::now();
                // Every event up to here is in the batch, or was none for us.
                let (batch, mark) = (std::mem::take(&mut self.held), self.session.mark());
                taking = Some(Box::pin(take(discord, link, batch, mark)));
            }
            let now = self.start.elapsed();
            let wake = self.session.wake().max(now + Duration::from_millis(1));
            let wake = self.start + wake.min(now + STORED);
            tokio::select! {
                biased;
                taken = finished(&mut taking) => {
                    taking = None;
                    let stored = taken?;
                    // What came meanwhile was none for us, unless something is held.
                    let mark = if self.held.is_empty() { self.session.mark() } else { stored };
                    *discord.resume.borrow_mut() = mark;
                }
                frame = self.socket.next(), if self.held.len() < HELD => {
                    self.link.alive();
                    self.read(frame).await?;
                    if taking.is_none() && self.held.is_empty() {
                        *discord.resume.borrow_mut() = self.session.mark();
                    }
                }
                () = sleep_until(wake) => {
                    let effects = self.session.tick(self.start.elapsed());
                    self.apply(effects).await?;
                }
            }
        }
    }

    async fn read(
        &mut self,
        frame: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>,
    ) -> Result<(), ChannelError> {
        let message = match frame {
            Some(Ok(message)) => message,
            Some(Err(error)) => {
                return Err(ChannelError::Transient(format!(
                    "the connection to the Discord gateway failed: {error}"
                )));
            }
            None => return Err(self.session.closed(None, "")),
        };
        match message {
            Message::Text(text) => {
                let Ok(frame) = serde_json::from_str::<Value>(&text) else {
                    tracing::warn!("a frame of the Discord gateway cannot be read");
                    return Ok(());
                };
                let effects = self
                    .session
                    .frame(frame, self.start.elapsed(), rand::random());
                self.apply(effects).await
            }
            Message::Close(close) => {
                let (code, reason) = close.map_or((None, String::new()), |close| {
                    (Some(close.code.into()), close.reason.to_string())
                });
                Err(self.session.closed(code, &reason))
            }
            _ => Ok(()),
        }
    }

    async fn apply(&mut self, effects: Vec<Effect>) -> Result<(), ChannelError> {
        for effect in effects {
            match effect {
                Effect::Send(frame) => {
                    let sent = self.socket.send(Message::text(frame.to_string()));
                    match timeout(LIMIT, sent).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => {
                            return Err(ChannelError::Transient(format!(
                                "the connection to the Discord gateway failed: {error}"
                            )));
                        }
                        Err(_) => {
                            return Err(ChannelError::Transient(
                                "the Discord gateway does not read what it is sent".into(),
                            ));
                        }
                    }
                }
                Effect::Connected => {
                    self.link.connected(&self.session.me.1);
                    // A new session is stored at once, so that a restart takes it up.
                    self.stored = self.start.checked_sub(STORED).unwrap_or(self.start);
                }
                Effect::Event { name, data } if name == "MESSAGE_CREATE" => {
                    self.held
                        .extend(translate::inbound(data, &self.session.me.0));
                }
                Effect::Event { name, data } => {
                    self.discord.places.borrow_mut().event(&name, &data);
                }
                Effect::End(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Stores messages, and how far the session went. Which of their places are threads is looked up where
/// the gateway did not tell.
async fn take(
    discord: &Discord,
    link: &Link,
    mut messages: Vec<Inbound>,
    mark: Option<Resume>,
) -> Result<Option<Resume>, ChannelError> {
    for message in messages
        .iter_mut()
        .filter(|message| message.space.is_some())
    {
        let channel = message.chat.chat.clone();
        if !discord.places.borrow().knows(&channel) {
            let path = format!("/channels/{channel}");
            let answer = discord.api.call(Method::Get, &path, None).await;
            if let Some(found) = found(answer)? {
                discord.places.borrow_mut().learn(&found);
            }
        }
        message.chat = discord.places.borrow().target(&channel);
    }
    let cursor = mark
        .as_ref()
        .and_then(|mark| serde_json::to_string(mark).ok());
    link.take(messages, cursor.as_deref()).await?;
    Ok(mark)
}

/// What is known of a channel; nothing where Discord says that there is nothing for us. Without its word
/// a thread would be judged by another rule than its channel's: the messages come again.
pub(super) fn found(answer: Result<Value, ApiError>) -> Result<Option<Value>, ChannelError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(ApiError::Answered {
            status: 403 | 404, ..
        }) => Ok(None),
        Err(error) => Err(error.class()),
    }
}

async fn finished(taking: &mut Option<Taking<'_>>) -> Result<Option<Resume>, ChannelError> {
    match taking {
        Some(taking) => taking.await,
        None => pending().await,
    }
}
