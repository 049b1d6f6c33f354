//! IRC: the server keeps nothing, so what counts is what the gateway had read and stored.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Dice, by_place, is_answered, kills, settled};
use crate::harness::accounts::row_when;
use crate::harness::child::{Gateway, Home, config};
use crate::harness::faults::Break;
use crate::harness::line_proxy::LineProxy;
use crate::harness::model::Model;
use crate::harness::ngircd::{Listener, Ngircd};
use crate::harness::soon;

/// Kills in a usual run.
const KILLS: usize = 9;
/// People who write in each round, each for the first time.
const WRITERS: usize = 2;
/// Messages that a client sends in each round, each to one of those.
const SENDS: usize = 2;

/// What somebody is told whose answer was cut off each time.
const CUT_OFF: &str = "⚠️ I could not answer; the gateway's log says why.";

/// Where a kill hits.
#[derive(Debug, Clone, Copy)]
enum Point {
    /// The server has a message, and its word for it is on its way: between the transport's write and our
    /// commit.
    BeforeCommit(usize),
    /// The gateway wrote so many lines of any kind.
    AfterLines(usize),
    /// A message is stored, and perhaps nothing more.
    Stored,
}

impl Dice {
    /// Every third is forced where a message is on its way.
    fn point_of_irc(&mut self, round: usize) -> Point {
        match round % 3 {
            0 => Point::BeforeCommit(self.some(3)),
            1 => Point::AfterLines(self.some(8)),
            _ => Point::Stored,
        }
    }
}

/// The network, and who is there.
struct Net {
    server: Ngircd,
    proxy: LineProxy,
    people: BTreeMap<String, Listener>,
    /// Those whose message was certainly stored.
    stored: BTreeSet<String>,
}

impl Net {
    /// Whether they have an answer.
    fn has_answer(&self, nick: &str) -> bool {
        self.heard(nick, "re: hello") > 0
    }

    /// How often they heard this.
    fn heard(&self, nick: &str, text: &str) -> usize {
        let heard = self.people[nick].heard();
        heard.iter().filter(|own| *own == text).count()
    }

    /// One life of the gateway, from its start to its kill.
    async fn round(&mut self, number: usize, point: Point, home: &Home) {
        let gateway = Gateway::start(home).await;
        let mut client = gateway.client().await;
        let row = row_when(&mut client, "irc", |row| row["state"] == "connected").await;
        if matches!(point, Point::BeforeCommit(_)) {
            // Lines leave at a pace; what waits must not become more and more.
            settled(&mut client, "irc").await;
        }
        let own = row["probe"]["bot"]["username"].as_str().expect("a nick");
        let name = |kind: char, which: usize| format!("{kind}{number}x{which}");
        let nicks: Vec<String> = (0..WRITERS).map(|which| name('w', which)).collect();
        let boxes: Vec<String> = (0..SENDS).map(|which| name('s', which)).collect();
        for nick in nicks.iter().chain(&boxes) {
            let person = Listener::come(self.server.port, nick).await;
            self.people.insert(nick.clone(), person);
        }
        let held = self.proxy.faults.held();
        if let Point::BeforeCommit(skip) = point {
            self.proxy.faults.break_send_after(Break::HalfOpen, skip);
        }
        let lines = self.proxy.faults.beaten();
        for nick in &nicks {
            self.people[nick].say(own, "hello").await;
            if matches!(point, Point::Stored) {
                break;
            }
        }
        for to in boxes.iter().filter(|_| !matches!(point, Point::Stored)) {
            let params =
                json!({ "to": to, "channel": "irc", "message": "news", "idempotencyKey": to });
            client.ask("send", params).await;
        }
        match point {
            Point::BeforeCommit(_) => self.proxy.faults.held_more(held).await,
            Point::AfterLines(count) => {
                let enough = async {
                    while self.proxy.faults.beaten() < lines + count
                        && !nicks.iter().all(|nick| self.has_answer(nick))
                    {
                        tokio::task::yield_now().await;
                    }
                };
                soon("so many lines", enough).await;
            }
            Point::Stored => {
                let came = |row: &Value| {
                    row["lastInboundAt"].is_u64() && row["lastInboundAt"] != Value::Null
                };
                row_when(&mut client, "irc", came).await;
                self.stored.insert(nicks[0].clone());
            }
        }
        gateway.kill().await;
        self.proxy.faults.heal();
    }

    /// What everybody heard, who heard anything.
    fn journal(&self) -> BTreeMap<&str, Vec<String>> {
        let people = self.people.iter();
        people
            .map(|(nick, person)| (nick.as_str(), person.heard()))
            .collect()
    }
}

fn with_irc(model: &Model, port: u16) -> Value {
    let mut config = config(model);
    config["channels"]["irc"] = json!({
        "host": "127.0.0.1", "port": port, "tls": false, "nick": "helper",
        "dmPolicy": "open", "allowFrom": ["*"],
    });
    // Each writer has a conversation, so that none shares another's answer.
    config["session"] = json!({ "dmScope": "per-channel-peer" });
    config
}

#[tokio::test]
async fn whatever_a_kill_interrupts_is_answered_once_or_shown_as_unknown() {
    let kills = kills(KILLS);
    let server = Ngircd::patient().await;
    let revoked = "ERROR :not used\r\n";
    let proxy = LineProxy::start(server.port, "PRIVMSG ", revoked).await;
    let model = Model::echoing().await;
    let home = Home::with(&with_irc(&model, proxy.port));
    let (people, stored) = (BTreeMap::new(), BTreeSet::new());
    let mut net = Net {
        server,
        proxy,
        people,
        stored,
    };
    let mut dice = Dice(0x0001_5eed);
    for number in 0..kills {
        let point = dice.point_of_irc(number);
        net.round(number, point, &home).await;
    }

    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    let lost = settled(&mut client, "irc").await;
    assert!(
        lost.len() <= kills,
        "{} unknown after {kills} kills",
        lost.len()
    );
    let unknown = by_place(&lost);
    for nick in net.people.keys() {
        let lost = unknown.get(nick).copied().unwrap_or_default();
        let words = if nick.starts_with('w') {
            // Three kills in a row may cut off each try of an answer; that is said, once.
            ["re: hello", CUT_OFF]
        } else {
            ["news"; 2]
        };
        let heard = net.people[nick].heard();
        let count = heard.len();
        let known = heard.iter().all(|text| words.contains(&text.as_str()));
        assert!(known, "{nick} heard something else: {heard:?}");
        if net.stored.contains(nick) {
            assert!(
                is_answered(count, lost),
                "the answer of {nick}: arrived {count}, unknown {lost}"
            );
        }
        assert!(
            count <= 1 && lost <= 1,
            "{nick}: arrived {count}, unknown {lost}"
        );
    }
    // None of it is sent again, also not by one more start.
    let before = net.journal();
    gateway.kill().await;
    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    assert_eq!(settled(&mut client, "irc").await.len(), lost.len());
    assert_eq!(net.journal(), before);
    let forced = (0..kills).filter(|number| number % 3 == 0).count();
    assert!(
        lost.len() >= forced / 2,
        "the failpoint was met: {} of {forced}",
        lost.len()
    );
}
