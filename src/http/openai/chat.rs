//! `POST /v1/chat/completions`.

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use openclaw_actors::session::socket::Worker;
use serde_json::{Value, json};

use super::super::HttpState;
use super::prompt;
use super::run::{Done, Piece, Run};
use super::{begin, error_body, event_stream, sse, switched_off, whole};

pub(super) async fn complete(
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
    if let Some(off) = switched_off(state, |http| http.chat_completions) {
        return Err(off);
    }
    let said = |body: &Value| prompt::messages(&body["messages"]);
    let begun = begin(
        request,
        payload,
        state,
        worker,
        "/v1/chat/completions",
        said,
    )
    .await?;
    let answer = Answer {
        id: format!("chatcmpl_{}", state.sessions.entropy.uuid()),
        created: begun.created,
        model: begun.model,
        usage: begun.body["stream_options"]["include_usage"] == true,
    };
    if begun.body["stream"] == true {
        return Ok(streamed(begun.run, answer));
    }
    let done = whole(request, begun.run).await?;
    Ok(HttpResponse::Ok().json(answer.whole(&done)))
}

/// What all pieces of an answer say.
pub(super) struct Answer {
    pub(super) id: String,
    pub(super) created: u64,
    pub(super) model: String,
    /// Whether the stream ends with the tokens.
    pub(super) usage: bool,
}

impl Answer {
    pub(super) fn whole(&self, done: &Done) -> Value {
        json!({
            "id": self.id, "object": "chat.completion", "created": self.created, "model": self.model,
            "choices": [{
                "index": 0,
                "message": { "role": "assistant", "content": done.text },
                "finish_reason": reason(done),
            }],
            "usage": usage(done),
        })
    }

    pub(super) fn chunk(&self, delta: &Value, finish: Option<&str>) -> Value {
        json!({
            "id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model,
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }],
        })
    }

    fn end(&self, done: &Done) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        if !done.rest.is_empty() {
            pieces.push(sse(
                None,
                &self.chunk(&json!({ "content": done.rest }), None),
            ));
        }
        pieces.push(sse(None, &self.chunk(&json!({}), Some(reason(done)))));
        if self.usage {
            let mut last = self.chunk(&json!({}), None);
            last["choices"] = json!([]);
            last["usage"] = usage(done);
            pieces.push(sse(None, &last));
        }
        pieces
    }
}

const fn reason(done: &Done) -> &'static str {
    if done.cut { "length" } else { "stop" }
}

fn usage(done: &Done) -> Value {
    json!({
        "prompt_tokens": done.input, "completion_tokens": done.output,
        "total_tokens": done.input + done.output,
    })
}

fn streamed(run: Run, answer: Answer) -> HttpResponse {
    let first = sse(
        None,
        &answer.chunk(&json!({ "role": "assistant", "content": "" }), None),
    );
    let rest = stream::unfold((run, answer), |(mut run, answer)| async move {
        let write = |piece| match piece {
            Piece::Text(text) => sse(None, &answer.chunk(&json!({ "content": text }), None)),
            Piece::Done(done) => [answer.end(&done).concat(), b"data: [DONE]\n\n".to_vec()]
                .concat()
                .into(),
            Piece::Failed(error) => [
                sse(None, &json!({ "error": error_body(&error) })).to_vec(),
                b"data: [DONE]\n\n".to_vec(),
            ]
            .concat()
            .into(),
        };
        let bytes = run.written(write).await?;
        Some((Ok::<_, actix_web::Error>(bytes), (run, answer)))
    });
    let whole = futures_util::StreamExt::chain(stream::iter([Ok(first)]), rest);
    event_stream().streaming(Box::pin(whole))
}
