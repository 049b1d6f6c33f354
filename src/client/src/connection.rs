//! A connection to a gateway, seen from the program that uses it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openclaw_protocol::Method;
use openclaw_protocol::connect::HelloOk;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::driver::{CLOSE_LIMIT, PENDING, Pending};
use crate::inbound::{Event, Reply};
use crate::{CloseReason, Error};

/// An accepted connection.
#[derive(Debug)]
pub struct Connection {
    /// What the gateway said when it accepted the connection.
    pub hello: HelloOk,
    client: Client,
    events: Events,
}

impl Connection {
    pub(crate) fn new(hello: HelloOk, client: Client, events: Events) -> Self {
        Self {
            hello,
            client,
            events,
        }
    }

    /// The half that sends requests.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The next event; `None` when the connection ended.
    pub async fn next_event(&mut self) -> Option<Event> {
        self.events.next().await
    }

    /// Both halves. The connection closes when both are dropped.
    pub fn into_parts(self) -> (Client, Events) {
        (self.client, self.events)
    }

    /// Sends a request and waits for its answer; see [`Client::request`].
    ///
    /// # Errors
    ///
    /// As [`Client::request`].
    pub async fn request<M>(&self, params: &M::Params) -> Result<M::Result, Error>
    where
        M: Method<Params: Serialize, Result: DeserializeOwned>,
    {
        self.client.request::<M>(params).await
    }

    /// Closes the connection and waits until the gateway has seen it, at most 2 s.
    pub async fn close(self) {
        self.client.close().await;
    }
}

/// Events in the order in which they came.
pub struct Events {
    receiver: mpsc::Receiver<Event>,
    /// Keeps the connection open for a program that only listens.
    _open: mpsc::Sender<Message>,
    closed: watch::Receiver<Option<CloseReason>>,
}

impl Events {
    pub(crate) fn new(
        receiver: mpsc::Receiver<Event>,
        open: mpsc::Sender<Message>,
        closed: watch::Receiver<Option<CloseReason>>,
    ) -> Self {
        Self {
            receiver,
            _open: open,
            closed,
        }
    }

    /// The next event; `None` when the connection ended. Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }

    /// An event that is here already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.receiver.try_recv().ok()
    }

    /// Why the connection ended; `None` while it is open.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.closed.borrow().clone()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Events").finish_non_exhaustive()
    }
}

/// The half of a connection that sends requests. Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

/// What clones share.
struct Shared {
    link: Link,
    next_id: AtomicU64,
    places: Arc<Semaphore>,
}

/// How a client reaches the tasks of its connection.
pub(crate) struct Link {
    pub(crate) pending: Arc<Pending>,
    pub(crate) outgoing: mpsc::Sender<Message>,
    pub(crate) closed: watch::Receiver<Option<CloseReason>>,
    pub(crate) request_timeout: Duration,
    /// The largest frame that the gateway takes, bytes.
    pub(crate) max_frame: u64,
}

#[derive(Serialize)]
struct RequestFrame<'a, P: ?Sized> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: String,
    method: &'a str,
    params: &'a P,
}

impl Client {
    pub(crate) fn new(link: Link) -> Self {
        Self {
            shared: Arc::new(Shared {
                link,
                next_id: AtomicU64::new(1),
                places: Arc::new(Semaphore::new(PENDING)),
            }),
        }
    }

    /// Sends a request and waits for its answer, at most the request timeout of the options.
    ///
    /// # Errors
    ///
    /// [`Error::Gateway`] with the gateway's answer, [`Error::Timeout`], [`Error::Closed`], and
    /// [`Error::Protocol`] when the answer is not what the method promises.
    pub async fn request<M>(&self, params: &M::Params) -> Result<M::Result, Error>
    where
        M: Method<Params: Serialize, Result: DeserializeOwned>,
    {
        let answer = self.request_raw(M::NAME, params).await?;
        decode(M::NAME, &answer)
    }

    /// Sends a request of any method; see [`Client::request`].
    ///
    /// # Errors
    ///
    /// As [`Client::request`].
    pub async fn request_value<P: Serialize + ?Sized>(
        &self,
        method: &str,
        params: &P,
    ) -> Result<Value, Error> {
        let answer = self.request_raw(method, params).await?;
        decode(method, &answer)
    }

    /// Sends a request of any method and gives its answer as the gateway wrote it; see
    /// [`Client::request`].
    ///
    /// # Errors
    ///
    /// As [`Client::request`].
    pub async fn request_raw<P: Serialize + ?Sized>(
        &self,
        method: &str,
        params: &P,
    ) -> Result<Box<RawValue>, Error> {
        let once = async { self.call(method, params, false).await?.next().await };
        within(method, self.shared.link.request_timeout, once).await
    }

    /// Sends a request that is answered twice, such as `agent`, and waits for the first answer.
    ///
    /// # Errors
    ///
    /// As [`Client::request`].
    pub async fn request_two_stage<P: Serialize + ?Sized>(
        &self,
        method: &str,
        params: &P,
    ) -> Result<TwoStage, Error> {
        let limit = self.shared.link.request_timeout;
        let first = async {
            let mut call = self.call(method, params, true).await?;
            let answer = call.next().await?;
            let first: Value = decode(method, &answer)?;
            Ok((call, first, answer))
        };
        let (call, first, answer) = within(method, limit, first).await?;
        let accepted = first.get("status").and_then(Value::as_str) == Some("accepted");
        Ok(TwoStage {
            first,
            rest: if accepted {
                Rest::Coming(call)
            } else {
                Rest::Here(answer)
            },
            method: method.to_owned(),
        })
    }

    /// Sends a request that is answered twice and waits for the final answer; a method that answers
    /// once is fine too.
    ///
    /// # Errors
    ///
    /// As [`Client::request`]; [`Error::Timeout`] when the final answer takes longer than `limit`.
    pub async fn request_final<P: Serialize + ?Sized>(
        &self,
        method: &str,
        params: &P,
        limit: Duration,
    ) -> Result<Value, Error> {
        let stages = async { self.request_two_stage(method, params).await?.finish().await };
        within(method, limit, stages).await
    }

    /// Closes the connection and waits until the gateway has seen it, at most 2 s.
    pub async fn close(&self) {
        let frame = CloseFrame {
            code: 1000.into(),
            reason: "".into(),
        };
        let goodbye = async {
            // Fails only when the writer is gone: then the connection has ended already.
            self.shared
                .link
                .outgoing
                .send(Message::Close(Some(frame)))
                .await
                .ok();
            self.closed().await
        };
        timeout(CLOSE_LIMIT, goodbye).await.ok();
    }

    /// Waits until the connection has ended and says why.
    pub async fn closed(&self) -> CloseReason {
        let mut closed = self.shared.link.closed.clone();
        match closed.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_else(lost),
            Err(_) => lost(),
        }
    }

    /// Why the connection ended; `None` while it is open.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.shared.link.closed.borrow().clone()
    }

    async fn call<P: Serialize + ?Sized>(
        &self,
        method: &str,
        params: &P,
        two_stage: bool,
    ) -> Result<Call, Error> {
        let link = &self.shared.link;
        let place = Arc::clone(&self.shared.places)
            .acquire_owned()
            .await
            .map_err(|_| Error::Closed(lost()))?;
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        let frame = RequestFrame {
            kind: "req",
            id: id.to_string(),
            method,
            params,
        };
        let text = serde_json::to_string(&frame)
            .map_err(|error| Error::Protocol(format!("{method}: {error}")))?;
        if text.len() as u64 > link.max_frame {
            return Err(Error::Protocol(format!(
                "{method}: a request of {} bytes is larger than the {} bytes that the gateway takes",
                text.len(),
                link.max_frame
            )));
        }
        let Some(answers) = link.pending.register(id, two_stage) else {
            return Err(Error::Closed(self.closed().await));
        };
        let call = Call {
            answers,
            id,
            client: self.clone(),
            _place: place,
        };
        if link.outgoing.send(Message::text(text)).await.is_err() {
            return Err(Error::Closed(self.closed().await));
        }
        Ok(call)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Client")
            .field("closed", &self.close_reason())
            .finish_non_exhaustive()
    }
}

/// A request that is on its way; dropping it forgets the answer.
struct Call {
    answers: mpsc::Receiver<Reply>,
    id: u64,
    client: Client,
    _place: OwnedSemaphorePermit,
}

impl Call {
    async fn next(&mut self) -> Result<Box<RawValue>, Error> {
        match self.answers.recv().await {
            Some(reply) => reply.map_err(Error::Gateway),
            None => Err(Error::Closed(self.client.closed().await)),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.client.shared.link.pending.forget(self.id);
    }
}

/// A request whose first answer is here.
pub struct TwoStage {
    first: Value,
    rest: Rest,
    method: String,
}

/// The final answer of a request that may be answered twice.
enum Rest {
    /// It is on its way.
    Coming(Call),
    /// The first answer was it.
    Here(Box<RawValue>),
}

impl TwoStage {
    /// The first answer: `accepted`, or already the final one.
    pub fn first(&self) -> &Value {
        &self.first
    }

    /// Waits for the final answer, without a limit of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Gateway`] for a run that failed, [`Error::Closed`] when the connection ended first.
    pub async fn finish(self) -> Result<Value, Error> {
        let method = self.method.clone();
        decode(&method, &self.finish_raw().await?)
    }

    /// Waits for the final answer and gives it as the gateway wrote it; see [`TwoStage::finish`].
    ///
    /// # Errors
    ///
    /// As [`TwoStage::finish`].
    pub async fn finish_raw(self) -> Result<Box<RawValue>, Error> {
        match self.rest {
            Rest::Coming(mut call) => call.next().await,
            Rest::Here(answer) => Ok(answer),
        }
    }
}

impl fmt::Debug for TwoStage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("TwoStage")
            .field("first", &self.first)
            .finish_non_exhaustive()
    }
}

fn decode<T: DeserializeOwned>(method: &str, answer: &RawValue) -> Result<T, Error> {
    serde_json::from_str(answer.get()).map_err(|error| {
        Error::Protocol(format!("{method}: the answer is not understood: {error}"))
    })
}

async fn within<T>(
    what: &str,
    after: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(after, work).await.unwrap_or_else(|_| {
        Err(Error::Timeout {
            what: what.to_owned(),
            after,
        })
    })
}

fn lost() -> CloseReason {
    CloseReason {
        code: None,
        reason: "the connection was lost".into(),
    }
}
