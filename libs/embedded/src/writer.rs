//! The one thread that writes: whatever waits goes into one transaction and one fsync.

use std::{
    io,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use eventstore::{AppendError, Message, Pair, Sequence, Stream};
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use crate::{
    WriteError,
    batch::{Stage, Staged},
    chain::Tip,
    commit_delay::CommitDelay,
    head::Head,
    marks::Mark,
    prepared::Prepared,
    request::{Changed, Request, Second},
    shared::Shared,
};

/// How many requests wait before callers do.
const QUEUE: usize = 1024;
/// How many requests share a transaction: enough for one fsync to be cheap, and for nobody to wait long.
const MAX_BATCH: usize = 256;
/// How often a transaction also saves the marks of consumers. After a crash, messages after the saved mark are
/// delivered again.
const MARKS_EVERY: Duration = Duration::from_millis(250);

/// The handle to the thread. Dropping it waits until everything requested is written.
#[derive(Debug)]
pub(crate) struct Writer {
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread, which writes on from the tip of the log.
    pub(crate) fn start(
        connection: Connection,
        head: Head,
        tip: Tip,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let (requests, waiting) = mpsc::channel(QUEUE);
        shared.feeds.attach(requests.downgrade());
        let delay = CommitDelay::of_this_runtime();
        let thread = std::thread::Builder::new().name("event-log".into()).spawn(move || {
            let _closed = CloseAtEnd(Arc::clone(&shared));
            let marked_at = Instant::now();
            Thread { connection, head, tip, shared, delay, marked_at }.run(waiting);
        })?;
        Ok(Self { requests: Some(requests), thread: Some(thread) })
    }

    /// Sends a request to the thread; waits while its queue is full.
    pub(crate) async fn send(&self, request: Request) -> Result<(), WriteError> {
        let requests = self.requests.as_ref().ok_or(WriteError::Closed)?;
        requests.send(request).await.map_err(|_| WriteError::Closed)
    }

    /// Writes what waits and closes the database.
    pub(crate) async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.send(Request::Close(reply)).await.is_ok() {
            let _ = closed.await;
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!("the writing thread of the event log panicked");
        }
    }
}

/// Tells those who wait for deliveries, also when the thread panics.
struct CloseAtEnd(Arc<Shared>);

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        self.0.close();
    }
}

struct Thread {
    connection: Connection,
    head: Head,
    tip: Tip,
    shared: Arc<Shared>,
    delay: CommitDelay,
    marked_at: Instant,
}

impl Thread {
    fn run(mut self, mut waiting: mpsc::Receiver<Request>) {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        let mut closing = Vec::new();
        while waiting.blocking_recv_many(&mut batch, MAX_BATCH) > 0 {
            self.delay.wait(batch.len());
            while batch.len() < MAX_BATCH
                && let Ok(request) = waiting.try_recv()
            {
                batch.push(request);
            }
            closing.extend(batch.extract_if(.., |request| matches!(request, Request::Close(_))));
            if !closing.is_empty() {
                // Nothing new is taken; what was accepted is still written.
                waiting.close();
            }
            let (requests, begun) = (batch.len(), Instant::now());
            self.write(&mut batch);
            self.delay.note_commit(requests, begun.elapsed());
        }
        self.finish();
        closing.into_iter().for_each(|request| request.fail(&WriteError::Closed));
    }

    fn write(&mut self, batch: &mut Vec<Request>) {
        match self.commit(batch) {
            Ok(staged) => self.publish(staged, batch),
            Err(error) => {
                self.shared.counts.failed_commits.add(1);
                error!(
                    error = &error as &dyn std::error::Error,
                    requests = batch.len(),
                    "transaction failed"
                );
                batch.drain(..).for_each(|request| request.fail(&error));
            }
        }
    }

    fn commit(&mut self, batch: &mut [Request]) -> Result<Staged, WriteError> {
        let rolled_back = |error| WriteError::RolledBack(Arc::new(error));
        let marks = self.due_marks(batch);
        let shared = &self.shared;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(rolled_back)?;
        let stage = Stage::new(&transaction, &shared.positions, self.tip);
        let staged = stage.apply_all(batch).map_err(rolled_back)?;
        for mark in &marks {
            mark.store(&transaction).map_err(rolled_back)?;
        }
        transaction.commit().map_err(|error| match error.sqlite_error_code() {
            // The commit's frames did not all fit: nothing of it counts.
            Some(ErrorCode::DiskFull) => rolled_back(error),
            _ => WriteError::CommitFailed(Arc::new(error)),
        })?;
        shared.feeds.saved(&marks);
        Ok(staged)
    }

    fn due_marks(&mut self, batch: &[Request]) -> Vec<Mark> {
        let asked = batch.iter().any(|request| match request {
            Request::Change { .. } => true,
            Request::Append(_) | Request::Pair(_) | Request::Close(_) => false,
        });
        if !asked && self.marked_at.elapsed() < MARKS_EVERY {
            return vec![];
        }
        self.marked_at = Instant::now();
        self.shared.feeds.unsaved_marks()
    }

    /// Makes what was committed known: the head first, then memory, then whoever waits.
    fn publish(&mut self, staged: Staged, batch: &mut Vec<Request>) {
        let shared = &self.shared;
        let appends = staged.tip.sequence.0 - self.tip.sequence.0;
        if appends > 0 {
            self.tip = staged.tip;
            if let Err(error) = self.head.write(&staged.tip) {
                // The head stays behind the log, which is allowed.
                warn!(error = &error as &dyn std::error::Error, "head file not written");
            }
            shared.counts.appends.add(appends);
        }
        if batch.iter().any(Request::is_written) {
            shared.counts.commits.add(1);
        }
        for (subject, end) in staged.ends {
            shared.positions.insert(subject.clone(), end);
            // Whoever appended may have left before the view of it is written, as with a client that hung up.
            shared.views.forget(&subject);
        }
        let mut news = Vec::new();
        for request in batch.drain(..) {
            shared.answer(request, &mut news);
        }
        shared.feeds.announce(&news);
    }

    /// Leaves the directory with everything in the database file and a head that says so.
    fn finish(self) {
        let marks = self.shared.feeds.unsaved_marks();
        let saved = marks.iter().try_for_each(|mark| mark.store(&self.connection));
        let head = self.head.sync();
        self.shared.readers.close();
        let checkpoint = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        if let Err(error) = saved.and(checkpoint) {
            warn!(error = &error as &dyn std::error::Error, "event log not tidied up at its end");
        }
        if let Err(error) = head {
            warn!(error = &error as &dyn std::error::Error, "head file not synced");
        }
        if let Err((_, error)) = self.connection.close() {
            warn!(error = &error as &dyn std::error::Error, "event log not closed");
        }
    }
}

impl Shared {
    /// Tells whoever waits what came of a committed request, and notes the streams that have a new message.
    fn answer(&self, request: Request, news: &mut Vec<Stream>) {
        // Whoever does not wait any more needs no answer.
        match request {
            Request::Append(append) => {
                if let Some(sequence) = append.stored {
                    news.push(self.remember(append.message, sequence));
                }
                let _ = append.reply.send(append.stored.ok_or(AppendError::Conflict));
            }
            Request::Pair(pair) => {
                let Some(first) = pair.stored else {
                    let _ = pair.reply.send(Err(AppendError::Conflict));
                    return;
                };
                news.push(self.remember(pair.first, first));
                let second = match pair.second {
                    Second::Stored(message, sequence) => {
                        news.push(self.remember(*message, sequence));
                        Ok(sequence)
                    }
                    Second::Failed(error) => Err(error),
                    Second::Waiting(_) => Err(AppendError::Conflict),
                };
                let _ = pair.reply.send(Ok(Pair { first, second }));
            }
            Request::Change { changed, reply, .. } => {
                if let Changed::Pruned(subjects) = &changed {
                    self.forget(subjects);
                }
                let _ = reply.send(Ok(changed));
            }
            Request::Close(reply) => {
                let _ = reply.send(());
            }
        }
    }

    /// Keeps a stored message in memory. Returns its stream.
    fn remember(&self, message: Prepared, sequence: Sequence) -> Stream {
        let Prepared { subject, envelope, body, .. } = message;
        let stream = subject.stream();
        self.ends.raise(stream, sequence);
        self.fingerprints.note(&subject);
        self.recent.push(Arc::new(Message { subject, sequence, envelope }), body.len());
        stream
    }
}
