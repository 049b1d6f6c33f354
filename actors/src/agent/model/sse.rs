//! Cuts a body into events: server-sent events, or one JSON object a line.

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream as streams};
use sse_stream::{Error as SseError, SseStream};

use super::MAX_EVENT_BYTES;
use super::error::Fault;
use super::transport::Body;

/// The data of each server-sent event. Comments and events without data are left out; a last event that
/// is not closed by an empty line is dropped, as the standard says.
pub(super) fn events(body: Body) -> impl Stream<Item = Result<String, Fault>> + Send {
    let mut size = EventSize::default();
    let bounded = body.map(move |piece| {
        let piece = piece.map_err(Carried)?;
        size.add(&piece).map_err(Carried)?;
        Ok::<Bytes, Carried>(piece)
    });
    let events = SseStream::from_bytes_stream(bounded);
    until_error(events.filter_map(|event| async {
        match event {
            // An empty event is a sign of life.
            Ok(event) => event.data.filter(|data| !data.trim().is_empty()).map(Ok),
            Err(error) => Some(Err(fault(error))),
        }
    }))
}

/// Each line that is not blank. The last one may lack its line end.
pub(super) fn lines(body: Body) -> impl Stream<Item = Result<String, Fault>> + Send {
    let start = Lines {
        body,
        buffer: Vec::new(),
        searched: 0,
        open: true,
    };
    until_error(streams::unfold(start, |mut lines| async move {
        let line = lines.next().await?;
        Some((line, lines))
    }))
}

/// Ends a stream after its first error.
fn until_error(
    items: impl Stream<Item = Result<String, Fault>> + Send,
) -> impl Stream<Item = Result<String, Fault>> + Send {
    items.scan(false, |failed, item| {
        let item = (!*failed).then_some(item);
        *failed |= matches!(item, Some(Err(_)));
        async move { item }
    })
}

/// Counts the bytes of the event that is under way: the parser behind it has no bound of its own.
#[derive(Default)]
struct EventSize {
    bytes: usize,
    in_line: bool,
    after_cr: bool,
}

impl EventSize {
    fn add(&mut self, piece: &[u8]) -> Result<(), Fault> {
        for byte in piece {
            let second_half = *byte == b'\n' && self.after_cr;
            self.after_cr = *byte == b'\r';
            match byte {
                b'\n' | b'\r' if second_half => {}
                b'\n' | b'\r' => {
                    if !self.in_line {
                        self.bytes = 0;
                    }
                    self.in_line = false;
                }
                _ => {
                    self.in_line = true;
                    self.bytes += 1;
                }
            }
            if self.bytes > MAX_EVENT_BYTES {
                return Err(too_large());
            }
        }
        Ok(())
    }
}

struct Lines {
    body: Body,
    buffer: Vec<u8>,
    searched: usize,
    open: bool,
}

impl Lines {
    async fn next(&mut self) -> Option<Result<String, Fault>> {
        loop {
            while let Some(end) = self.line_end() {
                let rest = self.buffer.split_off(end + 1);
                let line = std::mem::replace(&mut self.buffer, rest);
                self.searched = 0;
                if !line.trim_ascii().is_empty() {
                    return Some(text(line));
                }
            }
            if self.buffer.len() > MAX_EVENT_BYTES {
                return Some(Err(too_large()));
            }
            if !self.open {
                let line = std::mem::take(&mut self.buffer);
                self.searched = 0;
                return (!line.trim_ascii().is_empty()).then(|| text(line));
            }
            match self.body.next().await {
                Some(Ok(piece)) => self.buffer.extend_from_slice(&piece),
                Some(Err(fault)) => return Some(Err(fault)),
                None => self.open = false,
            }
        }
    }

    fn line_end(&mut self) -> Option<usize> {
        let found = self.buffer[self.searched..]
            .iter()
            .position(|byte| *byte == b'\n');
        let end = found.map(|at| at + self.searched);
        self.searched = self.buffer.len();
        end
    }
}

fn text(line: Vec<u8>) -> Result<String, Fault> {
    String::from_utf8(line).map_err(|_| Fault::Protocol {
        detail: "a line is not UTF-8".to_owned(),
    })
}

fn too_large() -> Fault {
    Fault::TooLarge {
        what: "one event of the answer",
        limit: MAX_EVENT_BYTES,
    }
}

/// A fault on its way through the parser, which wants an error type.
#[derive(Debug, thiserror::Error)]
#[error("{0:?}")]
struct Carried(Fault);

fn fault(error: SseError) -> Fault {
    match error {
        SseError::Body(carried) => match carried.downcast::<Carried>() {
            Ok(carried) => carried.0,
            Err(other) => Fault::Network {
                detail: other.to_string(),
            },
        },
        other => Fault::Protocol {
            detail: format!("not an event stream: {other}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn body(pieces: Vec<Vec<u8>>) -> Body {
        streams::iter(pieces.into_iter().map(|piece| Ok(Bytes::from(piece)))).boxed()
    }

    fn read(items: impl Stream<Item = Result<String, Fault>>) -> Vec<Result<String, Fault>> {
        futures_util::FutureExt::now_or_never(items.collect()).expect("nothing to wait for")
    }

    fn split(text: &str, cuts: &[usize]) -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        let mut rest = text.as_bytes();
        for cut in cuts {
            let (piece, tail) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece.to_vec());
            rest = tail;
        }
        pieces.push(rest.to_vec());
        pieces
    }

    proptest! {
        #[test]
        fn events_and_lines_are_the_same_however_the_bytes_are_cut(
            cuts in proptest::collection::vec(0_usize..9, 0..40), crlf in any::<bool>(),
        ) {
            let end = if crlf { "\r\n" } else { "\n" };
            let sse = ["\u{feff}: hi", "", "data:", "", "event: x", "data: grüße 🦀", "data:zwei", "", "data: 3", "", "data: lost"].join(end);
            let got = read(events(body(split(&sse, &cuts))));
            prop_assert_eq!(got, vec![Ok("grüße 🦀\nzwei".to_owned()), Ok("3".to_owned())]);
            let json = ["{\"a\":\"🦀\"}", "", "{}"].join(end);
            let got = read(lines(body(split(&json, &cuts))));
            let got: Vec<_> = got.into_iter().map(|line| line.unwrap().trim().to_owned()).collect();
            prop_assert_eq!(got, vec!["{\"a\":\"🦀\"}", "{}"]);
        }
    }

    #[test]
    fn an_event_without_end_is_cut_off_by_size() {
        let piece = b"data: x\r\n".repeat(10_000);
        let endless = streams::repeat_with(move || Ok(Bytes::from(piece.clone()))).boxed();
        let got = read(events(endless));
        assert_eq!(got, [Err(too_large())]);
        let endless = streams::repeat_with(|| Ok(Bytes::from_static(&[b'x'; 4096]))).boxed();
        assert_eq!(read(lines(endless)), [Err(too_large())]);
        let many = b"data: x\r\n\r\n".repeat(MAX_EVENT_BYTES / 8);
        assert!(read(events(body(vec![many]))).iter().all(Result::is_ok));
    }

    #[test]
    fn what_is_no_event_stream_is_a_protocol_error_and_the_end() {
        let got = read(events(body(vec![b"{\"error\":1}\n\ndata: x\n\n".to_vec()])));
        assert!(matches!(got[..], [Err(Fault::Protocol { .. })]), "{got:?}");
        let broken = streams::iter([Err(Fault::Truncated)]).boxed();
        assert_eq!(read(events(broken)), [Err(Fault::Truncated)]);
    }
}
