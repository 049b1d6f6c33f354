//! Settings of existing configurations that would trust more than this daemon does, or that it
//! cannot carry out: they are read, have no effect, and are named with what to do instead.

use serde_json::Value;

use super::Config;
use super::gateway::SshVerify;

/// One warning for each such setting that asks for something.
pub(crate) fn warnings(config: &Config, value: &Value) -> Vec<String> {
    let gateway = &config.gateway;
    let pairing = &gateway.nodes.pairing;
    let ssh = !matches!(pairing.ssh_verify, None | Some(SshVerify::Switch(false)));
    let approve =
        "approve each device once: openclaw devices list, then openclaw devices approve <id>";
    let on = |pointer: &str| value.pointer(pointer).is_some_and(is_on);
    let found = [
        (
            !pairing.auto_approve_cidrs.is_empty(),
            "gateway.nodes.pairing.autoApproveCidrs",
            "an address proves no device, so nothing is approved because of where it is",
            approve.to_owned(),
        ),
        (
            ssh,
            "gateway.nodes.pairing.sshVerify",
            "this gateway logs in nowhere to verify a device, so nothing is approved that way",
            approve.to_owned(),
        ),
        (
            on("/gateway/auth/trustedProxy/deviceAutoApprove"),
            "gateway.auth.trustedProxy.deviceAutoApprove",
            "a proxy's word for a user is no owner's word for a device, so nothing is approved that way",
            approve.to_owned(),
        ),
        (
            on("/gateway/controlUi/allowInsecureAuth"),
            "gateway.controlUi.allowInsecureAuth",
            "a page without a device identity is always refused",
            "open the page over HTTPS or through a tunnel to localhost, where browsers make keys"
                .to_owned(),
        ),
        (
            on("/gateway/controlUi/dangerouslyDisableDeviceAuth"),
            "gateway.controlUi.dangerouslyDisableDeviceAuth",
            "a page without a device identity is always refused",
            "open the page over HTTPS or through a tunnel to localhost, where browsers make keys"
                .to_owned(),
        ),
        (
            !gateway.auth.identity_scopes.is_empty(),
            "gateway.auth.identityScopes",
            "a device has the scopes that it was approved for, whoever uses it",
            "approve each device with the scopes that it needs: openclaw devices list".to_owned(),
        ),
        (
            config.diagnostics.wanted() && !cfg!(feature = "otlp"),
            "diagnostics.otel.enabled",
            "this program was built without the export to OpenTelemetry",
            "build it with `cargo build --release --features otlp`, or let a collector read /metrics"
                .to_owned(),
        ),
        (
            config.diagnostics.wanted() && config.diagnostics.unspoken().is_some(),
            "diagnostics.otel.protocol",
            "nothing is exported, because only http/protobuf is spoken",
            "name the collector's HTTP port (4318) in diagnostics.otel.endpoint, and set the protocol to http/protobuf"
                .to_owned(),
        ),
    ];
    found
        .into_iter()
        .filter(|(there, ..)| *there)
        .map(|(_, key, why, instead)| format!("{key} has no effect here: {why}; {instead}"))
        .collect()
}

/// Whether a value of any shape asks for something.
fn is_on(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => fields.get("enabled") != Some(&Value::Bool(false)),
        _ => true,
    }
}
