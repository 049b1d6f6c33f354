use std::time::Duration;

use openclaw_protocol::methods::system::{EmptyParams, SystemPresence};
use serde_json::json;

use super::fake::{connected, options};
use crate::{Error, Event};

#[tokio::test]
async fn a_typed_request_gets_a_typed_answer() {
    let (connection, mut peer) = connected(&options()).await;
    let gateway = async {
        let request = peer.request().await;
        assert_eq!(request["method"], "system-presence");
        assert_eq!(request["params"], json!({}));
        peer.reply(&request, json!([{ "host": "pi", "ts": 7, "brandNew": 1 }]))
            .await;
    };
    let (rows, ()) = tokio::join!(
        connection.request::<SystemPresence>(&EmptyParams {}),
        gateway
    );
    let rows = rows.unwrap();
    assert_eq!((rows[0].host.as_deref(), rows[0].ts), (Some("pi"), 7));
}

#[tokio::test]
async fn answers_find_their_requests_in_any_order() {
    let (connection, mut peer) = connected(&options()).await;
    let client = connection.client();
    let gateway = async {
        let first = peer.request().await;
        let second = peer.request().await;
        peer.reply(&second, json!("second")).await;
        peer.send(json!({ "type": "res", "id": "nobody", "ok": true }))
            .await;
        peer.reply(&first, json!("first")).await;
    };
    let (first, second, ()) = tokio::join!(
        client.request_value("a", &EmptyParams {}),
        client.request_value("b", &EmptyParams {}),
        gateway
    );
    assert_eq!(
        (first.unwrap(), second.unwrap()),
        (json!("first"), json!("second"))
    );
}

#[tokio::test]
async fn a_failed_request_is_the_gateways_error() {
    let (connection, mut peer) = connected(&options()).await;
    let gateway = async {
        let request = peer.request().await;
        let error = json!({ "code": "FORBIDDEN", "message": "missing scope: operator.write" });
        peer.fail(&request, error).await;
    };
    let (answer, ()) = tokio::join!(
        connection.client().request_value("send", &EmptyParams {}),
        gateway
    );
    match answer.unwrap_err() {
        Error::Gateway(error) => assert_eq!(error.message, "missing scope: operator.write"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_run_is_answered_twice_on_one_id_with_its_events_between() {
    let (mut connection, mut peer) = connected(&options()).await;
    let gateway = async {
        let request = peer.request().await;
        peer.reply(&request, json!({ "runId": "r", "status": "accepted" }))
            .await;
        peer.event(1).await;
        peer.reply(&request, json!({ "runId": "r", "status": "ok" }))
            .await;
    };
    let client = connection.client().clone();
    let run = async {
        let run = client
            .request_two_stage("agent", &EmptyParams {})
            .await
            .unwrap();
        assert_eq!(run.first()["status"], "accepted");
        run.finish().await.unwrap()
    };
    let (answer, ()) = tokio::join!(run, gateway);
    assert_eq!(answer["status"], "ok");
    assert!(matches!(
        connection.next_event().await,
        Some(Event::Message(_))
    ));
}

#[tokio::test]
async fn a_replayed_run_is_answered_once() {
    let (connection, mut peer) = connected(&options()).await;
    let gateway = async {
        let request = peer.request().await;
        peer.reply(&request, json!({ "runId": "r", "status": "ok" }))
            .await;
    };
    let limit = Duration::from_secs(1);
    let answer = connection
        .client()
        .request_final("agent", &EmptyParams {}, limit);
    let (answer, ()) = tokio::join!(answer, gateway);
    assert_eq!(answer.unwrap()["status"], "ok");
}

#[tokio::test]
async fn a_run_that_fails_after_it_was_accepted_is_an_error() {
    let (connection, mut peer) = connected(&options()).await;
    let gateway = async {
        let request = peer.request().await;
        peer.reply(&request, json!({ "status": "accepted" })).await;
        peer.send(json!({
            "type": "res", "id": request["id"], "ok": false,
            "payload": { "status": "error", "summary": "no model" },
            "error": { "code": "UNAVAILABLE", "message": "no model" },
        }))
        .await;
    };
    let limit = Duration::from_secs(1);
    let answer = connection
        .client()
        .request_final("agent", &EmptyParams {}, limit);
    let (answer, ()) = tokio::join!(answer, gateway);
    assert_eq!(answer.unwrap_err().to_string(), "no model");
}

#[tokio::test]
async fn a_close_ends_every_request_with_its_reason() {
    let (connection, mut peer) = connected(&options()).await;
    let gateway = async {
        peer.request().await;
        peer.close(1012, "service restart").await;
    };
    let client = connection.client();
    let (answer, ()) = tokio::join!(client.request_value("a", &EmptyParams {}), gateway);
    for error in [
        answer.unwrap_err(),
        client
            .request_value("b", &EmptyParams {})
            .await
            .unwrap_err(),
    ] {
        match error {
            Error::Closed(reason) => assert_eq!(reason.code, Some(1012)),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_times_out_and_is_forgotten() {
    let (connection, mut peer) = connected(&options()).await;
    let started = tokio::time::Instant::now();
    let client = connection.client();
    let (answer, late) = tokio::join!(
        client.request_value("slow", &EmptyParams {}),
        peer.request()
    );
    assert!(matches!(answer, Err(Error::Timeout { .. })), "{answer:?}");
    assert_eq!(started.elapsed().as_secs(), 7);

    peer.reply(&late, json!("late")).await;
    let gateway = async {
        let request = peer.request().await;
        peer.reply(&request, json!("in time")).await;
    };
    let (answer, ()) = tokio::join!(client.request_value("b", &EmptyParams {}), gateway);
    assert_eq!(answer.unwrap(), json!("in time"));
}

#[tokio::test]
async fn a_request_larger_than_the_gateway_takes_is_not_sent() {
    let (connection, _peer) = connected(&options()).await;
    let params = json!({ "message": "x".repeat(1000) });
    let answer = connection.client().request_value("agent", &params).await;
    let error = answer.unwrap_err().to_string();
    assert!(error.contains("1000 bytes"), "{error}");
}
