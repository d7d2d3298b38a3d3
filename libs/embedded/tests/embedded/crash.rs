//! A killed server loses nothing that it acknowledged.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher as _, RandomState},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use embedded::Embedded;
use eventstore::{EventFeed as _, EventStore as _, Expected, Sequence, Stream, Subject};

use crate::samples::{account, account_update, append, open, write_log};

/// Set for the process that is to be killed: the directory it writes to.
const VICTIM: &str = "CERTMILL_TEST_VICTIM";
const ACKNOWLEDGED: &str = "acknowledged";
const ROUNDS: u32 = 6;

/// Runs as a test of its own process; without the directory there is nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn the_victim_appends_until_it_is_killed() {
    let Some(dir) = std::env::var_os(VICTIM) else { return };
    let store = open(Path::new(&dir));
    let mut worker = store.subscribe("victim", &[Stream::Accounts]).await.unwrap();
    let writers = (0..8).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            let subject = Subject::account(&account(n));
            let known = store.read(&subject, Sequence::NONE).await.unwrap();
            let mut last = known.last().map_or(Sequence::NONE, |message| message.sequence);
            loop {
                let envelope = account_update("victim");
                last = store.append(&subject, Expected::Last(last), &envelope).await.unwrap();
                let line = format!("{ACKNOWLEDGED} {last} {}\n", envelope.id.as_str());
                std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    assert_eq!(writers.len(), 8);
    loop {
        worker.next().await.unwrap().ack().await.unwrap();
    }
}

/// Starts the victim, kills it after so many acknowledgements, and returns all that it still got out.
fn kill_after(dir: &Path, acknowledgements: usize) -> BTreeMap<u64, String> {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::the_victim_appends_until_it_is_killed", "--nocapture"])
        .env(VICTIM, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = BTreeMap::new();
    for line in BufReader::new(victim.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let mut words = line.split(' ').skip_while(|word| *word != ACKNOWLEDGED).skip(1);
        // The last line may be cut.
        if let (Some(sequence), Some(id)) = (words.next(), words.next())
            && id.len() == 22
        {
            acknowledged.insert(sequence.parse().unwrap(), id.to_owned());
        }
        if acknowledged.len() == acknowledgements {
            victim.kill().unwrap();
        }
    }
    victim.wait().unwrap();
    assert!(acknowledged.len() >= acknowledgements, "the victim ended by itself");
    acknowledged
}

#[tokio::test]
async fn what_was_acknowledged_before_a_kill_is_there_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeMap::new();
    for round in 0..ROUNDS {
        let random = RandomState::new().hash_one(round);
        let count = usize::try_from(random % 600).unwrap() + 1;
        acknowledged.append(&mut kill_after(dir.path(), count));
        let store = open(dir.path());
        for (sequence, id) in &acknowledged {
            let message = store.message(Stream::Accounts, Sequence(*sequence)).await.unwrap();
            assert_eq!(message.unwrap().envelope.id.as_str(), id, "message {sequence}");
        }
        let verified = Embedded::verify_directory(dir.path()).unwrap();
        assert!(verified.messages >= acknowledged.len() as u64);
    }
}

/// The files of a data directory, the write-ahead log first.
const FILES: [&str; 3] = ["events.db-wal", "events.db", "head"];
const PAGE: usize = 4096;

fn files(dir: &Path) -> [Vec<u8>; 3] {
    FILES.map(|name| std::fs::read(dir.join(name)).unwrap())
}

fn directory(files: &[Vec<u8>; 3]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in FILES.iter().zip(files) {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    dir
}

/// After a sync that failed the system takes the pages for written: the next process sees them, and a loss of power takes them
/// away.
#[tokio::test]
async fn what_a_failing_disk_never_got_takes_nothing_with_it_that_was_acknowledged_later() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write_log(&store, 0..5).await;
    let [on_disk, ..] = files(dir.path());
    let subject = Subject::account(&account(0));
    append(&store, &subject, &account_update("unsynced")).await.unwrap();
    let [unsynced, rest @ ..] = files(dir.path());

    let [database, head] = rest;
    let next = directory(&[unsynced.clone(), database, head]);
    let store = open(next.path());
    let acknowledged = append(&store, &subject, &account_update("after")).await.unwrap();
    let [mut wal, database, head] = files(next.path());
    for (n, page) in wal.chunks_mut(PAGE).enumerate() {
        let is_in = |file: &[u8]| file.chunks(PAGE).nth(n) == Some(&*page);
        if is_in(&unsynced) && !is_in(&on_disk) {
            // Nobody wrote it again, so no later sync brought it to the disk.
            page.fill(0);
            let synced = on_disk.chunks(PAGE).nth(n).unwrap_or_default();
            page[..synced.len()].copy_from_slice(synced);
        }
    }
    let left = directory(&[wal, database, head]);
    let after = open(left.path());
    assert_eq!(after.last_sequence(Stream::Accounts).await.unwrap(), acknowledged);
}
