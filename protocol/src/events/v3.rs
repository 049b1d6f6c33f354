//! Payloads as the older generation knows them: clients of that time check some of them against
//! closed schemas and drop what has a key too many.

use serde_json::{Map, Value};

use super::{AGENT, CHAT, NODE_PAIR_REQUESTED, find};
use crate::Generation;

/// The payload of an event as a v3 client knows it, or `None` when v3 has no such event, or no
/// such step of a run. `session_key` is the session as this client wrote it: v3 clients compare
/// keys literally.
pub fn payload_for_v3(name: &str, payload: &Value, session_key: Option<&str>) -> Option<Value> {
    if find(name).is_none_or(|spec| spec.since > Generation::V3) {
        return None;
    }
    let mut shaped = match (name, payload) {
        (CHAT, Value::Object(payload)) => chat(payload)?,
        (AGENT, Value::Object(payload)) => agent(payload)?,
        (NODE_PAIR_REQUESTED, Value::Object(payload)) => return Some(node_request(payload)),
        _ => return Some(payload.clone()),
    };
    if let Some(key) = session_key {
        shaped.insert("sessionKey".into(), key.into());
    }
    Some(Value::Object(shaped))
}

fn chat(payload: &Map<String, Value>) -> Option<Map<String, Value>> {
    let extra: &[&str] = match payload.get("state")?.as_str()? {
        "delta" | "final" => &["message"],
        "aborted" => &["stopReason"],
        "error" => &["errorMessage"],
        _ => return None,
    };
    Some(keep(
        payload,
        &["runId", "sessionKey", "seq", "state"],
        extra,
    ))
}

fn agent(payload: &Map<String, Value>) -> Option<Map<String, Value>> {
    match payload.get("stream")?.as_str()? {
        "lifecycle" => {
            let phase = payload.get("data")?.get("phase")?.as_str()?;
            if !matches!(phase, "start" | "end" | "error") {
                return None;
            }
        }
        "assistant" | "tool" | "compaction" | "error" => {}
        _ => return None,
    }
    Some(keep(
        payload,
        &["runId", "seq", "stream", "ts", "data"],
        &["sessionKey"],
    ))
}

fn node_request(payload: &Map<String, Value>) -> Value {
    let mut payload = payload.clone();
    for newer in ["clientId", "clientMode", "requiredApproveScopes"] {
        payload.remove(newer);
    }
    Value::Object(payload)
}

fn keep(payload: &Map<String, Value>, first: &[&str], second: &[&str]) -> Map<String, Value> {
    payload
        .iter()
        .filter(|(key, _)| first.contains(&key.as_str()) || second.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn steps_that_v3_does_not_know_are_left_out() {
        let status = json!({"runId": "r", "sessionKey": "k", "seq": 1, "state": "status", "phase": "starting_model"});
        assert_eq!(payload_for_v3(CHAT, &status, None), None);
        let model = json!({"runId": "r", "seq": 2, "stream": "lifecycle", "ts": 1, "data": {"phase": "model"}});
        assert_eq!(payload_for_v3(AGENT, &model, None), None);
        assert_eq!(payload_for_v3("sessions.changed", &json!({}), None), None);
        assert_eq!(payload_for_v3("no.such.event", &json!({}), None), None);
    }

    #[test]
    fn a_v3_client_sees_its_own_session_key_and_no_newer_keys() {
        let delta = json!({"runId": "r", "sessionKey": "agent:main:main", "agentId": "main", "seq": 1,
            "state": "delta", "deltaText": "x", "replace": true, "message": {"role": "assistant"}});
        assert_eq!(
            payload_for_v3(CHAT, &delta, Some("main")),
            Some(
                json!({"runId": "r", "sessionKey": "main", "seq": 1, "state": "delta", "message": {"role": "assistant"}})
            )
        );
        let tick = json!({"ts": 1});
        assert_eq!(payload_for_v3("tick", &tick, Some("main")), Some(tick));
    }
}
