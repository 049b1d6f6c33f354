//! Telegram: an update is confirmed when its message is stored, so every one of them is answered.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Dice, by_place, is_answered, kills, settled};
use crate::harness::child::{Gateway, Home, config};
use crate::harness::model::Model;
use crate::harness::telegram::BotApi;

/// Kills in a usual run.
const KILLS: usize = 12;
/// People who write in each round, each for the first time.
const WRITERS: i64 = 3;
/// Messages that a client sends in each round.
const SENDS: i64 = 2;
/// Chats of what a client sends.
const SENT: i64 = 1_000_000;

/// Where a kill hits.
#[derive(Debug, Clone, Copy)]
enum Point {
    /// The platform has a message, and its answer is on its way: between the transport's write and our
    /// commit.
    BeforeCommit(usize),
    /// The platform got so many requests of any kind.
    AfterRequests(usize),
    /// The platform gave messages, and waits for their confirmation.
    AfterPoll,
}

impl Dice {
    /// Every third is forced where a message is on its way.
    fn point(&mut self, round: usize) -> Point {
        match round % 3 {
            0 => Point::BeforeCommit(self.some(3)),
            1 => Point::AfterRequests(self.some(16)),
            _ if self.below(2) == 0 => Point::AfterPoll,
            _ => Point::AfterRequests(self.some(30)),
        }
    }
}

fn with_telegram(model: &Model, api: &BotApi) -> Value {
    let mut config = config(model);
    config["channels"]["telegram"] = json!({
        "botToken": "42:secret-token", "apiRoot": api.root, "dmPolicy": "open", "allowFrom": ["*"],
    });
    // Each writer has a conversation, so that none shares another's answer.
    config["session"] = json!({ "dmScope": "per-channel-peer" });
    config
}

/// What arrived, by chat.
fn arrived(api: &BotApi) -> BTreeMap<i64, usize> {
    let mut counts = BTreeMap::new();
    for sent in api.sent() {
        *counts
            .entry(sent["chat_id"].as_i64().expect("a chat"))
            .or_default() += 1;
    }
    counts
}

/// One life of the gateway, from its start to its kill.
async fn round(number: usize, point: Point, home: &Home, api: &BotApi) {
    let held = api.held();
    let gateway = Gateway::start(home).await;
    let mut client = gateway.client().await;
    let first = i64::try_from(number).expect("few rounds") * WRITERS.max(SENDS);
    if let Point::BeforeCommit(skip) = point {
        api.hang_after("sendMessage", skip);
    }
    let requests = api.requests();
    for writer in 0..WRITERS {
        api.write(1 + first + writer, &format!("hello {}", first + writer));
    }
    let newest = api.newest();
    for send in 0..SENDS {
        let chat = SENT + first + send;
        let params = json!({ "to": chat.to_string(), "channel": "telegram", "message": "news", "idempotencyKey": chat.to_string() });
        client.ask("send", params).await;
    }
    match point {
        Point::BeforeCommit(_) => {
            api.until("a message on its way", |api| api.held() > held)
                .await;
        }
        Point::AfterRequests(count) => {
            // Where nothing is left to do there are fewer requests.
            let done = |api: &BotApi| {
                let arrived = arrived(api);
                (0..WRITERS).all(|writer| arrived.contains_key(&(1 + first + writer)))
            };
            api.until("so many requests", |api| {
                api.requests() >= requests + count || done(api)
            })
            .await;
        }
        Point::AfterPoll => {
            api.until("a poll's answer", |api| api.given() >= newest)
                .await;
        }
    }
    gateway.kill().await;
    api.heal();
}

#[tokio::test]
async fn whatever_a_kill_interrupts_is_answered_once_or_shown_as_unknown() {
    let kills = kills(KILLS);
    let (api, model) = (BotApi::start().await, Model::echoing().await);
    let home = Home::with(&with_telegram(&model, &api));
    let mut dice = Dice(0x5eed);
    for number in 0..kills {
        let point = dice.point(number);
        round(number, point, &home, &api).await;
    }

    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    api.until("the confirmation of everything", |api| {
        api.confirmed() == api.newest()
    })
    .await;
    let lost = settled(&mut client, "telegram").await;
    let unknown = by_place(&lost);
    assert!(
        lost.len() <= kills,
        "{} unknown after {kills} kills",
        lost.len()
    );
    let counts = arrived(&api);
    let rounds = i64::try_from(kills).expect("few rounds");
    let width = WRITERS.max(SENDS);
    let of = |chat: i64| {
        let unknown = unknown.get(&chat.to_string()).copied().unwrap_or_default();
        (counts.get(&chat).copied().unwrap_or_default(), unknown)
    };
    for number in 0..rounds {
        for writer in 0..WRITERS {
            let chat = 1 + number * width + writer;
            let (count, lost) = of(chat);
            assert!(
                is_answered(count, lost),
                "the answer of {chat}: arrived {count}, unknown {lost}"
            );
        }
        for send in 0..SENDS {
            // Whoever asked was not told yes: it may never have been taken.
            let chat = SENT + number * width + send;
            let (count, lost) = of(chat);
            assert!(
                count <= 1 && lost <= 1,
                "the message to {chat}: arrived {count}, unknown {lost}"
            );
        }
    }
    // None of it is sent again, also not by one more start.
    gateway.kill().await;
    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    assert_eq!(settled(&mut client, "telegram").await.len(), lost.len());
    assert_eq!(arrived(&api), counts);
    let forced = (0..kills).filter(|number| number % 3 == 0).count();
    assert!(
        lost.len() >= forced / 2,
        "the failpoint was met: {} of {forced}",
        lost.len()
    );
}
