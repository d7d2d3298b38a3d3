//! What a crash leaves behind is mended; what only damage explains is refused.

use std::time::SystemTime;

use ca::journal::{Journal, OpenError, verify};
use ring::digest::{SHA256, digest};

use super::{append, pending, reserved, segment, serial, written};

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
fn a_signer_that_was_killed_goes_on_behind_the_last_line() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let journal = Journal::open(dir.path()).unwrap();
    append(&journal, reserved(1)).unwrap();
    std::fs::copy(segment(dir.path(), 1), segment(killed.path(), 1)).unwrap();
    assert!(std::fs::read(segment(killed.path(), 1)).unwrap().ends_with(&[0]));
    std::fs::copy(dir.path().join("head"), killed.path().join("head")).unwrap();
    for number in 2..5 {
        let journal = Journal::open(killed.path()).unwrap();
        append(&journal, reserved(number)).unwrap();
    }
    let lines = std::fs::read_to_string(segment(killed.path(), 1)).unwrap();
    assert_eq!((lines.lines().count(), lines.contains('\0')), (5, false));
    assert_eq!(verify(killed.path()).unwrap().pending, 4);
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
    let hole = |length: usize| [&vec![0; length], &next[length..]].concat();
    let cuts = (0..next.len()).map(|length| next[..length].to_vec());
    for tail in cuts.chain([unwritten, vec![0; 4096], hole(1), hole(2), hole(99)]) {
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
