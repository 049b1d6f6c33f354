//! Guessing: what is counted, whom a lock keeps out, and what it never keeps out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openclaw_actors::clock::TestClock;
use openclaw_actors::gate::AuthMode;
use openclaw_actors::limiter::failures::RateLimit;
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::harness::TOKEN;
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::device::Device;
use crate::harness::socket::{Socket, connect_params};
use crate::harness::soon;

/// A lock after four failures, for programs of this machine as well, in time that a test decides.
fn strict() -> (Plan, Arc<TestClock>) {
    let clock = Arc::new(TestClock::frozen());
    let mut plan = Plan {
        clock: Arc::<TestClock>::clone(&clock),
        ..Plan::default()
    };
    plan.gate.rate_limit = RateLimit {
        max_attempts: 4,
        exempt_loopback: false,
        ..RateLimit::default()
    };
    (plan, clock)
}

fn auth(auth: Value) -> Value {
    let mut params = connect_params(4);
    params["auth"] = auth;
    params
}

/// Connects with these credentials; `details.code` of the refusal, or what it is let in as.
async fn attempt(mut socket: Socket, device: Option<&Device>, credentials: Value) -> Value {
    let mut params = auth(credentials);
    if let Some(device) = device {
        params = device.sign(params, &socket);
    }
    let answer = socket.request("connect", params).await;
    if answer["ok"] == true {
        return json!("hello-ok");
    }
    socket.closed().await;
    answer["error"]["details"]["code"].clone()
}

/// What the limits counted so far.
async fn counts(admin: &mut Socket) -> Value {
    admin.call("status", json!({})).await["gateway"]["limits"].clone()
}

#[tokio::test]
async fn four_wrong_guesses_lock_and_then_even_the_right_secret_is_refused() {
    let (plan, clock) = strict();
    let daemon = Daemon::start(plan);
    for _ in 0..4 {
        let code = attempt(daemon.socket().await, None, json!({ "token": "wrong" })).await;
        assert_eq!(code, "AUTH_TOKEN_MISMATCH");
    }
    clock.advance(Duration::from_secs(100));
    for token in ["wrong", TOKEN] {
        for generation in [3, 4] {
            let mut socket = daemon.socket().await;
            let mut params = connect_params(generation);
            params["auth"] = json!({ "token": token });
            let (error, code, reason) = socket.turned_away(params).await;
            assert_eq!(code, 1008);
            assert_eq!(error["code"], "INVALID_REQUEST", "{error}");
            assert_eq!(
                error["details"],
                json!({
                    "code": "AUTH_RATE_LIMITED",
                    "authReason": "rate_limited",
                    "canRetryWithDeviceToken": false,
                    "recommendedNextStep": "wait_then_retry",
                })
            );
            assert_eq!(error["retryable"], true);
            assert_eq!(error["retryAfterMs"], 200_000);
            let prefix = "unauthorized: too many failed authentication attempts (retry later)";
            assert!(reason.starts_with(prefix), "{reason}");
        }
    }
    // Whoever shows no secret is told what is missing: that is no guess.
    let device = Device::new(1);
    let code = attempt(daemon.socket().await, Some(&device), json!({})).await;
    assert_eq!(code, "AUTH_TOKEN_MISSING");
    clock.advance(Duration::from_secs(200));
    let counts = counts(&mut daemon.client().await).await;
    assert_eq!(counts["failedAttempts"], 4);
    assert_eq!(counts["lockouts"], 1);
    assert_eq!(counts["refusedWhileLocked"], 4);
}

#[tokio::test]
async fn the_right_secret_and_missing_ones_are_no_failures() {
    let (plan, _) = strict();
    let daemon = Daemon::start(plan);
    let device = Device::new(1);
    for _ in 0..3 {
        for _ in 0..3 {
            let code = attempt(daemon.socket().await, None, json!({ "token": "wrong" })).await;
            assert_eq!(code, "AUTH_TOKEN_MISMATCH");
        }
        for _ in 0..5 {
            attempt(daemon.socket().await, Some(&device), json!({})).await;
        }
        let code = attempt(daemon.socket().await, None, json!({ "token": TOKEN })).await;
        assert_eq!(code, "hello-ok", "a success starts the count anew");
    }
}

#[tokio::test]
async fn a_device_with_its_own_token_comes_in_while_the_shared_secret_is_locked() {
    let (plan, _) = strict();
    let daemon = Daemon::start(plan);
    let device = Device::new(1);
    let mut socket = daemon.socket().await;
    let params = device.sign(auth(json!({ "token": TOKEN })), &socket);
    let hello = socket.hello(params).await;
    let own = hello["auth"]["deviceToken"].as_str().unwrap().to_owned();
    for _ in 0..4 {
        attempt(daemon.socket().await, None, json!({ "token": "wrong" })).await;
    }
    let code = attempt(daemon.socket().await, None, json!({ "token": TOKEN })).await;
    assert_eq!(code, "AUTH_RATE_LIMITED");
    for credentials in [
        json!({ "deviceToken": own }),
        json!({ "token": own }),
        json!({ "token": "an old one", "deviceToken": own }),
    ] {
        let code = attempt(daemon.socket().await, Some(&device), credentials.clone()).await;
        assert_eq!(code, "hello-ok", "{credentials}");
    }
}

#[tokio::test]
async fn a_device_cannot_guess_the_shared_secret_behind_its_own_token() {
    let (plan, _) = strict();
    let daemon = Daemon::start(plan);
    let device = Device::new(1);
    let mut socket = daemon.socket().await;
    let params = device.sign(auth(json!({ "token": TOKEN })), &socket);
    let hello = socket.hello(params).await;
    let own = hello["auth"]["deviceToken"].as_str().unwrap().to_owned();
    let method = |token: &'static str| {
        let (daemon, device, own) = (&daemon, &device, &own);
        async move {
            let mut socket = daemon.socket().await;
            let credentials = json!({ "token": token, "deviceToken": own });
            let params = device.sign(auth(credentials), &socket);
            let hello = socket.hello(params).await;
            hello["auth"]["deviceToken"] == own.as_str()
        }
    };
    for _ in 0..4 {
        assert!(method("a guess").await, "its own token opens the gate");
    }
    // The right guess would be answered with a further token; locked, it is not even compared.
    assert!(method(TOKEN).await);
    // Nobody else is kept out by that.
    let code = attempt(daemon.socket().await, None, json!({ "token": TOKEN })).await;
    assert_eq!(code, "hello-ok");
}

#[tokio::test]
async fn a_wrong_secret_of_this_machine_is_answered_late_and_holds_nobody_else_up() {
    let daemon = Daemon::start(Plan::default());
    let mut late = Vec::new();
    for _ in 0..5 {
        let mut socket = daemon.socket().await;
        socket
            .ask("connect", auth(json!({ "token": "wrong" })))
            .await;
        late.push((Instant::now(), socket));
        // Each is counted before the next, although its answer is still on its way.
        daemon.client().await;
    }
    // A right secret started the count anew each time: every answer waits for its 250 ms only.
    for (asked, mut socket) in late {
        let answer = socket.frame().await;
        assert_eq!(answer["error"]["details"]["code"], "AUTH_TOKEN_MISMATCH");
        assert!(asked.elapsed() >= Duration::from_millis(240));
        assert_eq!(socket.closed().await.0, 1008);
    }
    let counts = counts(&mut daemon.client().await).await;
    assert_eq!(counts["delayedAnswers"], 5);
    assert_eq!(counts["lockouts"], 0);
}

#[tokio::test]
async fn late_answers_take_no_place_before_the_handshake_and_hang_ups_leave_nothing() {
    let mut plan = Plan::default();
    plan.arrivals.open_per_client = 1;
    let daemon = Daemon::start(plan);
    let mut admin = daemon.client().await;
    let mut late = Vec::new();
    for n in 1..=6 {
        // Once something is answered, the connection has given its place back.
        while counts(&mut admin).await["failedAttempts"] != n - 1 {}
        let mut socket = daemon.socket().await;
        socket
            .ask("connect", auth(json!({ "token": "wrong" })))
            .await;
        late.push(socket);
    }
    while counts(&mut admin).await["failedAttempts"] != 6 {}
    drop(late);
    daemon.client().await;
}

/// A guess of a page in this machine's browser.
async fn page(daemon: &Daemon, origin: &str, device: &Device, credentials: Value) -> Value {
    let mut socket = Socket::open(daemon.address, &[("origin", origin)]).await;
    let mut params = auth(credentials);
    params["client"]["id"] = json!("webchat-ui");
    params["client"]["mode"] = json!("webchat");
    let params = device.sign(params, &socket);
    let answer = socket.request("connect", params).await;
    if answer["ok"] == true {
        return json!("hello-ok");
    }
    socket.closed().await;
    answer["error"]["details"]["code"].clone()
}

/// Four attempts from a page, or from a program of this machine where that is exempt.
fn exempt() -> Plan {
    let (mut plan, _) = strict();
    plan.gate.rate_limit.exempt_loopback = true;
    plan.gate(AuthMode::Password(TOKEN.into()))
}

#[tokio::test]
async fn attack_03_a_page_that_guesses_on_loopback_is_locked_out_whatever_else_it_sends() {
    let daemon = Daemon::start(exempt());
    let own = format!("http://{}", daemon.address);
    let device = Device::new(3);
    for _ in 0..4 {
        let guess = json!({ "password": "a guess", "deviceToken": "made up" });
        let code = page(&daemon, &own, &device, guess).await;
        assert_eq!(code, "AUTH_DEVICE_TOKEN_MISMATCH");
    }
    // Locked: the right password is refused, with every decoration.
    for credentials in [
        json!({ "password": TOKEN }),
        json!({ "token": TOKEN }),
        json!({ "password": TOKEN, "deviceToken": "made up" }),
        json!({ "password": TOKEN, "deviceToken": "" }),
        json!({ "password": TOKEN, "bootstrapToken": "made up" }),
        json!({ "password": TOKEN, "token": "made up" }),
    ] {
        let code = page(&daemon, &own, &device, credentials.clone()).await;
        assert_eq!(code, "AUTH_RATE_LIMITED", "{credentials}");
        let another = Device::new(4);
        let code = page(&daemon, &own, &another, credentials.clone()).await;
        assert_eq!(code, "AUTH_RATE_LIMITED", "{credentials} of another device");
    }
    // The owner's command line is not locked out by a page.
    let code = attempt(daemon.socket().await, None, json!({ "password": TOKEN })).await;
    assert_eq!(code, "hello-ok");
    // Its success does not help the page.
    let code = page(&daemon, &own, &device, json!({ "password": TOKEN })).await;
    assert_eq!(code, "AUTH_RATE_LIMITED");
}

#[tokio::test]
async fn attack_03_a_page_gets_no_new_guesses_from_a_new_origin_or_port() {
    let mut plan = exempt();
    plan.gate.allowed_origins = vec!["*".to_owned()];
    let daemon = Daemon::start(plan);
    let device = Device::new(3);
    let origins = [
        "http://localhost:1",
        "http://127.0.0.1:2",
        "https://a.example",
        "https://b.example",
    ];
    for origin in origins {
        let code = page(&daemon, origin, &device, json!({ "password": "a guess" })).await;
        assert_eq!(code, "AUTH_PASSWORD_MISMATCH", "{origin}");
    }
    for origin in ["http://localhost:3", "https://c.example"] {
        let code = page(&daemon, origin, &device, json!({ "password": TOKEN })).await;
        assert_eq!(code, "AUTH_RATE_LIMITED", "{origin}");
    }
    // The gateway's own page has a count of its own.
    let own = format!("http://{}", daemon.address);
    let code = page(&daemon, &own, &device, json!({ "password": TOKEN })).await;
    assert_eq!(code, "hello-ok");
}

#[tokio::test]
async fn attack_04_one_address_has_one_count_in_either_notation() {
    // Its peers show as `::ffff:127.0.0.1`, and are still this machine: exempt, and one count
    // whichever loopback address they use. Other addresses: the limiter's own tests.
    let (mut plan, _) = strict();
    plan.listen = "[::ffff:127.0.0.1]:0";
    let daemon = Daemon::start(plan);
    let here = SocketAddr::from(([127, 0, 0, 1], daemon.address.port()));
    let from = |last: u8| async move {
        let tcp = TcpSocket::new_v4().expect("a socket");
        tcp.bind(([127, 0, 0, last], 0).into())
            .expect("a source address");
        let connected = soon("the connection", tcp.connect(here)).await;
        Socket::over(connected.expect("the gateway listens")).await
    };
    for last in 1..=4 {
        let code = attempt(from(last).await, None, json!({ "token": "wrong" })).await;
        assert_eq!(code, "AUTH_TOKEN_MISMATCH");
    }
    for last in [1, 9] {
        let code = attempt(from(last).await, None, json!({ "token": TOKEN })).await;
        assert_eq!(code, "AUTH_RATE_LIMITED");
    }
}
