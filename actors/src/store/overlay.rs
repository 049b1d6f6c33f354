//! A backend that keeps every write in memory, over a file that cannot be written.
//!
//! A database that was not closed cleanly must be repaired before it can be read, and the repair
//! writes. When the disk is full or read-only the repair happens here, so that reads go on.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

const PAGE: usize = 4096;
/// A repair writes a few header and allocator pages; more than this means something else is wrong.
const MAX_PAGES: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Overlay {
    base: Box<dyn StorageBackend>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    len: u64,
    /// Bytes of `base` from here on are hidden: the file was cut, in memory, to this length.
    base_len: u64,
    pages: BTreeMap<u64, Box<[u8; PAGE]>>,
}

impl Overlay {
    pub(super) fn new(base: Box<dyn StorageBackend>) -> io::Result<Self> {
        let len = base.len()?;
        Ok(Self {
            base,
            state: Mutex::new(State {
                len,
                base_len: len,
                pages: BTreeMap::new(),
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads from the file below, with zeroes behind its end.
    fn read_base(&self, base_len: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = usize::try_from(base_len.saturating_sub(offset))
            .unwrap_or(usize::MAX)
            .min(out.len());
        let (real, beyond) = out.split_at_mut(there);
        beyond.fill(0);
        if real.is_empty() {
            Ok(())
        } else {
            self.base.read(offset, real)
        }
    }
}

/// Cuts an access into (page number, offset in that page, range of the buffer).
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done >= len {
            return None;
        }
        let at = offset + done as u64;
        let inside = usize::try_from(at % PAGE as u64).unwrap_or(0);
        let take = (PAGE - inside).min(len - done);
        let piece = (at / PAGE as u64, inside, done..done + take);
        done += take;
        Some(piece)
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        if offset + out.len() as u64 > state.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read_base(state.base_len, offset, out)?;
        for (number, inside, range) in pieces(offset, out.len()) {
            if let Some(page) = state.pages.get(&number) {
                let len = range.len();
                out[range].copy_from_slice(&page[inside..inside + len]);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        if len < state.len {
            state.base_len = state.base_len.min(len);
            state.pages.retain(|number, page| {
                let start = number * PAGE as u64;
                if let Ok(kept) = usize::try_from(len.saturating_sub(start)) {
                    page[kept.min(PAGE)..].fill(0);
                }
                start < len
            });
        }
        state.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let base_len = state.base_len;
        for (number, inside, range) in pieces(offset, data.len()) {
            if !state.pages.contains_key(&number) {
                if state.pages.len() >= MAX_PAGES {
                    return Err(io::Error::other("too much to repair in memory"));
                }
                let mut page = Box::new([0; PAGE]);
                self.read_base(base_len, number * PAGE as u64, &mut page[..])?;
                state.pages.insert(number, page);
            }
            if let Some(page) = state.pages.get_mut(&number) {
                let len = range.len();
                page[inside..inside + len].copy_from_slice(&data[range]);
            }
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.base.close()
    }
}
