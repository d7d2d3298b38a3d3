//! The thread that writes the journal: whatever waits goes into one write and one fsync.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::Receiver,
    },
};

use super::{
    AppendError, Entry, OpenError, Synced,
    admission::{Pending, admit},
    at,
    chain::{Chain, hex},
    entry::{Content, SegmentStart},
    head::Head,
    replay::{self, FORMAT, Replayed},
    segment::{MAX_LINE_BYTES, Segment},
    segment_end::{SegmentEnd, ends_with_zeros},
};
use crate::durable::{self, Access};

/// How many requests go into one write at most.
const MAX_BATCH: usize = 256;
/// How many bytes are rewritten at once.
const REWRITTEN_AT_ONCE: usize = 1 << 16;

/// Called once the entry is where it has to be.
pub(super) type Reply = Box<dyn FnOnce(Result<(), AppendError>) + Send>;

/// An entry to append.
pub(super) struct Request {
    pub(super) entry: Entry,
    pub(super) synced: Synced,
    pub(super) reply: Reply,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("entry", &self.entry).finish_non_exhaustive()
    }
}

/// What the writer lets others see.
#[derive(Debug)]
pub(super) struct Shared {
    pending: Mutex<Pending>,
    commits: AtomicU64,
}

impl Shared {
    /// The reservations that are neither issued nor burned.
    pub(super) fn pending(&self) -> MutexGuard<'_, Pending> {
        // Nothing that holds this lock leaves it half changed.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many writes there were.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }
}

/// The end of the journal, open for writing.
#[derive(Debug)]
pub(super) struct Writer {
    dir: PathBuf,
    shared: Arc<Shared>,
    end: SegmentEnd,
    head: Head,
    chain: Chain,
    segment: u64,
    segment_bytes: u64,
    /// Held so that nobody else writes.
    _lock: File,
}

impl Writer {
    /// Opens the journal's end, after cutting off an unfinished line, or starts its first segment.
    pub(super) fn open(
        dir: &Path,
        segment_bytes: u64,
        lock: File,
    ) -> Result<(Self, Arc<Shared>), OpenError> {
        let replayed = match replay::newest(dir)? {
            Some(replayed) => replayed,
            None => start(dir)?,
        };
        let path = &replayed.segment.path;
        cut_off_unfinished(&replayed).map_err(at(path))?;
        rewrite_unsynced(&replayed).map_err(at(path))?;
        let end = SegmentEnd::open(path, replayed.whole_bytes).map_err(at(path))?;
        let shared =
            Arc::new(Shared { pending: Mutex::new(replayed.pending), commits: AtomicU64::new(0) });
        let writer = Self {
            dir: dir.to_owned(),
            shared: Arc::clone(&shared),
            end,
            head: Head::open(dir)?,
            chain: replayed.chain,
            segment: replayed.segment.number,
            segment_bytes,
            _lock: lock,
        };
        Ok((writer, shared))
    }

    /// Serves requests until nobody is left to make any.
    pub(super) fn run(mut self, requests: &Receiver<Request>) {
        let mut failure = None;
        while let Ok(first) = requests.recv() {
            let more = requests.try_iter().take(MAX_BATCH - 1);
            let batch: Vec<Request> = std::iter::once(first).chain(more).collect();
            // After a failed write or fsync nobody knows what is on disk: nothing may follow it.
            match &failure {
                Some(error) => refuse(batch.into_iter().map(|request| request.reply), error),
                None => failure = self.commit(batch).err(),
            }
        }
        if failure.is_some() {
            return;
        }
        if let Err(error) = self.sync() {
            tracing::error!(%error, "the journal's last lines may not be on disk");
        } else if let Err(error) = self.end.cut_zeros() {
            tracing::warn!(%error, "zeros are left behind the journal's last line");
        }
    }

    /// Writes what is admitted of a batch and answers everybody in it; after an error nothing may be written any more.
    fn commit(&mut self, batch: Vec<Request>) -> Result<(), Arc<io::Error>> {
        // Before anything is admitted: what the new segment says is pending must not depend on lines not yet written.
        if let Err(error) = self.rotate_if_full() {
            return Err(fail(error, batch.into_iter().map(|request| request.reply)));
        }
        let (mut admitted, mut replies) = (Vec::new(), Vec::new());
        let mut awaited = false;
        for Request { entry, synced, reply } in batch {
            // A variable of its own, so that the lock is free when the reply runs.
            let admission = admit(&mut self.shared.pending(), &entry);
            match admission {
                Ok(()) => {
                    awaited |= synced == Synced::Now;
                    admitted.push(entry);
                    replies.push(reply);
                }
                Err(error) => reply(Err(error)),
            }
        }
        let written = self.write(admitted);
        match written.and_then(|()| if awaited { self.sync() } else { Ok(()) }) {
            Ok(()) => {
                replies.into_iter().for_each(|reply| reply(Ok(())));
                Ok(())
            }
            Err(error) => Err(fail(error, replies)),
        }
    }

    /// Writes entries, which need not be on disk before the next [`sync`](Self::sync).
    fn write(&mut self, admitted: Vec<Entry>) -> io::Result<()> {
        let (mut chain, mut lines) = (self.chain, Vec::new());
        for entry in admitted {
            chain.seal(&Content::from(entry), &mut lines)?;
        }
        if !lines.is_empty() {
            self.end.write(&lines)?;
            self.chain = chain;
        }
        Ok(())
    }

    /// Brings what was written to the disk, and only then says so in the head: that must never be ahead.
    fn sync(&mut self) -> io::Result<()> {
        if self.end.sync()? {
            self.shared.commits.fetch_add(1, Ordering::Relaxed);
            self.head.write(&self.chain)?;
        }
        Ok(())
    }

    /// Begins the next segment if this one is full.
    fn rotate_if_full(&mut self) -> io::Result<()> {
        if self.end.written() < self.segment_bytes {
            return Ok(());
        }
        let segment = Segment::new(&self.dir, self.segment + 1);
        let pending = self.shared.pending().values().cloned().collect();
        let (chain, line) = first_line(segment.number, &self.chain, pending)?;
        if line.len() as u64 > MAX_LINE_BYTES {
            // Too much is pending to be carried over: the segment grows on until that is settled.
            return Ok(());
        }
        self.sync()?;
        // Behind the lines of a segment that others follow there may be nothing.
        self.end.cut_zeros()?;
        durable::write_new(&segment.path, &line, Access::Owner)?;
        self.end = SegmentEnd::open(&segment.path, line.len() as u64)?;
        self.segment = segment.number;
        self.chain = chain;
        Ok(())
    }
}

/// Starts the first segment.
fn start(dir: &Path) -> Result<Replayed, OpenError> {
    let segment = Segment::new(dir, 1);
    let (chain, line) = first_line(segment.number, &Chain::EMPTY, Vec::new())
        .map_err(io::Error::from)
        .map_err(at(&segment.path))?;
    durable::write_new(&segment.path, &line, Access::Owner).map_err(at(&segment.path))?;
    let bytes = line.len() as u64;
    Ok(Replayed {
        chain,
        segment,
        whole_bytes: bytes,
        synced_bytes: bytes,
        pending: Pending::new(),
    })
}

fn first_line(
    number: u64,
    before: &Chain,
    pending: Vec<super::Reservation>,
) -> Result<(Chain, Vec<u8>), serde_json::Error> {
    let (mut chain, mut line) = (*before, Vec::new());
    let start = SegmentStart { format: FORMAT, number, previous: hex(&before.hash), pending };
    chain.seal(&Content::Segment(start), &mut line)?;
    Ok((chain, line))
}

/// Cuts off an unfinished line, which was not acknowledged and would stand between the lines to come, and zeros.
fn cut_off_unfinished(replayed: &Replayed) -> io::Result<()> {
    let Replayed { segment, whole_bytes, .. } = replayed;
    let file = OpenOptions::new().write(true).open(&segment.path)?;
    if file.metadata()?.len() == *whole_bytes {
        return Ok(());
    }
    if !ends_with_zeros(&segment.path, *whole_bytes)? {
        tracing::warn!(
            path = %segment.path.display(),
            offset = whole_bytes,
            "cutting off an unfinished line of the journal"
        );
    }
    file.set_len(*whole_bytes)?;
    file.sync_all()
}

/// Writes anew, and syncs, what is not known to be on disk. After a sync that failed the system takes the pages for written, so
/// that another sync alone would leave them out.
fn rewrite_unsynced(replayed: &Replayed) -> io::Result<()> {
    let Replayed { segment, whole_bytes, synced_bytes, .. } = replayed;
    if synced_bytes >= whole_bytes {
        return Ok(());
    }
    // The writer's own file cannot be read.
    let file = OpenOptions::new().read(true).write(true).open(&segment.path)?;
    let (mut from, mut chunk) = (*synced_bytes, vec![0; REWRITTEN_AT_ONCE]);
    while from < *whole_bytes {
        let left = usize::try_from(whole_bytes - from).unwrap_or(usize::MAX).min(chunk.len());
        file.read_exact_at(&mut chunk[..left], from)?;
        file.write_all_at(&chunk[..left], from)?;
        from += left as u64;
    }
    file.sync_data()
}

/// Logs why nothing may be written any more, and refuses what was to be written.
fn fail(error: io::Error, replies: impl IntoIterator<Item = Reply>) -> Arc<io::Error> {
    tracing::error!(%error, "the journal cannot be written");
    let error = Arc::new(error);
    refuse(replies, &error);
    error
}

fn refuse(replies: impl IntoIterator<Item = Reply>, error: &Arc<io::Error>) {
    for reply in replies {
        reply(Err(AppendError::Failed(Arc::clone(error))));
    }
}
