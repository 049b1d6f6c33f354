//! `POST /v1/responses`.

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use openclaw_actors::session::socket::Worker;
use serde_json::{Value, json};

use super::super::HttpState;
use super::prompt;
use super::run::{Done, Piece, Run};
use super::{begin, error_body, event_stream, sse, switched_off, whole};

pub(super) async fn respond(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<HttpState>,
    worker: web::Data<Worker>,
) -> HttpResponse {
    match serve(&request, payload, &state, &worker).await {
        Ok(response) | Err(response) => response,
    }
}

async fn serve(
    request: &HttpRequest,
    payload: web::Payload,
    state: &HttpState,
    worker: &Worker,
) -> Result<HttpResponse, HttpResponse> {
    if let Some(off) = switched_off(state, |http| http.responses) {
        return Err(off);
    }
    let begun = begin(
        request,
        payload,
        state,
        worker,
        "/v1/responses",
        prompt::input,
    )
    .await?;
    let answer = Answer {
        id: format!("resp_{}", state.sessions.entropy.uuid()),
        item: format!("msg_{}", state.sessions.entropy.uuid()),
        created: begun.created,
        model: begun.model,
        number: 0,
    };
    if begun.body["stream"] == true {
        return Ok(streamed(begun.run, answer));
    }
    let done = whole(request, begun.run).await?;
    Ok(HttpResponse::Ok().json(answer.response("completed", Some(&done))))
}

/// What all pieces of an answer say.
pub(super) struct Answer {
    pub(super) id: String,
    pub(super) item: String,
    pub(super) created: u64,
    pub(super) model: String,
    /// Number of the next event.
    pub(super) number: u64,
}

impl Answer {
    pub(super) fn response(&self, status: &str, done: Option<&Done>) -> Value {
        let output: Vec<Value> = done
            .map(|done| self.item("completed", &[part(&done.text)]))
            .into_iter()
            .collect();
        let usage = done.map(|done| {
            json!({
                "input_tokens": done.input, "input_tokens_details": { "cached_tokens": 0 },
                "output_tokens": done.output, "output_tokens_details": { "reasoning_tokens": 0 },
                "total_tokens": done.input + done.output,
            })
        });
        json!({
            "id": self.id, "object": "response", "created_at": self.created, "status": status,
            "model": self.model, "output": output, "usage": usage, "error": null,
            "incomplete_details": null, "instructions": null, "metadata": {}, "parallel_tool_calls": true,
            "temperature": null, "top_p": null, "tool_choice": "auto", "tools": [],
        })
    }

    fn item(&self, status: &str, content: &[Value]) -> Value {
        json!({
            "id": self.item, "type": "message", "role": "assistant", "status": status, "content": content,
        })
    }

    /// One event with its number.
    fn event(&mut self, name: &str, mut data: Value) -> Bytes {
        data["type"] = name.into();
        data["sequence_number"] = self.number.into();
        self.number += 1;
        sse(Some(name), &data)
    }

    fn at(&self, mut data: Value) -> Value {
        data["item_id"] = self.item.as_str().into();
        data["output_index"] = 0.into();
        data["content_index"] = 0.into();
        data
    }

    fn begin(&mut self) -> Vec<u8> {
        let response = json!({ "response": self.response("in_progress", None) });
        let item = json!({ "output_index": 0, "item": self.item("in_progress", &[]) });
        let empty = self.at(json!({ "part": part("") }));
        [
            self.event("response.created", response.clone()),
            self.event("response.in_progress", response),
            self.event("response.output_item.added", item),
            self.event("response.content_part.added", empty),
        ]
        .concat()
    }

    fn delta(&mut self, text: &str) -> Bytes {
        let data = self.at(json!({ "delta": text, "logprobs": [] }));
        self.event("response.output_text.delta", data)
    }

    fn end(&mut self, done: &Done) -> Vec<u8> {
        let mut pieces = Vec::new();
        if !done.rest.is_empty() {
            pieces.push(self.delta(&done.rest));
        }
        let text = self.at(json!({ "text": done.text, "logprobs": [] }));
        let whole = self.at(json!({ "part": part(&done.text) }));
        let item =
            json!({ "output_index": 0, "item": self.item("completed", &[part(&done.text)]) });
        let response = json!({ "response": self.response("completed", Some(done)) });
        pieces.extend([
            self.event("response.output_text.done", text),
            self.event("response.content_part.done", whole),
            self.event("response.output_item.done", item),
            self.event("response.completed", response),
        ]);
        pieces.concat()
    }
}

fn part(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [] })
}

fn streamed(run: Run, mut answer: Answer) -> HttpResponse {
    let first = Bytes::from(answer.begin());
    let rest = stream::unfold((run, answer), |(mut run, mut answer)| async move {
        let write = |piece| match piece {
            Piece::Text(text) => answer.delta(&text),
            Piece::Done(done) => answer.end(&done).into(),
            Piece::Failed(error) => {
                let mut response = answer.response("failed", None);
                response["error"] =
                    json!({ "code": "server_error", "message": error_body(&error)["message"] });
                answer.event("response.failed", json!({ "response": response }))
            }
        };
        let bytes = run.written(write).await?;
        Some((Ok::<_, actix_web::Error>(bytes), (run, answer)))
    });
    let whole = stream::iter([Ok(first)]).chain(rest);
    event_stream().streaming(Box::pin(whole))
}
