//! Writes hello-ok around a snapshot that is JSON already.

use std::collections::BTreeMap;
use std::sync::Arc;

use openclaw_protocol::connect::{
    GrantedAuth, IssuedDeviceToken, Policy, ServerInfo, SessionDefaults, StateVersion,
};
use openclaw_protocol::frame::{response_ok, to_bytes};
use openclaw_protocol::{Generation, Scope};
use serde::Serialize;
use serde_json::value::RawValue;

use super::queue::{ComposeHello, SnapshotParts};
use crate::call::Caller;
use crate::canvas::{CAP, address};
use crate::clock::SharedEntropy;
use crate::pairing::{IssuedToken, RoleToken};
use crate::views::Views;

/// What every hello-ok of this process says.
#[derive(Debug, Clone)]
pub struct ServerFacts {
    /// Version of the gateway.
    pub version: &'static str,
    /// Identity of this process start.
    pub boot_id: String,
    /// Host name.
    pub host: String,
    /// `features` as JSON: exactly what is implemented.
    pub features: Arc<RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hello<'a> {
    r#type: &'static str,
    protocol: u32,
    server: ServerInfo,
    features: &'a RawValue,
    snapshot: Snapshot<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth: Option<GrantedAuth>,
    policy: Policy,
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin_surface_urls: Option<BTreeMap<&'static str, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    canvas_host_url: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Snapshot<'a> {
    presence: &'a RawValue,
    health: &'a RawValue,
    state_version: StateVersion,
    uptime_ms: u64,
    session_defaults: SessionDefaults,
    #[serde(skip_serializing_if = "Option::is_none")]
    config_path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_dir: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_mode: Option<&'static str>,
}

/// Prepares hello-ok for the moment of registration.
pub fn compose(
    id: String,
    caller: &Arc<Caller>,
    (token, further): (Option<IssuedToken>, Vec<RoleToken>),
    facts: Arc<ServerFacts>,
    views: Views,
    policy: Policy,
    entropy: SharedEntropy,
) -> ComposeHello {
    let caller = Arc::clone(caller);
    Box::new(move |parts: &SnapshotParts| {
        let places = Arc::clone(&views.places);
        let admin = caller.grants(Scope::Admin);
        let v4 = caller.generation == Generation::V4;
        let now = places.now();
        let urls = v4.then(|| address::give(&views, &caller, &entropy, now));
        let hello = Hello {
            r#type: "hello-ok",
            protocol: caller.generation.number(),
            server: ServerInfo {
                version: facts.version.to_owned(),
                boot_id: v4.then(|| facts.boot_id.clone()),
                host: (!v4).then(|| facts.host.clone()),
                conn_id: caller.conn_id.clone(),
            },
            features: &facts.features,
            snapshot: Snapshot {
                presence: raw(parts.presence.json()),
                health: raw(parts.health.json()),
                state_version: parts.versions,
                uptime_ms: places.uptime_ms(),
                session_defaults: views.session_defaults(v4),
                config_path: admin.then_some(places.config_path.as_str()),
                state_dir: admin.then_some(places.state_dir.as_str()),
                auth_mode: (admin && v4).then(|| views.gate.load().mode.as_str()),
            },
            auth: granted(&caller, token, further, v4),
            policy,
            plugin_surface_urls: urls
                .flatten()
                .map(|given| BTreeMap::from([(CAP, given.url)])),
            canvas_host_url: (!v4)
                .then(|| address::give_v3(&views, &caller, &entropy, now))
                .flatten(),
        };
        response_ok(&id, &hello)
    })
}

/// v4 clients always learn what they were granted; v3 clients only along with a token.
fn granted(
    caller: &Caller,
    token: Option<IssuedToken>,
    further: Vec<RoleToken>,
    v4: bool,
) -> Option<GrantedAuth> {
    if !v4 && token.is_none() {
        return None;
    }
    let (device_token, issued_at_ms) = token.map(|token| (token.token, token.issued_at_ms)).unzip();
    Some(GrantedAuth {
        role: caller.role.as_str().to_owned(),
        scopes: caller.scopes,
        device_token,
        issued_at_ms,
        device_tokens: further
            .into_iter()
            .filter(|_| v4)
            .map(|further| IssuedDeviceToken {
                device_token: further.token.token,
                role: further.role.as_str().to_owned(),
                scopes: further.scopes,
                issued_at_ms: further.token.issued_at_ms,
            })
            .collect(),
    })
}

fn raw(json: &[u8]) -> &RawValue {
    serde_json::from_slice(json).expect("snapshots are written by our own serialiser")
}

/// `features` as JSON.
pub fn features(methods: &[&str], events: &[&str], capabilities: &[&str]) -> Arc<RawValue> {
    let json =
        serde_json::json!({ "methods": methods, "events": events, "capabilities": capabilities });
    let text = String::from_utf8(to_bytes(&json)).expect("JSON is UTF-8");
    Arc::from(RawValue::from_string(text).expect("it was just written as JSON"))
}
