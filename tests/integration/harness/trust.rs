//! Devices that need an approval, and owners who give it.

use serde_json::{Value, json};

use super::TOKEN;
use super::daemon::{Daemon, Plan};
use super::device::Device;
use super::socket::{Socket, connect_params};

/// A gateway that approves no device without asking.
pub(crate) fn strict() -> Daemon {
    let mut plan = Plan::default().patient();
    plan.gate.auto_approve_local = false;
    Daemon::start(plan)
}

/// Parameters of a program with a face, which always needs a device: generation, scopes, credentials.
pub(crate) fn face(generation: u32, scopes: &[&str], auth: &Value) -> Value {
    let mut params = connect_params(generation);
    params["client"] =
        json!({ "id": "gateway-client", "version": "1", "platform": "linux", "mode": "ui" });
    params["scopes"] = json!(scopes);
    params["auth"] = auth.clone();
    params
}

/// The same with the shared token.
pub(crate) fn with_secret(generation: u32, scopes: &[&str]) -> Value {
    face(generation, scopes, &json!({ "token": TOKEN }))
}

/// A signed connect that must be refused; the error, close code and reason.
pub(crate) async fn refused(
    daemon: &Daemon,
    device: &Device,
    params: Value,
) -> (Value, u16, String) {
    let mut socket = daemon.socket().await;
    let params = device.sign(params, &socket);
    socket.turned_away(params).await
}

/// A signed connect that must be accepted; the socket and hello-ok.
pub(crate) async fn accepted(daemon: &Daemon, device: &Device, params: Value) -> (Socket, Value) {
    let mut socket = daemon.socket().await;
    let params = device.sign(params, &socket);
    let hello = socket.hello(params).await;
    (socket, hello)
}

/// Asks for a pairing, and gives the id of the request that then waits.
pub(crate) async fn request(daemon: &Daemon, device: &Device, params: Value) -> String {
    let (error, ..) = refused(daemon, device, params).await;
    assert_eq!(error["code"], "NOT_PAIRED", "{error}");
    error["details"]["requestId"]
        .as_str()
        .unwrap_or_else(|| panic!("no request in {error}"))
        .to_owned()
}

/// Pairs an operator's device with these scopes: it asks, an owner approves. Gives its token.
pub(crate) async fn pair(daemon: &Daemon, device: &Device, scopes: &[&str]) -> String {
    let id = request(daemon, device, with_secret(4, scopes)).await;
    let mut owner = daemon.client().await;
    owner
        .call("device.pair.approve", json!({ "requestId": id }))
        .await;
    let (_, hello) = accepted(daemon, device, with_secret(4, scopes)).await;
    hello["auth"]["deviceToken"]
        .as_str()
        .expect("a device token")
        .to_owned()
}
