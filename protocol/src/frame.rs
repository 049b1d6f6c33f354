//! The envelope: requests in, responses and events out.
//!
//! Requests are parsed borrowed (`params` stays raw text until its method is known); responses
//! and events are written straight to bytes, because an envelope `Value` per frame would be the
//! largest cost of a small request.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::{ErrorShape, depth};

/// A request as it came, borrowed from its frame.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestFrame<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    /// Chosen by the client; echoed in every response to this request.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// The method's name.
    #[serde(borrow)]
    pub method: Cow<'a, str>,
    /// The method's parameters, not yet parsed.
    #[serde(borrow, default)]
    pub params: Option<&'a RawValue>,
    /// W3C trace context, passed on to logs (v4).
    #[serde(borrow, default)]
    pub traceparent: Option<Cow<'a, str>>,
    /// Accepted for compatibility; profiles are not implemented.
    #[serde(rename = "expectedProfileId", borrow, default)]
    pub expected_profile_id: Option<Cow<'a, str>>,
}

/// The longest request id that is echoed, in bytes.
pub const MAX_ID_BYTES: usize = 256;

/// Why a text is not a request.
#[derive(Debug, Clone, PartialEq)]
pub enum FrameError {
    /// The text is not JSON.
    NotJson,
    /// It is JSON, but not a request.
    Invalid {
        /// The frame's own id where it has one (of any JSON type), to echo.
        id: Option<Value>,
        /// What is wrong and where.
        message: String,
    },
    /// It is nested deeper than [`depth::MAX_DEPTH`].
    TooDeep {
        /// The frame's own id, where it could be read.
        id: Option<String>,
    },
}

impl FrameError {
    /// What is wrong with a frame that is nested too deeply.
    pub fn depth_message() -> String {
        format!("nested more than {} levels deep", depth::MAX_DEPTH)
    }
}

impl<'a> RequestFrame<'a> {
    /// Parses a request.
    ///
    /// # Errors
    ///
    /// [`FrameError`] says whether the text was JSON at all and names what is wrong.
    pub fn parse(text: &'a str) -> Result<Self, FrameError> {
        match serde_json::from_str::<Self>(text) {
            Ok(frame)
                if frame.kind == "req"
                    && !frame.id.is_empty()
                    && frame.id.len() <= MAX_ID_BYTES
                    && !frame.method.is_empty() =>
            {
                if depth::too_deep(text) {
                    let id = Some(frame.id.into_owned());
                    return Err(FrameError::TooDeep { id });
                }
                Ok(frame)
            }
            _ => Err(diagnose(text)),
        }
    }
}

/// Finds out what is wrong with a frame that did not parse; off the fast path.
fn diagnose(text: &str) -> FrameError {
    // Before it is read as a whole: the parser stops at a depth of its own, and what it reads may be
    // echoed.
    if depth::too_deep(text) && serde_json::from_str::<&RawValue>(text).is_ok() {
        return FrameError::TooDeep { id: None };
    }
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return FrameError::NotJson;
    };
    let Value::Object(frame) = &value else {
        return FrameError::Invalid {
            id: None,
            message: "at root: must be object".into(),
        };
    };
    let id = frame.get("id").cloned();
    let message = match (
        frame.get("type").and_then(Value::as_str),
        &id,
        frame.get("method"),
    ) {
        (Some("req"), Some(Value::String(id)), _) if id.is_empty() || id.len() > MAX_ID_BYTES => {
            format!("at /id: must have 1 to {MAX_ID_BYTES} bytes")
        }
        (Some("req"), Some(Value::String(_)), Some(Value::String(method))) if method.is_empty() => {
            "at /method: must not be empty".into()
        }
        (Some("req"), Some(Value::String(_)), Some(Value::String(_))) => {
            match frame.keys().find(|key| !is_request_key(key)) {
                Some(key) => format!("at root: unexpected property '{key}'"),
                None => "at root: must be a request frame".into(),
            }
        }
        (Some("req"), Some(Value::String(_)), Some(_)) => "at /method: must be string".into(),
        (Some("req"), Some(Value::String(_)), None) => {
            "at root: must have required property 'method'".into()
        }
        (Some("req"), Some(_), _) => "at /id: must be string".into(),
        (Some("req"), None, _) => "at root: must have required property 'id'".into(),
        _ => "at /type: must be \"req\"".into(),
    };
    FrameError::Invalid { id, message }
}

fn is_request_key(key: &str) -> bool {
    matches!(
        key,
        "type" | "id" | "method" | "params" | "traceparent" | "expectedProfileId"
    )
}

#[derive(Serialize)]
struct ResponseOk<'a, T: ?Sized> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    ok: bool,
    payload: &'a T,
}

/// Writes a successful response.
pub fn response_ok<T: Serialize + ?Sized>(id: &str, payload: &T) -> Vec<u8> {
    to_bytes(&ResponseOk {
        kind: "res",
        id,
        ok: true,
        payload,
    })
}

/// Writes a successful response around a payload that is JSON text already.
pub fn response_ok_raw(id: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + id.len() + 40);
    out.extend_from_slice(br#"{"type":"res","id":"#);
    write_json_string(&mut out, id);
    out.extend_from_slice(br#","ok":true,"payload":"#);
    out.extend_from_slice(payload);
    out.push(b'}');
    out
}

/// Writes a failed response. `payload` rides along where a method answers both (a failed run).
pub fn response_error(id: &str, error: &ErrorShape, payload: Option<&Value>) -> Vec<u8> {
    response_error_id(&Value::from(id), error, payload)
}

/// Writes a failed response to a frame whose id was not a string; it is echoed as it came.
pub fn response_error_id(id: &Value, error: &ErrorShape, payload: Option<&Value>) -> Vec<u8> {
    let mut frame = json!({ "type": "res", "id": id, "ok": false, "error": error });
    if let (Some(payload), Some(object)) = (payload, frame.as_object_mut()) {
        object.insert("payload".into(), payload.clone());
    }
    to_bytes(&frame)
}

/// Writes `text` as a JSON string.
pub fn write_json_string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&to_bytes(text));
}

/// Serialises a value that is known to serialise: own types with string keys.
pub fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("wire types have string keys and no failing serialisers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_parsed_without_copying_its_params() {
        let text = r#"{"type":"req","id":"1","method":"health","params":{"probe":true}}"#;
        let frame = RequestFrame::parse(text).unwrap();
        assert_eq!((&*frame.id, &*frame.method), ("1", "health"));
        assert_eq!(frame.params.unwrap().get(), r#"{"probe":true}"#);
        assert!(matches!(frame.id, Cow::Borrowed(_)));
    }

    #[test]
    fn every_broken_frame_says_where_it_is_broken() {
        let cases = [
            ("hello", None, "not json"),
            ("\"x\"", None, "at root: must be object"),
            ("null", None, "at root: must be object"),
            ("{}", None, "at /type: must be \"req\""),
            (
                r#"{"type":"event","event":"x"}"#,
                None,
                "at /type: must be \"req\"",
            ),
            (
                r#"{"type":"req","method":"x"}"#,
                None,
                "at root: must have required property 'id'",
            ),
            (
                r#"{"type":"req","id":7,"method":"x"}"#,
                Some(json!(7)),
                "at /id: must be string",
            ),
            (
                r#"{"type":"req","id":"7"}"#,
                Some(json!("7")),
                "at root: must have required property 'method'",
            ),
            (
                r#"{"type":"req","id":"7","method":"x","extra":1}"#,
                Some(json!("7")),
                "at root: unexpected property 'extra'",
            ),
            (
                r#"{"type":"req","id":"","method":"x"}"#,
                Some(json!("")),
                "at /id: must have 1 to 256 bytes",
            ),
        ];
        for (text, id, expected) in cases {
            match RequestFrame::parse(text).unwrap_err() {
                FrameError::NotJson => assert_eq!(expected, "not json", "{text}"),
                FrameError::Invalid { id: found, message } => {
                    assert_eq!((message.as_str(), found), (expected, id), "{text}");
                }
                FrameError::TooDeep { .. } => assert_eq!(expected, "too deep", "{text}"),
            }
        }
    }

    #[test]
    fn a_deep_frame_is_refused_wherever_its_depth_is() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let frame = |params: &str| {
            format!(r#"{{"type":"req","id":"1","method":"health","params":{params}}}"#)
        };
        assert!(RequestFrame::parse(&frame(&deep(depth::MAX_DEPTH - 1))).is_ok());
        for levels in [depth::MAX_DEPTH, 200, 1_000_000] {
            let error = RequestFrame::parse(&frame(&deep(levels))).unwrap_err();
            let id = Some("1".to_owned());
            assert_eq!(error, FrameError::TooDeep { id }, "{levels}");
            let id = format!(
                r#"{{"type":"req","id":{},"method":"health"}}"#,
                deep(levels)
            );
            let error = RequestFrame::parse(&id).unwrap_err();
            assert_eq!(error, FrameError::TooDeep { id: None }, "{levels}");
            let broken = "[".repeat(levels);
            assert_eq!(
                RequestFrame::parse(&broken).unwrap_err(),
                FrameError::NotJson
            );
        }
    }

    #[test]
    fn a_raw_payload_is_embedded_as_it_is() {
        let bytes = response_ok_raw("a\"b", br#"{"ok":true}"#);
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(
            value,
            json!({"type":"res","id":"a\"b","ok":true,"payload":{"ok":true}})
        );
    }
}
