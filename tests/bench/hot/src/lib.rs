//! The functions that each frame passes through, with inputs as clients send them.

use ed25519_dalek::{Signer as _, SigningKey};
use openclaw_actors::event::{Audience, Event, EventOut, Form, Plain};
use openclaw_protocol::connect::{ClientInfo, DeviceClaim};
use openclaw_protocol::device::{ProofContext, device_id, encode, payload_v3, verify};
use openclaw_protocol::frame::{RequestFrame, response_ok};
use openclaw_protocol::{Generation, depth, validate};
use serde_json::{Value, json};

/// The gateway's time, milliseconds since the epoch.
const NOW: u64 = 1_790_000_000_000;
const NONCE: &str = "5c0b2e4e-0d6c-4d3c-9d7e-1f2a3b4c5d6e";

/// `chat.send` as the page writes it.
pub fn chat_send() -> String {
    let params = json!({
        "sessionKey": "agent:main:main", "message": "How is the weather in Zürich today?",
        "idempotencyKey": "0b7f6a52-3a0e-4c8c-9a53-0d2b7a3c1e11",
    });
    json!({ "type": "req", "id": "42", "method": "chat.send", "params": params }).to_string()
}

/// Reads the envelope of a request; the length of its method.
pub fn parse(text: &str) -> usize {
    RequestFrame::parse(text).expect("a request").method.len()
}

/// Parameters of [`chat_send`].
pub fn params() -> Value {
    serde_json::from_str::<Value>(&chat_send()).expect("JSON")["params"].take()
}

/// Checks parameters against the schema of their method.
pub fn check(params: &Value) -> bool {
    validate::params("chat.send", params).is_ok()
}

/// 64 kB of a text that is nested a little.
pub fn long() -> String {
    let item = json!({ "text": "a line of text with \"quotes\" and [brackets]", "n": [1, 2, { "x": null }] });
    Value::Array(vec![item; 64 * 1024 / 80]).to_string()
}

/// Looks for JSON that is nested too deeply.
pub fn deep(text: &str) -> bool {
    depth::too_deep(text)
}

/// A result of ordinary size.
pub fn result() -> Value {
    json!({ "ok": true, "ts": NOW, "sessions": vec![json!({
        "key": "agent:main:main", "label": "Main", "updatedAt": NOW, "model": "m1", "totalTokens": 12_345,
    }); 20] })
}

/// Writes a response.
pub fn respond(result: &Value) -> usize {
    response_ok("42", result).len()
}

/// A device that proves itself.
pub struct Proof {
    claim: DeviceClaim,
    client: ClientInfo,
}

impl Proof {
    fn context(&self) -> ProofContext<'_> {
        ProofContext {
            nonce: NONCE,
            now_ms: NOW,
            generation: Generation::V4,
            local: false,
            client: &self.client,
            role: "operator",
            scopes: &[],
            auth: None,
        }
    }
}

/// A claim that is signed well.
pub fn proof() -> Proof {
    let key = SigningKey::from_bytes(&[7; 32]);
    let public = key.verifying_key().to_bytes();
    let client = json!({ "id": "cli", "version": "1.0.0", "platform": "linux", "mode": "cli" });
    let claim = json!({
        "id": device_id(&public), "publicKey": encode(&public), "signature": "", "signedAt": NOW, "nonce": NONCE,
    });
    let mut proof = Proof {
        claim: serde_json::from_value(claim).expect("a claim"),
        client: serde_json::from_value(client).expect("a client"),
    };
    let payload = payload_v3(&proof.claim, &proof.context());
    proof.claim.signature = encode(&key.sign(payload.as_bytes()).to_bytes());
    proof
}

/// Verifies it.
pub fn prove(proof: &Proof) -> bool {
    verify(&proof.claim, &proof.context()).is_ok()
}

/// An event as its owner hands it over.
pub fn event() -> EventOut {
    let payload = json!({ "runId": "r", "seq": 7, "stream": "assistant", "data": { "delta": "word ", "text": "word word " } });
    EventOut::new("agent", Audience::Everyone, Plain(payload))
}

/// Orders it, and writes it for 64 connections; the bytes that are written.
pub fn deliver(out: EventOut) -> usize {
    let event = Event::order(out, 1, Default::default());
    let head = event.head(Generation::V4, Form::Normal).expect("a frame");
    (0..64)
        .map(|seq| {
            let mut tail = Vec::with_capacity(32);
            head.write_tail(None, Some(seq), &mut tail);
            head.bytes().len() + tail.len()
        })
        .sum()
}
