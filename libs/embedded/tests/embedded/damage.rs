//! Copies of a data directory are cut and changed at many places: an unfinished tail is cut off, everything else that
//! changes what is stored is found at the start or by the audit.

use std::{fs, path::Path};

use embedded::{Embedded, OpenError, Options};
use eventstore::{EventFeed as _, Stream};
use readmodel::{Crl, ReadModel as _};
use rusqlite::{Connection, types::Value};

use crate::samples::{account_update, append, at, issuer, open, write_log};

const DATABASE: &str = "events.db";
const WAL: &str = "events.db-wal";
const HEAD: &str = "head";
/// The distance of the places that are changed: a prime, so that they fall on every part of a page.
const STRIDE: usize = 1499;

/// The files of a data directory as they were at one moment.
#[derive(Clone)]
struct Files {
    files: Vec<(&'static str, Vec<u8>)>,
}

impl Files {
    fn of(dir: &Path) -> Self {
        let read = |name| {
            // SQLite makes an empty write-ahead log as soon as it looks at the database.
            let bytes = fs::read(dir.join(name)).ok().filter(|bytes| !bytes.is_empty());
            bytes.map(|bytes| (name, bytes))
        };
        Self { files: [DATABASE, WAL, HEAD].into_iter().filter_map(read).collect() }
    }

    fn bytes(&mut self, name: &str) -> &mut Vec<u8> {
        &mut self.files.iter_mut().find(|(found, _)| *found == name).expect("the file is there").1
    }

    fn len(&self, name: &str) -> usize {
        self.clone().bytes(name).len()
    }

    fn flipped(&self, name: &str, offset: usize) -> Self {
        let mut changed = self.clone();
        changed.bytes(name)[offset] ^= 1 << (offset % 8);
        changed
    }

    fn cut(&self, name: &str, len: usize) -> Self {
        let mut changed = self.clone();
        changed.bytes(name).truncate(len);
        changed
    }

    fn write(&self) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in &self.files {
            fs::write(dir.path().join(name), bytes).unwrap();
        }
        dir
    }
}

/// Everything that is stored, row by row.
type Content = Vec<Vec<Value>>;

fn content(dir: &Path) -> Content {
    let connection = Connection::open(dir.join(DATABASE)).unwrap();
    let tables =
        ["messages", "kept_bodies", "order_bodies", "certificates", "orders", "crls", "marks"];
    let mut rows = vec![];
    for table in tables {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let read = statement.query_map((), |row| (0..columns).map(|i| row.get(i)).collect());
        rows.extend(read.unwrap().map(Result::unwrap));
    }
    rows
}

#[derive(Debug, PartialEq)]
enum Verdict {
    FoundAtStart,
    FoundByAudit,
    Content(Content),
}

fn judge(files: &Files) -> Verdict {
    let dir = files.write();
    let store = match Embedded::open(dir.path(), &Options::default()) {
        Ok(store) => store,
        Err(error) => {
            let is_refused = match error {
                OpenError::Damaged { .. } => true,
                // The version itself was changed.
                OpenError::NewerRelease { .. } => true,
                OpenError::Database { .. } | OpenError::Locked { .. } | OpenError::Io { .. } => {
                    false
                }
            };
            assert!(is_refused, "{error:?}");
            let mut given = files.clone();
            given.files.retain(|(_, bytes)| !bytes.is_empty());
            assert!(Files::of(dir.path()).files == given.files, "it is left as it was found");
            return Verdict::FoundAtStart;
        }
    };
    if Embedded::verify_directory(dir.path()).is_err() {
        return Verdict::FoundByAudit;
    }
    drop(store);
    Verdict::Content(content(dir.path()))
}

/// Changes a file at many places; nothing that is stored may change unnoticed.
fn check_every(
    files: &Files,
    change: impl Fn(usize) -> Files,
    offsets: impl Iterator<Item = usize>,
) {
    let Verdict::Content(intact) = judge(files) else { panic!("the intact log is refused") };
    let (mut found, mut harmless) = (0, 0);
    for offset in offsets {
        match judge(&change(offset)) {
            Verdict::FoundAtStart | Verdict::FoundByAudit => found += 1,
            Verdict::Content(content) if content == intact => harmless += 1,
            Verdict::Content(_) => panic!("a change at {offset} is not noticed"),
        }
    }
    assert!(found > 0, "of {harmless} changes");
}

async fn fill(store: &Embedded) {
    write_log(store, 0..25).await;
    store.prune(at(5)).await.unwrap();
    let crl = Crl { der: vec![5; 6000], number: 1, next_update: at(1) };
    store.put_crl(&domain::CrlName::whole(issuer()), &crl).await.unwrap();
    let mut worker = store.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    worker.next().await.unwrap().ack().await.unwrap();
}

/// A directory whose log is all in the database file.
async fn checkpointed() -> Files {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    fill(&store).await;
    store.close().await;
    let files = Files::of(dir.path());
    assert_eq!(files.files.len(), 2);
    files
}

/// A directory as a killed server leaves it, with the newer part of the log in the write-ahead log.
async fn killed() -> Files {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    fill(&store).await;
    drop(store);
    let store = open(dir.path());
    write_log(&store, 25..32).await;
    Files::of(dir.path())
}

#[tokio::test]
async fn a_flipped_bit_in_the_database_is_found() {
    let files = checkpointed().await;
    let places = (0..100).chain((100..files.len(DATABASE)).step_by(STRIDE));
    check_every(&files, |offset| files.flipped(DATABASE, offset), places);
}

#[tokio::test]
async fn a_cut_database_is_found() {
    let files = checkpointed().await;
    let lengths = (0..files.len(DATABASE)).step_by(STRIDE * 3);
    check_every(&files, |len| files.cut(DATABASE, len), lengths);
}

#[tokio::test]
async fn a_flipped_bit_in_the_write_ahead_log_is_found() {
    let files = killed().await;
    let places = (0..60).step_by(3).chain((60..files.len(WAL)).step_by(STRIDE));
    check_every(&files, |offset| files.flipped(WAL, offset), places);
}

#[tokio::test]
async fn a_flipped_bit_in_the_database_under_a_write_ahead_log_is_found() {
    let files = killed().await;
    let places = (0..100).step_by(5).chain((100..files.len(DATABASE)).step_by(STRIDE * 2));
    check_every(&files, |offset| files.flipped(DATABASE, offset), places);
}

#[tokio::test]
async fn a_cut_write_ahead_log_or_database_is_found() {
    let files = killed().await;
    let lengths = (0..files.len(WAL)).step_by(STRIDE * 2);
    check_every(&files, |len| files.cut(WAL, len), lengths);
    let lengths = (0..files.len(DATABASE)).step_by(STRIDE * 5);
    check_every(&files, |len| files.cut(DATABASE, len), lengths);
}

#[tokio::test]
async fn who_reads_an_emptied_database_leaves_the_write_ahead_log_beside_it() {
    let dir = killed().await.cut(DATABASE, 0).write();
    let kept = fs::read(dir.path().join(WAL)).unwrap();
    let refused = Embedded::open_read_only(dir.path()).unwrap_err();
    assert!(matches!(refused, OpenError::Damaged { .. }), "{refused:?}");
    Embedded::verify_directory(dir.path()).unwrap_err();
    assert!(fs::read(dir.path().join(WAL)).is_ok_and(|bytes| bytes == kept));
}

#[tokio::test]
async fn lost_files_are_found() {
    let files = killed().await;
    for name in [DATABASE, WAL, HEAD] {
        let mut changed = files.clone();
        changed.files.retain(|(found, _)| *found != name);
        assert_eq!(judge(&changed), Verdict::FoundAtStart, "{name}");
    }
}

#[tokio::test]
async fn an_older_database_under_a_newer_head_is_found() {
    let (mut mixed, mut newer) = (checkpointed().await, killed().await);
    *mixed.bytes(HEAD) = newer.bytes(HEAD).clone();
    let dir = mixed.write();
    let error = Embedded::open(dir.path(), &Options::default()).unwrap_err();
    let OpenError::Damaged { source, .. } = &error else { panic!("{error:?}") };
    assert!(matches!(source, embedded::Damage::EndsBeforeHead { .. }), "{source:?}");
    assert!(error.to_string().contains("certmill audit verify"), "{error}");
    assert!(error.to_string().contains("restore"), "{error}");
}

/// The head is written after the commit: with the head from before, what is left of the last commit counts or does not.
#[tokio::test]
async fn an_unfinished_tail_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    fill(&store).await;
    let before = Files::of(dir.path());
    let subject = eventstore::Subject::account(&crate::samples::account(1));
    append(&store, &subject, &account_update("the last")).await.unwrap();
    let mut after = Files::of(dir.path());
    let (start, end) = (before.len(WAL), after.len(WAL));
    assert!(start < end, "the last commit made the write-ahead log longer");
    *after.bytes(HEAD) = before.clone().bytes(HEAD).clone();

    let Verdict::Content(without) = judge(&before) else { panic!("the log is refused") };
    let Verdict::Content(with) = judge(&after) else { panic!("the log is refused") };
    assert_eq!(with.len(), without.len() + 2);
    for len in (start..end).step_by(487) {
        assert_eq!(judge(&after.cut(WAL, len)), Verdict::Content(without.clone()), "{len}");
    }
    for offset in (start..end).step_by(487) {
        let content = judge(&after.flipped(WAL, offset));
        assert_eq!(content, Verdict::Content(without.clone()), "{offset}");
    }
}

#[tokio::test]
async fn a_message_changed_by_hand_is_named() {
    let dir = checkpointed().await.write();
    let connection = Connection::open(dir.path().join(DATABASE)).unwrap();
    let change =
        "UPDATE kept_bodies SET envelope = CAST(envelope || ' ' AS BLOB) WHERE sequence = 41";
    assert_eq!(connection.execute(change, ()).unwrap(), 1);
    drop(connection);
    let damage = Embedded::verify_directory(dir.path()).unwrap_err();
    assert_eq!(damage.to_string(), "message 41 breaks the hash chain");
}

#[tokio::test]
async fn an_index_changed_by_hand_is_found_and_made_anew() {
    let dir = checkpointed().await.write();
    let connection = Connection::open(dir.path().join(DATABASE)).unwrap();
    for change in [
        "UPDATE certificates SET account = NULL WHERE ledger_sequence = 43",
        "DELETE FROM certificates WHERE ledger_sequence = 43",
        "UPDATE orders SET placed_at = placed_at + 1 WHERE sequence = 42",
        "INSERT INTO orders SELECT sequence + 1, order_id, account, placed_at FROM orders",
    ] {
        assert!(connection.execute(change, ()).unwrap() > 0, "{change}");
        let damage = Embedded::verify_directory(dir.path()).unwrap_err();
        assert!(damage.to_string().contains("certmill rebuild"), "{damage}");
        let store = open(dir.path());
        store.rebuild().await.unwrap();
        Embedded::verify_directory(dir.path()).unwrap();
    }
}

#[tokio::test]
async fn what_is_beside_the_messages_and_was_changed_by_hand_is_found() {
    for change in [
        "INSERT INTO subjects VALUES ('account.stray', 9)",
        "UPDATE subjects SET aggregate = aggregate + 1 WHERE aggregate = 1",
        "INSERT INTO kept_bodies VALUES (9999, x'00')",
        "UPDATE crls SET der = x'00'",
        "UPDATE marks SET sequence = sequence + 1",
    ] {
        let dir = checkpointed().await.write();
        let connection = Connection::open(dir.path().join(DATABASE)).unwrap();
        assert_eq!(connection.execute(change, ()).unwrap(), 1, "{change}");
        drop(connection);
        assert!(Embedded::verify_directory(dir.path()).is_err(), "{change}");
    }
}

#[tokio::test]
async fn a_page_that_is_torn_is_found_at_the_start_whatever_it_holds() {
    let files = checkpointed().await;
    let dir = files.write();
    let connection = Connection::open(dir.path().join(DATABASE)).unwrap();
    let page_bytes: usize = connection.query_row("PRAGMA page_size", (), |row| row.get(0)).unwrap();
    let trees = "SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0";
    let mut trees = connection.prepare(trees).unwrap();
    let trees = trees.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let trees: Vec<(String, usize)> = trees.map(Result::unwrap).collect();
    assert!(trees.len() > 9, "{trees:?}");
    for (tree, page) in trees {
        let mut torn = files.clone();
        torn.bytes(DATABASE)[(page - 1) * page_bytes..page * page_bytes].fill(0);
        assert_eq!(judge(&torn), Verdict::FoundAtStart, "{tree}");
    }
}
