//! Backups are made while the server writes, and open as data directories.

use std::{
    os::unix::fs::FileExt as _,
    sync::atomic::{AtomicBool, Ordering},
};

use embedded::{BackupError, Damage, Embedded, OpenError, Options};
use eventstore::{EventStore as _, Sequence, Stream, Subject};
use readmodel::{Lookup, ReadModel as _};

use crate::samples::{account, account_update, append, open, serial, write_log};

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_made_while_messages_are_written_opens_with_all_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("backup");
    let store = open(&dir.path().join("live"));
    write_log(&store, 0..50).await;
    let done = AtomicBool::new(false);
    let writes = async {
        while !done.load(Ordering::Relaxed) {
            let subject = Subject::account(&account(9));
            append(&store, &subject, &account_update("meanwhile")).await.unwrap();
        }
    };
    let copies = async {
        let (store, to) = (store.clone(), to.clone());
        let verified = tokio::task::spawn_blocking(move || store.backup(&to)).await.unwrap();
        done.store(true, Ordering::Relaxed);
        verified.unwrap()
    };
    let ((), verified) = tokio::join!(writes, copies);
    assert!(verified.messages >= 200);

    let restored = open(&to);
    assert_eq!(restored.last_sequence(Stream::Ledger).await.unwrap(), Sequence(199));
    assert!(matches!(restored.certificate(&serial(49)).await.unwrap(), Lookup::Found(_)));
    append(&restored, &Subject::account(&account(0)), &account_update("on")).await.unwrap();
    assert_eq!(Embedded::verify_directory(&to).unwrap().messages, verified.messages + 1);
}

#[tokio::test]
async fn a_backup_never_goes_over_something() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("live"));
    let to = dir.path().join("backup");
    store.backup(&to).unwrap();
    assert!(matches!(store.backup(&to), Err(BackupError::Exists(path)) if path == to));
    let reader = Embedded::open_read_only(&dir.path().join("live")).unwrap();
    assert!(matches!(reader.backup(&to), Err(BackupError::Exists(_))));
    reader.backup(&dir.path().join("another")).unwrap();
}

#[tokio::test]
async fn nothing_is_left_of_a_backup_that_fails() {
    let dir = tempfile::tempdir().unwrap();
    let (live, to) = (dir.path().join("live"), dir.path().join("backup"));
    let store = open(&live);
    write_log(&store, 0..50).await;
    drop(store);
    let reader = Embedded::open_read_only(&live).unwrap();
    let database = std::fs::OpenOptions::new().write(true).open(live.join("events.db")).unwrap();
    let half = database.metadata().unwrap().len() / 2;
    database.write_all_at(&[0; 8192], half).unwrap();
    reader.backup(&to).unwrap_err();
    assert!(!to.exists());
}

#[tokio::test]
async fn a_backup_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("live"));
    let to = dir.path().join("backup");
    store.backup(&to).unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&to), 0o700);
    for entry in std::fs::read_dir(&to).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn a_backup_remembers_where_its_log_ended() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("live"));
    let [shorter, longer] = ["shorter", "longer"].map(|name| dir.path().join(name));
    write_log(&store, 0..1).await;
    store.backup(&shorter).unwrap();
    write_log(&store, 1..2).await;
    store.backup(&longer).unwrap();
    std::fs::copy(shorter.join("events.db"), longer.join("events.db")).unwrap();
    let refused = Embedded::open(&longer, &Options::default()).unwrap_err();
    let OpenError::Damaged { source, .. } = refused else { panic!("{refused:?}") };
    assert!(matches!(source, Damage::EndsBeforeHead { .. }), "{source:?}");
}
