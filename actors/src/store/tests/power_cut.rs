//! The power is cut: what was synced is there, of the rest any part, whole or torn.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use redb::StorageBackend;

use super::super::medium::Medium;
use super::*;

/// Everything that was done to a disk, in order.
#[derive(Debug, Clone, Default)]
struct Recorder {
    memory: MemoryMedium,
    log: Arc<Mutex<Vec<Call>>>,
}

#[derive(Debug, Clone)]
enum Call {
    Write(u64, Vec<u8>),
    Len(u64),
    Sync,
    /// So many commits had been acknowledged.
    Acknowledged(u64),
}

impl Recorder {
    fn note(&self, call: Call) {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(call);
    }
}

impl Medium for Recorder {
    fn backend(&self) -> io::Result<Box<dyn StorageBackend>> {
        Ok(Box::new(self.clone()))
    }

    fn name(&self) -> String {
        "recorded memory".to_owned()
    }

    fn bytes(&self) -> u64 {
        self.memory.bytes()
    }
}

impl StorageBackend for Recorder {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.note(Call::Len(len));
        self.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.note(Call::Sync);
        self.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.note(Call::Write(offset, data.to_vec()));
        self.memory.write(offset, data)
    }
}

fn write(disk: &MemoryMedium, offset: u64, data: &[u8]) {
    disk.write(offset, data).unwrap();
}

/// Some of a write: none of it, all of it, or some of its sectors.
fn tear(disk: &MemoryMedium, offset: u64, data: &[u8], chance: &mut StdRng) {
    match chance.random_range(0..3) {
        0 => {}
        1 => write(disk, offset, data),
        _ => {
            for (number, sector) in data.chunks(512).enumerate() {
                if chance.random() {
                    write(disk, offset + number as u64 * 512, sector);
                }
            }
        }
    }
}

/// The disk after a cut behind the first `calls` calls.
fn cut(log: &[Call], calls: usize, chance: &mut StdRng) -> (MemoryMedium, u64) {
    let (disk, mut acknowledged) = (MemoryMedium::default(), 0);
    let synced = log[..calls]
        .iter()
        .rposition(|call| matches!(call, Call::Sync))
        .unwrap_or(0);
    for (at, call) in log[..calls].iter().enumerate() {
        match call {
            Call::Write(offset, data) if at < synced => write(&disk, *offset, data),
            Call::Write(offset, data) => tear(&disk, *offset, data, chance),
            Call::Len(len) => disk.set_len(*len).unwrap(),
            Call::Sync => {}
            Call::Acknowledged(count) => acknowledged = *count,
        }
    }
    (disk, acknowledged)
}

#[actix::test]
async fn a_power_cut_at_any_moment_leaves_a_file_that_opens_with_all_that_was_acknowledged() {
    let recorder = Recorder::default();
    let world = start(&StoreConfig::on(Arc::new(recorder.clone())));
    let first = recorder.log.lock().unwrap().len();
    for key in 0..40u64 {
        let mut ops = vec![put(key.to_be_bytes())];
        if key % 10 == 9 {
            ops.push(Op::put(
                Table::Transcript,
                key.to_be_bytes(),
                vec![3; 300_000],
            ));
        }
        world.handle.commit(ops).await.unwrap();
        recorder.note(Call::Acknowledged(key + 1));
    }
    world.addr.send(Close).await.unwrap();

    let log = recorder.log.lock().unwrap().clone();
    let mut chance = StdRng::seed_from_u64(20);
    let mut cuts = 0;
    for calls in first..=log.len() {
        let (disk, acknowledged) = cut(&log, calls, &mut chance);
        let deps = StoreDeps::open(&StoreConfig::on(Arc::new(disk)), SystemClock::shared())
            .unwrap_or_else(|error| panic!("cut after call {calls} of {}: {error}", log.len()));
        let count = deps.reader().count(Table::Sends).unwrap();
        assert!(
            count >= acknowledged,
            "cut after call {calls}: {count} of {acknowledged} acknowledged rows"
        );
        assert!(
            (0..count).all(|key| has(&deps.reader(), &key.to_be_bytes())),
            "cut after call {calls}: a hole"
        );
        cuts += 1;
    }
    println!("{cuts} cuts, all opened, nothing acknowledged lost");
}
