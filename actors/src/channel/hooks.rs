//! Paths of the HTTP server at which platforms hand messages over. A transport opens one for as long as it
//! lives; requests wait for it, few at a time, and the platform keeps what it does not answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

/// Most requests that wait at one place; more are answered with 503.
const WAITING: usize = 32;

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Text.
    pub body: String,
}

impl Answer {
    /// An answer.
    pub fn of(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            body: body.into(),
        }
    }
}

/// A request.
#[derive(Debug)]
pub struct Request {
    /// Its headers, names in small letters.
    pub headers: BTreeMap<String, String>,
    /// Its content.
    pub body: Bytes,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Answer>,
}

type Open = BTreeMap<String, Vec<(u64, mpsc::Sender<Request>)>>;

/// The paths that are open.
#[derive(Debug, Default)]
pub struct Hooks {
    open: Mutex<(u64, Open)>,
}

impl Hooks {
    fn lock(&self) -> MutexGuard<'_, (u64, Open)> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a path until what is given back is dropped. Several may be open at one path: each request is
    /// shown to one after the other until one of them takes it.
    pub fn open(self: &Arc<Self>, path: &str) -> Hook {
        let (sender, requests) = mpsc::channel(WAITING);
        let mut open = self.lock();
        open.0 += 1;
        let id = open.0;
        open.1
            .entry(path.to_owned())
            .or_default()
            .push((id, sender));
        drop(open);
        Hook {
            requests,
            id,
            path: path.to_owned(),
            hooks: Arc::clone(self),
        }
    }

    /// Whether somebody takes requests at this path.
    pub fn is_open(&self, path: &str) -> bool {
        self.lock().1.contains_key(path)
    }

    /// Hands a request over, and waits for its answer.
    pub async fn hand_over(
        &self,
        path: &str,
        headers: &BTreeMap<String, String>,
        body: &Bytes,
    ) -> Answer {
        let takers: Vec<_> = {
            let open = self.lock();
            let at = open.1.get(path).into_iter().flatten();
            at.map(|(_, sender)| sender.clone()).collect()
        };
        let mut last = Answer::of(404, "nobody takes messages here");
        for taker in takers {
            let (answer, answered) = oneshot::channel();
            let request = Request {
                headers: headers.clone(),
                body: body.clone(),
                answer,
            };
            if taker.try_send(request).is_err() {
                last = Answer::of(503, "come again later");
                continue;
            }
            match answered.await {
                // Another account of the same app may know it.
                Ok(answer) if answer.status == 401 => last = answer,
                Ok(answer) => return answer,
                Err(_) => last = Answer::of(503, "come again later"),
            }
        }
        last
    }
}

/// An open path.
#[derive(Debug)]
pub struct Hook {
    requests: mpsc::Receiver<Request>,
    id: u64,
    path: String,
    hooks: Arc<Hooks>,
}

impl Hook {
    /// The next request.
    pub async fn next(&mut self) -> Option<Request> {
        self.requests.recv().await
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        let mut open = self.hooks.lock();
        if let Some(at) = open.1.get_mut(&self.path) {
            at.retain(|(id, _)| *id != self.id);
            if at.is_empty() {
                open.1.remove(&self.path);
            }
        }
    }
}
