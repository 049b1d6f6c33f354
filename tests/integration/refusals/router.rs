//! Requests that are not let through, in the order of the checks: role, scope, method, parameters
//! (protocol section 8).

use openclaw_protocol::Access;
use serde_json::{Value, json};

use super::{Expected, invalid};
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::device::Device;
use crate::harness::socket::{Socket, connect_params};
use crate::harness::trust::{accepted, with_secret};

async fn operator(daemon: &Daemon, generation: u32, scopes: &[&str]) -> Socket {
    let mut socket = daemon.socket().await;
    let mut params = connect_params(generation);
    params["scopes"] = json!(scopes);
    socket.hello(params).await;
    socket
}

async fn node(daemon: &Daemon, generation: u32) -> Socket {
    let mut params = with_secret(generation, &[]);
    params["role"] = json!("node");
    params["client"] =
        json!({ "id": "node-host", "version": "1", "platform": "linux", "mode": "node" });
    accepted(daemon, &Device::new(100), params).await.0
}

/// A missing scope, as each generation says it.
fn missing(generation: u32, scope: &str, error: &Value) {
    let message = format!("missing scope: {scope}");
    assert_eq!(error["message"], message.as_str(), "v{generation}: {error}");
    if generation == 3 {
        assert_eq!(error["code"], "INVALID_REQUEST");
        assert!(error["details"].is_null(), "{error}");
    } else {
        assert_eq!(error["code"], "FORBIDDEN");
        assert_eq!(
            error["details"],
            json!({
                "code": "MISSING_SCOPE",
                "missingScope": scope,
                "requiredScopes": [scope],
                "recommendedNextStep": "review_auth_configuration",
                "remediationHint": "connect again and ask for this scope; an owner sees what waits with: openclaw devices list",
            })
        );
    }
}

#[tokio::test]
async fn every_method_asks_for_its_scope_before_it_looks_at_parameters() {
    let daemon = Daemon::start(Plan::default().patient());
    // Something that no method takes.
    let nonsense = json!({ "§": [7] });
    for generation in [3, 4] {
        let mut nobody = if generation == 4 {
            operator(&daemon, 4, &[]).await
        } else {
            // No scopes mean all to an old client: it names one that opens nothing.
            operator(&daemon, 3, &["operator.talk.secrets"]).await
        };
        for method in openclaw_protocol::methods::ALL {
            if let Access::Operator(scope) = method.access {
                let error = nobody.refused(method.name, nonsense.clone()).await;
                missing(generation, scope.as_str(), &error);
            }
        }
        nobody.call("health", json!({})).await;
        // What is not there is an admin's secret.
        for method in ["no.such", "config.apply", "connect", "__proto__", "Health"] {
            let error = nobody.refused(method, nonsense.clone()).await;
            missing(generation, "operator.admin", &error);
        }
        let mut admin = operator(&daemon, generation, &["operator.admin"]).await;
        let error = admin.refused("no.such", nonsense.clone()).await;
        invalid("unknown method: no.such").check("unknown", &error);
        let error = admin.refused("connect", connect_params(4)).await;
        invalid("connect is only valid as the first request").check("again", &error);
        // The second connect changed nothing.
        admin.call("status", json!({})).await;
    }
}

#[tokio::test]
async fn wrong_parameters_are_named_with_method_and_place() {
    let daemon = Daemon::start(Plan::default().patient());
    let rows: [(&str, Value, Expected); 9] = [
        (
            "chat.history",
            json!({ "bogus": 1 }),
            invalid("invalid chat.history params: must have required property 'sessionKey'*"),
        ),
        (
            "chat.history",
            json!({ "sessionKey": "main", "limit": 0 }),
            invalid("invalid chat.history params: at /limit: must be >= 1"),
        ),
        (
            "chat.history",
            json!([]),
            invalid("invalid chat.history params: at root: must be object"),
        ),
        (
            "chat.send",
            json!({ "sessionKey": "main", "message": "x" }),
            invalid("invalid chat.send params: must have required property 'idempotencyKey'"),
        ),
        (
            "chat.send",
            json!({ "sessionKey": "main", "message": "x", "idempotencyKey": "k", "bogus": 1 }),
            invalid("invalid chat.send params: at root: unexpected property 'bogus'"),
        ),
        (
            "chat.send",
            json!({ "sessionKey": 7, "message": "x", "idempotencyKey": "k" }),
            invalid("invalid chat.send params: at /sessionKey: must be string"),
        ),
        (
            "device.pair.approve",
            json!({ "requestId": "" }),
            invalid(
                "invalid device.pair.approve params: at /requestId: must NOT have fewer than 1 characters",
            ),
        ),
        (
            "device.pair.approve",
            json!({ "requestId": "x", "force": true }),
            invalid("invalid device.pair.approve params: at root: unexpected property 'force'"),
        ),
        (
            "device.token.rotate",
            json!({ "deviceId": "x" }),
            invalid("invalid device.token.rotate params: must have required property 'role'"),
        ),
    ];
    for generation in [3, 4] {
        let mut admin = operator(&daemon, generation, &["operator.admin"]).await;
        admin.check.off_the_record();
        for (method, params, expected) in &rows {
            let error = admin.refused(method, params.clone()).await;
            expected.check(&format!("{method} {params}, v{generation}"), &error);
        }
        // Methods that take nothing take anything that is nothing.
        for params in [json!(null), json!({})] {
            admin.call("system-presence", params).await;
        }
        // An unknown key where nothing is changed is passed over.
        admin
            .call(
                "chat.history",
                json!({ "sessionKey": "main", "newer": true }),
            )
            .await;
    }
}

#[tokio::test]
async fn a_node_calls_nothing_of_an_operator_and_is_closed_when_it_insists() {
    let daemon = Daemon::start(Plan::default().patient());
    let role = invalid("unauthorized role: node");
    for generation in [3, 4] {
        let mut socket = node(&daemon, generation).await;
        let methods = openclaw_protocol::methods::ALL
            .iter()
            .filter(|method| matches!(method.access, Access::Operator(_)))
            .map(|method| method.name)
            .chain(["no.such", "connect"]);
        for method in methods {
            let error = socket.refused(method, json!({})).await;
            role.check(method, &error);
            // Health is anyone's, and starts the count anew.
            socket.call("health", json!({})).await;
        }
        for _ in 0..10 {
            let error = socket.refused("status", json!({})).await;
            role.check("ten are answered", &error);
        }
        let error = socket.refused("status", json!({})).await;
        role.check("the eleventh, too", &error);
        let (code, reason) = socket.closed_in_the_end().await.expect("a close frame");
        assert_eq!(
            (code, reason.as_str()),
            (1008, "repeated unauthorized calls")
        );
    }
}
