//! The stream of what comes in: opened, watched, and left when it is silent.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::api::{Api, lost, unlinked};
use super::sse::Stream;
use super::translate::{Heard, Me, heard};
use super::{Signal, SignalSetup};
use crate::channel::login::Step;
use crate::channel::{ChannelError, ChatKind, Inbound, Link};

/// Before a batch is tried again that the store did not take.
const AGAIN: Duration = Duration::from_secs(1);

/// Receives from the signal-cli at `url` until that fails.
pub(super) async fn run(signal: &Signal, url: &str, link: &Link) -> ChannelError {
    // The one before may have been dropped meanwhile.
    signal.storing.set(false);
    let api = Rc::new(Api::new(
        signal.http.clone(),
        url,
        signal.setup.timing.request,
    ));
    match receive(signal, &api, link).await {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

async fn receive(
    signal: &Signal,
    api: &Rc<Api>,
    link: &Link,
) -> Result<std::convert::Infallible, ChannelError> {
    let setup = &signal.setup;
    api.check(setup.timing.open).await?;
    link.alive();
    let me = identify(setup, api).await?;
    signal.me.borrow_mut().clone_from(&me);
    let mut response = open(signal, api, &me).await?;
    // From here on it is known that messages arrive: that requests are answered does not say so.
    *signal.api.borrow_mut() = Some(Rc::clone(api));
    link.linked(true);
    link.connected(&me.number);
    let words = if me.number.is_empty() {
        "an account of signal-cli".to_owned()
    } else {
        me.number.clone()
    };
    signal.logins.step(&signal.who, Step::Linked(words));
    let mut stream = Stream::default();
    let mut looking = Box::pin(look(setup, api));
    loop {
        let silence = setup.timing.silence;
        let chunk = tokio::select! {
            biased;
            // Between two chunks: of one that was read, signal-cli gives nothing again.
            () = link.stopping() => return Err(ChannelError::Transient("it is stopped".into())),
            chunk = timeout(silence, response.chunk()) => chunk,
            looked = &mut looking => {
                looked?;
                looking.set(look(setup, api));
                continue;
            }
        };
        let chunk = chunk.map_err(|_| {
            ChannelError::Transient(format!(
                "signal-cli's stream was silent for {} s, so it is opened anew",
                silence.as_secs()
            ))
        })?;
        let chunk = chunk.map_err(|error| lost(error).class())?;
        let ended = || ChannelError::Transient("signal-cli ended its stream".into());
        let chunk = chunk.ok_or_else(ended)?;
        link.alive();
        let events = stream.feed(&chunk).map_err(|_| {
            ChannelError::Transient("signal-cli sends an event without an end".into())
        })?;
        let mut messages = Vec::new();
        for event in events {
            match heard(&event.data, &me, &setup.named) {
                Heard::Message(message) => messages.push(*message),
                Heard::Nothing => {}
                Heard::Unreadable(why) => {
                    tracing::warn!(why, "an envelope of Signal cannot be read; the others can");
                }
            }
            *signal.last_event.borrow_mut() = event.id;
        }
        if !messages.is_empty() {
            store(signal, link, messages).await;
        }
    }
}

/// Stores messages, however often that has to be tried: signal-cli gives none of them a second time.
async fn store(signal: &Signal, link: &Link, messages: Vec<Inbound>) {
    signal.storing.set(true);
    while let Err(refused) = link.take(messages.clone(), None).await {
        link.trouble(&refused.to_string());
        sleep(AGAIN).await;
    }
    signal.storing.set(false);
    // signal-cli tells nobody in groups.
    if signal.setup.read_receipts {
        for message in messages.iter().filter(|own| own.kind == ChatKind::Direct) {
            signal.note_unread(&message.chat.chat, message.at);
        }
    }
}

/// After a while, whether signal-cli has the account still. One that its phone unlinked gets nothing more,
/// and the stream goes on as if nobody wrote.
async fn look(setup: &SignalSetup, api: &Api) -> Result<(), ChannelError> {
    sleep(setup.timing.look).await;
    identify(setup, api).await.map(|_| ())
}

/// Which account of signal-cli is ours.
async fn identify(setup: &SignalSetup, api: &Api) -> Result<Me, ChannelError> {
    let configured = || Me {
        number: setup.account.clone().unwrap_or_default(),
        uuid: setup.uuid.clone(),
    };
    let listed = match api.call("listAccounts", &json!({})).await {
        Ok(listed) => listed,
        // One that was started with an account of its own has no list.
        Err(error) if error.is_unknown_method() => return Ok(configured()),
        Err(error) => return Err(error.class()),
    };
    let rows = listed.as_array().cloned().unwrap_or_default();
    let text = |row: &Value, key: &str| row.get(key).and_then(Value::as_str).map(str::to_owned);
    let of_row = |row: &Value| Me {
        number: text(row, "number").unwrap_or_default(),
        uuid: setup
            .uuid
            .clone()
            .or_else(|| text(row, "aci"))
            .or_else(|| text(row, "uuid")),
    };
    let numbers = || {
        let numbers: Vec<String> = rows.iter().filter_map(|row| text(row, "number")).collect();
        numbers.join(", ")
    };
    match (&setup.account, rows.as_slice()) {
        (_, []) => Err(unlinked("no account is linked yet")),
        (None, [only]) => Ok(of_row(only)),
        (None, _) => Err(ChannelError::Auth(format!(
            "signal-cli has several accounts ({}); set channels.signal.account to one of them, then: openclaw channels start signal",
            numbers()
        ))),
        (Some(number), _) => {
            let found = rows
                .iter()
                .find(|row| text(row, "number").as_ref() == Some(number));
            found
                .map(of_row)
                .ok_or_else(|| unlinked(&format!("{number}; it has {}", numbers())))
        }
    }
}

async fn open(signal: &Signal, api: &Api, me: &Me) -> Result<reqwest::Response, ChannelError> {
    let mut url = reqwest::Url::parse(&api.events())
        .map_err(|error| ChannelError::Auth(format!("channels.signal.httpUrl: {error}")))?;
    if !me.number.is_empty() {
        url.query_pairs_mut().append_pair("account", &me.number);
    }
    let mut request = api.http().get(url).header("accept", "text/event-stream");
    if let Some(last) = signal.last_event.borrow().as_ref() {
        request = request.header("last-event-id", last);
    }
    let opening = timeout(signal.setup.timing.open, request.send()).await;
    let response = opening
        .map_err(|_| ChannelError::Transient("signal-cli does not open its stream".into()))?
        .map_err(|error| lost(error).class())?;
    match response.status().as_u16() {
        200 => Ok(response),
        400 | 404 => Err(unlinked(&format!(
            "HTTP {} for {}",
            response.status().as_u16(),
            me.number
        ))),
        status => Err(ChannelError::Transient(format!(
            "signal-cli does not open its stream: HTTP {status}"
        ))),
    }
}
