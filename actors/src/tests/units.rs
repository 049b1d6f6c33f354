//! Small parts at their edges: frames, bounds, pages.

use std::collections::VecDeque;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use openclaw_protocol::client::ClientMode;
use openclaw_protocol::connect::StateVersion;
use openclaw_protocol::methods::chat::ChatHistoryParams;
use openclaw_protocol::methods::message::{Message, MessageRole};
use openclaw_protocol::methods::sessions::SessionsListParams;
use openclaw_protocol::presence::PresenceEntry;
use openclaw_protocol::{Generation, Role, Scope, Scopes, methods::common::ModelDefaults};
use serde_json::json;

use super::peer::{Who, frame, hello, take};
use super::world::{Setup, paused};
use crate::call::{Caller, Listen};
use crate::clock::Millis;
use crate::event::{self, Audience, Bump, Event, EventBody, EventOut, Form, Ready};
use crate::gateway::state::GatewayState;
use crate::presence::state::{MAX_ROWS, PresenceState, TTL};
use crate::session::link::{Delivery, Link};
use crate::session::queue::{HubItem, HubQueue, SnapshotParts};
use crate::sessions::state::{Draft, Index};
use crate::sessions::{history, list};
use crate::settings::ModelPlan;

pub(super) fn link(max_buffered: usize) -> Link {
    Link::new(None, max_buffered, Duration::ZERO)
}

fn written(link: &Link) -> BytesMut {
    BytesMut::from(&take(link).unwrap()[..])
}

#[test]
fn a_frame_says_its_length_in_the_shortest_form() {
    for (length, header) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
        let link = link(1 << 20);
        let text = vec![b'x'; length];
        link.write_text(&[&text[..length / 2], &text[length / 2..]]);
        let mut bytes = written(&link);
        assert_eq!(bytes.len(), header + length);
        let (opcode, payload) = frame(&mut bytes).unwrap();
        assert_eq!((opcode, payload.len()), (1, length));
        assert!(bytes.is_empty());
    }
}

#[test]
fn a_close_reason_is_cut_between_characters_and_nothing_follows_it() {
    let link = link(1 << 20);
    link.close(1008, &"é€".repeat(60));
    link.write_text(&[b"too late"]);
    let mut bytes = written(&link);
    let (opcode, payload) = frame(&mut bytes).unwrap();
    assert_eq!((opcode, &payload[..2]), (8, &1008_u16.to_be_bytes()[..]));
    assert!(payload.len() <= 125, "a control frame holds 125 bytes");
    let reason = std::str::from_utf8(&payload[2..]).unwrap();
    assert!(reason.len() > 110 && "é€".repeat(60).starts_with(reason));
    assert!(bytes.is_empty());
    assert_eq!(take(&link), None, "the socket ends once it is drained");
}

#[test]
fn a_kill_ends_a_socket_that_takes_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    let link = Link::new(Some(server.try_clone().unwrap()), 10, Duration::ZERO);
    link.write_text(&[&[b'x'; 100]]);
    link.kill(1008, "slow consumer");
    assert!(link.is_closed());
    client
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    assert_eq!(
        client.read(&mut [0; 8]).unwrap(),
        0,
        "the peer sees the end"
    );
    drop(server);
}

#[test]
fn an_answer_is_written_until_the_limit_is_passed_and_the_wait_is_measured() {
    let link = link(10);
    assert_eq!(link.waited(), None);
    link.tick(Duration::from_secs(1));
    assert_eq!(link.write_reply(b"0123456789"), Delivery::Written);
    assert_eq!(link.write_reply(b"more"), Delivery::Overrun);
    link.tick(Duration::from_secs(4));
    assert_eq!(link.waited(), Some(Duration::from_secs(3)));
    assert_eq!(written(&link).len(), 12);
    assert_eq!((link.waited(), link.buffered()), (None, 0));
    assert_eq!(link.write_reply(b"again"), Delivery::Written);
}

pub(super) fn event(size: usize) -> Arc<Event> {
    let body = Ready(Bytes::from(vec![b'1'; size]));
    let out = EventOut::new("tick", Audience::Everyone, body);
    Arc::new(Event::order(out, 1, StateVersion::default()))
}

fn batch(queue: &HubQueue) -> Vec<String> {
    let mut items = VecDeque::new();
    let polled = queue.poll_batch(&Context::from_waker(Waker::noop()), &mut items);
    assert!(polled.is_ready() != items.is_empty());
    items.iter().map(|item| format!("{item:?}")).collect()
}

fn close() -> HubItem {
    HubItem::CloseAll {
        code: 1012,
        reason: "service restart",
    }
}

fn join(queue: &Arc<HubQueue>, who: &Who) -> Arc<Caller> {
    let caller = who.caller(queue);
    let (joined, _) = tokio::sync::oneshot::channel();
    let snapshot = SnapshotParts {
        presence: Arc::default(),
        health: Arc::default(),
        versions: StateVersion::default(),
    };
    queue.push(HubItem::Join {
        caller: Arc::clone(&caller),
        snapshot,
        compose: Box::new(hello),
        joined,
    });
    caller
}

#[test]
fn a_full_queue_drops_events_behind_one_mark_and_never_a_reply() {
    let queue = Arc::new(HubQueue::with_bounds(2, 1_000));
    join(&queue, &Who::admin());
    assert_eq!(batch(&queue), ["Join"]);
    for _ in 0..5 {
        queue.push_event(&event(1));
    }
    queue.push(close());
    queue.push_event(&event(1));
    queue.push_event(&event(1));
    assert_eq!(
        batch(&queue),
        ["Event", "Event", "Lagged", "CloseAll", "Lagged"]
    );
    assert_eq!(queue.dropped(), 5);
    // Emptied: there is room again.
    queue.push_event(&event(1));
    assert_eq!(batch(&queue), ["Event"]);
}

#[test]
fn bytes_of_events_are_bounded_as_well() {
    let queue = Arc::new(HubQueue::with_bounds(100, 1_000));
    join(&queue, &Who::v3());
    queue.push_event(&event(600));
    queue.push_event(&event(600));
    queue.push_event(&event(300));
    assert_eq!(batch(&queue), ["Join", "Event", "Lagged", "Event"]);
    assert_eq!(queue.dropped(), 1);
}

/// A payload that notes each time that it is written.
#[derive(Debug, Default, Clone)]
struct Written(Arc<Mutex<Vec<Generation>>>);

impl EventBody for Written {
    fn write(&self, generation: Generation, _: Form, out: &mut Vec<u8>) -> event::Written {
        self.0.lock().unwrap().push(generation);
        out.extend_from_slice(b"1");
        event::Written::Whole
    }
}

#[test]
fn an_event_is_written_once_and_only_where_somebody_would_take_it() {
    use Generation::{V3, V4};
    let session: Arc<str> = "agent:main:main".into();
    let (first, second) = (Arc::<HubQueue>::default(), Arc::<HubQueue>::default());
    let mut state = GatewayState::new();
    let mut last = 0;
    // In whose words it was written, and how many hubs have work.
    let mut tell = |state: &mut GatewayState, audience: Audience| {
        let body = Written::default();
        let out = EventOut::new("news", audience, body.clone()).bump(Bump::Health);
        let (event, hubs) = state.order(out);
        hubs.for_each(|hub| hub.push_event(&event));
        last += 1;
        assert_eq!(event.number, last, "each has its place, heard or not");
        assert_eq!(state.versions().health, last + 1);
        let busy = [&first, &second].map(|hub| batch(hub).contains(&"Event".to_owned()));
        (body.0.lock().unwrap().clone(), busy)
    };
    let nowhere = (Vec::new(), [false; 2]);
    assert_eq!(tell(&mut state, Audience::Everyone), nowhere);

    let reader = Who {
        scopes: Scopes::of(&[Scope::Read]),
        ..Who::v3()
    };
    let node = Who {
        role: Role::Node,
        scopes: Scopes::NONE,
        ..Who::admin()
    };
    let reader = join(&first, &reader);
    let node = join(&second, &node);
    state.join(&reader);
    state.join(&node);
    let all = Audience::Everyone;
    assert_eq!(tell(&mut state, all.clone()), (vec![V3, V4], [true; 2]));
    let secret = Audience::Operators(Scope::Admin);
    assert_eq!(tell(&mut state, secret.clone()), nowhere);
    let chat = Audience::Session(Arc::clone(&session));
    assert_eq!(tell(&mut state, chat.clone()), (vec![V3], [true, false]));
    let tools = Audience::SessionTools(Arc::clone(&session));
    assert_eq!(tell(&mut state, tools), nowhere);
    let messages = Audience::SessionMessages(Arc::clone(&session));
    assert_eq!(tell(&mut state, messages.clone()), nowhere);
    assert_eq!(tell(&mut state, Audience::SessionIndex), nowhere);

    let listen = |caller: &Arc<Caller>, change: Listen| {
        caller.hub.push(HubItem::Reply {
            conn: caller.conn,
            frame: Vec::new(),
            listen: vec![change],
        });
    };
    listen(&reader, Listen::SessionIndex(true));
    listen(&reader, Listen::Session(Arc::clone(&session), true));
    listen(&node, Listen::Session(Arc::clone(&session), true));
    let for_reader = (vec![V3], [true, false]);
    assert_eq!(tell(&mut state, messages.clone()), for_reader);
    assert_eq!(tell(&mut state, Audience::SessionIndex), for_reader);
    assert_eq!(tell(&mut state, chat.clone()), (vec![V3, V4], [true; 2]));

    listen(&reader, Listen::SessionIndex(false));
    assert_eq!(tell(&mut state, Audience::SessionIndex), nowhere);
    assert!(state.leave(reader.conn).is_some());
    first.forget(reader.conn);
    assert_eq!(tell(&mut state, messages), nowhere);
    assert_eq!(tell(&mut state, chat), (vec![V4], [false, true]));
    let owner = join(&first, &Who::admin());
    state.join(&owner);
    assert_eq!(tell(&mut state, secret), (vec![V4], [true, false]));
    assert_eq!(
        tell(&mut state, all),
        (vec![V4], [true; 2]),
        "once for both hubs"
    );
}

#[test]
fn a_registry_that_was_cut_short_keeps_its_connections_and_its_versions() {
    let news = || {
        let body = Ready(Bytes::from_static(b"1"));
        EventOut::new("presence", Audience::Everyone, body).bump(Bump::Presence)
    };
    let mut state = GatewayState::new();
    let queue = Arc::default();
    let (first, second) = (Who::admin().caller(&queue), Who::v3().caller(&queue));
    state.join(&first);
    state.join(&second);
    assert_eq!(state.order(news()).1.count(), 1);
    let before = state.versions();
    let mut state = state.salvaged();
    assert_eq!(state.versions(), before);
    assert!(state.leave(first.conn).is_some());
    let (event, hubs) = state.order(news());
    assert_eq!((event.number, hubs.count()), (2, 1));
    assert!(state.leave(second.conn).is_some());
    assert_eq!(state.order(news()).1.count(), 0);
}

fn caller(mode: ClientMode, role: Role, instance: Option<&str>) -> Caller {
    let queue = Arc::default();
    let who = Who {
        role,
        ..Who::admin()
    };
    let mut caller = Arc::into_inner(who.caller(&queue)).unwrap();
    caller.client.mode = mode;
    caller.client.instance_id = instance.map(str::to_owned);
    caller
}

pub(super) fn seconds(seconds: i64) -> Millis {
    Millis(seconds * 1_000)
}

fn hosts(state: &PresenceState, now: Millis) -> Vec<String> {
    let rows = state.list(now).into_iter().skip(1);
    rows.map(|row| row.text.clone().unwrap_or_default())
        .collect()
}

fn report(text: &str) -> PresenceEntry {
    PresenceEntry {
        text: Some(text.into()),
        ..PresenceEntry::default()
    }
}

#[test]
fn a_row_lives_as_long_as_its_connection_and_five_minutes_more() {
    let mut state = PresenceState::default();
    let ui = caller(ClientMode::Ui, Role::Operator, None);
    state.joined(&ui, seconds(0));
    let later = seconds(0).plus(TTL).plus(TTL);
    assert!(!state.expire(later), "it is still connected");
    assert!(state.left(&ui, later));
    assert_eq!(state.list(later)[1].reason.as_deref(), Some("disconnect"));
    assert!(!state.expire(later.plus(TTL).minus(Duration::from_millis(1))));
    assert!(state.expire(later.plus(TTL)));
    assert!(hosts(&state, later).is_empty());
}

#[test]
fn the_older_socket_of_a_node_does_not_take_the_row_of_the_newer_along() {
    let mut state = PresenceState::default();
    let older = caller(ClientMode::Node, Role::Node, Some("Phone"));
    let newer = caller(ClientMode::Node, Role::Node, Some("phone"));
    state.joined(&older, seconds(0));
    state.joined(&newer, seconds(1));
    assert_eq!(hosts(&state, seconds(1)).len(), 1);
    assert!(!state.left(&older, seconds(2)));
    assert_eq!(state.list(seconds(2))[1].reason.as_deref(), Some("connect"));
    assert!(state.left(&newer, seconds(3)));
}

#[test]
fn rows_are_newest_first_and_the_absent_make_room_before_the_present() {
    let mut state = PresenceState::default();
    let present = caller(ClientMode::Ui, Role::Operator, None);
    state.joined(&present, seconds(0));
    for at in 1..=i64::try_from(MAX_ROWS).unwrap() + 50 {
        state.reported(&at.to_string(), report(&at.to_string()), seconds(at));
    }
    let rows = hosts(&state, seconds(1_000));
    assert_eq!(rows.len(), MAX_ROWS);
    assert_eq!(rows[0], (MAX_ROWS + 50).to_string());
    assert!(
        rows.last().unwrap().contains("gateway-client"),
        "the present one stays"
    );
}

#[test]
fn a_report_about_a_connected_device_keeps_it_connected() {
    let mut state = PresenceState::default();
    let node = caller(ClientMode::Node, Role::Node, Some("phone"));
    state.joined(&node, seconds(0));
    state.reported("PHONE", report("in a pocket"), seconds(5));
    assert_eq!(hosts(&state, seconds(5)), ["in a pocket"]);
    assert!(!state.expire(seconds(5).plus(TTL)));
}

fn index(sessions: i64) -> Index {
    let mut index = Index::default();
    for at in 0..sessions {
        let draft = Draft {
            key: format!("agent:main:s{at}").into(),
            agent_id: "main".into(),
            messages: vec![Message::text(MessageRole::User, format!("about {at}"), 0)],
            session_id: None,
            last_run: None,
            ops: Vec::new(),
        };
        index
            .prepare(draft, || format!("id-{at}"), seconds(at))
            .unwrap();
    }
    index
}

fn keys(index: &Index, params: serde_json::Value) -> (Vec<String>, serde_json::Value) {
    let params: SessionsListParams = serde_json::from_value(params).unwrap();
    let row = |record: &crate::sessions::state::Record| {
        record.row("main", &ModelDefaults::default(), &[])
    };
    let works = |record: &crate::sessions::state::Record| record.key.ends_with('7');
    let page = list::page(index, &params, seconds(600), works, row);
    let keys = page.sessions.iter().map(|row| row.key.clone()).collect();
    (keys, serde_json::to_value(&page).unwrap())
}

#[test]
fn pages_of_the_session_list_follow_each_other_without_gap_or_overlap() {
    let index = index(25);
    let (mut seen, mut offset) = (Vec::new(), 0);
    loop {
        let (keys, page) = keys(&index, json!({"limit": 10, "offset": offset}));
        assert_eq!(
            (&page["count"], &page["totalCount"]),
            (&json!(keys.len()), &json!(25))
        );
        seen.extend(keys);
        match page["nextOffset"].as_u64() {
            Some(next) => offset = next,
            None => break,
        }
    }
    let newest_first: Vec<String> = (0..25)
        .rev()
        .map(|at| format!("agent:main:s{at}"))
        .collect();
    assert_eq!(seen, newest_first);
    let (beyond, page) = keys(&index, json!({"offset": 99}));
    assert!(beyond.is_empty() && page["hasMore"] == false);
}

#[test]
fn the_order_of_the_list_is_kept_while_sessions_change() {
    let mut index = Index::default();
    let mut random = 7_u64;
    let mut next = |below: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) % below
    };
    for step in 0..400 {
        let key = format!("agent:main:s{}", next(40));
        if next(10) == 0
            && let Some(ending) = index.delete(&key)
        {
            index.settle_end(ending, next(2) == 0);
            continue;
        }
        let draft = Draft {
            key: key.clone().into(),
            agent_id: "main".into(),
            messages: vec![Message::text(MessageRole::User, "hello", 0)],
            session_id: None,
            last_run: None,
            ops: Vec::new(),
        };
        let at = seconds(i64::try_from(next(90)).unwrap());
        index.prepare(draft, || format!("id-{step}"), at).unwrap();
        let (pinned, archived) = (next(4) == 0, next(4) == 0);
        if let Some(record) = index.get(&key).cloned() {
            index.confirm(crate::sessions::state::Record {
                pinned,
                archived,
                revision: record.revision + 1,
                ..record
            });
        }
        for sort in ["activity", "updatedAt"] {
            for archived in [json!(true), json!(false)] {
                // A bound of time looks at all of them, and has to find the same.
                let page = json!({"sortBy": sort, "archived": archived, "limit": 1_000});
                let mut all = page.clone();
                all["activeMinutes"] = json!(100_000);
                let ((listed, page), (found, all)) = (keys(&index, page), keys(&index, all));
                assert_eq!(
                    (listed, &page["totalCount"]),
                    (found.clone(), &all["totalCount"])
                );
                let place = |key: &String| {
                    let record = index.get(key).unwrap();
                    (
                        !(record.pinned && sort != "activity"),
                        std::cmp::Reverse(record.updated_at),
                        key.clone(),
                    )
                };
                assert!(found.is_sorted_by_key(place), "{found:?}");
            }
        }
    }
}

#[test]
fn the_session_list_is_filtered_by_what_people_look_for() {
    let index = index(25);
    assert_eq!(
        keys(&index, json!({"search": "ABOUT 7"})).0,
        ["agent:main:s7"]
    );
    // The last minute before the six hundredth second holds none, ten minutes hold all.
    assert!(keys(&index, json!({"activeMinutes": 1})).0.is_empty());
    assert_eq!(keys(&index, json!({"activeMinutes": 10})).0.len(), 25);
    assert!(keys(&index, json!({"agentId": "other"})).0.is_empty());
    assert!(keys(&index, json!({"label": "x"})).0.is_empty());
    assert_eq!(
        keys(&index, json!({"activeOnly": true})).0,
        ["agent:main:s17", "agent:main:s7"]
    );
    assert_eq!(keys(&index, json!({"activeOnly": false})).0.len(), 25);
}

#[test]
fn what_is_pinned_comes_first_but_where_activity_is_asked_for() {
    let mut index = index(3);
    let key: Arc<str> = "agent:main:s1".into();
    index
        .change(
            (&key, "main"),
            String::new,
            seconds(9),
            |_, record| -> Result<(), crate::store::StoreError> {
                record.pinned = true;
                Ok(())
            },
        )
        .unwrap();
    let order = |params| keys(&index, params).0.join(" ").replace("agent:main:", "");
    for asked in [json!({}), json!({"sortBy": "updatedAt"})] {
        assert_eq!(order(asked), "s1 s2 s0");
    }
    assert_eq!(order(json!({"sortBy": "activity"})), "s2 s1 s0");
    assert_eq!(order(json!({"sortBy": "activity", "limit": 1})), "s2");
}

#[test]
fn pages_of_a_transcript_follow_each_other_without_gap_or_overlap() {
    paused(async {
        let world = Setup::here(ModelPlan::Unconfigured).start().await;
        let mut index = Index::default();
        let messages = (1..=25).map(|at| Message::text(MessageRole::User, format!("row {at}"), 0));
        let draft = Draft {
            key: "agent:main:main".into(),
            agent_id: "main".into(),
            messages: messages.collect(),
            session_id: None,
            last_run: None,
            ops: Vec::new(),
        };
        let prepared = index.prepare(draft, || "id".into(), seconds(0)).unwrap();
        world.store.commit(prepared.ops).await.unwrap();
        let read = |params: serde_json::Value| {
            let params: ChatHistoryParams = serde_json::from_value(params).unwrap();
            history::read(world.store.reader(), "id", 26, &params).unwrap()
        };
        let (mut seen, mut offset) = (Vec::new(), Some(0));
        while let Some(at) = offset {
            let page = read(json!({"sessionKey": "main", "limit": 10, "offset": at}));
            assert_eq!(page.total, 25);
            let texts: Vec<String> = page.messages.iter().map(Message::plain_text).collect();
            seen.splice(0..0, texts);
            offset = page.next_offset;
        }
        let all: Vec<String> = (1..=25).map(|at| format!("row {at}")).collect();
        assert_eq!(seen, all);
        assert!(
            read(json!({"sessionKey": "main", "offset": 25}))
                .messages
                .is_empty()
        );
        assert!(
            read(json!({"sessionKey": "main", "offset": 1_000}))
                .messages
                .is_empty()
        );
        let cut = read(json!({"sessionKey": "main", "limit": 1, "maxChars": 500}));
        assert_eq!(cut.messages[0].plain_text(), "row 25");
        let params = |limit: u32| -> ChatHistoryParams {
            serde_json::from_value(json!({"sessionKey": "main", "limit": limit})).unwrap()
        };
        let around = |seq: u64, limit: u32| {
            let reader = world.store.reader();
            let found = history::around(reader, "id", 26, seq, &params(limit)).unwrap();
            found.map(|(page, newer)| {
                let numbers = page
                    .messages
                    .iter()
                    .filter_map(|row| row.meta.as_ref()?.seq);
                (numbers.collect::<Vec<_>>(), newer)
            })
        };
        assert_eq!(around(10, 5), Some(((8..=12).collect(), 13)));
        assert_eq!(around(10, 1), Some((vec![10], 15)));
        assert_eq!(around(25, 4), Some(((22..=25).collect(), 0)));
        assert_eq!(around(1, 5), Some(((1..=3).collect(), 22)));
        assert_eq!(around(26, 5), None);
        let seq_of = |id: &str| history::seq_of(world.store.reader(), "id", id).unwrap();
        assert_eq!((seq_of("id-3"), seq_of("no such")), (Some(3), None));
        assert_eq!(seq_of("row 3"), None, "a text is no name");
        let since = |after: u64| {
            let rows = history::since(world.store.reader(), "id", after).unwrap();
            rows.map(|(rows, newest)| (rows.len(), newest))
        };
        assert_eq!(since(20), Some((5, 25)));
        assert_eq!(since(25), Some((0, 25)));
        assert_eq!(since(0), Some((25, 25)));
    });
}

#[test]
fn more_than_a_client_is_caught_up_with_is_no_delta() {
    paused(async {
        let world = Setup::here(ModelPlan::Unconfigured).start().await;
        let mut index = Index::default();
        let mut add = async |rows: usize, text: &str| {
            let row = || Message::text(MessageRole::User, text.to_owned(), 0);
            let draft = Draft {
                key: "agent:main:main".into(),
                agent_id: "main".into(),
                messages: std::iter::repeat_with(row).take(rows).collect(),
                session_id: None,
                last_run: None,
                ops: Vec::new(),
            };
            let prepared = index.prepare(draft, || "id".into(), seconds(0)).unwrap();
            world.store.commit(prepared.ops).await.unwrap();
        };
        add(201, "short").await;
        let since = |after: u64| history::since(world.store.reader(), "id", after).unwrap();
        assert!(since(0).is_none());
        assert_eq!(since(1).map(|(rows, _)| rows.len()), Some(200));
        add(2, &"long ".repeat(120_000)).await;
        assert!(since(201).is_none());
        assert_eq!(since(202).map(|(rows, _)| rows.len()), Some(1));
    });
}
