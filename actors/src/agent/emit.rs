//! The two families of events that a run causes: `agent` and `chat`, for both generations.

use std::cell::Cell;
use std::sync::Arc;

use openclaw_protocol::Generation;
use openclaw_protocol::events::agent::AgentEvent as Data;
use openclaw_protocol::events::{AGENT, AgentEvent, AgentStream, CHAT, ChatEvent, ChatState};
use openclaw_protocol::methods::message::{Message, MessageRole};
use serde_json::{Map, Value, json};

use crate::clock::SharedClock;
use crate::event::{
    Audience, Class, EventBody, EventOut, Form, Plain, StreamKey, Written, write_open,
};
use crate::gateway::GatewayPort;

/// Emits the events of one run.
pub struct Emitter {
    gateway: GatewayPort,
    clock: SharedClock,
    run_id: Arc<str>,
    /// Names the run's streams inside this process: two clients may choose one run id.
    stream: Arc<str>,
    session_key: Arc<str>,
    agent_id: String,
    session_id: Arc<str>,
    seq: Cell<u64>,
}

impl Emitter {
    /// The emitter of a run.
    pub fn new(
        gateway: GatewayPort,
        clock: SharedClock,
        run_id: Arc<str>,
        serial: u64,
        session_key: Arc<str>,
        agent_id: String,
        session_id: Arc<str>,
    ) -> Self {
        let stream = serial.to_string().into();
        Self {
            gateway,
            clock,
            run_id,
            stream,
            session_key,
            agent_id,
            session_id,
            seq: Cell::new(0),
        }
    }

    /// Now, milliseconds since the epoch.
    pub fn now(&self) -> u64 {
        u64::try_from(self.clock.now().get()).unwrap_or_default()
    }

    /// A step of the run's life.
    pub fn lifecycle(&self, data: Map<String, Value>) {
        self.agent(AgentStream::Lifecycle, data, Class::Keep);
    }

    /// A piece of the answer, in both families.
    ///
    /// `first` says that it is the first of its answer, and whether another answer of the run was shown
    /// before: then it replaces that one.
    pub fn delta(&self, text: &str, delta: &str, first: Option<bool>) {
        let key = |stream| StreamKey {
            run: Arc::clone(&self.stream),
            stream,
            first: first.is_some(),
        };
        self.agent(
            AgentStream::Assistant,
            Data::assistant(text, delta),
            Class::Delta(key("agent")),
        );
        let message = Message::text(MessageRole::Assistant, text, self.now());
        let state = ChatState::Delta(openclaw_protocol::events::chat::ChatDelta {
            delta_text: delta.to_owned(),
            message,
            replace: (first == Some(true)).then_some(true),
            usage: None,
        });
        self.chat(state, Class::Delta(key("chat")));
    }

    /// The conversation is being shortened, or was.
    pub fn compaction(&self, data: Map<String, Value>) {
        self.agent(AgentStream::Compaction, data, Class::Keep);
    }

    /// A step of a tool, for those who can show tools.
    pub fn tool(&self, data: Map<String, Value>) {
        self.send(
            AgentStream::Tool,
            data,
            Class::Droppable,
            Audience::SessionTools(Arc::clone(&self.session_key)),
        );
    }

    /// The end of the run for conversations.
    pub fn end(&self, state: ChatState) {
        self.chat(state, Class::EndOfRun(Arc::clone(&self.stream)));
    }

    /// The end of the run of a message that joined this one.
    pub fn end_joined(&self, run_id: &Arc<str>, serial: u64, state: ChatState) {
        let own = Self {
            gateway: self.gateway.clone(),
            clock: Arc::clone(&self.clock),
            run_id: Arc::clone(run_id),
            stream: serial.to_string().into(),
            session_key: Arc::clone(&self.session_key),
            agent_id: self.agent_id.clone(),
            session_id: Arc::clone(&self.session_id),
            seq: Cell::new(1),
        };
        own.end(state);
    }

    /// Events of other owners that the run caused.
    pub fn pass_on(&self, events: Vec<EventOut>) {
        for event in events {
            self.gateway.emit(event);
        }
    }

    fn agent(&self, stream: AgentStream, data: Map<String, Value>, class: Class) {
        let audience = Audience::Session(Arc::clone(&self.session_key));
        self.send(stream, data, class, audience);
    }

    fn send(
        &self,
        stream: AgentStream,
        data: Map<String, Value>,
        class: Class,
        audience: Audience,
    ) {
        self.seq.set(self.seq.get() + 1);
        let body = AgentBody(AgentEvent {
            run_id: self.run_id.to_string(),
            seq: self.seq.get(),
            stream,
            ts: self.now(),
            data,
            session_key: Some(self.session_key.to_string()),
            agent_id: Some(self.agent_id.clone()),
            session_id: Some(self.session_id.to_string()),
            is_heartbeat: None,
            spawned_by: None,
        });
        self.gateway
            .emit(EventOut::new(AGENT, audience, body).class(class));
    }

    /// Chat payloads carry the number of the `agent` event that caused them.
    fn chat(&self, state: ChatState, class: Class) {
        let body = ChatBody(ChatEvent {
            run_id: self.run_id.to_string(),
            session_key: self.session_key.to_string(),
            seq: self.seq.get(),
            agent_id: Some(self.agent_id.clone()),
            spawned_by: None,
            state,
        });
        self.gateway.emit(
            EventOut::new(CHAT, Audience::Session(Arc::clone(&self.session_key)), body)
                .class(class),
        );
    }
}

#[derive(Debug)]
struct AgentBody(AgentEvent);

impl EventBody for AgentBody {
    fn write(&self, generation: Generation, form: Form, out: &mut Vec<u8>) -> Written {
        let event = &self.0;
        if generation == Generation::V3 {
            let old = json!({ "runId": event.run_id, "seq": event.seq, "stream": event.stream, "ts": event.ts, "data": event.data });
            return write_open(&old, out);
        }
        if form == Form::Normal {
            return Plain(event).write(generation, form, out);
        }
        let mut whole = event.clone();
        let text = whole.data.get("text").cloned().unwrap_or_default();
        whole.data.insert("delta".into(), text);
        whole.data.insert("replace".into(), Value::Bool(true));
        Plain(whole).write(generation, form, out)
    }
}

/// A chat event; public for the messages that no run produced.
#[derive(Debug)]
pub struct ChatBody(pub ChatEvent);

impl EventBody for ChatBody {
    fn write(&self, generation: Generation, form: Form, out: &mut Vec<u8>) -> Written {
        let event = &self.0;
        if generation == Generation::V3 {
            return match old_state(&event.state) {
                Some(Value::Object(mut old)) => {
                    old.insert("runId".into(), event.run_id.clone().into());
                    old.insert("seq".into(), event.seq.into());
                    write_open(&old, out)
                }
                _ => Written::Nothing,
            };
        }
        match (&event.state, form) {
            (ChatState::Delta(delta), Form::Replace) => {
                let mut whole = event.clone();
                let delta_text = delta.message.plain_text();
                whole.state = ChatState::Delta(openclaw_protocol::events::chat::ChatDelta {
                    delta_text,
                    replace: Some(true),
                    ..delta.clone()
                });
                Plain(whole).write(generation, form, out)
            }
            _ => Plain(event).write(generation, form, out),
        }
    }
}

/// A chat state with the keys that v3 clients know; `None` for what they do not know at all.
fn old_state(state: &ChatState) -> Option<Value> {
    let message = |message: &Message| json!({ "role": message.role, "content": message.content, "timestamp": message.timestamp });
    Some(match state {
        ChatState::Status(_) => return None,
        ChatState::Delta(delta) => json!({ "state": "delta", "message": message(&delta.message) }),
        ChatState::Final(end) => match &end.message {
            Some(last) => json!({ "state": "final", "message": message(last) }),
            None => json!({ "state": "final" }),
        },
        ChatState::Aborted(end) => {
            json!({ "state": "aborted", "stopReason": end.stop_reason.as_deref().unwrap_or("rpc") })
        }
        ChatState::Error(end) => {
            json!({ "state": "error", "errorMessage": end.error_message.as_deref().unwrap_or("the run failed") })
        }
    })
}
