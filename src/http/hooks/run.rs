//! Doing what a webhook asks: the same methods, and so the same runs, as any client's.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use openclaw_actors::session::inner::{Entrant, InnerConnection};
use openclaw_actors::session::socket::Worker;
use openclaw_protocol::{ErrorCode, ErrorShape};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::super::HttpState;
use super::plan::{Ask, Run};

/// Longest wait until everything of a request is stored.
const ADMISSION: Duration = Duration::from_secs(15);
/// Longest wait for an answer that is sent somewhere.
const LONGEST: Duration = Duration::from_hours(25);
/// How long one question for the end of a run waits.
const PATIENCE_MS: u64 = 600_000;
/// Requests at one time whose answers are sent somewhere.
const MAX_WATCHED: usize = 32;
static WATCHED: Semaphore = Semaphore::const_new(MAX_WATCHED);

/// Does it, and says what came of it.
pub(super) async fn dispatch(
    state: &HttpState,
    worker: &Worker,
    entrant: Entrant,
    asks: Vec<Ask>,
) -> HttpResponse {
    if asks.is_empty() {
        return HttpResponse::NoContent().finish();
    }
    let delivers = |ask: &Ask| matches!(ask, Ask::Run(run) if run.deliver.is_some());
    let place = match WATCHED.try_acquire() {
        Ok(place) => Some(place),
        Err(_) if asks.iter().any(delivers) => {
            let busy =
                format!("{MAX_WATCHED} webhooks wait for answers to send already; try again");
            return failed(&ErrorShape::unavailable(busy).retry_after(5_000));
        }
        Err(_) => None,
    };
    let connection = InnerConnection::open(&state.sessions, worker, entrant).await;
    let mut desk = match connection {
        Ok(connection) => Desk { connection },
        Err(error) => return failed(&error),
    };
    let mut admitted = Admitted::default();
    let all = async {
        for ask in asks {
            match ask {
                Ask::Wake(params) => desk.wake(&params).await.map(|()| {
                    admitted.mode = Some(params["mode"].clone());
                })?,
                Ask::Run(run) => {
                    let begun = desk.start(&run).await?;
                    admitted.runs.push((*run, begun));
                }
            }
        }
        Ok(())
    };
    let outcome = tokio::time::timeout(ADMISSION, all)
        .await
        .unwrap_or_else(|_| {
            Err(ErrorShape::unavailable(
                "the gateway did not take it within 15 seconds; try again",
            ))
        });
    let response = admitted.response(outcome);
    if let Some(place) = place {
        desk.deliver_later(admitted.runs, place);
    }
    response
}

/// What was stored.
#[derive(Default)]
struct Admitted {
    /// The runs, each with where its end is to be had.
    runs: Vec<(Run, Begun)>,
    /// When an agent hears what it was woken with.
    mode: Option<Value>,
}

impl Admitted {
    fn response(&self, outcome: Result<(), ErrorShape>) -> HttpResponse {
        let ids: Vec<&str> = self.runs.iter().map(|(run, _)| &*run.id).collect();
        match outcome {
            Err(error) if ids.is_empty() => failed(&error),
            Err(error) => HttpResponse::build(status(&error)).json(json!({
                "ok": false, "error": error.message, "runIds": ids,
            })),
            Ok(()) => {
                let mut body = json!({ "ok": true });
                if let Some(mode) = &self.mode {
                    body["mode"] = mode.clone();
                    body["eventOutcome"] = "queued".into();
                }
                if let Some(first) = ids.first() {
                    body["runId"] = (*first).into();
                }
                if ids.len() > 1 {
                    body["dispatched"] = ids.len().into();
                    body["runIds"] = json!(ids);
                }
                HttpResponse::Ok().json(body)
            }
        }
    }
}

/// What came of asking for a run.
enum Begun {
    /// It is stored; its end is told as the second answer to this request.
    Here(String),
    /// An earlier request began it, and it is under way.
    Elsewhere,
    /// An earlier request began it, and it is over; the answer that was kept.
    Over(Value),
}

/// What is waited for until the answer of a run is sent. Each names a request.
enum Step {
    /// The end of a run that was begun here.
    End(String),
    /// The end of one that was begun elsewhere, which is asked for then.
    Wait(String),
    /// What was kept of that.
    Ask(String),
    /// Whether the answer was taken.
    Send(String),
}

impl Step {
    fn request(&self) -> &str {
        let (Self::End(id) | Self::Wait(id) | Self::Ask(id) | Self::Send(id)) = self;
        id
    }
}

/// A connection for one request.
struct Desk {
    connection: InnerConnection,
}

impl Desk {
    async fn wake(&mut self, params: &Value) -> Result<(), ErrorShape> {
        let request = self.connection.request("wake", params);
        let frame = self.answer(&request).await?;
        if frame["ok"] == true {
            Ok(())
        } else {
            Err(error_of(&frame))
        }
    }

    /// Waits until a run is stored.
    async fn start(&mut self, run: &Run) -> Result<Begun, ErrorShape> {
        let request = self.connection.request("agent", &run.params);
        let frame = self.answer(&request).await?;
        let payload = &frame["payload"];
        if payload["status"] == "accepted" {
            return Ok(Begun::Here(request));
        }
        // The same request again: its run is under way, or over, whatever it came to. Whether anybody
        // waits for its answer is not known: the earlier request may have been cut off.
        if payload["status"] == "in_flight" {
            return Ok(Begun::Elsewhere);
        }
        if payload["runId"] == *run.id {
            return Ok(Begun::Over(frame));
        }
        Err(error_of(&frame))
    }

    async fn answer(&mut self, request: &str) -> Result<Value, ErrorShape> {
        loop {
            let frame = self.connection.next().await;
            let frame = frame.ok_or_else(|| {
                ErrorShape::unavailable("the gateway ended the request; try again")
            })?;
            if frame["type"] == "res" && frame["id"] == *request {
                return Ok(frame);
            }
        }
    }

    /// Sends the answers where they are to go, once they are there. Each is sent under a key of its run:
    /// one that was sent before is not sent again.
    fn deliver_later(mut self, runs: Vec<(Run, Begun)>, place: SemaphorePermit<'static>) {
        let mut waiting: Vec<(Run, Step)> = Vec::new();
        for (run, begun) in runs {
            if run.deliver.is_none() {
                continue;
            }
            let step = match begun {
                Begun::Here(request) => Some(Step::End(request)),
                Begun::Elsewhere => Some(self.wait(&run)),
                Begun::Over(frame) => self.deliver(&run, &frame),
            };
            waiting.extend(step.map(|step| (run, step)));
        }
        if waiting.is_empty() {
            return;
        }
        actix_web::rt::spawn(async move {
            let _place = place;
            let all = async {
                while !waiting.is_empty() {
                    let Some(frame) = self.connection.next().await else {
                        tracing::warn!(
                            "the answers of a webhook are not sent: the gateway ended its connection"
                        );
                        return;
                    };
                    let answered = waiting.iter().position(|(_, step)| {
                        frame["type"] == "res" && frame["id"] == *step.request()
                    });
                    if let Some(at) = answered {
                        let (run, step) = waiting.swap_remove(at);
                        let next = self.next(&run, &step, &frame);
                        waiting.extend(next.map(|next| (run, next)));
                    }
                }
            };
            if tokio::time::timeout(LONGEST, all).await.is_err() {
                tracing::warn!("the answers of a webhook did not come; they are not sent");
            }
        });
    }

    /// What follows the answer to a step.
    fn next(&mut self, run: &Run, step: &Step, frame: &Value) -> Option<Step> {
        match step {
            Step::End(_) => self.deliver(run, frame),
            Step::Wait(_) => Some(Step::Ask(self.connection.request("agent", &run.params))),
            Step::Ask(_) => match frame["payload"]["status"].as_str() {
                Some("in_flight") => Some(self.wait(run)),
                // It was refused before anything of it was stored.
                Some("accepted") => Some(Step::End(step.request().to_owned())),
                _ => self.deliver(run, frame),
            },
            Step::Send(_) => {
                told(run, frame);
                None
            }
        }
    }

    fn wait(&mut self, run: &Run) -> Step {
        let params = json!({ "runId": run.id, "timeoutMs": PATIENCE_MS });
        Step::Wait(self.connection.request("agent.wait", &params))
    }

    fn deliver(&mut self, run: &Run, frame: &Value) -> Option<Step> {
        let payloads = frame["payload"]["result"]["payloads"].as_array();
        let texts = payloads.into_iter().flatten();
        let texts: Vec<&str> = texts.filter_map(|one| one["text"].as_str()).collect();
        let text = texts.join("\n\n");
        if text.trim().is_empty() {
            tracing::info!(run = %run.id, "a webhook's run has no answer to send");
            return None;
        }
        let mut params = run.deliver.clone().unwrap_or_default();
        params["message"] = text.into();
        params["idempotencyKey"] = format!("{}:answer", run.id).into();
        Some(Step::Send(self.connection.request("send", &params)))
    }
}

/// What came of sending an answer. What the channel took stands in its outbox; a refusal is nowhere else.
fn told(run: &Run, frame: &Value) {
    if frame["ok"] != true {
        let error = error_of(frame);
        tracing::warn!(run = %run.id, error = %error.message, "the answer of a webhook was not sent, or not yet");
    }
}

fn failed(error: &ErrorShape) -> HttpResponse {
    let mut response = HttpResponse::build(status(error));
    if let Some(wait) = error.retry_after_ms {
        response.insert_header(("Retry-After", wait.div_ceil(1_000)));
    }
    response.json(json!({ "ok": false, "error": error.message }))
}

fn status(error: &ErrorShape) -> StatusCode {
    let details = error.details.as_ref();
    let conflicts = details.is_some_and(|details| details["reason"] == "chat-request-conflict");
    match error.code {
        _ if conflicts => StatusCode::CONFLICT,
        ErrorCode::InvalidRequest => StatusCode::BAD_REQUEST,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn error_of(frame: &Value) -> ErrorShape {
    serde_json::from_value(frame["error"].clone())
        .unwrap_or_else(|_| ErrorShape::unavailable("it was not taken; try again"))
}
