//! What each fuzz target does with an input. Nothing here may fail for any input: a panic is a finding.

use std::cell::RefCell;
use std::net::IpAddr;
use std::path::Path;

use ed25519_dalek::{Signer, SigningKey};
use openclaw::config::redact::ConfigSnapshot;
use openclaw::config::{Flags, LoadRequest, load};
use openclaw_actors::gate::{AuthMode, GateSettings};
use openclaw_actors::limiter::Locks;
use openclaw_actors::session::dispatch::decode;
use openclaw_actors::session::handshake::{Candidate, GateOne, evaluate, read_connect};
use openclaw_actors::session::peer::Peer;
use openclaw_protocol::client::may_omit_device;
use openclaw_protocol::connect::{AuthClaim, ClientInfo, ConnectParams, DeviceClaim};
use openclaw_protocol::depth;
use openclaw_protocol::device::{ProofContext, ProofError, device_id, encode, payload_v3, verify};
use openclaw_protocol::frame::{FrameError, RequestFrame, response_error, response_error_id};
use openclaw_protocol::methods::{Visitor, visit};
use openclaw_protocol::{
    ClientId, ClientMode, ErrorShape, Generation, Method, Role, Scopes, validate,
};
use serde_json::Value;

const NOW: u64 = 1_790_000_000_000;
const NONCE: &str = "5c0b2e4e-0d6c-4d3c-9d7e-1f2a3b4c5d6e";
const SECRET: &str = "a-shared-secret-of-the-fuzz-targets";

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("what we write is JSON")
}

/// A frame of a connected client: the envelope, and its parameters by the method's schema and type.
pub fn envelope(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let error = ErrorShape::invalid("x");
    match RequestFrame::parse(text) {
        Ok(frame) => {
            assert!((1..=256).contains(&frame.id.len()) && !frame.method.is_empty());
            let answer = parsed(&response_error(&frame.id, &error, None));
            assert_eq!(answer["id"], frame.id.as_ref());
            visit(&mut Decoding { frame: &frame });
        }
        Err(FrameError::Invalid { id, message }) => {
            assert!(!message.is_empty());
            let id = id.unwrap_or_default();
            assert_eq!(parsed(&response_error_id(&id, &error, None))["id"], id);
        }
        Err(FrameError::TooDeep { .. }) => assert!(depth::too_deep(text)),
        Err(FrameError::NotJson) => {
            assert!(serde_json::from_str::<Value>(text).is_err());
        }
    }
}

/// Decodes a frame's parameters as each method does, whatever method it names.
struct Decoding<'a> {
    frame: &'a RequestFrame<'a>,
}

impl Visitor for Decoding<'_> {
    fn method<M>(&mut self)
    where
        M: Method<Params: serde::Serialize, Result: serde::de::DeserializeOwned>,
    {
        let value = match self.frame.params {
            None => Value::Object(serde_json::Map::new()),
            Some(raw) => match serde_json::from_str(raw.get()) {
                Ok(Value::Null) => Value::Object(serde_json::Map::new()),
                Ok(value) => value,
                Err(_) => {
                    assert!(decode::<M>(self.frame.params).is_err());
                    return;
                }
            },
        };
        let valid = validate::params(M::NAME, &value);
        match decode::<M>(self.frame.params) {
            Ok(_) => assert!(valid.is_ok(), "{}: decoded against its schema", M::NAME),
            Err(error) => {
                let message = error.message.as_ref();
                assert!(message.starts_with(&format!("invalid {} params: ", M::NAME)));
                assert!(message.len() < 2_048, "{} bytes of error", message.len());
                // A schema's integers may be written as 1.0, -0 or 1e3; those of the types may not.
                let written = message.contains("floating point");
                assert!(valid.is_err() || written, "{}: {message}", M::NAME);
            }
        }
    }
}

/// A first frame, judged for a peer on this machine and for one that is not, in each mode.
pub fn connect(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let request = match read_connect(text) {
        Ok(request) => request,
        Err(rejected) => {
            let refusal = &rejected.refusal;
            assert!((1000..5000).contains(&refusal.code) && !refusal.reason.is_empty());
            assert!(refusal.error.is_none() || rejected.id.is_some());
            return;
        }
    };
    assert!(!request.id.is_empty());
    let modes = [
        AuthMode::Token(SECRET.into()),
        AuthMode::Password(SECRET.into()),
        AuthMode::None,
    ];
    for mode in modes {
        for (ip, local) in [("127.0.0.1", true), ("192.0.2.7", false)] {
            for origin in [
                None,
                Some("http://127.0.0.1:1"),
                Some("https://evil.example"),
            ] {
                let peer = peer(ip, local, origin);
                let gate = gate(mode.clone());
                let judged = evaluate(&request.params, &peer, &gate, Locks::default(), NONCE, NOW);
                match judged {
                    Ok(candidate) => check(&candidate, &request.params, &peer, &gate),
                    Err(refusal) => {
                        assert!(refusal.error.is_some() && !refusal.reason.is_empty());
                        assert!(matches!(refusal.code, 1002 | 1008), "{}", refusal.code);
                    }
                }
            }
        }
    }
}

fn peer(ip: &str, local: bool, origin: Option<&str>) -> Peer {
    let mut peer = Peer::direct(ip.parse::<IpAddr>().expect("an address"), local);
    peer.origin = origin.map(str::to_owned);
    peer.host = Some("127.0.0.1:1".to_owned());
    peer
}

fn gate(mode: AuthMode) -> GateSettings {
    GateSettings::new(mode)
}

/// What must hold for everyone who gets as far as the pairing registry.
fn check(candidate: &Candidate, params: &ConnectParams, peer: &Peer, gate: &GateSettings) {
    let foreign = peer.origin.as_deref() == Some("https://evil.example");
    assert!(!foreign, "a page of another site");
    let sent = params.scopes.as_deref().unwrap_or_default();
    if candidate.role == Role::Node {
        assert!(candidate.scopes.is_empty());
    } else if candidate.generation == Generation::V4 || !sent.is_empty() {
        assert!(Scopes::parse(sent).covers(candidate.scopes));
    }
    let shared = matches!(candidate.gate, GateOne::Shared(_));
    let told = params.auth.as_ref().is_some_and(|auth| {
        [&auth.token, &auth.password]
            .iter()
            .any(|secret| secret.as_deref() == Some(SECRET))
    });
    assert!(!shared || told || matches!(gate.mode, AuthMode::None));
    if candidate.device.is_none() {
        assert!(shared && peer.local && peer.origin.is_none());
        assert!(candidate.role == Role::Operator);
        assert!(may_omit_device(params.client.id, params.client.mode));
    }
    if candidate.silent {
        assert!(peer.local && told, "silent without the secret");
    }
}

/// A device's claim, one field a line; and the same once more with a signature that is right.
pub fn device(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let lines: Vec<&str> = text.split('\n').collect();
    let line = |index: usize| lines.get(index).copied().unwrap_or_default();
    let some = |index: usize| lines.get(index).map(|line| (*line).to_owned());
    let number = line(3).parse().unwrap_or(NOW);
    let client = ClientInfo {
        id: ClientId::Cli,
        display_name: None,
        version: "1".into(),
        build_id: None,
        platform: line(4).to_owned(),
        device_family: some(5),
        model_identifier: None,
        time_zone: None,
        mode: ClientMode::Cli,
        instance_id: None,
    };
    let scopes: Vec<String> = line(6).split(',').map(str::to_owned).collect();
    let auth = AuthClaim {
        token: some(7),
        device_token: some(8),
        ..AuthClaim::default()
    };
    let claimed = DeviceClaim {
        id: line(0).to_owned(),
        public_key: line(1).to_owned(),
        signature: line(2).to_owned(),
        signed_at: number,
        nonce: some(9),
    };
    let key = SigningKey::from_bytes(&[7; 32]);
    let public = key.verifying_key().to_bytes();
    for generation in [Generation::V3, Generation::V4] {
        for local in [true, false] {
            let context = ProofContext {
                nonce: NONCE,
                now_ms: NOW,
                generation,
                local,
                client: &client,
                role: line(10),
                scopes: &scopes,
                auth: Some(&auth),
            };
            if let Ok(proven) = verify(&claimed, &context) {
                assert_eq!(proven.id, claimed.id);
            }
            // Whatever stands in the other fields, a right signature is right, and only over them.
            let mut honest = DeviceClaim {
                id: device_id(&public),
                public_key: encode(&public),
                signature: String::new(),
                signed_at: NOW,
                nonce: Some(NONCE.to_owned()),
            };
            honest.signature = encode(
                &key.sign(payload_v3(&honest, &context).as_bytes())
                    .to_bytes(),
            );
            assert!(verify(&honest, &context).is_ok());
            let later = DeviceClaim {
                signed_at: NOW + 1,
                ..honest.clone()
            };
            assert_eq!(verify(&later, &context), Err(ProofError::Signature));
            let elsewhere = ProofContext {
                nonce: "another",
                ..context
            };
            assert_eq!(verify(&honest, &elsewhere), Err(ProofError::NonceMismatch));
        }
    }
}

/// What the environment of the configuration target holds, and what must never be shown.
const VARIABLE: &str = "sk-value-of-a-variable-0123456789";

/// A configuration: the file, then included ones, each behind a line `=== name`.
pub fn config(data: &[u8]) {
    thread_local! {
        static HOME: RefCell<Option<tempfile::TempDir>> = const { RefCell::new(None) };
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    HOME.with_borrow_mut(|home| {
        let home = home.get_or_insert_with(|| tempfile::tempdir().expect("a folder"));
        load_in(home.path(), text);
    });
}

fn load_in(home: &Path, text: &str) {
    let folder = home.join("state");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the state folder");
    for (index, part) in text.split("\n=== ").enumerate() {
        let (name, part) = if index == 0 {
            ("openclaw.json", part)
        } else {
            part.split_once('\n').unwrap_or((part, ""))
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '.';
        let name: String = name.chars().filter(|c| plain(*c)).take(32).collect();
        if name.chars().all(|c| c == '.') || index > 8 {
            continue;
        }
        std::fs::write(folder.join(name), part).expect("a file");
    }
    let env = |name: &str| match name {
        "OPENCLAW_STATE_DIR" => Some(folder.display().to_string()),
        "HOME" => Some(home.display().to_string()),
        "OPENAI_API_KEY" | "CLAW_TOKEN" => Some(VARIABLE.to_owned()),
        _ => None,
    };
    let request = LoadRequest {
        flags: &Flags::default(),
        env: &env,
        home: Some(home),
    };
    match load(&request) {
        Ok(loaded) => {
            let shown = serde_json::to_string(&ConfigSnapshot::of(&loaded)).expect("plain data");
            assert!(!shown.contains(VARIABLE), "shown: {shown}");
            let warnings = loaded.warnings.concat();
            assert!(!warnings.contains(VARIABLE), "warned: {warnings}");
        }
        Err(error) => {
            let told = error.to_string();
            assert!(!told.is_empty() && !told.contains(VARIABLE), "told: {told}");
        }
    }
}
