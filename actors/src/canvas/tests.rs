//! Who may read the canvas, and for how long.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use openclaw_protocol::client::{ClientMode, Role};
use openclaw_protocol::connect::ClientInfo;
use openclaw_protocol::{ClientId, Generation, Scope, Scopes};

use super::desk::LIFE;
use crate::call::{Caller, ConnKey};
use crate::clock::{Clock as _, TestClock};
use crate::gate::{AuthMode, GateSettings};
use crate::settings::testing::settings;
use crate::views::{Places, Views};

fn views(clock: &Arc<TestClock>) -> Views {
    let places = Places::new("config".into(), "state".into(), clock.clone());
    Views::new(settings(), GateSettings::new(AuthMode::None), places)
}

fn operator(scopes: &[Scope]) -> Arc<Caller> {
    Arc::new(Caller {
        conn: ConnKey::next(),
        conn_id: "conn".into(),
        role: Role::Operator,
        scopes: Scopes::of(scopes),
        generation: Generation::V4,
        client: ClientInfo {
            id: ClientId::Cli,
            display_name: None,
            version: "1".into(),
            build_id: None,
            platform: "linux".into(),
            device_family: None,
            model_identifier: None,
            time_zone: None,
            mode: ClientMode::Ui,
            instance_id: None,
        },
        caps: Vec::new(),
        node: None,
        device_id: None,
        remote_ip: None,
        auth_epoch: Some(0),
        hub: Arc::default(),
        chain: Vec::new(),
        chat: None,
        in_flight: AtomicU32::new(0),
        ended: crate::call::Ended::default(),
        subscriptions: crate::call::Subscriptions::default(),
        address: None,
    })
}

#[test]
fn a_capability_is_good_for_ten_minutes_after_its_last_use() {
    let clock = Arc::new(TestClock::frozen());
    let views = views(&clock);
    let reader = operator(&[Scope::Read]);
    let opens = |token: &str| views.canvas.opens(token, &views, clock.now());
    assert!(!opens("t"));
    views.canvas.grant(&reader, "t", clock.now());
    assert!(opens("t") && !opens("T") && !opens(""));
    for _ in 0..3 {
        clock.advance(LIFE.saturating_sub(Duration::from_secs(1)));
        assert!(opens("t"));
    }
    clock.advance(LIFE);
    assert!(!opens("t") && !opens("t"));
}

#[test]
fn it_ends_with_its_connection_its_secret_and_the_canvas() {
    let clock = Arc::new(TestClock::frozen());
    let views = views(&clock);
    let opens = |token: &str| views.canvas.opens(token, &views, clock.now());
    let (one, two, three) = (
        operator(&[Scope::Read]),
        operator(&[Scope::Read]),
        operator(&[Scope::Read]),
    );
    for (caller, token) in [(&one, "1"), (&two, "2"), (&three, "3")] {
        views.canvas.grant(caller, token, clock.now());
        assert!(opens(token));
    }
    one.ended.set();
    drop(two);
    assert!(!opens("1") && !opens("2") && opens("3"));
    let mut off = settings();
    off.canvas.enabled = false;
    views.settings.publish(off);
    assert!(!opens("3"));
    views.settings.publish(settings());
    assert!(opens("3"));
    views.auth_epoch.advance();
    assert!(!opens("3"));
}

#[test]
fn who_may_not_read_sees_no_canvas_and_one_connection_cannot_push_out_others() {
    let clock = Arc::new(TestClock::frozen());
    let views = views(&clock);
    let opens = |token: &str| views.canvas.opens(token, &views, clock.now());
    let stranger = operator(&[Scope::Pairing]);
    views.canvas.grant(&stranger, "s", clock.now());
    assert!(!opens("s"));
    let (greedy, other) = (operator(&[Scope::Read]), operator(&[Scope::Read]));
    views.canvas.grant(&other, "other", clock.now());
    for at in 0..5_000 {
        clock.advance(Duration::from_millis(1));
        views.canvas.grant(&greedy, &format!("g{at}"), clock.now());
    }
    assert!(opens("other") && opens("g4999") && !opens("g4980"));
}

#[test]
fn connections_that_came_and_went_leave_nothing_behind() {
    let clock = Arc::new(TestClock::frozen());
    let views = views(&clock);
    let stays = operator(&[Scope::Read]);
    views.canvas.grant(&stays, "stays", clock.now());
    let mut most = 0;
    for at in 0..5_000 {
        let goes = operator(&[Scope::Read]);
        views.canvas.grant(&goes, &format!("g{at}"), clock.now());
        most = most.max(views.canvas.remembered());
    }
    assert!(most <= 64, "{most} of connections that ended");
    assert!(views.canvas.opens("stays", &views, clock.now()));

    // As many as are there stay, however many they are.
    let crowd: Vec<_> = (0..1_000).map(|_| operator(&[Scope::Read])).collect();
    for (at, one) in crowd.iter().enumerate() {
        views.canvas.grant(one, &format!("c{at}"), clock.now());
    }
    assert!((0..1_000).all(|at| views.canvas.opens(&format!("c{at}"), &views, clock.now())));
}
