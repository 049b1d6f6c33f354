//! The protocol of developer tools over a pair of pipes: requests with numbers, answers, events.
//!
//! Pipes rather than the port with a WebSocket: nobody else on this machine can steer the browser.
//! Each message is JSON with a zero byte behind it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longest message that is read, bytes: a picture of a large screen.
const MAX_MESSAGE: u64 = 64 << 20;
/// How long the browser may take to answer.
const LIMIT: Duration = Duration::from_secs(20);

/// Why the browser did not do it.
#[derive(Debug, thiserror::Error)]
pub(super) enum CdpError {
    /// It ended.
    #[error("the browser ended")]
    Ended,
    /// It does not answer.
    #[error("the browser did not answer {0} in time")]
    Silent(String),
    /// It said no.
    #[error("{0}")]
    Refused(String),
}

/// Something that happened in the browser.
#[derive(Debug)]
pub(super) struct CdpEvent {
    pub(super) method: String,
    pub(super) params: Value,
}

/// Requests that wait for their answers, by number; `None` when the browser ended.
type Places = Option<BTreeMap<u64, oneshot::Sender<Result<Value, String>>>>;
type Waiting = Mutex<Places>;

/// A browser that is steered.
pub(super) struct Cdp {
    input: AsyncMutex<Box<dyn AsyncWrite + Send + Unpin>>,
    waiting: Arc<Waiting>,
    next: AtomicU64,
    reading: JoinHandle<()>,
}

#[derive(Deserialize)]
struct Message {
    id: Option<u64>,
    result: Option<Value>,
    error: Option<Refusal>,
    method: Option<String>,
    #[serde(default)]
    params: Value,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Cdp {
    /// Steers the browser behind these pipes. The taker of its events must not wait for an answer: it would
    /// wait for what it keeps from being read.
    pub(super) fn new(
        output: impl AsyncRead + Send + Unpin + 'static,
        input: impl AsyncWrite + Send + Unpin + 'static,
        events: mpsc::Sender<CdpEvent>,
    ) -> Self {
        let waiting: Arc<Waiting> = Arc::new(Mutex::new(Some(BTreeMap::new())));
        let reading = tokio::spawn(read(output, Arc::clone(&waiting), events));
        Self {
            input: AsyncMutex::new(Box::new(input)),
            waiting,
            next: AtomicU64::new(1),
            reading,
        }
    }

    /// Whether it ended.
    pub(super) fn ended(&self) -> bool {
        lock(&self.waiting).is_none()
    }

    /// Asks for something, of the browser or of one of its pages.
    pub(super) async fn call(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<Value, CdpError> {
        self.call_within(session, method, params, LIMIT).await
    }

    /// The same, with another limit.
    pub(super) async fn call_within(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
        limit: Duration,
    ) -> Result<Value, CdpError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut request = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            request["sessionId"] = json!(session);
        }
        let mut bytes = request.to_string().into_bytes();
        bytes.push(0);
        let (tell, told) = oneshot::channel();
        let place = lock(&self.waiting).as_mut().map(|all| all.insert(id, tell));
        if place.is_none() {
            return Err(CdpError::Ended);
        }
        let work = async {
            let mut input = self.input.lock().await;
            input.write_all(&bytes).await.map_err(|_| CdpError::Ended)?;
            input.flush().await.map_err(|_| CdpError::Ended)?;
            drop(input);
            match told.await {
                Ok(answer) => answer.map_err(CdpError::Refused),
                Err(_) => Err(CdpError::Ended),
            }
        };
        let answer = timeout(limit, work).await;
        if let Some(all) = lock(&self.waiting).as_mut() {
            all.remove(&id);
        }
        answer.unwrap_or_else(|_| Err(CdpError::Silent(method.to_owned())))
    }
}

impl Drop for Cdp {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// A panic while the lock was held cannot leave the map half changed.
fn lock(waiting: &Waiting) -> std::sync::MutexGuard<'_, Places> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read(
    output: impl AsyncRead + Unpin,
    waiting: Arc<Waiting>,
    events: mpsc::Sender<CdpEvent>,
) {
    let mut reader = BufReader::new(output);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let read = (&mut reader)
            .take(MAX_MESSAGE)
            .read_until(0, &mut bytes)
            .await;
        if !matches!(read, Ok(1..)) || bytes.pop() != Some(0) {
            break;
        }
        let Ok(message) = serde_json::from_slice::<Message>(&bytes) else {
            tracing::debug!("the browser wrote something else than the protocol");
            continue;
        };
        match (message.id, message.method) {
            (Some(id), _) => {
                let told = lock(&waiting).as_mut().and_then(|all| all.remove(&id));
                let answer = match message.error {
                    Some(error) => Err(error.message),
                    None => Ok(message.result.unwrap_or_default()),
                };
                // Who no longer waits needs no answer.
                told.map(|told| told.send(answer).ok());
            }
            (None, Some(method)) => {
                let params = message.params;
                if events.send(CdpEvent { method, params }).await.is_err() {
                    break;
                }
            }
            (None, None) => {}
        }
    }
    lock(&waiting).take();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_find_their_requests_and_the_end_is_told() {
        let (near, far) = tokio::io::duplex(1024);
        let (near_read, near_write) = tokio::io::split(near);
        let (far_read, mut far_write) = tokio::io::split(far);
        let (sender, mut events) = mpsc::channel(4);
        let cdp = Cdp::new(near_read, near_write, sender);
        let browser = async {
            let mut reader = BufReader::new(far_read);
            let mut asked = Vec::new();
            for _ in 0..2 {
                let mut bytes = Vec::new();
                reader.read_until(0, &mut bytes).await.unwrap();
                bytes.pop();
                asked.push(serde_json::from_slice::<Value>(&bytes).unwrap());
            }
            let write = [
                json!({ "method": "Page.loadEventFired", "params": { "timestamp": 1 } }),
                json!({ "id": asked[1]["id"], "error": { "code": -1, "message": "no" } }),
                json!({ "id": asked[0]["id"], "result": { "a": 1 } }),
            ];
            for message in write {
                far_write
                    .write_all(message.to_string().as_bytes())
                    .await
                    .unwrap();
                far_write.write_all(&[0]).await.unwrap();
            }
            (reader, far_write, asked)
        };
        let (first, second, pipes) = tokio::join!(
            cdp.call(None, "Target.getTargets", json!({})),
            cdp.call(Some("s"), "Page.enable", json!({})),
            browser
        );
        assert_eq!(first.unwrap(), json!({ "a": 1 }));
        assert!(matches!(second, Err(CdpError::Refused(why)) if why == "no"));
        assert_eq!(pipes.2[1]["sessionId"], "s");
        assert_eq!(events.recv().await.unwrap().method, "Page.loadEventFired");
        drop(pipes);
        assert!(events.recv().await.is_none());
        assert!(cdp.ended());
        assert!(matches!(
            cdp.call(None, "x", json!({})).await,
            Err(CdpError::Ended)
        ));
    }
}
