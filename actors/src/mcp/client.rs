//! One conversation with a server: requests, their answers, and its end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::message::{self, Incoming, Listed};
use super::pipe::Program;
use super::web::Address;
use super::{McpError, Reach, ServerSettings};

/// Most tools of one server.
const MAX_TOOLS: usize = 256;
/// Most pages of its list.
const MAX_PAGES: usize = 16;

type Answers = Mutex<Option<HashMap<u64, oneshot::Sender<Result<Value, McpError>>>>>;

/// A conversation. It ends when it is dropped.
pub(super) struct Client {
    wire: Wire,
    next: AtomicU64,
    over: Arc<AtomicBool>,
}

enum Wire {
    Program(Program, Arc<Answers>),
    Address(Address),
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Wire::Address(address) = &self.wire {
            address.leave();
        }
    }
}

impl Client {
    /// Reaches a server and introduces itself.
    pub(super) async fn open(
        settings: &ServerSettings,
        http: &Result<reqwest::Client, String>,
    ) -> Result<Self, McpError> {
        let over = Arc::new(AtomicBool::new(false));
        let wire = match &settings.reach {
            Reach::Unusable(why) => return Err(McpError::new(why.clone())),
            Reach::Address { url, headers } => {
                let http = http.clone().map_err(McpError::new)?;
                Wire::Address(Address::new(http, url, headers)?)
            }
            Reach::Program {
                command,
                args,
                env,
                cwd,
            } => program(command, args, env, cwd.as_deref(), &over)?,
        };
        let client = Self {
            wire,
            next: AtomicU64::new(1),
            over,
        };
        client
            .ask("initialize", &message::introduction(), settings.connect)
            .await?;
        let ready = message::notice("notifications/initialized", &json!({}));
        client.tell(&ready).await?;
        Ok(client)
    }

    /// Whether it has come to an end.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// The server's tools.
    pub(super) async fn tools(&self, limit: Duration) -> Result<Vec<Listed>, McpError> {
        let mut listed = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let params = cursor.map_or_else(|| json!({}), |cursor| json!({"cursor": cursor}));
            let page = self.ask("tools/list", &params, limit).await?;
            let (tools, next) = message::tools(&page);
            listed.extend(tools);
            cursor = next;
            if cursor.is_none() || listed.len() >= MAX_TOOLS {
                break;
            }
        }
        listed.truncate(MAX_TOOLS);
        Ok(listed)
    }

    /// Sends a request and waits for its answer. A request that nobody waits for any more is called
    /// off.
    pub(super) async fn ask(
        &self,
        method: &str,
        params: &Value,
        limit: Duration,
    ) -> Result<Value, McpError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let request = message::request(id, method, params);
        let late = || {
            let seconds = limit.as_secs().max(1);
            McpError::new(format!("no answer to {method} within {seconds} s"))
        };
        match &self.wire {
            Wire::Address(address) => {
                let asked = tokio::time::timeout(limit, address.ask(id, &request)).await;
                asked.map_err(|_| late())?.map_err(|(error, over)| {
                    if over {
                        self.over.store(true, Ordering::Release);
                    }
                    error
                })
            }
            Wire::Program(program, answers) => {
                let ended = || {
                    let said = program.complaint();
                    let said = if said.is_empty() {
                        String::new()
                    } else {
                        format!("; it said: {said}")
                    };
                    McpError::new(format!("the program ended{said}"))
                };
                let (tell, answer) = oneshot::channel();
                match &mut *answers.lock().unwrap_or_else(PoisonError::into_inner) {
                    Some(waiting) => waiting.insert(id, tell),
                    None => return Err(ended()),
                };
                let calling_off = CallOff {
                    id,
                    program,
                    answers,
                };
                program.send(&request)?;
                let answered = tokio::time::timeout(limit, answer).await;
                let answered = answered.map_err(|_| late())?;
                std::mem::forget(calling_off);
                answered.map_err(|_| ended())?
            }
        }
    }

    async fn tell(&self, message: &Value) -> Result<(), McpError> {
        match &self.wire {
            Wire::Program(program, _) => program.send(message),
            Wire::Address(address) => address.tell(message).await,
        }
    }

    #[cfg(test)]
    pub(super) fn program(&self) -> Option<rustix::process::Pid> {
        match &self.wire {
            Wire::Program(program, _) => program.group(),
            Wire::Address(_) => None,
        }
    }
}

/// Calls a request off when its caller goes away before the answer comes.
struct CallOff<'a> {
    id: u64,
    program: &'a Program,
    answers: &'a Answers,
}

impl Drop for CallOff<'_> {
    fn drop(&mut self) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answers) = &mut *answers {
            answers.remove(&self.id);
        }
        drop(answers);
        let off = message::notice("notifications/cancelled", &json!({"requestId": self.id}));
        // A program that does not read will not miss it.
        let _ = self.program.send(&off);
    }
}

fn program(
    command: &str,
    args: &[String],
    env: &std::collections::BTreeMap<String, String>,
    cwd: Option<&std::path::Path>,
    over: &Arc<AtomicBool>,
) -> Result<Wire, McpError> {
    let answers: Arc<Answers> = Arc::new(Mutex::new(Some(HashMap::new())));
    let (waiting, over) = (Arc::clone(&answers), Arc::clone(over));
    let (reply, mut replies) = tokio::sync::mpsc::channel::<Value>(16);
    let hear = move |message: Option<Value>| {
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match message.map(|message| message::read(&message)) {
            None => {
                over.store(true, Ordering::Release);
                // Whoever waits is told by the end of its channel.
                *waiting = None;
            }
            Some(Some(Incoming::Answer(id, result))) => {
                let asker = waiting.as_mut().and_then(|waiting| waiting.remove(&id));
                // Nobody may want it any more.
                let _ = asker.map(|asker| asker.send(result));
            }
            // A server that asks more than it reads goes without its answer.
            Some(Some(Incoming::Question(answer))) => drop(reply.try_send(answer)),
            Some(Some(Incoming::Note(_)) | None) => {}
        }
    };
    let program = Program::start(command, args, env, cwd, hear)?;
    let sender = program.sender();
    tokio::spawn(async move {
        while let Some(answer) = replies.recv().await {
            if sender.send(format!("{answer}\n")).await.is_err() {
                return;
            }
        }
    });
    Ok(Wire::Program(program, answers))
}
