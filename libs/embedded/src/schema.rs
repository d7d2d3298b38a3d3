//! The tables, and how connections to them are set up.

use std::{
    fs,
    path::{Path, PathBuf},
};

use eventstore::{Sequence, Stream};
use rusqlite::{Connection, OpenFlags, config::DbConfig, ffi};

use crate::error::{Damage, ReadError};

/// What marks the file as ours: "cert" in ASCII.
const APPLICATION_ID: i64 = 0x6365_7274;
/// The version of the tables written today. A change of the tables raises it and migrates what older releases wrote.
const VERSION: i64 = 1;

/// How long a connection waits for a lock another process holds, while it recovers the write-ahead log for instance.
const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);
/// Pages of 4 KiB in the write-ahead log before a commit moves them into the database: the more, the fewer times a page
/// that changes often is moved.
const CHECKPOINT_PAGES: u32 = 8_000;
/// The size a write-ahead log that grew is cut back to.
const WAL_LIMIT_BYTES: u32 = 64 << 20;

/// Bodies stand apart from what the chain needs of a message, and those of orders apart from the others: then pruning
/// old orders empties whole pages, which are used again.
///
/// A subject is named by the place of its first message, so that the index by aggregate grows where its newest entries are:
/// under the text of random ids each append would write a page of its own.
///
/// The partial index names the streams that are scanned from far behind: the orders, most of the log, are not in it.
const TABLES: &str = "
CREATE TABLE messages (
    sequence INTEGER PRIMARY KEY,
    aggregate INTEGER NOT NULL,
    stream INTEGER NOT NULL,
    subject TEXT NOT NULL,
    version INTEGER NOT NULL,
    digest BLOB NOT NULL,
    hash BLOB NOT NULL,
    pruned INTEGER NOT NULL,
    UNIQUE (aggregate, version)
) STRICT;
CREATE TABLE subjects (subject TEXT PRIMARY KEY, aggregate INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE kept_bodies (sequence INTEGER PRIMARY KEY, envelope BLOB NOT NULL) STRICT;
CREATE TABLE order_bodies (sequence INTEGER PRIMARY KEY, envelope BLOB NOT NULL) STRICT;
CREATE INDEX kept_streams ON messages (stream) WHERE stream < 100;
CREATE TABLE orders (
    sequence INTEGER PRIMARY KEY,
    order_id TEXT NOT NULL,
    account TEXT NOT NULL,
    placed_at INTEGER NOT NULL
) STRICT;
CREATE INDEX orders_by_account ON orders (account);
CREATE TABLE certificates (
    serial TEXT PRIMARY KEY,
    issuer TEXT NOT NULL,
    order_id TEXT,
    account TEXT,
    profile TEXT,
    ledger_sequence INTEGER NOT NULL,
    not_after INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE crls (
    issuer TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    next_update INTEGER NOT NULL,
    der BLOB NOT NULL,
    checksum BLOB NOT NULL
) STRICT;
CREATE TABLE marks (
    name TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL,
    detail TEXT NOT NULL,
    checksum BLOB NOT NULL
) STRICT;
";

/// What a database is, judged by its header and tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing is in it yet.
    Empty,
    /// An event log of this release.
    Ours,
    /// An event log of a newer release.
    Newer(i64),
}

/// The database in a data directory.
pub(crate) fn database(dir: &Path) -> PathBuf {
    dir.join("events.db")
}

/// Opens a connection that writes; it leaves the write-ahead log alone until [`configure_writer`].
pub(crate) fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    keep_plans(&connection)?;
    keep_wal_at_close(&connection)?;
    connection.execute_batch("PRAGMA cell_size_check = ON;")?;
    Ok(connection)
}

/// Keeps a statement's plan whatever it is asked for: without this, each use of a cached statement plans it anew (a third
/// of the cost of a read when measured).
fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// Has closing the connection leave the write-ahead log as it is: a log that is not accepted must stay as found.
fn keep_wal_at_close(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(drop)
}

/// Has closing the connection move the write-ahead log into the database, as SQLite does by default.
pub(crate) fn checkpoint_at_close(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map(drop)
}

/// Sets the writing connection up for durable commits.
pub(crate) fn configure_writer(
    connection: &Connection,
    max_bytes: Option<u64>,
) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
         PRAGMA journal_size_limit = {WAL_LIMIT_BYTES};
         PRAGMA cache_size = -8192;
         PRAGMA temp_store = MEMORY;"
    ))?;
    if let Some(bytes) = max_bytes {
        let page_bytes: u64 = connection.query_row("PRAGMA page_size", (), |row| row.get(0))?;
        let pages = (bytes / page_bytes.max(1)).max(1);
        connection.execute_batch(&format!("PRAGMA max_page_count = {pages};"))?;
    }
    Ok(())
}

/// Opens a connection that only reads, beside any other.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    // SQLite would take it for a new database and delete the write-ahead log beside it, even when it only reads.
    if is_emptied(path) {
        let is_none = ffi::Error::new(ffi::SQLITE_NOTADB);
        return Err(rusqlite::Error::SqliteFailure(is_none, Some("it is empty".to_owned())));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    keep_plans(&connection)?;
    keep_wal_at_close(&connection)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA cell_size_check = ON;")?;
    Ok(connection)
}

/// Whether nothing is left of a database but its file.
pub(crate) fn is_emptied(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.len() == 0)
}

/// Makes the tables.
pub(crate) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE;
         {TABLES}
         PRAGMA application_id = {APPLICATION_ID};
         PRAGMA user_version = {VERSION};
         COMMIT;"
    ))
}

/// Tells what a database is; anything that no release wrote is damage.
pub(crate) fn kind(connection: &Connection) -> Result<Kind, ReadError> {
    let pragma = |name: &str| -> rusqlite::Result<i64> {
        connection.query_row(&format!("PRAGMA {name}"), (), |row| row.get(0))
    };
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let tables = definitions(connection)?;
    if tables.is_empty() && application == 0 && version == 0 {
        return Ok(Kind::Empty);
    }
    if application != APPLICATION_ID || version < VERSION {
        return Err(Damage::Foreign.into());
    }
    if version > VERSION {
        return Ok(Kind::Newer(version));
    }
    let reference = Connection::open_in_memory()?;
    create(&reference)?;
    if definitions(&reference)? != tables {
        return Err(Damage::Foreign.into());
    }
    Ok(Kind::Ours)
}

fn definitions(connection: &Connection) -> rusqlite::Result<Vec<(String, String, String, String)>> {
    connection
        .prepare("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema ORDER BY name")?
        .query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect()
}

/// The number that stands for a stream in the tables.
pub(crate) fn stream_code(stream: Stream) -> i64 {
    match stream {
        Stream::Accounts => 0,
        Stream::Administration => 1,
        Stream::Ledger => 2,
        Stream::Revocations => 3,
        Stream::Orders(shard) => 100 + i64::from(shard),
    }
}

/// The table of the bodies of a stream.
pub(crate) fn bodies(stream: Stream) -> &'static str {
    if is_kept(stream) { "kept_bodies" } else { "order_bodies" }
}

/// Whether a stream is kept for ever, and in the index of such streams.
pub(crate) fn is_kept(stream: Stream) -> bool {
    match stream {
        Stream::Accounts | Stream::Administration | Stream::Ledger | Stream::Revocations => true,
        Stream::Orders(_) => false,
    }
}

/// A sequence as SQLite keeps it; what a signed number cannot hold is beyond every log.
pub(crate) fn column(sequence: Sequence) -> i64 {
    i64::try_from(sequence.0).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_database_is_ours_and_a_changed_one_is_not() {
        let connection = Connection::open_in_memory().unwrap();
        assert_eq!(kind(&connection).unwrap(), Kind::Empty);
        create(&connection).unwrap();
        assert_eq!(kind(&connection).unwrap(), Kind::Ours);
        connection.execute_batch("PRAGMA user_version = 2").unwrap();
        assert_eq!(kind(&connection).unwrap(), Kind::Newer(2));
        connection.execute_batch("PRAGMA user_version = 1; DROP INDEX kept_streams").unwrap();
        assert!(kind(&connection).is_err());
    }

    #[test]
    fn a_commit_is_on_the_disk_before_it_is_acknowledged() {
        let dir = tempfile::tempdir().unwrap();
        let connection = open_writer(&database(dir.path())).unwrap();
        configure_writer(&connection, None).unwrap();
        let pragma = |name: &str| -> String {
            let ask = format!("SELECT * FROM pragma_{name}");
            connection
                .query_row(&format!("SELECT CAST(({ask}) AS TEXT)"), (), |row| row.get(0))
                .unwrap()
        };
        // NORMAL, which is 1, syncs a write-ahead log only when it is moved into the database.
        assert_eq!((pragma("journal_mode"), pragma("synchronous")), ("wal".into(), "2".into()));
    }
}
