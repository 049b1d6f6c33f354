//! Watches inbound bytes for frame headers, so that an announced size is judged before its bytes
//! are buffered: the WebSocket codec only looks at the limit once a whole frame is in memory.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_util::Stream;

use super::link::Link;
use crate::clock::SharedClock;

/// Largest frame before `connect` is accepted, bytes.
pub const PREAUTH_MAX: usize = 64 * 1024;

/// A payload stream that ends with an error as soon as a header announces too much.
pub struct FrameGuard<S> {
    inner: S,
    limit: Rc<Cell<usize>>,
    link: Rc<Link>,
    clock: SharedClock,
    walker: Walker,
    tripped: bool,
}

impl<S> FrameGuard<S> {
    /// Guards `inner`; the session raises `limit` once the client is known. Each piece is a sign of life
    /// for `link`: a large frame may take a slow peer longer than it may be silent.
    pub fn new(inner: S, limit: Rc<Cell<usize>>, link: Rc<Link>, clock: SharedClock) -> Self {
        Self {
            inner,
            limit,
            link,
            clock,
            walker: Walker::default(),
            tripped: false,
        }
    }
}

impl<S: Stream<Item = Result<Bytes, PayloadError>> + Unpin> Stream for FrameGuard<S> {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.tripped {
            return Poll::Ready(None);
        }
        let next = Pin::new(&mut this.inner).poll_next(cx);
        if matches!(next, Poll::Ready(Some(Ok(_)))) {
            this.link.hear(this.clock.monotonic());
        }
        if let Poll::Ready(Some(Ok(chunk))) = &next
            && !this.walker.admits(chunk, this.limit.get())
        {
            this.tripped = true;
            return Poll::Ready(Some(Err(PayloadError::Overflow)));
        }
        next
    }
}

/// Walks over a byte stream from header to header.
#[derive(Debug, Default)]
struct Walker {
    header: Vec<u8>,
    body_left: u64,
}

impl Walker {
    /// Whether every frame header in `chunk` announces at most `limit` bytes.
    fn admits(&mut self, mut chunk: &[u8], limit: usize) -> bool {
        while !chunk.is_empty() {
            if self.body_left > 0 {
                let step = chunk
                    .len()
                    .min(usize::try_from(self.body_left).unwrap_or(usize::MAX));
                chunk = &chunk[step..];
                self.body_left -= step as u64;
                continue;
            }
            self.header.push(chunk[0]);
            chunk = &chunk[1..];
            if let Some(length) = announced(&self.header) {
                if length > limit as u64 {
                    return false;
                }
                self.body_left = length;
                self.header.clear();
            }
        }
        true
    }
}

/// The payload length of a complete header, mask key included; `None` while bytes are missing.
fn announced(header: &[u8]) -> Option<u64> {
    let second = *header.get(1)?;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let (extended, length) = match second & 0x7f {
        126 => (
            2,
            u64::from(u16::from_be_bytes(header.get(2..4)?.try_into().ok()?)),
        ),
        127 => (8, u64::from_be_bytes(header.get(2..10)?.try_into().ok()?)),
        short => (0, u64::from(short)),
    };
    (header.len() >= 2 + extended + mask).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: u64) -> Vec<u8> {
        let mut bytes = vec![0x81];
        match length {
            0..=125 => bytes.push(0x80 | u8::try_from(length).unwrap()),
            126..=0xffff => {
                bytes.push(0x80 | 0x7e);
                bytes.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                bytes.push(0x80 | 0x7f);
                bytes.extend_from_slice(&length.to_be_bytes());
            }
        }
        bytes.extend_from_slice(&[1, 2, 3, 4]);
        bytes
    }

    #[test]
    fn a_gibibyte_is_refused_from_its_header_alone() {
        let header = frame(1 << 30);
        assert!(
            !Walker::default().admits(&header[..10], PREAUTH_MAX)
                || !Walker::default().admits(&header, PREAUTH_MAX)
        );
        assert!(!Walker::default().admits(&header, PREAUTH_MAX));
    }

    proptest::proptest! {
        #[test]
        fn any_split_of_admitted_frames_is_admitted(lengths in proptest::collection::vec(0_u64..70_000, 1..6), cut in 1_usize..4_000) {
            let mut bytes = Vec::new();
            for length in &lengths {
                bytes.extend(frame(*length));
                bytes.resize(bytes.len() + usize::try_from(*length).unwrap(), 0);
            }
            let mut walker = Walker::default();
            let largest = usize::try_from(*lengths.iter().max().unwrap()).unwrap();
            for chunk in bytes.chunks(cut) {
                proptest::prop_assert!(walker.admits(chunk, largest));
            }
            let mut walker = Walker::default();
            let refused = bytes.chunks(cut).any(|chunk| !walker.admits(chunk, largest.saturating_sub(1)));
            proptest::prop_assert_eq!(refused, largest > 0);
        }
    }
}
