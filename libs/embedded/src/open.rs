//! Opening a data directory: nothing is accepted that was not checked, and nothing is changed before it is accepted.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, BufReader},
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::Path,
    sync::Arc,
};

use eventstore::Stream;
use rusqlite::Connection;

use crate::{
    Damage, Embedded, OpenError,
    chain::Tip,
    counters::Counts,
    error::{ReadError, is_damage},
    feed::Feeds,
    head::{Head, Remembered},
    lock::Lock,
    marks::Mark,
    positions::Positions,
    queries,
    readers::Readers,
    recent::Recent,
    schema::{self, Kind},
    shared::Shared,
    verify,
    views::Views,
    writer::Writer,
};

/// How much of the database is read at once when it is opened.
const READ_AHEAD_BYTES: usize = 1024 * 1024;
/// How many bytes of the write-ahead log are rewritten at once.
const REWRITTEN_AT_ONCE: usize = 64 * 1024;

/// How much the store keeps in memory, and how much on the disk.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many orders' views are kept, fewer of those with many names, and as many of pre-authorizations.
    pub cached_orders: usize,
    /// How many accounts' views are kept.
    pub cached_accounts: usize,
    /// How many subjects' ends are kept.
    pub cached_subjects: usize,
    /// How many of the newest messages are kept.
    pub recent_messages: usize,
    /// The size the database may grow to; without it, what the disk holds.
    pub max_bytes: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cached_orders: 4096,
            cached_accounts: 4096,
            cached_subjects: 32_768,
            recent_messages: 2048,
            max_bytes: None,
        }
    }
}

impl Embedded {
    /// Opens a data directory, and makes it when it is not there. Must be the only one that does.
    ///
    /// Checks the newest 10,000 messages and the database's own structure; the log must reach as far as its head file
    /// remembers.
    ///
    /// # Errors
    /// See [`OpenError`]. A directory that is refused as damaged is left as it was found.
    pub fn open(dir: &Path, options: &Options) -> Result<Self, OpenError> {
        let io_error = |source| OpenError::Io { path: dir.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io_error)?;
        let lock = Lock::acquire(dir)?;
        let database_error = |source| OpenError::Database { dir: dir.to_owned(), source };
        let remembered = Head::read(dir).map_err(io_error)?;
        let path = schema::database(dir);
        let is_new = check_files(&path, remembered).map_err(|refused| refused.in_dir(dir))?;
        if is_new {
            create(dir, &path).map_err(|refused| refused.in_dir(dir))?;
        }
        read_ahead(&path).map_err(io_error)?;
        let connection = schema::open_writer(&path).map_err(database_error)?;
        let tip = accept(&connection, remembered).map_err(|refused| refused.in_dir(dir))?;

        let shared = load(dir, &connection, options, &tip);
        let shared = Arc::new(shared.map_err(|error| Refused::from(error).in_dir(dir))?);

        rewrite_unsynced(&path).map_err(io_error)?;
        schema::configure_writer(&connection, options.max_bytes).map_err(database_error)?;
        schema::checkpoint_at_close(&connection).map_err(database_error)?;
        let head = Head::write_new(dir, &tip).map_err(io_error)?;
        let writer = Writer::start(connection, head, tip, Arc::clone(&shared)).map_err(io_error)?;
        Ok(Self::new(dir.to_owned(), shared, writer, lock))
    }
}

/// Reads the database once from start to end, which brings it into the system's cache. The checks read its pages in the
/// order of the trees, for which a cold disk takes far longer.
fn read_ahead(database: &Path) -> io::Result<()> {
    let mut file = BufReader::with_capacity(READ_AHEAD_BYTES, File::open(database)?);
    io::copy(&mut file, &mut io::sink()).map(drop)
}

/// Writes the write-ahead log anew, of which nothing is known to be on disk, and syncs it.
///
/// What an earlier process left there may never have reached the disk: the process was killed before its sync, or the sync
/// failed, after which the system takes the pages for written, and another sync would leave them out. Commits behind such pages
/// would be lost with them, and a checkpoint that moved only some of them would damage the database.
///
/// The same content is written in place, since others may be reading it.
fn rewrite_unsynced(database: &Path) -> io::Result<()> {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    let file = match File::options().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let (mut from, mut chunk) = (0, vec![0; REWRITTEN_AT_ONCE]);
    loop {
        match file.read_at(&mut chunk, from)? {
            0 => return file.sync_all(),
            read => {
                file.write_all_at(&chunk[..read], from)?;
                from += read as u64;
            }
        }
    }
}

/// Why a directory is not opened, before it is said which.
enum Refused {
    Io(io::Error),
    Database(rusqlite::Error),
    Newer(i64),
    Damaged(Damage),
}

impl Refused {
    fn in_dir(self, dir: &Path) -> OpenError {
        let dir = dir.to_owned();
        match self {
            Self::Io(source) => OpenError::Io { path: dir, source },
            Self::Database(source) => OpenError::Database { dir, source },
            Self::Newer(version) => OpenError::NewerRelease { dir, version },
            Self::Damaged(source) => OpenError::Damaged { dir, source },
        }
    }
}

impl<E: Into<Damage>> From<E> for Refused {
    fn from(error: E) -> Self {
        match error.into() {
            // The disk or another process is in the way.
            Damage::Unreadable(source) if !is_damage(&source) => Self::Database(source),
            damage => Self::Damaged(damage),
        }
    }
}

/// Compares the database file with the head before SQLite sees it: SQLite would take a cut file for a new one and
/// delete the write-ahead log beside it. Tells whether the directory is new.
fn check_files(database: &Path, remembered: Remembered) -> Result<bool, Refused> {
    let bytes = match fs::metadata(database) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(Refused::Io(error)),
    };
    match remembered {
        Remembered::Tip(tip) if bytes == 0 && tip != Tip::default() => {
            let last = Tip::default().sequence;
            Err(Refused::Damaged(Damage::EndsBeforeHead { last, head: tip.sequence }))
        }
        Remembered::Nothing if bytes > 0 => Err(Refused::Damaged(Damage::HeadMissing)),
        Remembered::Unreadable => Err(Refused::Damaged(Damage::HeadUnreadable)),
        Remembered::Tip(_) | Remembered::Nothing => Ok(bytes == 0),
    }
}

/// Makes the head before the database: a database without a head is damage, whenever the machine stops.
fn create(dir: &Path, database: &Path) -> Result<(), Refused> {
    Head::write_new(dir, &Tip::default()).map_err(Refused::Io)?;
    // SQLite gives the files beside it the same permissions.
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600);
    options.open(database).map_err(Refused::Io)?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Refused::Io)?;
    // Its parent learns of it too.
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(Refused::Io)
}

/// Checks the database, or makes its tables.
fn accept(connection: &Connection, remembered: Remembered) -> Result<Tip, Refused> {
    let remembered = match remembered {
        Remembered::Tip(tip) => tip,
        Remembered::Nothing | Remembered::Unreadable => Tip::default(),
    };
    match schema::kind(connection)? {
        Kind::Ours => Ok(verify::newest(connection, remembered)?),
        Kind::Newer(version) => Err(Refused::Newer(version)),
        Kind::Empty if remembered == Tip::default() => {
            schema::create(connection).map_err(Refused::Database)?;
            Ok(Tip::default())
        }
        Kind::Empty => {
            let last = Tip::default().sequence;
            Err(Refused::Damaged(Damage::EndsBeforeHead { last, head: remembered.sequence }))
        }
    }
}

fn load(
    dir: &Path,
    connection: &Connection,
    options: &Options,
    tip: &Tip,
) -> Result<Shared, ReadError> {
    let shared = Shared {
        readers: Arc::new(Readers::new(schema::database(dir))),
        recent: Recent::new(tip.sequence, options.recent_messages),
        positions: Positions::new(options.cached_subjects),
        fingerprints: Arc::default(),
        ends: Default::default(),
        feeds: Feeds::new(Mark::all(connection)?)?,
        views: Views::load(connection, options)?,
        counts: Counts::default(),
        closed: false.into(),
    };
    for stream in [Stream::Accounts, Stream::Administration, Stream::Ledger, Stream::Revocations] {
        shared.ends.raise(stream, queries::last_of(connection, stream)?);
    }
    Ok(shared)
}
