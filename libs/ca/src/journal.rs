//! The signer's journal: what was reserved, issued and given up, on disk before anything of it leaves.
//!
//! Lines of text in segment files; each line begins with the SHA-256 over that of the line before and its own content,
//! so that nothing is lost, changed or inserted unnoticed. One writer thread puts whatever waits into one write and
//! one fsync. The log's ledger says the same; the journal is what is left when that is lost. While it is open, zeros follow the
//! last line.

mod admission;
mod chain;
mod entry;
mod head;
mod replay;
mod segment;
mod segment_end;
mod writer;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{self, SyncSender, TrySendError},
    },
    thread::JoinHandle,
};

use domain::{Serial, Timestamp};

use self::writer::{Request, Shared, Writer};
pub use self::{
    entry::{Burning, Entry, Issuance, Outcome, Record, Reservation},
    replay::{Summary, verify},
};
use crate::durable::{self, Access};

/// A segment is closed when it has grown beyond this.
const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// How many appends may wait for the writer; more are refused.
const MAX_WAITING: usize = 4096;

/// An open journal. Nobody else can open it until this is dropped.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    shared: Arc<Shared>,
    requests: Option<SyncSender<Request>>,
    writer: Option<JoinHandle<()>>,
}

/// When an entry has to be on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synced {
    /// Before the reply.
    Now,
    /// With the next entries that have to be there before their reply, or when the journal is closed: a crash of the
    /// process loses nothing, a loss of power may.
    Later,
}

/// Why a journal cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file system said no.
    #[error("journal file {path} cannot be used")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another signer has it open.
    #[error("the journal in {0} is in use by another signer: stop that one first")]
    Locked(PathBuf),
    /// A line is not what was written.
    #[error(
        "journal file {path} is damaged at byte {offset}: restore it from a backup; without one, check the ledger with \
         certmill audit verify, move the journal's directory away, and start with an empty one"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where its first bad line begins.
        offset: u64,
    },
    /// A segment is missing between others.
    #[error("journal file {0} is missing: restore it from a backup")]
    MissingSegment(PathBuf),
    /// The journal ends before what was acknowledged.
    #[error(
        "the journal in {dir} ends at record {found}, but record {acknowledged} was acknowledged: restore it from a \
         backup; without one, check the ledger with certmill audit verify, then remove the file head"
    )]
    Lost {
        /// Which journal.
        dir: PathBuf,
        /// The last record there is.
        found: u64,
        /// The last record that was acknowledged.
        acknowledged: u64,
    },
    /// The journal was written by a later release.
    #[error("journal file {0} was written by a later release")]
    UnknownFormat(PathBuf),
}

/// Why an entry was not appended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The serial is reserved already; take another.
    #[error("serial {0} is reserved already")]
    AlreadyReserved(Serial),
    /// The serial was never reserved, or is issued or burned already; [`Journal::find`] tells which.
    #[error("serial {0} is not reserved")]
    NotReserved(Serial),
    /// The certificate is not the one that was reserved.
    #[error("the certificate of serial {0} does not hold the bytes that were reserved")]
    OtherCertificate(Serial),
    /// An entry is larger than any certificate of ours.
    #[error("an entry is too large")]
    TooLarge,
    /// Too many appends wait; try again.
    #[error("too many appends wait for the journal")]
    Overloaded,
    /// Writing failed, now or before. What was written last is unknown: stop, and open the journal again.
    #[error("the journal cannot be written")]
    Failed(#[source] Arc<io::Error>),
    /// The writer is gone.
    #[error("the journal is closed")]
    Closed,
}

impl Journal {
    /// Opens the journal in a directory, or starts one.
    ///
    /// The newest segments are verified, and a line that a crash left unfinished is cut off.
    ///
    /// # Errors
    /// When another signer has it open, or it is damaged; the message says what the operator can do.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, OpenError> {
        Self::open_with_segments(dir.into(), SEGMENT_BYTES)
    }

    /// As [`open`](Self::open), with segments of another size.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with_segments(dir: PathBuf, segment_bytes: u64) -> Result<Self, OpenError> {
        durable::create_directory(&dir, Access::Owner).map_err(at(&dir))?;
        let lock_path = dir.join("lock");
        let lock = durable::open_lock(&lock_path).map_err(at(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(OpenError::Locked(dir)),
            Err(std::fs::TryLockError::Error(source)) => {
                return Err(OpenError::Io { path: lock_path, source });
            }
        }
        let (writer, shared) = Writer::open(&dir, segment_bytes, lock)?;
        let (requests, waiting) = mpsc::sync_channel(MAX_WAITING);
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(&waiting))
            .map_err(at(&dir))?;
        Ok(Self { dir, shared, requests: Some(requests), writer: Some(thread) })
    }

    /// Appends an entry without waiting: `reply` is called by the writer thread once it is written and, if that was asked
    /// for, on disk, or at once if too many wait; it must be quick, like sending into a oneshot channel.
    pub fn append(
        &self,
        entry: Entry,
        synced: Synced,
        reply: impl FnOnce(Result<(), AppendError>) + Send + 'static,
    ) {
        let request = Request { entry, synced, reply: Box::new(reply) };
        let Some(requests) = &self.requests else {
            return (request.reply)(Err(AppendError::Closed));
        };
        match requests.try_send(request) {
            Ok(()) => {}
            Err(TrySendError::Full(request)) => (request.reply)(Err(AppendError::Overloaded)),
            Err(TrySendError::Disconnected(request)) => (request.reply)(Err(AppendError::Closed)),
        }
    }

    /// The reservations that are neither issued nor burned.
    pub fn pending(&self) -> Vec<Reservation> {
        self.shared.pending().values().cloned().collect()
    }

    /// Whether a serial is reserved and neither issued nor burned.
    pub fn is_pending(&self, serial: &Serial) -> bool {
        self.shared.pending().contains_key(serial)
    }

    /// The latest entry of each of the serials. What is pending is known without reading; for the others files are read, the
    /// newest first, down to one in which nothing was written at or after `since`: what was settled before may not be found.
    ///
    /// # Errors
    /// When a file cannot be read or is damaged.
    pub fn find(
        &self,
        serials: &BTreeSet<Serial>,
        since: Timestamp,
    ) -> Result<BTreeMap<Serial, Entry>, OpenError> {
        let mut found: BTreeMap<Serial, Entry> = {
            let pending = self.shared.pending();
            let pending = serials.iter().filter_map(|serial| pending.get(serial));
            pending.map(|it| (it.serial.clone(), Entry::Reserved(it.clone()))).collect()
        };
        let others = serials.iter().filter(|serial| !found.contains_key(*serial)).cloned();
        let others = others.collect::<BTreeSet<_>>();
        if !others.is_empty() {
            found.extend(replay::find(&self.dir, &others, since)?);
        }
        Ok(found)
    }

    /// Reads all files, and returns the reservations that are wanted with what became of each. `wanted` is asked in the order of
    /// the journal.
    ///
    /// # Errors
    /// When a file cannot be read or is damaged.
    pub fn records(
        &self,
        wanted: impl FnMut(&Reservation) -> bool,
    ) -> Result<BTreeMap<Serial, Record>, OpenError> {
        replay::records(&self.dir, wanted)
    }

    /// How many writes, each with its fsync, there were since the journal was opened.
    pub fn commits(&self) -> u64 {
        self.shared.commits()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has nothing more to write.
            drop(writer.join());
        }
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> OpenError + use<> {
    let path = path.to_owned();
    |source| OpenError::Io { path, source }
}
