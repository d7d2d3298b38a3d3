//! The journal over crashes, damage and concurrent writers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::mpsc,
    time::{Duration, SystemTime},
};

use ca::journal::{
    AppendError, Burning, Entry, Issuance, Journal, OpenError, Outcome, Reservation, Synced, verify,
};
use domain::{IssuerId, OrderId, Serial, Timestamp};
use ring::digest::{SHA256, digest};

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

/// A sync that failed before may have left it in memory alone, where it looks as if it were on disk.
#[test]
fn what_was_not_acknowledged_is_written_again_before_anything_follows() {
    let dir = written();
    let (path, head) = (segment(dir.path(), 1), dir.path().join("head"));
    let acknowledged = std::fs::read(&head).unwrap();
    append(&Journal::open(dir.path()).unwrap(), reserved(4)).unwrap();
    let contents = std::fs::read(&path).unwrap();
    let is_written_at_open = || {
        let file = std::fs::File::options().append(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        drop(Journal::open(dir.path()).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), contents);
        file.metadata().unwrap().modified().unwrap() > SystemTime::UNIX_EPOCH
    };
    assert!(!is_written_at_open());
    std::fs::write(&head, acknowledged).unwrap();
    assert!(is_written_at_open(), "the last line was not acknowledged");
    std::fs::remove_file(&head).unwrap();
    assert!(is_written_at_open(), "nobody knows what was acknowledged");
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
fn a_line_that_a_crash_cut_short_is_cut_off() {
    let dir = written();
    let (path, head) = (segment(dir.path(), 1), dir.path().join("head"));
    let (whole, acknowledged) = (std::fs::read(&path).unwrap(), std::fs::read(&head).unwrap());
    let journal = Journal::open(dir.path()).unwrap();
    append(&journal, reserved(9)).unwrap();
    drop(journal);
    let next = std::fs::read(&path).unwrap().split_off(whole.len());

    let unwritten = [&next[..next.len() / 2], &[0; 100]].concat();
    let cuts = (0..next.len()).map(|length| next[..length].to_vec());
    for tail in cuts.chain([unwritten, vec![0; 4096]]) {
        std::fs::write(&path, [whole.as_slice(), &tail].concat()).unwrap();
        std::fs::write(&head, &acknowledged).unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        assert_eq!(pending(&journal), [serial(3)], "{} bytes of the next line", tail.len());
        append(&journal, reserved(5)).unwrap();
        drop(journal);
        assert_eq!(verify(dir.path()).unwrap().pending, 2);
    }
}

#[test]
fn no_changed_bit_goes_unnoticed() {
    let dir = written();
    let path = segment(dir.path(), 1);
    let whole = std::fs::read(&path).unwrap();
    for position in 0..whole.len() {
        let mut changed = whole.clone();
        changed[position] ^= 1 << (position % 8);
        std::fs::write(&path, changed).unwrap();
        let opened = Journal::open(dir.path());
        assert!(
            matches!(
                opened,
                Err(OpenError::Damaged { .. }
                    | OpenError::Lost { .. }
                    | OpenError::UnknownFormat(_))
            ),
            "byte {position}"
        );
    }
}

/// Only the last newline is left out: without it and the head, the last line is one that a crash cut short.
#[test]
fn damage_is_not_taken_for_a_crash_where_the_head_is_lost() {
    let dir = written();
    let path = segment(dir.path(), 1);
    std::fs::remove_file(dir.path().join("head")).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for position in 0..whole.len() - 1 {
        let mut changed = whole.clone();
        changed[position] ^= 1 << (position % 8);
        std::fs::write(&path, changed).unwrap();
        let opened = Journal::open(dir.path());
        assert!(matches!(opened, Err(OpenError::Damaged { .. })), "byte {position}");
    }
}

#[test]
fn a_journal_of_another_format_is_refused() {
    let dir = written();
    let path = segment(dir.path(), 1);
    let text = std::fs::read_to_string(&path).unwrap();
    let (_, body) = text.lines().next().unwrap().split_once('\t').unwrap();
    let body = body.replace(r#""format":1"#, r#""format":2"#);
    let hash = digest(&SHA256, &[&[0; 32], body.as_bytes()].concat());
    let hash: String = hash.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
    std::fs::write(&path, format!("{hash}\t{body}\n")).unwrap();
    std::fs::remove_file(dir.path().join("head")).unwrap();
    assert!(matches!(Journal::open(dir.path()), Err(OpenError::UnknownFormat(_))));
}

#[test]
fn a_journal_cut_before_what_was_acknowledged_is_refused() {
    let dir = written();
    let path = segment(dir.path(), 1);
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let opened = Journal::open(dir.path());
        let noticed = matches!(opened, Err(OpenError::Damaged { .. } | OpenError::Lost { .. }));
        assert!(noticed, "{length} bytes");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(Journal::open(dir.path()), Err(OpenError::Lost { .. })));
}

#[test]
fn a_journal_replaced_by_another_is_refused() {
    let (dir, other) = (written(), tempfile::tempdir().unwrap());
    let journal = Journal::open(other.path()).unwrap();
    for number in 11..20 {
        append(&journal, reserved(number)).unwrap();
    }
    drop(journal);
    std::fs::copy(segment(other.path(), 1), segment(dir.path(), 1)).unwrap();
    assert!(matches!(Journal::open(dir.path()), Err(OpenError::Damaged { .. })));
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
