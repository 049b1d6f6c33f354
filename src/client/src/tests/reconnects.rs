use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

use super::fake::{Peer, options};
use crate::{Backoff, Connection, Error, Reconnecting, SessionEvent, connect_on};

type Dialed = std::pin::Pin<Box<dyn Future<Output = Result<Connection, Error>> + Send>>;

/// A dialer whose sockets arrive at the returned queue.
fn dialer() -> (impl FnMut() -> Dialed, mpsc::Receiver<DuplexStream>) {
    let (calls, receiver) = mpsc::channel(4);
    let dial = move || {
        let calls = calls.clone();
        Box::pin(async move {
            let (near, far) = tokio::io::duplex(64 * 1024);
            calls.send(far).await.unwrap();
            connect_on(near, "ws://gateway", &options()).await
        }) as _
    };
    (dial, receiver)
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_the_gateway_is_survived() {
    let (dial, mut calls) = dialer();
    let mut session = Reconnecting::start(dial, Backoff::default());
    let gateway = async {
        let mut peer = Peer::accept(calls.recv().await.unwrap()).await;
        peer.welcome().await;
        peer.close(1012, "service restart").await;
        let mut peer = Peer::accept(calls.recv().await.unwrap()).await;
        peer.welcome().await;
        peer.event(1).await;
        peer
    };
    let reports = async {
        let mut reports = Vec::new();
        for _ in 0..4 {
            reports.push(session.next().await.unwrap());
        }
        reports
    };
    let (reports, _peer) = tokio::join!(reports, gateway);
    assert!(matches!(reports[0], SessionEvent::Connected(_)));
    match &reports[1] {
        SessionEvent::Disconnected {
            error: Error::Closed(reason),
            retry_in,
        } => {
            assert_eq!(reason.code, Some(1012));
            assert!((250..=500).contains(&retry_in.as_millis()), "{retry_in:?}");
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(reports[2], SessionEvent::Connected(_)));
    assert!(matches!(reports[3], SessionEvent::Event(_)));
    assert!(session.client().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_good_stops_the_attempts() {
    let (dial, mut calls) = dialer();
    let attempts = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&attempts);
    let mut dial = dial;
    let mut session = Reconnecting::start(
        move || {
            *counted.lock().unwrap() += 1;
            dial()
        },
        Backoff::default(),
    );
    let gateway = async {
        let mut peer = Peer::accept(calls.recv().await.unwrap()).await;
        peer.challenge().await;
        let connect = peer.request().await;
        let details = json!({ "code": "AUTH_TOKEN_MISMATCH", "recommendedNextStep": "update_auth_credentials" });
        let error =
            json!({ "code": "INVALID_REQUEST", "message": "unauthorized", "details": details });
        peer.fail(&connect, error).await;
        peer.close(1008, "unauthorized").await;
    };
    let (report, ()) = tokio::join!(session.next(), gateway);
    assert!(matches!(
        report,
        Some(SessionEvent::Stopped(Error::Refused(_)))
    ));
    assert!(session.next().await.is_none());
    assert_eq!(*attempts.lock().unwrap(), 1);
}
