use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol::connect::ConnectParams;
use openclaw_protocol::{Generation, device};
use serde_json::json;
use tokio::net::TcpListener;

use super::fake::{NONCE, Peer, TS, options, refused};
use crate::{DeviceIdentity, Error, Options, connect};

#[tokio::test]
async fn a_device_proves_itself_and_is_welcomed_over_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let identity = Arc::new(DeviceIdentity::from_seed([3; 32]));
    let options = Options {
        identity: Some(Arc::clone(&identity)),
        ..options()
    };
    let gateway = async {
        let mut peer = Peer::accept(listener.accept().await.unwrap().0).await;
        let params = peer.welcome().await;
        (peer, params)
    };
    let (connection, (_peer, params)) = tokio::join!(connect(&url, &options), gateway);

    assert_eq!(connection.unwrap().hello.server.conn_id, "c-1");
    let params: ConnectParams = serde_json::from_value(params).unwrap();
    assert_eq!((params.min_protocol, params.max_protocol), (3, 4));
    let proven = device::verify(
        params.device.as_ref().unwrap(),
        &device::ProofContext {
            nonce: NONCE,
            now_ms: TS,
            generation: Generation::V4,
            local: true,
            client: &params.client,
            role: "operator",
            scopes: params.scopes.as_deref().unwrap(),
            auth: params.auth.as_ref(),
        },
    );
    assert_eq!(proven.unwrap().id, identity.id());
}

#[tokio::test]
async fn nobody_listening_is_unreachable_and_names_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = connect(&url, &options()).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains(&url), "{error}");
}

#[tokio::test]
async fn an_address_that_is_none_is_unreachable_too() {
    let error = connect("http://127.0.0.1:1", &options()).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_refusal_keeps_every_fact_that_the_gateway_gave() {
    let error = refused(async |far| {
        let mut peer = Peer::accept(far).await;
        peer.challenge().await;
        let connect = peer.request().await;
        peer.fail(&connect, json!({
            "code": "NOT_PAIRED",
            "message": "pairing required: device is not approved yet",
            "details": { "code": "PAIRING_REQUIRED", "requestId": "r-1", "recommendedNextStep": "wait_then_retry" },
        }))
        .await;
        peer.close(1008, "pairing required").await;
    })
    .await;
    let Error::Refused(refusal) = error else {
        panic!("{error:?}")
    };
    assert_eq!(refusal.code, "NOT_PAIRED");
    assert_eq!(refusal.detail_code(), Some("PAIRING_REQUIRED"));
    assert_eq!(refusal.request_id(), Some("r-1"));
    assert_eq!(refusal.recommended_next_step(), Some("wait_then_retry"));
    assert_eq!(refusal.close_code, Some(1008));
    assert!(refusal.is_temporary());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_without_a_close_is_told_all_the_same() {
    let error = refused(async |far| {
        let mut peer = Peer::accept(far).await;
        peer.challenge().await;
        let connect = peer.request().await;
        peer.fail(
            &connect,
            json!({ "code": "INVALID_REQUEST", "message": "no" }),
        )
        .await;
        peer
    })
    .await;
    let Error::Refused(refusal) = error else {
        panic!("{error:?}")
    };
    assert_eq!((&*refusal.message, refusal.close_code), ("no", None));
}

#[tokio::test]
async fn a_close_before_the_answer_is_told_with_its_code() {
    let error = refused(async |far| {
        let mut peer = Peer::accept(far).await;
        peer.challenge().await;
        peer.request().await;
        peer.close(1013, "gateway starting").await;
    })
    .await;
    let Error::Closed(reason) = error else {
        panic!("{error:?}")
    };
    assert_eq!(
        (reason.code, &*reason.reason),
        (Some(1013), "gateway starting")
    );
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_never_challenges_is_given_up_in_time() {
    let started = tokio::time::Instant::now();
    let error = refused(|far| async { Peer::accept(far).await }).await;
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    assert_eq!(started.elapsed().as_secs(), 5);
    assert!(started.elapsed() < Duration::from_millis(5100));
}
