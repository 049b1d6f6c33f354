//! The process is killed in the middle of commits.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;

const ROLE: &str = "OPENCLAW_TEST_STORE_WRITER";
const ROUNDS: u32 = 6;

/// Not a test when it is run by the test runner: the body of the process that is killed.
#[actix::test]
async fn the_writer_that_is_killed() {
    let Ok(path) = std::env::var(ROLE) else {
        return;
    };
    let world = start(&StoreConfig::file(path));
    let first = world.handle.reader().count(Table::Sends).unwrap();
    for batch in 0u64.. {
        let keys: Vec<u64> = (0..8).map(|n| first + batch * 8 + n).collect();
        let answers: Vec<_> = keys
            .iter()
            .map(|key| (*key, world.handle.commit(vec![put(key.to_be_bytes())])))
            .collect();
        for (key, answer) in answers {
            answer.await.unwrap();
            let mut out = std::io::stdout().lock();
            writeln!(out, "acknowledged {key}").unwrap();
            out.flush().unwrap();
        }
    }
}

/// Starts the writer, kills it after `lines` acknowledgements, and returns all it acknowledged.
fn write_and_kill(path: &Path, lines: usize) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "store::tests::crash::the_writer_that_is_killed",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(ROLE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let mut acknowledged = Vec::new();
    for line in out.lines().map_while(Result::ok) {
        // The runner's own "test ... " stands before the first line.
        if let Some((_, key)) = line.split_once("acknowledged ") {
            acknowledged.push(key.parse().unwrap());
            if acknowledged.len() == lines {
                child.kill().unwrap();
            }
        }
    }
    child.wait().unwrap();
    acknowledged
}

#[actix::test]
async fn everything_acknowledged_before_kill_nine_is_there_exactly_once() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("gateway.redb");
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        acknowledged.extend(write_and_kill(&path, 5 + 17 * round as usize));
        let world = start(&StoreConfig::file(&path));
        for key in &acknowledged {
            assert!(
                has(world.handle.reader(), &key.to_be_bytes()),
                "round {round}: acknowledged key {key} is gone"
            );
        }
        // Keys are handed out in order, so a hole would be a commit that is there in part.
        let count = world.handle.reader().count(Table::Sends).unwrap();
        assert!(
            (0..count).all(|key| has(world.handle.reader(), &key.to_be_bytes())),
            "round {round}: a hole"
        );
        assert!(acknowledged.len() as u64 <= count);
        world.addr.send(Close).await.unwrap();
    }
    println!(
        "{} acknowledged over {ROUNDS} kills, none lost",
        acknowledged.len()
    );
    assert!(acknowledged.len() >= 5 + 17 * (ROUNDS as usize - 1));
}
