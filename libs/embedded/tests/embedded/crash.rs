//! A killed server loses nothing that it acknowledged.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher as _, RandomState},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    time::SystemTime,
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

/// After a sync that failed the system takes the pages for written: the next process sees them, and a loss of power takes them
/// away, with what was appended behind them.
#[tokio::test]
async fn what_may_not_be_on_disk_is_written_again_at_the_start_also_beside_a_reader() {
    let running = tempfile::tempdir().unwrap();
    let store = open(running.path());
    write_log(&store, 0..5).await;
    let killed = tempfile::tempdir().unwrap();
    for name in ["events.db", "events.db-wal", "head"] {
        std::fs::copy(running.path().join(name), killed.path().join(name)).unwrap();
    }
    let path = killed.path().join("events.db-wal");
    let (wal, left) = (std::fs::File::open(&path).unwrap(), std::fs::read(&path).unwrap());
    assert!(!left.is_empty());
    wal.set_modified(SystemTime::UNIX_EPOCH).unwrap();

    let reader = rusqlite::Connection::open(killed.path().join("events.db")).unwrap();
    let snapshot = reader.unchecked_transaction().unwrap();
    let count = "SELECT count(*) FROM messages";
    assert_eq!(snapshot.query_row(count, (), |row| row.get(0)), Ok(20));
    let store = open(killed.path());
    assert!(wal.metadata().unwrap().modified().unwrap() > SystemTime::UNIX_EPOCH);
    assert_eq!(std::fs::read(&path).unwrap(), left);
    append(&store, &Subject::account(&account(0)), &account_update("after")).await.unwrap();
    assert_eq!(snapshot.query_row(count, (), |row| row.get(0)), Ok(20));
}
