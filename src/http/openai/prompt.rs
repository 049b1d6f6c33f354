//! From a request in `OpenAI`'s form to a run: which agent, which session, what it is told. Pure.

use openclaw_actors::settings::Settings;
use serde_json::Value;

/// What a run is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prompt {
    pub(super) agent: String,
    pub(super) session: String,
    pub(super) message: String,
    pub(super) system: Option<String>,
}

/// What decides on agent and session beside the body.
#[derive(Debug, Clone, Default)]
pub(super) struct Hints {
    /// `x-openclaw-agent-id`.
    pub(super) agent: Option<String>,
    /// `x-openclaw-session-key`.
    pub(super) session: Option<String>,
    /// A new id, for a session that nobody names.
    pub(super) fresh: String,
}

/// One message of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) role: String,
    pub(super) text: String,
}

/// Builds the run of a conversation.
///
/// A session that is named (`user`, or the header) has its own history, so that only the newest
/// message is sent; without one the conversation of the request goes along as text.
///
/// # Errors
///
/// What is wrong with the request.
pub(super) fn build(
    body: &Value,
    said: &[Said],
    hints: &Hints,
    settings: &Settings,
) -> Result<Prompt, String> {
    let agent = agent(body, hints, settings)?;
    let is_system = |said: &&Said| matches!(&*said.role, "system" | "developer");
    let system: Vec<&str> = said
        .iter()
        .filter(is_system)
        .map(|said| &*said.text)
        .collect();
    let turns: Vec<&Said> = said.iter().filter(|said| !is_system(said)).collect();
    let newest = turns
        .iter()
        .rposition(|said| said.role == "user" && !said.text.trim().is_empty())
        .ok_or("Missing user message in `messages`.")?;
    let user = body["user"].as_str().filter(|user| !user.trim().is_empty());
    let named = hints
        .session
        .clone()
        .or_else(|| user.map(|user| format!("agent:{agent}:openai-user:{}", user.to_lowercase())));
    let mut message = turns[newest].text.clone();
    // What tools said after it belongs to it.
    for after in &turns[newest + 1..] {
        message.push_str("\n\n");
        message.push_str(&line(after));
    }
    if named.is_none() && newest > 0 {
        let before: Vec<String> = turns[..newest].iter().map(|said| line(said)).collect();
        message = format!(
            "The conversation so far:\n\n{}\n\nThe newest message, which is to be answered:\n\n{message}",
            before.join("\n\n")
        );
    }
    Ok(Prompt {
        session: named.unwrap_or_else(|| format!("agent:{agent}:openai:{}", hints.fresh)),
        agent,
        message,
        system: (!system.is_empty()).then(|| system.join("\n\n")),
    })
}

fn line(said: &Said) -> String {
    let who = match &*said.role {
        "user" => "User",
        "assistant" => "Assistant",
        "tool" | "function" | "function_call_output" => "Tool",
        other => other,
    };
    format!("{who}: {}", said.text)
}

fn agent(body: &Value, hints: &Hints, settings: &Settings) -> Result<String, String> {
    let model = body["model"].as_str().unwrap_or("openclaw").trim();
    let of_model = match model.split_once(['/', ':']) {
        None if model == "openclaw" => None,
        Some(("openclaw", "default" | "")) => None,
        Some(("openclaw" | "agent", id)) => Some(id.to_owned()),
        _ => {
            return Err(format!(
                "Invalid `model` \"{model}\". Use `openclaw` or `openclaw/<agentId>`; GET /v1/models lists them."
            ));
        }
    };
    let id = hints
        .agent
        .clone()
        .or(of_model)
        .unwrap_or_else(|| settings.default_agent.clone());
    if settings.agent(&id).is_none() {
        return Err(format!(
            "there is no agent \"{id}\"; GET /v1/models lists them"
        ));
    }
    Ok(id)
}

/// The messages of a chat request.
///
/// # Errors
///
/// A part that is no text.
pub(super) fn messages(list: &Value) -> Result<Vec<Said>, String> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter()
        .map(|message| {
            let mut text = content(&message["content"])?;
            for call in message["tool_calls"].as_array().into_iter().flatten() {
                let call = &call["function"];
                let name = call["name"].as_str().unwrap_or("a tool");
                let arguments = call["arguments"].as_str().unwrap_or("{}");
                text = format!("{text}\n[called {name} with {arguments}]");
            }
            Ok(Said {
                role: message["role"].as_str().unwrap_or("user").to_owned(),
                text,
            })
        })
        .collect()
}

/// The `input` and `instructions` of a request for a response.
///
/// # Errors
///
/// A part that is no text.
pub(super) fn input(body: &Value) -> Result<Vec<Said>, String> {
    let mut said = Vec::new();
    if let Some(instructions) = body["instructions"].as_str() {
        said.push(Said {
            role: "system".into(),
            text: instructions.to_owned(),
        });
    }
    match &body["input"] {
        Value::String(text) => said.push(Said {
            role: "user".into(),
            text: text.clone(),
        }),
        Value::Array(items) => {
            for item in items {
                let kind = item["type"].as_str().unwrap_or("message");
                let (role, text) = match kind {
                    "message" => (
                        item["role"].as_str().unwrap_or("user"),
                        content(&item["content"])?,
                    ),
                    "function_call_output" => (kind, content(&item["output"])?),
                    "reasoning" | "item_reference" | "function_call" => continue,
                    other => return Err(format!("input of type `{other}` is not supported")),
                };
                said.push(Said {
                    role: role.to_owned(),
                    text,
                });
            }
        }
        _ => return Err("`input` must be a text or a list of items.".into()),
    }
    Ok(said)
}

fn content(content: &Value) -> Result<String, String> {
    match content {
        Value::String(text) => Ok(text.clone()),
        Value::Null => Ok(String::new()),
        Value::Array(parts) => {
            let texts: Result<Vec<&str>, String> = parts
                .iter()
                .map(|part| match part["type"].as_str() {
                    Some("text" | "input_text" | "output_text" | "refusal") => Ok(part["text"]
                        .as_str()
                        .or(part["refusal"].as_str())
                        .unwrap_or_default()),
                    other => Err(format!(
                        "content of type `{}` is not supported yet; send text",
                        other.unwrap_or("unknown")
                    )),
                })
                .collect();
            Ok(texts?.join("\n"))
        }
        _ => Err("`content` must be a text or a list of parts.".into()),
    }
}
