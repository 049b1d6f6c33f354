//! Who is connected, and the rows that are made of it.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use openclaw_protocol::client::{ClientId, ClientMode};
use openclaw_protocol::connect::ClientInfo;
use openclaw_protocol::methods::node::ApprovalState;
use openclaw_protocol::{Generation, Role, Scope, Scopes};

use super::policy::{CommandPolicy, Surface};
use super::state::{LiveNodes, MAX_LEFT};
use super::{Declaration, NodeTrust, NodeTrustMap, effective, pending, rows};
use crate::call::{Caller, ConnKey};
use crate::clock::{Millis, SeededEntropy, SharedClock, TestClock};
use crate::pairing::node_record::{ApprovedSurface, NodeRecord, PendingSurface, Program};
use crate::pairing::records::About;
use crate::placement::Place;
use crate::settings::testing;
use crate::store::{MemoryMedium, Op, Store, StoreConfig, StoreDeps, Table, keys};
use crate::supervision::{DeathWatch, RestartPolicy, supervise};
use crate::tests::world;
use crate::views::Views;

fn surface(commands: &[&str]) -> Surface {
    let commands: Vec<String> = commands.iter().map(|name| (*name).to_owned()).collect();
    Surface::declared(&[], &commands, None)
}

fn caller(role: Role, device: Option<&str>, scopes: &[Scope], commands: &[&str]) -> Caller {
    Caller {
        auth_epoch: None,
        conn: ConnKey::next(),
        conn_id: "conn".into(),
        role,
        scopes: Scopes::of(scopes),
        generation: Generation::V4,
        client: ClientInfo {
            id: ClientId::NodeHost,
            display_name: device.map(|id| format!("name of {id}")),
            version: "2".into(),
            build_id: None,
            platform: "linux".into(),
            device_family: None,
            model_identifier: None,
            time_zone: None,
            mode: ClientMode::Node,
            instance_id: None,
        },
        caps: Vec::new(),
        node: (role == Role::Node).then(|| Declaration {
            surface: surface(commands),
            path_env: None,
        }),
        device_id: device.map(str::to_owned),
        remote_ip: None,
        hub: Arc::default(),
        chain: Vec::new(),
        chat: None,
        in_flight: AtomicU32::new(0),
        ended: crate::call::Ended::default(),
        subscriptions: crate::call::Subscriptions::default(),
        address: None,
    }
}

fn connected(device: &str, commands: &[&str]) -> Arc<Caller> {
    Arc::new(caller(Role::Node, Some(device), &[], commands))
}

fn trust(approved: Option<&[&str]>, pending: Option<&[&str]>) -> NodeTrust {
    NodeTrust {
        about: About {
            platform: Some("old platform".into()),
            ..About::default()
        },
        name: Some("given name".into()),
        record: NodeRecord {
            approved: approved.map(|commands| ApprovedSurface {
                revision: 1,
                surface: surface(commands),
                program: Program::default(),
                created_at_ms: Millis(1),
                approved_at_ms: Millis(2),
            }),
            pending: pending.map(|commands| PendingSurface {
                request_id: "request".into(),
                surface: surface(commands),
                program: Program::default(),
                ts: Millis(3),
            }),
            last_connected_at_ms: Some(Millis(4)),
        },
        approved_at_ms: Millis(1),
    }
}

fn views(nodes: LiveNodes, trusted: Vec<(&str, NodeTrust)>, policy: CommandPolicy) -> Views {
    let mut settings = testing::settings();
    settings.nodes = policy;
    let clock: SharedClock = TestClock::shared();
    let views = world::views(settings, &clock);
    views.nodes.publish(nodes);
    let trusted: NodeTrustMap = trusted
        .into_iter()
        .map(|(id, trust)| (id.into(), Arc::new(trust)))
        .collect();
    views.node_trust.publish(trusted);
    views
}

#[test]
fn the_newest_connection_of_a_node_is_the_one() {
    let mut nodes = LiveNodes::default();
    let (first, second) = (connected("n", &[]), connected("n", &[]));
    assert!(nodes.joined(&first, None, Millis(1)).is_none());
    let older = nodes.joined(&second, None, Millis(2)).unwrap();
    assert_eq!(older.caller.conn, first.conn);
    // The end of the older one changes nothing.
    assert!(nodes.departed(&first, Millis(3)).is_none());
    assert_eq!(nodes.get("n").unwrap().caller.conn, second.conn);
    assert!(nodes.departed(&second, Millis(4)).is_some());
    assert!(nodes.get("n").is_none());
    assert_eq!(nodes.left_at("n"), Some(Millis(4)));
    nodes.joined(&first, None, Millis(5));
    assert_eq!(nodes.left_at("n"), None);
}

#[test]
fn only_so_many_that_left_are_remembered() {
    let mut nodes = LiveNodes::default();
    for n in 0..=MAX_LEFT {
        let node = connected(&format!("n{n}"), &[]);
        let at = Millis(i64::try_from(n).unwrap());
        nodes.joined(&node, None, at);
        nodes.departed(&node, at);
    }
    assert_eq!(nodes.left_at("n0"), None);
    assert!(nodes.left_at("n1").is_some());
}

#[test]
fn what_is_in_effect_follows_approval_and_configuration_without_a_reconnect() {
    let mut nodes = LiveNodes::default();
    nodes.joined(
        &connected("n", &["canvas.hide", "camera.snap"]),
        None,
        Millis(1),
    );
    let views = views(
        nodes,
        vec![("n", trust(None, None))],
        CommandPolicy::default(),
    );
    assert_eq!(effective(&views, "n"), Some(Surface::default()));
    assert_eq!(effective(&views, "other"), None);

    let approved = trust(Some(&["canvas.hide", "camera.snap"]), None);
    views
        .node_trust
        .publish([("n".into(), Arc::new(approved))].into());
    let both = surface(&["canvas.hide", "camera.snap"]);
    assert_eq!(effective(&views, "n"), Some(both));

    let mut settings = testing::settings();
    settings.nodes = CommandPolicy::new([], ["camera.snap"]);
    views.settings.publish(settings);
    assert_eq!(effective(&views, "n"), Some(surface(&["canvas.hide"])));
    // No longer a node in anyone's eyes: its connection is still there for a moment.
    views.node_trust.publish(NodeTrustMap::new());
    assert_eq!(effective(&views, "n"), Some(Surface::default()));
}

#[test]
fn rows_are_sorted_and_say_what_is_known() {
    let mut nodes = LiveNodes::default();
    for (id, commands) in [("z", &["canvas.hide", "camera.snap"][..]), ("y", &["a.b"])] {
        nodes.joined(&connected(id, commands), None, Millis(10));
    }
    let gone = connected("w", &[]);
    nodes.joined(&gone, None, Millis(5));
    nodes.departed(&gone, Millis(6));
    let unnamed = NodeTrust {
        name: None,
        ..trust(
            Some(&["canvas.hide"]),
            Some(&["canvas.hide", "camera.snap"]),
        )
    };
    let views = views(
        nodes,
        vec![
            ("w", trust(Some(&["canvas.hide", "sms.send"]), None)),
            ("y", trust(None, Some(&["a.b"]))),
            ("z", unnamed),
        ],
        CommandPolicy::new([], ["sms.*", "camera.clip"]),
    );
    let admin = caller(Role::Operator, None, &[Scope::Admin], &[]);
    let list = rows::list(&views, &admin);
    let ids: Vec<&str> = list.iter().map(|row| &*row.node_id).collect();
    // Connected first; among them "given name" before "name of z".
    assert_eq!(ids, ["y", "z", "w"]);
    let [y, z, w] = &list[..] else {
        panic!("{list:?}")
    };
    assert_eq!(y.approval_state, Some(ApprovalState::PendingApproval));
    assert!(y.commands.is_empty());
    assert_eq!(y.pending_declared_commands, Some(vec!["a.b".to_owned()]));
    assert_eq!(z.approval_state, Some(ApprovalState::PendingReapproval));
    assert_eq!(z.commands, ["canvas.hide"]);
    assert_eq!(
        (&*z.platform.clone().unwrap(), z.connected),
        ("linux", true)
    );
    assert_eq!(w.approval_state, Some(ApprovalState::Approved));
    assert_eq!(w.commands, ["canvas.hide"]);
    assert_eq!(
        (w.last_seen_at_ms, w.last_seen_reason.as_deref()),
        (Some(6), Some("disconnect"))
    );
    assert!(!w.connected && w.paired);
}

#[test]
fn who_may_not_decide_does_not_see_what_waits() {
    use Scope::{Pairing, Read};
    let mut nodes = LiveNodes::default();
    nodes.joined(&connected("n", &["camera.snap"]), None, Millis(1));
    let views = views(
        nodes,
        vec![("n", trust(None, Some(&["camera.snap"])))],
        CommandPolicy::new([], ["camera.snap"]),
    );
    let row = |device: Option<&str>, scopes: &[Scope]| {
        rows::find(&views, &caller(Role::Operator, device, scopes, &[]), "n").unwrap()
    };
    for (device, scopes, id, details) in [
        (None, &[Read, Pairing][..], true, true),
        (None, &[Read], false, false),
        (Some("other"), &[Read, Pairing], false, false),
        (Some("n"), &[Read], true, false),
        (Some("n"), &[Read, Pairing], true, true),
    ] {
        let row = row(device, scopes);
        assert_eq!(
            row.pending_request_id.is_some(),
            id,
            "{device:?} {scopes:?}"
        );
        assert_eq!(row.pending_declared_commands.is_some(), details);
        assert_eq!(row.denied_commands.is_some(), details);
    }
    let mut v3 = caller(Role::Operator, None, &[Scope::Admin], &[]);
    v3.generation = Generation::V3;
    let row = serde_json::to_value(rows::find(&views, &v3, "n").unwrap()).unwrap();
    let keys: Vec<&String> = row.as_object().unwrap().keys().collect();
    for key in keys {
        assert!(
            [
                "nodeId",
                "displayName",
                "platform",
                "version",
                "deviceFamily",
                "modelIdentifier",
                "remoteIp",
                "caps",
                "commands",
                "pathEnv",
                "permissions",
                "connectedAtMs",
                "paired",
                "connected",
            ]
            .contains(&key.as_str()),
            "{key}"
        );
    }
}

#[actix::test]
async fn what_waits_for_a_node_goes_with_the_node() {
    tokio::time::pause();
    let clock = TestClock::shared();
    let watch = DeathWatch::new(clock.clone(), SeededEntropy::shared(7));
    let config = StoreConfig::on(Arc::new(MemoryMedium::default()));
    let deps = StoreDeps::open(&config, clock.clone()).unwrap();
    let writer = supervise::<Store>(&Place::here(), RestartPolicy::CORE, &watch, deps.clone());
    let store = deps.handle(writer.recipient());
    let known = NodeTrustMap::from([("here".into(), Arc::new(trust(Some(&["a.b"]), None)))]);
    let put = |key: Vec<u8>| Op::put_json(Table::Nodes, key, &pending::Queue::default()).unwrap();
    let row = |node: &str| put(pending::row(node));
    let rows = vec![
        row("gone"),
        row("here"),
        row("hereafter"),
        put(keys::text("voicewake")),
    ];
    store.commit(rows).await.unwrap();
    let stale = pending::stale(store.reader(), &known).unwrap();
    assert_eq!(stale.len(), 2);
    store.commit(stale).await.unwrap();
    assert_eq!(store.reader().count(Table::Nodes).unwrap(), 2);
    let left = store.reader().get(Table::Nodes, &pending::row("here"));
    assert!(left.unwrap().is_some());
}
