//! Devices over real sockets: many at once, setup codes, the end of trust, and `kill -9`.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use openclaw_protocol::setup_code::SetupCode;
use serde_json::{Value, json};

use crate::harness::TOKEN;
use crate::harness::child::{Gateway, Home, config};
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::device::Device;
use crate::harness::model::Model;
use crate::harness::socket::{Inbound, Socket, connect_params};

/// Connects as a device of this machine; what it sends is `params` with its proof.
async fn connect(mut socket: Socket, device: &Device, params: Value) -> (Socket, Value) {
    let params = device.sign(params, &socket);
    let hello = socket.hello(params).await;
    (socket, hello)
}

fn by_token(token: &str) -> Value {
    let mut params = connect_params(4);
    params["auth"] = json!({ "deviceToken": token });
    params
}

/// A phone with a setup code.
fn phone(code: &SetupCode) -> Value {
    json!({
        "minProtocol": 4,
        "maxProtocol": 4,
        "client": {
            "id": "openclaw-ios", "version": "1.0.0", "platform": "iOS 18.4", "mode": "node",
            "deviceFamily": "iPhone", "displayName": "Zoë's phone",
        },
        "role": "node",
        "scopes": [],
        "auth": { "bootstrapToken": code.bootstrap_token },
    })
}

async fn setup_code(owner: &mut Socket) -> (String, SetupCode) {
    let params = json!({ "publicUrl": "wss://gateway.example" });
    let made = owner.call("device.pair.setupCode", params).await;
    let code =
        SetupCode::parse(made["setupCode"].as_str().expect("a code")).expect("it can be read");
    (made["setupId"].as_str().expect("a text").to_owned(), code)
}

#[tokio::test]
async fn twenty_connects_of_a_device_at_once_and_twenty_by_their_tokens_are_accepted() {
    let daemon = Daemon::start(Plan::default());
    let device = Device::new(1);
    let by_secret = (0..20).map(|_| async {
        let (_, hello) = connect(daemon.socket().await, &device, connect_params(4)).await;
        hello["auth"]["deviceToken"].as_str().unwrap().to_owned()
    });
    let tokens = join_all(by_secret).await;
    let (daemon, device) = (&daemon, &device);
    let back = tokens.iter().map(|token| async move {
        let (_, hello) = connect(daemon.socket().await, device, by_token(token)).await;
        assert_eq!(hello["auth"]["deviceToken"], json!(token));
    });
    join_all(back).await;
    let mut owner = daemon.client().await;
    let list = owner.call("device.pair.list", json!({})).await;
    let kept = list["paired"][0]["tokens"].as_array().unwrap().len();
    assert!(kept <= 4, "{list}");
    let name = json!({ "deviceId": device.id, "label": "Kitchen tablet" });
    assert_eq!(owner.call("device.pair.rename", name.clone()).await, name);
    let list = owner.call("device.pair.list", json!({})).await;
    assert_eq!(list["paired"][0]["displayName"], "Kitchen tablet", "{list}");
}

#[tokio::test]
async fn attack_16_a_setup_code_pairs_a_phone_once_and_of_two_that_race_one_wins() {
    let daemon = Daemon::start(Plan::default());
    let mut owner = daemon.client().await;
    let (id, code) = setup_code(&mut owner).await;
    let devices = [Device::new(1), Device::new(2)];
    let (gateway, setup) = (&daemon, &code);
    let tries = devices.iter().map(|device| async move {
        let mut socket = gateway.socket().await;
        let params = device.sign(phone(setup), &socket);
        socket
            .send(&json!({ "type": "req", "id": "c", "method": "connect", "params": params }))
            .await;
        let answer = socket.answer("c").await;
        (socket, answer)
    });
    let answers = join_all(tries).await;
    let winner = answers.iter().position(|(_, answer)| answer["ok"] == true);
    let winner = winner.expect("one of them is paired");
    let (_, lost) = &answers[1 - winner];
    assert_eq!(lost["error"]["code"], "INVALID_REQUEST", "{lost}");
    assert_eq!(
        lost["error"]["details"]["code"],
        "AUTH_BOOTSTRAP_TOKEN_INVALID"
    );
    assert_eq!(
        lost["error"]["details"]["recommendedNextStep"],
        "review_auth_configuration"
    );
    let (_, won) = &answers[winner];
    let auth = &won["payload"]["auth"];
    assert_eq!(
        (&auth["role"], &auth["scopes"]),
        (&json!("node"), &json!([]))
    );
    let further = &auth["deviceTokens"][0];
    assert_eq!(further["role"], "operator");
    assert!(
        !further["scopes"]
            .as_array()
            .unwrap()
            .contains(&json!("operator.admin"))
    );
    // The owner is told, and the code is over for its own device too.
    let done = owner
        .until(|frame| frame["event"] == "device.pair.setup.completed")
        .await;
    assert_eq!(done["payload"]["deviceName"], "Zoë's phone");
    assert_eq!(done["payload"]["deviceId"], devices[winner].id.as_str());
    let status = json!({ "setupId": id });
    let status = owner.call("device.pair.setupStatus", status).await;
    assert_eq!(status["completion"], done["payload"]);
    let mut again = daemon.socket().await;
    let params = devices[winner].sign(phone(&code), &again);
    let (error, closed, _) = again.turned_away(params).await;
    assert_eq!(closed, 1008);
    assert_eq!(
        error["details"]["code"], "AUTH_BOOTSTRAP_TOKEN_INVALID",
        "{error}"
    );
    // Both of its tokens work.
    let mut operator = phone(&code);
    operator["role"] = json!("operator");
    operator["client"]["mode"] = json!("ui");
    operator["scopes"] = json!(["operator.read", "operator.write"]);
    operator["auth"] = json!({ "deviceToken": further["deviceToken"] });
    let (_, hello) = connect(daemon.socket().await, &devices[winner], operator).await;
    assert_eq!(hello["auth"]["role"], "operator");
    let mut node = phone(&code);
    node["auth"] = json!({ "deviceToken": auth["deviceToken"] });
    connect(daemon.socket().await, &devices[winner], node).await;
}

#[tokio::test]
async fn attack_17_a_setup_code_holds_no_lasting_secret() {
    let daemon = Daemon::start(Plan::default());
    let mut owner = daemon.client().await;
    let params = json!({ "publicUrl": "wss://gateway.example", "includeQr": true });
    let made = owner.call("device.pair.setupCode", params).await;
    let code = made["setupCode"].as_str().unwrap();
    let inside = URL_SAFE_NO_PAD.decode(code).unwrap();
    let inside: Value = serde_json::from_slice(&inside).unwrap();
    let keys: Vec<&String> = inside.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["bootstrapToken", "expiresAtMs", "url"]);
    assert!(!made.to_string().contains(TOKEN) && !inside.to_string().contains(TOKEN));
    // The one-time token is none of the others, and the next code has another one.
    let device = Device::new(1);
    for field in ["token", "deviceToken", "password"] {
        let mut socket = daemon.socket().await;
        let mut params = phone(&SetupCode::parse(code).unwrap());
        params["auth"] = json!({ field: inside["bootstrapToken"] });
        let params = device.sign(params, &socket);
        let (error, _, _) = socket.turned_away(params).await;
        assert_eq!(error["code"], "INVALID_REQUEST", "{field}: {error}");
    }
    let (_, next) = setup_code(&mut owner).await;
    assert_ne!(inside["bootstrapToken"], next.bootstrap_token);
}

#[tokio::test]
async fn a_device_asks_for_more_on_its_open_connection() {
    let daemon = Daemon::start(Plan::default());
    let mut owner = daemon.client().await;
    let device = Device::new(1);
    let mut params = connect_params(4);
    params["scopes"] = json!([]);
    let (mut own, _) = connect(daemon.socket().await, &device, params).await;
    let more = json!({ "scopes": ["operator.write"] });
    let asked = own.call("device.scopes.requestUpgrade", more).await;
    let event = owner
        .until(|frame| frame["event"] == "device.pair.requested")
        .await;
    assert_eq!(event["payload"]["requestId"], asked["requestId"]);
    let waiting = own.ask("device.scopes.waitUpgrade", asked.clone()).await;
    owner.call("device.pair.approve", asked.clone()).await;
    let answer = own.answer(&waiting).await;
    assert_eq!(answer["payload"]["status"], "approved", "{answer}");
    let mut params = by_token(answer["payload"]["deviceToken"].as_str().unwrap());
    params["scopes"] = json!(["operator.write"]);
    let (_, hello) = connect(daemon.socket().await, &device, params).await;
    assert_eq!(hello["auth"]["scopes"], json!(["operator.write"]));
}

/// What an owner decides in a round of the test below, in the order of a seed.
const DECISIONS: [&str; 5] = ["revoke", "rotate", "remove", "approve", "setup"];

/// Numbers that look random and are the same for the same seed.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }

    fn shuffled(&mut self) -> Vec<&'static str> {
        let mut all = DECISIONS.to_vec();
        for at in (1..all.len()).rev() {
            all.swap(at, self.below(at + 1));
        }
        all
    }
}

/// One device per decision, and what it holds before it.
struct Round {
    devices: Vec<Device>,
    tokens: Vec<Option<String>>,
    request: String,
}

impl Round {
    fn device(&self, decision: &str) -> (&Device, Option<&str>) {
        let at = DECISIONS
            .iter()
            .position(|known| *known == decision)
            .expect("it is one of them");
        (&self.devices[at], self.tokens[at].as_deref())
    }

    /// Pairs the devices whose trust is ended later; one more waits.
    async fn prepare(gateway: &Gateway, owner: &mut Socket, round: u8) -> Self {
        let devices: Vec<Device> = (0..5).map(|n| Device::new(round * 5 + n + 1)).collect();
        let mut tokens = Vec::new();
        for device in &devices[..3] {
            let request = waits(gateway, device).await;
            owner
                .call("device.pair.approve", json!({ "requestId": request }))
                .await;
            let (_, hello) = connect(gateway.socket().await, device, connect_params(4)).await;
            tokens.push(hello["auth"]["deviceToken"].as_str().map(str::to_owned));
        }
        tokens.extend([None, None]);
        let request = waits(gateway, &devices[3]).await;
        Self {
            devices,
            tokens,
            request,
        }
    }

    fn call(&self, decision: &str) -> (&'static str, Value) {
        let id = &self.device(decision).0.id;
        let role = json!({ "deviceId": id, "role": "operator" });
        match decision {
            "revoke" => ("device.token.revoke", role),
            "rotate" => ("device.token.rotate", role),
            "remove" => ("device.pair.remove", json!({ "deviceId": id })),
            "approve" => ("device.pair.approve", json!({ "requestId": self.request })),
            _ => (
                "device.pair.setupCode",
                json!({ "publicUrl": "wss://gateway.example" }),
            ),
        }
    }

    /// An answered decision holds.
    async fn check(&self, gateway: &Gateway, decision: &str, answer: &Value) {
        let (device, token) = self.device(decision);
        if let Some(token) = token {
            let error = refused(gateway, device, by_token(token)).await;
            assert_eq!(error["code"], "INVALID_REQUEST", "{decision}: {error}");
        }
        match decision {
            "revoke" => {
                let error = refused(gateway, device, connect_params(4)).await;
                assert_eq!(error["details"]["reason"], "role-upgrade", "{error}");
            }
            "remove" => {
                let error = refused(gateway, device, connect_params(4)).await;
                assert_eq!(error["details"]["reason"], "not-paired", "{error}");
            }
            "rotate" | "approve" => {
                connect(gateway.socket().await, device, connect_params(4)).await;
            }
            _ => {
                let code = answer["payload"]["setupCode"].as_str().expect("a text");
                let code = SetupCode::parse(code).expect("a code");
                connect(gateway.socket().await, device, phone(&code)).await;
            }
        }
    }
}

async fn refused(gateway: &Gateway, device: &Device, params: Value) -> Value {
    let mut socket = gateway.socket().await;
    let params = device.sign(params, &socket);
    socket.turned_away(params).await.0
}

/// A device that nobody approved asks; gives its request.
async fn waits(gateway: &Gateway, device: &Device) -> String {
    let error = refused(gateway, device, connect_params(4)).await;
    let request = error["details"]["requestId"].as_str();
    request.unwrap_or_else(|| panic!("{error}")).to_owned()
}

#[tokio::test]
async fn every_decision_that_was_answered_outlives_a_kill() {
    let model = Model::echoing().await;
    let mut config = config(&model);
    config["gateway"]["nodes"] = json!({ "pairing": { "autoApproveLocal": false } });
    let home = Home::with(&config);
    let deep = std::env::var("OPENCLAW_DEEP").is_ok_and(|value| value == "1");
    let mut seen = BTreeSet::new();
    for round in 0..if deep { 50 } else { 6 } {
        let mut seeded = Seeded(u64::from(round));
        let gateway = Gateway::start(&home).await;
        let mut owner = gateway.client().await;
        let plan = Round::prepare(&gateway, &mut owner, round).await;
        let mut asked = Vec::new();
        for decision in seeded.shuffled() {
            let (method, params) = plan.call(decision);
            asked.push((decision, owner.ask(method, params).await));
        }
        // Killed when some of them were answered, and with luck others half done.
        for (_, id) in asked.iter().take(seeded.below(DECISIONS.len() + 1)) {
            owner.answer(id).await;
        }
        gateway.kill().await;
        while let Inbound::Frame(_) = owner.next().await {}
        let gateway = Gateway::start(&home).await;
        for (decision, id) in &asked {
            let answer = owner.log.iter().find(|frame| frame["id"] == id.as_str());
            if let Some(answer) = answer {
                assert_eq!(answer["ok"], true, "{decision}: {answer}");
                plan.check(&gateway, decision, answer).await;
                seen.insert(*decision);
            }
        }
        gateway.kill().await;
    }
    assert_eq!(
        seen.len(),
        DECISIONS.len(),
        "each was answered in some round"
    );
}
