//! What the gateway sends: responses, and events with their numbering.

use std::borrow::Cow;

use openclaw_protocol::connect::StateVersion;
use openclaw_protocol::{ErrorCode, ErrorShape};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// What an [`Events`](crate::Events) stream yields.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// An event of the gateway.
    Message(EventMessage),
    /// Events are missing before the next one: the gateway dropped them for a slow connection, or
    /// this program did not read fast enough. They are not sent again; ask for the state instead.
    Gap {
        /// How many.
        missed: u64,
    },
}

/// One event of the gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct EventMessage {
    /// Its name, such as `chat`.
    pub name: String,
    /// Its payload.
    pub payload: Value,
    /// Its number on this connection; targeted events have none.
    pub seq: Option<u64>,
    /// Versions of presence and health, on the events that carry them.
    pub state_version: Option<StateVersion>,
}

/// A frame of the gateway.
#[derive(Debug)]
pub(crate) enum Inbound {
    Response { id: String, reply: Reply },
    Event(EventMessage),
}

/// The answer to a request.
pub(crate) type Reply = Result<Box<RawValue>, ErrorShape>;

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(default)]
    ok: bool,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(borrow, default)]
    event: Option<Cow<'a, str>>,
    #[serde(default)]
    seq: Option<u64>,
    #[serde(rename = "stateVersion", default)]
    state_version: Option<StateVersion>,
}

impl Inbound {
    /// Parses a frame; the error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let frame: Frame<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match (&*frame.kind, frame.id, frame.event) {
            ("res", Some(id), _) => {
                let reply = if frame.ok {
                    Ok(frame
                        .payload
                        .map_or_else(|| RawValue::NULL.to_owned(), ToOwned::to_owned))
                } else {
                    Err(error_shape(frame.error))
                };
                Ok(Self::Response {
                    id: id.into_owned(),
                    reply,
                })
            }
            ("event", _, Some(name)) => {
                let payload = match frame.payload {
                    Some(raw) => {
                        serde_json::from_str(raw.get()).map_err(|error| error.to_string())?
                    }
                    None => Value::Null,
                };
                Ok(Self::Event(EventMessage {
                    name: name.into_owned(),
                    payload,
                    seq: frame.seq,
                    state_version: frame.state_version,
                }))
            }
            (kind, ..) => Err(format!("frame of type `{kind}` is incomplete or unknown")),
        }
    }
}

/// Reads an error; one with a code or a key that this client does not know still says what it says.
fn error_shape(error: Option<Value>) -> ErrorShape {
    let Some(error) = error else {
        return ErrorShape::new(
            ErrorCode::Unavailable,
            "the gateway answered with an error without a text",
        );
    };
    if let Ok(shape) = ErrorShape::deserialize(&error) {
        return shape;
    }
    let text = |key: &str| error.get(key).and_then(Value::as_str).map(str::to_owned);
    let code = error
        .get("code")
        .and_then(|code| ErrorCode::deserialize(code).ok());
    let message = text("message").unwrap_or_else(|| error.to_string());
    ErrorShape {
        code: code.unwrap_or(ErrorCode::Unavailable),
        message: match (code, text("code")) {
            (None, Some(unknown)) => format!("{unknown}: {message}").into(),
            _ => message.into(),
        },
        details: error.get("details").cloned(),
        retryable: error.get("retryable").and_then(Value::as_bool),
        retry_after_ms: error.get("retryAfterMs").and_then(Value::as_u64),
    }
}

/// Finds missing events by their numbers.
#[derive(Debug)]
pub(crate) struct Sequence {
    last: Option<u64>,
}

impl Sequence {
    /// v4 counts per connection from 1; v3 counts for the whole gateway, so that only the first event
    /// says where a connection begins.
    pub(crate) fn new(protocol: u32) -> Self {
        Self {
            last: (protocol >= 4).then_some(0),
        }
    }

    /// How many events are missing before the one numbered `seq`.
    pub(crate) fn missed_before(&mut self, seq: Option<u64>) -> u64 {
        let Some(seq) = seq else { return 0 };
        let missed = match self.last {
            Some(last) => seq.saturating_sub(last.saturating_add(1)),
            None => 0,
        };
        self.last = Some(self.last.map_or(seq, |last| last.max(seq)));
        missed
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn gaps_are_counted_once_and_targeted_events_do_not_count() {
        let mut sequence = Sequence::new(4);
        let found = [Some(1), Some(2), None, Some(5), Some(6), Some(6), Some(8)]
            .map(|seq| sequence.missed_before(seq));
        assert_eq!(found, [0, 0, 0, 2, 0, 0, 1]);
        assert_eq!(Sequence::new(4).missed_before(Some(3)), 2);
        let mut v3 = Sequence::new(3);
        assert_eq!(
            [500, 501, 503].map(|seq| v3.missed_before(Some(seq))),
            [0, 0, 1]
        );
    }

    #[test]
    fn errors_of_other_gateways_keep_their_words() {
        let shape = error_shape(Some(
            json!({"code":"BRAND_NEW","message":"no","details":{"a":1},"extra":true}),
        ));
        assert_eq!(shape.message, "BRAND_NEW: no");
        assert_eq!(shape.details, Some(json!({"a":1})));
        let shape = error_shape(Some(json!({"code":"FORBIDDEN","message":"no","extra":1})));
        assert_eq!((shape.code, &*shape.message), (ErrorCode::Forbidden, "no"));
    }

    #[test]
    fn frames_of_unknown_types_are_refused_and_unknown_keys_are_not() {
        assert!(Inbound::parse(r#"{"type":"req","id":"1","method":"x"}"#).is_err());
        assert!(Inbound::parse("[]").is_err());
        let frame = r#"{"type":"event","event":"tick","payload":{"ts":1},"seq":4,"new":1}"#;
        match Inbound::parse(frame).unwrap() {
            Inbound::Event(event) => {
                assert_eq!((event.seq, event.name.as_str()), (Some(4), "tick"));
            }
            Inbound::Response { .. } => panic!("not a response"),
        }
    }
}
