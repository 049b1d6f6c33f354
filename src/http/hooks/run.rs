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
                    let ended = desk.start(&run).await?;
                    admitted.runs.push((*run, ended));
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
    /// The runs, each with the id of its request, unless it ended before.
    runs: Vec<(Run, Option<String>)>,
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

    /// Waits until a run is stored; the id of its request, where its end is told later.
    async fn start(&mut self, run: &Run) -> Result<Option<String>, ErrorShape> {
        let request = self.connection.request("agent", &run.params);
        let frame = self.answer(&request).await?;
        let payload = &frame["payload"];
        if payload["status"] == "accepted" {
            return Ok(Some(request));
        }
        // The same request again: its run is under way, or over, whatever it came to.
        if payload["runId"] == *run.id {
            return Ok(None);
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

    /// Sends the answers where they are to go, once they are there.
    fn deliver_later(mut self, runs: Vec<(Run, Option<String>)>, place: SemaphorePermit<'static>) {
        let mut waiting: Vec<(Run, String)> = runs
            .into_iter()
            .filter(|(run, _)| run.deliver.is_some())
            .filter_map(|(run, request)| Some((run, request?)))
            .collect();
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
                    let ended = waiting.iter().position(|(_, request)| {
                        frame["type"] == "res" && frame["id"] == **request
                    });
                    if let Some(at) = ended {
                        let (run, _) = waiting.swap_remove(at);
                        self.deliver(&run, &frame);
                    }
                }
            };
            if tokio::time::timeout(LONGEST, all).await.is_err() {
                tracing::warn!("the answers of a webhook did not come; they are not sent");
            }
        });
    }

    fn deliver(&mut self, run: &Run, frame: &Value) {
        let payloads = frame["payload"]["result"]["payloads"].as_array();
        let texts = payloads.into_iter().flatten();
        let texts: Vec<&str> = texts.filter_map(|one| one["text"].as_str()).collect();
        let text = texts.join("\n\n");
        if text.trim().is_empty() {
            tracing::info!(run = %run.id, "a webhook's run has no answer to send");
            return;
        }
        let mut params = run.deliver.clone().unwrap_or_default();
        params["message"] = text.into();
        params["idempotencyKey"] = format!("{}:answer", run.id).into();
        // Its outcome stands in the outbox of the channel, and in its log.
        self.connection.request("send", &params);
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
