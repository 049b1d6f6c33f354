//! `sessions_send`: tells another conversation of the calling agent something, and gives back its
//! answer.
//!
//! What is sent runs there with no more than the caller's right to read and write, so that a text that
//! an agent read somewhere gains nothing by the detour; where it came from a chat, the run may write to
//! other chats no more than one there. **Invariant:** a conversation never waits for
//! itself: each run knows the conversations whose calls led to it, and neither they nor more than
//! [`MAX_HOPS`] in a row are sent to.

use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol::methods::agent::{Agent, AgentParams};
use openclaw_protocol::{Scope, Scopes, validate};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Descriptor, Group, Risk, Running, Tool, ToolContext, ToolError, ToolOutput, arguments,
};
use crate::session::line::Line;
use crate::sessions::ask::{Find, ListOf};
use crate::sessions::keys;
use crate::sessions::record::Record;

/// Conversations that may lead to one another in a row.
const MAX_HOPS: usize = 3;
/// Longest wait for an answer, and the usual one, seconds.
const WAIT: (u64, u64) = (300, 60);
/// Conversations among which one is looked for by its label.
const LABELLED: usize = 1_000;

/// The tool.
pub(super) struct SessionsSend;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    #[serde(alias = "session_key", alias = "key")]
    session_key: Option<String>,
    label: Option<String>,
    message: String,
    #[serde(alias = "timeout_seconds", alias = "timeout")]
    timeout_seconds: Option<u64>,
}

impl Tool for SessionsSend {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: "sessions_send".into(),
            label: "Send to a session",
            description: "Sends a message into another of this agent's conversations, and waits for what is answered there. The conversation is named by `sessionKey` as sessions_list gives it, or by its `label`. With `timeoutSeconds` 0 nothing is waited for.".into(),
            group: Group::Sessions,
            parameters: json!({
                "type": "object",
                "properties": {
                    "sessionKey": {"type": "string"},
                    "label": {"type": "string"},
                    "message": {"type": "string"},
                    "timeoutSeconds": {"type": "integer", "minimum": 0, "maximum": WAIT.0},
                },
                "required": ["message"],
                "additionalProperties": false,
            }),
            risk: Risk::Change,
            limit: Duration::from_secs(WAIT.0 + 30),
        }
    }

    fn run<'a>(&'a self, cx: &'a ToolContext<'a>, given: Value) -> Running<'a> {
        Box::pin(async move {
            let asked: Arguments = arguments(given)?;
            let target = find(cx, &asked).await?.key;
            let chain = chain(cx, &target)?;
            let wait = asked.timeout_seconds.unwrap_or(WAIT.1).min(WAIT.0);
            let run_id = cx.deps.nodes.entropy.uuid().to_string();
            let params = params(cx, &target, &asked.message, &run_id)?;
            let gateway = cx.deps.gateway.clone();
            let mut line = Line::of_agent(&cx.agent.id, rights(cx), gateway)
                .behind(chain, cx.origin.chat.clone());
            line.route::<Agent>(params);
            let told = |status: &str, reply: Option<&str>| {
                let result = json!({
                    "runId": run_id, "sessionKey": target, "status": status, "reply": reply,
                });
                ToolOutput::text(result.to_string()).with(result)
            };
            // The first answer says that it is stored there.
            line.next()
                .await
                .map_err(|error| ToolError::new(error.message))?;
            if wait == 0 {
                return Ok(told("accepted", None));
            }
            match tokio::time::timeout(Duration::from_secs(wait), line.next()).await {
                Err(_) => Ok(told("timeout", None)),
                Ok(Err(error)) => Err(ToolError::new(format!(
                    "the message was sent, and answering it failed there: {}",
                    error.message
                ))),
                Ok(Ok(end)) => {
                    let payloads = end["result"]["payloads"].as_array();
                    let texts = payloads.into_iter().flatten();
                    let texts: Vec<&str> = texts.filter_map(|one| one["text"].as_str()).collect();
                    let status = end["status"].as_str().unwrap_or("ok");
                    Ok(told(status, Some(&texts.join("\n"))))
                }
            }
        })
    }
}

/// The conversation that is meant; only those of the calling agent are found.
async fn find(cx: &ToolContext<'_>, asked: &Arguments) -> Result<Record, ToolError> {
    let restarting = |_| ToolError::new("the session index is restarting; try again");
    let own = |record: &Record| record.agent_id == cx.agent.id;
    let (name, found) = match (&asked.session_key, &asked.label) {
        (Some(key), None) => {
            let canonical = keys::canonical(key, Some(&cx.agent.id), cx.settings)
                .map_err(|error| ToolError::new(error.to_string()))?
                .canonical;
            let found = cx.deps.sessions.send(Find(canonical)).await;
            (key, found.map_err(restarting)?.filter(own))
        }
        (None, Some(label)) => {
            let list = ListOf {
                agent: cx.agent.id.clone(),
                most: LABELLED,
            };
            let all = cx.deps.sessions.send(list).await.map_err(restarting)?;
            let named = |record: &Record| record.label.as_ref() == Some(label);
            (label, all.into_iter().find(named))
        }
        _ => {
            return Err(ToolError::new(
                "name one conversation: sessionKey, or label",
            ));
        }
    };
    found.ok_or_else(|| {
        ToolError::new(format!(
            "this agent has no conversation \"{name}\"; sessions_list lists them"
        ))
    })
}

/// The conversations that led to a run in `target`.
fn chain(cx: &ToolContext<'_>, target: &str) -> Result<Vec<Arc<str>>, ToolError> {
    if *cx.session == *target {
        return Err(ToolError::new(
            "that is this conversation; say it in your answer",
        ));
    }
    let mut chain = cx.origin.chain.clone();
    if chain.iter().any(|earlier| **earlier == *target) {
        return Err(ToolError::new(
            "that conversation waits for this one; your answer here is what it gets",
        ));
    }
    if chain.len() + 1 >= MAX_HOPS {
        return Err(ToolError::new(format!(
            "{} conversations led to this one already, which is the limit; answer with what you have",
            chain.len()
        )));
    }
    chain.push(cx.session.into());
    Ok(chain)
}

/// What the run there may do: no more than whoever began this one, and nothing that lasts.
fn rights(cx: &ToolContext<'_>) -> Scopes {
    let may = [Scope::Read, Scope::Write]
        .into_iter()
        .filter(|scope| cx.origin.scopes.grants(*scope));
    Scopes::of(&may.collect::<Vec<_>>())
}

fn params(
    cx: &ToolContext<'_>,
    target: &str,
    message: &str,
    run_id: &str,
) -> Result<AgentParams, ToolError> {
    let from = cx.session;
    if message.trim().is_empty() {
        return Err(ToolError::new("there is nothing to send: message is empty"));
    }
    let params = json!({
        // Whoever reads the conversation later sees where it comes from; and it is no command.
        "message": format!("[From the conversation {from}]\n{message}"),
        "idempotencyKey": run_id,
        "sessionKey": target,
        "agentId": cx.agent.id,
        "deliver": false,
        "extraSystemPrompt": format!(
            "The newest message was written by this agent in its conversation {from}, not by a person. Your answer goes back there; nobody reads it here."
        ),
    });
    validate::params("agent", &params).map_err(ToolError::new)?;
    serde_json::from_value(params).map_err(|error| ToolError::new(error.to_string()))
}
