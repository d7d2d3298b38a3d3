//! The journal over restarts, crashes, damage and concurrent writers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod crashes;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::mpsc,
    time::Duration,
};

use ca::journal::{
    AppendError, Burning, Entry, Issuance, Journal, OpenError, Outcome, Reservation, Synced, verify,
};
use domain::{IssuerId, OrderId, Serial, Timestamp};

fn serial(number: u64) -> Serial {
    let mut octets = [0; 16];
    octets[8..].copy_from_slice(&number.to_be_bytes());
    Serial::from_random(&octets)
}

/// Stands for a TBSCertificate: any DER will do.
fn tbs(number: u64) -> Vec<u8> {
    yasna::construct_der(|writer| writer.write_sequence(|writer| writer.next().write_u64(number)))
}

fn certificate(number: u64) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_der(&tbs(number));
            writer.next().write_null();
            writer.next().write_null();
        });
    })
}

fn at() -> Timestamp {
    Timestamp::from_unix_seconds(1_790_000_000)
}

fn reserved(number: u64) -> Entry {
    reserved_at(number, at())
}

fn reserved_at(number: u64, at: Timestamp) -> Entry {
    Entry::Reserved(Reservation {
        serial: serial(number),
        order: Some(OrderId::new(0, &[7; 16])),
        issuer: IssuerId::from_hash(&[0; 32]),
        tbs: tbs(number),
        at,
    })
}

fn beginning() -> Timestamp {
    Timestamp::from_unix_seconds(0)
}

fn issued(number: u64) -> Entry {
    Entry::Issued(Issuance { serial: serial(number), der: certificate(number), at: at() })
}

fn burned(number: u64) -> Entry {
    burned_at(number, at())
}

fn burned_at(number: u64, at: Timestamp) -> Entry {
    Entry::Burned(Burning { serial: serial(number), reason: "crash".to_owned(), at })
}

fn pending(journal: &Journal) -> Vec<Serial> {
    journal.pending().into_iter().map(|reservation| reservation.serial).collect()
}

fn segment(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("journal-{number:08}.log"))
}

/// Appends an entry and waits until it is on disk.
fn append(journal: &Journal, entry: Entry) -> Result<(), AppendError> {
    let (answer, answered) = mpsc::channel();
    journal.append(entry, Synced::Now, move |result| drop(answer.send(result)));
    answered.recv().unwrap()
}

/// A closed journal with serial 1 issued, 2 burned and 3 pending.
fn written() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    for entry in [reserved(1), issued(1), reserved(2), reserved(3), burned(2)] {
        append(&journal, entry).unwrap();
    }
    dir
}

/// A longer file would have its new length synced with each line.
#[test]
fn lines_are_written_into_a_file_that_has_grown_before() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let path = segment(dir.path(), 1);
    let length = || std::fs::metadata(&path).unwrap().len();
    append(&journal, reserved(1)).unwrap();
    let first = length();
    for number in 2..100 {
        append(&journal, reserved(number)).unwrap();
    }
    assert_eq!(length(), first);
    assert_eq!(verify(dir.path()).unwrap().pending, 99, "beside the signer");

    let mut lengths = BTreeSet::new();
    for number in 100..10_000 {
        journal.append(reserved(number), Synced::Later, |_| {});
        if number % 1000 == 0 {
            append(&journal, burned(number)).unwrap();
            lengths.insert(length());
        }
    }
    assert!((2..=5).contains(&lengths.len()), "{lengths:?}");
    drop(journal);
    let lines = std::fs::read_to_string(&path).unwrap();
    assert!(lines.ends_with('\n') && !lines.contains('\0'), "a closed journal has lines alone");
    assert_eq!(verify(dir.path()).unwrap().pending, 9_999 - 9);
}

#[test]
fn what_was_appended_is_there_after_a_restart() {
    let dir = written();
    let journal = Journal::open(dir.path()).unwrap();
    assert_eq!(pending(&journal), [serial(3)]);
    let serials: BTreeSet<Serial> = (1..=4).map(serial).collect();
    let found = journal.find(&serials, beginning()).unwrap();
    assert_eq!(found.values().collect::<Vec<_>>(), [&issued(1), &burned(2), &reserved(3)]);
    append(&journal, issued(3)).unwrap();
    assert!(pending(&journal).is_empty());
    assert_eq!(verify(dir.path()).unwrap().last_record, 7);
}

#[test]
fn of_each_wanted_reservation_it_tells_what_became_of_it() {
    let dir = written();
    let journal = Journal::open(dir.path()).unwrap();
    let records = journal.records(|reservation| reservation.serial != serial(3)).unwrap();
    let told: Vec<_> = records.into_values().map(|it| (it.reservation, it.outcome)).collect();
    let (issued, burned) = (issued(1), burned(2));
    let [(first, Outcome::Issued(issuance)), (second, Outcome::Burned(burning))] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(
        [Entry::Reserved(first.clone()), Entry::Issued(issuance.clone())],
        [reserved(1), issued]
    );
    assert_eq!(
        [Entry::Reserved(second.clone()), Entry::Burned(burning.clone())],
        [reserved(2), burned]
    );
    let pending = journal.records(|reservation| reservation.serial == serial(3)).unwrap();
    assert_eq!(pending[&serial(3)].outcome, Outcome::Pending);
}

#[test]
fn a_contradiction_is_refused_and_leaves_no_trace() {
    let dir = written();
    let journal = Journal::open(dir.path()).unwrap();
    let refused = append(&journal, issued(1));
    assert!(matches!(refused, Err(AppendError::NotReserved(_))));
    let refused = append(&journal, reserved(3));
    assert!(matches!(refused, Err(AppendError::AlreadyReserved(_))));
    append(&journal, reserved(4)).unwrap();
    assert_eq!(verify(dir.path()).unwrap().last_record, 7);
}

#[test]
fn two_signers_never_share_a_journal() {
    let dir = tempfile::tempdir().unwrap();
    let first = Journal::open(dir.path()).unwrap();
    assert!(matches!(Journal::open(dir.path()), Err(OpenError::Locked(_))));
    drop(first);
    assert!(Journal::open(dir.path()).is_ok());
}

#[test]
fn segments_carry_the_chain_and_what_is_pending() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Journal::open_with_segments(dir.path().to_owned(), 2000).unwrap();
    let journal = open();
    append(&journal, reserved(1000)).unwrap();
    for number in 0..50 {
        append(&journal, reserved(number)).unwrap();
        append(&journal, issued(number)).unwrap();
    }
    drop(journal);
    let summary = verify(dir.path()).unwrap();
    assert!(summary.segments > 5, "{summary:?}");
    assert_eq!(summary.pending, 1);
    let journal = open();
    assert_eq!(pending(&journal), [serial(1000)]);
    let serials: BTreeSet<Serial> = [serial(0), serial(49), serial(1000)].into();
    assert_eq!(journal.find(&serials, beginning()).unwrap().len(), 3);
    append(&journal, burned(1000)).unwrap();
    drop(journal);
    assert!(pending(&open()).is_empty());

    let old = segment(dir.path(), 2);
    let mut changed = std::fs::read(&old).unwrap();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    std::fs::write(&old, changed).unwrap();
    assert!(matches!(verify(dir.path()), Err(OpenError::Damaged { .. })));
    std::fs::remove_file(&old).unwrap();
    assert!(matches!(verify(dir.path()), Err(OpenError::MissingSegment(_))));
}

#[test]
fn no_more_of_a_long_journal_is_read_than_may_hold_what_is_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open_with_segments(dir.path().to_owned(), 2000).unwrap();
    let minute = |number: u64| at().plus(Duration::from_secs(60 * number));
    append(&journal, reserved(1000)).unwrap();
    for number in 0..50 {
        append(&journal, reserved_at(number, minute(number))).unwrap();
        append(&journal, burned_at(number, minute(number))).unwrap();
    }
    std::fs::write(segment(dir.path(), 1), "not to be read").unwrap();
    let find = |number, since| journal.find(&[serial(number)].into(), since);
    assert_eq!(find(1000, minute(49)).unwrap()[&serial(1000)], reserved(1000));
    assert_eq!(find(25, minute(25)).unwrap()[&serial(25)], burned_at(25, minute(25)));
    assert!(find(77, minute(45)).unwrap().is_empty());
    assert!(matches!(find(77, beginning()), Err(OpenError::Damaged { .. })));
}

#[test]
fn what_waits_goes_into_one_commit() {
    const APPENDS: u64 = 2000;
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let (answer, answers) = mpsc::channel();
    for number in 0..APPENDS {
        let answer = answer.clone();
        journal.append(reserved(number), Synced::Now, move |result| drop(answer.send(result)));
    }
    drop(answer);
    assert!(answers.iter().all(|answer| answer.is_ok()));
    assert!(journal.commits() * 5 < APPENDS, "{} commits", journal.commits());
    drop(journal);
    let summary = verify(dir.path()).unwrap();
    assert_eq!((summary.pending, summary.last_record), (2000, APPENDS + 1));
}

#[test]
fn what_may_reach_the_disk_later_costs_no_fsync_and_is_never_ahead_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (path, head) = (segment(dir.path(), 1), dir.path().join("head"));
    let journal = Journal::open(dir.path()).unwrap();
    append(&journal, reserved(1)).unwrap();
    let (before, acknowledged) = (journal.commits(), std::fs::read(&head).unwrap());

    let (answer, answered) = mpsc::channel();
    journal.append(issued(1), Synced::Later, move |result| drop(answer.send(result)));
    answered.recv().unwrap().unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().contains("issued"), "a crash keeps it");
    assert_eq!(journal.commits(), before);
    assert_eq!(std::fs::read(&head).unwrap(), acknowledged, "a loss of power may take it back");

    append(&journal, reserved(2)).unwrap();
    assert_eq!(journal.commits(), before + 1, "it went along");
    let synced = std::fs::read(&head).unwrap();
    assert_ne!(synced, acknowledged);
    journal.append(issued(2), Synced::Later, |_| {});
    drop(journal);
    assert_ne!(std::fs::read(&head).unwrap(), synced, "closing brings the rest to the disk");
    assert_eq!(verify(dir.path()).unwrap().pending, 0);
}

#[test]
fn of_sixteen_who_reserve_one_serial_one_does() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    for number in 0..20 {
        let reserve = || append(&journal, reserved(number)).is_ok();
        let winners = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(reserve)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).filter(|won| *won).count()
        });
        assert_eq!(winners, 1);
    }
}

#[test]
fn a_closed_journal_has_written_what_it_took() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    for number in 0..100 {
        journal.append(reserved(number), Synced::Now, |_| {});
    }
    drop(journal);
    assert_eq!(verify(dir.path()).unwrap().pending, 100);
}
