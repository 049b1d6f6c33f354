//! The socket of an open page: it is told `reload` after each change, and what it sends is not listened to.

use std::time::Duration;

use actix_http::ws::{self, CloseCode, CloseReason, OpCode, Parser};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::poll_fn;
use tokio::sync::{mpsc, watch};

/// How often the page has to show that it is there, and its right to be told is looked at.
const PING: Duration = Duration::from_secs(30);
/// Frames on their way to a page; one that does not read them is let go.
const FRAMES: usize = 8;
/// Largest frame of a page, bytes: it has nothing to say.
const MAX_FRAME: usize = 1_024;

/// Answers an upgrade, and tells the page of changes for as long as `may` holds.
pub(super) fn upgrade(
    request: &HttpRequest,
    payload: web::Payload,
    changes: watch::Receiver<u64>,
    may: impl Fn() -> bool + 'static,
) -> HttpResponse {
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY);
    let (Ok(()), Some(key)) = (ws::verify_handshake(request.head()), key) else {
        return HttpResponse::BadRequest().body("no WebSocket handshake");
    };
    let accept = ws::hash_key(key.as_bytes());
    let (sender, mut frames) = mpsc::channel(FRAMES);
    actix_rt::spawn(pump(payload, changes, sender, may));
    let frames = poll_fn(move |cx| frames.poll_recv(cx));
    HttpResponse::build(StatusCode::SWITCHING_PROTOCOLS)
        .upgrade("websocket")
        .insert_header((header::SEC_WEBSOCKET_ACCEPT, &accept[..]))
        .streaming(frames.map(Ok::<Bytes, actix_web::Error>))
}

async fn pump(
    mut payload: web::Payload,
    mut changes: watch::Receiver<u64>,
    out: mpsc::Sender<Bytes>,
    may: impl Fn() -> bool,
) {
    let mut read = BytesMut::new();
    let mut heard = true;
    let mut ticks = tokio::time::interval(PING);
    ticks.tick().await;
    loop {
        let frame = tokio::select! {
            () = out.closed() => return,
            changed = changes.changed() => match changed {
                Ok(()) => message(OpCode::Text, b"reload"),
                Err(_) => return,
            },
            _ = ticks.tick() => match std::mem::take(&mut heard) {
                true if may() => message(OpCode::Ping, b""),
                true => {
                    // It ends with this; whether it arrives changes nothing.
                    let _ = out.try_send(close(CloseCode::Policy, "the capability is over"));
                    return;
                }
                false => return,
            },
            chunk = payload.next() => {
                let Some(Ok(chunk)) = chunk else { return };
                heard = true;
                read.extend_from_slice(&chunk);
                match answer(&mut read) {
                    Heard::Nothing => continue,
                    Heard::Ping(frame) => frame,
                    Heard::End(frame) => {
                        // As above.
                        let _ = out.try_send(frame);
                        return;
                    }
                }
            }
        };
        if out.try_send(frame).is_err() {
            return;
        }
    }
}

enum Heard {
    Nothing,
    Ping(Bytes),
    End(Bytes),
}

/// What a page's frames are answered with.
fn answer(read: &mut BytesMut) -> Heard {
    let mut pong = None;
    loop {
        match Parser::parse(read, true, MAX_FRAME) {
            Ok(Some((_, OpCode::Close, _))) => {
                return Heard::End(close(CloseCode::Normal, ""));
            }
            Ok(Some((_, OpCode::Ping, data))) => {
                pong = Some(message(OpCode::Pong, &data.unwrap_or_default()));
            }
            Ok(Some(_)) => {}
            Ok(None) if read.len() > MAX_FRAME + 16 => {
                return Heard::End(close(CloseCode::Size, "a page has nothing to say"));
            }
            Ok(None) => return pong.map_or(Heard::Nothing, Heard::Ping),
            Err(_) => return Heard::End(close(CloseCode::Protocol, "")),
        }
    }
}

fn message(code: OpCode, data: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    Parser::write_message(&mut frame, data, code, true, false);
    frame.freeze()
}

fn close(code: CloseCode, reason: &str) -> Bytes {
    let mut frame = BytesMut::new();
    let reason = CloseReason {
        code,
        description: (!reason.is_empty()).then(|| reason.to_owned()),
    };
    Parser::write_close(&mut frame, Some(reason), false);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(code: OpCode, data: &[u8]) -> BytesMut {
        let mut frame = BytesMut::new();
        Parser::write_message(&mut frame, data, code, true, true);
        frame
    }

    #[test]
    fn a_page_is_answered_its_pings_and_its_end_and_nothing_else() {
        let mut read = masked(OpCode::Text, b"{\"type\":\"req\"}");
        assert!(matches!(answer(&mut read), Heard::Nothing));
        read.extend_from_slice(&masked(OpCode::Ping, b"x"));
        assert!(matches!(answer(&mut read), Heard::Ping(frame) if frame[..] == [0x8a, 1, b'x']));
        read.extend_from_slice(&masked(OpCode::Close, b""));
        assert!(matches!(answer(&mut read), Heard::End(frame) if frame[0] == 0x88));
        // A frame in the clear, one that is too large, and one that only says that it is.
        for bytes in [
            &[0x81, 2, b'a', b'b'][..],
            &masked(OpCode::Binary, &[0; 2_000])[..],
            &[&[0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0][..], &[0; 2_000][..]].concat(),
        ] {
            let mut read = BytesMut::from(bytes);
            assert!(matches!(answer(&mut read), Heard::End(_)), "{bytes:?}");
        }
    }
}
