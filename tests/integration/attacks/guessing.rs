//! Attacks that guess: from a page on this machine, and behind a made-up device token.

use serde_json::{Value, json};

use crate::harness::TOKEN;
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::device::Device;
use crate::harness::socket::{Socket, connect_params};

/// Connects from our own page with these credentials; `details.code`, or what it is let in as.
async fn guess(daemon: &Daemon, device: &Device, auth: Value) -> Value {
    let own = format!("http://{}", daemon.address);
    let mut socket = Socket::open(daemon.address, &[("origin", &own)]).await;
    let mut params = connect_params(4);
    params["client"]["id"] = json!("webchat-ui");
    params["client"]["mode"] = json!("webchat");
    params["auth"] = auth;
    let answer = socket
        .request("connect", device.sign(params, &socket))
        .await;
    if answer["ok"] == true {
        return json!("hello-ok");
    }
    answer["error"]["details"]["code"].clone()
}

#[tokio::test]
async fn attack_03_a_page_on_this_machine_is_locked_out_whatever_else_it_sends() {
    // A field that is wrong as well makes no guess a lesser one.
    let made_up = |token: &str| json!({ "token": token, "deviceToken": "made up" });
    let plain = |token: &str| json!({ "token": token });
    let password = |token: &str| json!({ "password": token, "deviceToken": "made up" });
    let kinds: [&dyn Fn(&str) -> Value; 3] = [&plain, &made_up, &password];
    for credentials in kinds {
        // Programs of this machine are exempt by default; a page is none of them.
        let mut plan = Plan::default();
        plan.gate.rate_limit.max_attempts = 3;
        assert!(plan.gate.rate_limit.exempt_loopback);
        let daemon = Daemon::start(plan);
        // Another device each time, as a page can make as many as it likes.
        for seed in 0..3 {
            let code = guess(&daemon, &Device::new(seed), credentials("wrong")).await;
            assert_ne!(code, "hello-ok");
            assert_ne!(code, "AUTH_RATE_LIMITED", "guess {seed}");
        }
        for token in ["wrong", TOKEN] {
            let code = guess(&daemon, &Device::new(9), credentials(token)).await;
            assert_eq!(code, "AUTH_RATE_LIMITED", "{}", credentials(token));
        }
        // The owner's own programs notice nothing.
        daemon.client().await;
    }
}
