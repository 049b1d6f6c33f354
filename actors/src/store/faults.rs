//! A disk that fails on demand, for tests.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use super::medium::Medium;

/// What fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Writes and growth fail: the disk is full, or was remounted read-only.
    Writes(io::ErrorKind),
    /// Only growing the file fails.
    Growth(io::ErrorKind),
    /// Only the sync fails; what was written before it is there.
    Syncs(io::ErrorKind),
    /// Writes panic, as a bug below the store would.
    Panics,
    /// Reads and writes fail: the disk is gone.
    Everything(io::ErrorKind),
}

/// A medium over another one, with a switch.
#[derive(Debug, Clone)]
pub struct FaultyMedium {
    inner: Arc<dyn Medium>,
    switch: Arc<Switch>,
}

#[derive(Debug, Default)]
struct Switch {
    fault: Mutex<Option<(Fault, u64)>>,
    calls: AtomicU64,
}

impl FaultyMedium {
    /// A medium that works until [`FaultyMedium::fail`].
    pub fn new(inner: Arc<dyn Medium>) -> Self {
        Self {
            inner,
            switch: Arc::default(),
        }
    }

    /// Lets `after` more calls of the kind pass, then fails every one until [`FaultyMedium::heal`].
    pub fn fail(&self, fault: Fault, after: u64) {
        *self.switch.lock() = Some((fault, after));
    }

    /// The disk works again.
    pub fn heal(&self) {
        *self.switch.lock() = None;
    }

    /// Calls that reached the disk so far: writes, growths and syncs.
    pub fn calls(&self) -> u64 {
        self.switch.calls.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Read,
    Write,
    Grow,
    Sync,
}

impl Switch {
    fn lock(&self) -> MutexGuard<'_, Option<(Fault, u64)>> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, call: Call) -> io::Result<()> {
        if call != Call::Read {
            self.calls.fetch_add(1, Ordering::Relaxed);
        }
        let mut armed = self.lock();
        let Some((fault, left)) = armed.as_mut() else {
            return Ok(());
        };
        let (hit, kind) = match *fault {
            Fault::Writes(kind) => (matches!(call, Call::Write | Call::Grow), kind),
            Fault::Growth(kind) => (call == Call::Grow, kind),
            Fault::Syncs(kind) => (call == Call::Sync, kind),
            Fault::Panics => (call == Call::Write, io::ErrorKind::Other),
            Fault::Everything(kind) => (true, kind),
        };
        if !hit {
            return Ok(());
        }
        if *left > 0 {
            *left -= 1;
            return Ok(());
        }
        assert!(*fault != Fault::Panics, "ordered by a test");
        Err(kind.into())
    }
}

impl Medium for FaultyMedium {
    fn backend(&self) -> io::Result<Box<dyn StorageBackend>> {
        Ok(Box::new(FaultyBackend {
            inner: self.inner.backend()?,
            switch: Arc::clone(&self.switch),
        }))
    }

    fn name(&self) -> String {
        self.inner.name()
    }

    fn bytes(&self) -> u64 {
        self.inner.bytes()
    }

    fn forget_cached(&self) {
        self.inner.forget_cached();
    }

    fn release(&self) {
        self.inner.release();
    }

    fn lost(&self) -> Option<String> {
        self.inner.lost()
    }
}

#[derive(Debug)]
struct FaultyBackend {
    inner: Box<dyn StorageBackend>,
    switch: Arc<Switch>,
}

impl StorageBackend for FaultyBackend {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.switch.check(Call::Read)?;
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.switch.check(if len > self.inner.len()? {
            Call::Grow
        } else {
            Call::Write
        })?;
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.switch.check(Call::Sync)?;
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.switch.check(Call::Write)?;
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }
}
