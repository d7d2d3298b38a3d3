//! One durable consumer: what it has seen, what is out with workers, what comes again and when.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use eventstore::{Message, Sequence, Stream};
use tokio::{sync::Notify, time::Instant};

use crate::{queries::Page, recent::Recent};

/// How many messages may be with workers or wait for redelivery before reading of the log pauses. It is high so that
/// what one account leaves waiting does not keep the messages of others from being read. One takes about a KiB.
const MAX_PENDING: usize = 16_384;
/// How many messages are taken from memory or disk at once.
pub(crate) const PAGE: usize = 64;
/// The wait before a message that a worker gave up comes again the first time; it doubles up to the longest.
const FIRST_REDELIVERY: Duration = Duration::from_millis(100);
const LONGEST_REDELIVERY: Duration = Duration::from_secs(30);

/// A consumer, and what wakes its workers.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) news: Notify,
    progress: Mutex<Progress>,
}

/// How far the consumer came.
#[derive(Debug, Default)]
struct Progress {
    /// The streams it reads and up to where each was done when it joined.
    streams: BTreeMap<Stream, Sequence>,
    /// Where streams were left that nobody has joined since the start.
    left: BTreeMap<Stream, Sequence>,
    /// The last message of the log that was looked at.
    cursor: Sequence,
    /// What was read and not acknowledged.
    pending: BTreeMap<Sequence, Pending>,
    /// What of that can be delivered now, and what later.
    ready: VecDeque<Sequence>,
    delayed: BTreeSet<(Instant, Sequence)>,
    /// Somebody reads a page from the disk.
    loading: bool,
}

#[derive(Debug)]
struct Pending {
    message: Arc<Message>,
    attempts: u64,
}

/// What a worker that asks for a message gets.
#[derive(Debug)]
pub(crate) enum Step {
    /// A message, delivered so many times now.
    Deliver(Arc<Message>, u64),
    /// The next messages are not in memory: read a page after this place and [`Consumer::admit`] it.
    Load(Sequence),
    /// Nothing now; at this time something comes again.
    Wait(Option<Instant>),
}

impl Consumer {
    /// A consumer that left its streams at these places.
    pub(crate) fn new(left: BTreeMap<Stream, Sequence>) -> Self {
        let progress = Progress { left, ..Progress::default() };
        Self { news: Notify::new(), progress: Mutex::new(progress) }
    }

    /// Adds streams, each from where it was left.
    pub(crate) fn join(&self, streams: &[Stream]) {
        let mut progress = self.lock();
        for &stream in streams {
            if progress.streams.contains_key(&stream) {
                continue;
            }
            let start = progress.left.remove(&stream).unwrap_or_default();
            if progress.streams.is_empty() {
                progress.cursor = start;
            } else if start < progress.cursor {
                // The log is read again from there; the other streams skip what they had.
                let cursor = progress.cursor;
                progress.streams.values_mut().for_each(|done| *done = cursor.max(*done));
                progress.cursor = start;
            }
            progress.streams.insert(stream, start);
        }
    }

    /// Whether one of the streams is read.
    pub(crate) fn wants(&self, streams: &[Stream]) -> bool {
        let progress = self.lock();
        streams.iter().any(|stream| progress.streams.contains_key(stream))
    }

    /// Finds the next message to deliver.
    pub(crate) fn step(&self, now: Instant, recent: &Recent) -> Step {
        let mut progress = self.lock();
        progress.let_delayed_in(now);
        if progress.ready.is_empty()
            && let Some(after) = progress.read_memory(recent)
        {
            progress.loading = true;
            return Step::Load(after);
        }
        let Some(sequence) = progress.ready.pop_front() else {
            return Step::Wait(progress.delayed.first().map(|(due, _)| *due));
        };
        let more = !progress.ready.is_empty() || progress.cursor < recent.last();
        let Some(pending) = progress.pending.get_mut(&sequence) else {
            return Step::Wait(Some(now));
        };
        pending.attempts += 1;
        let deliver = Step::Deliver(Arc::clone(&pending.message), pending.attempts);
        drop(progress);
        if more {
            self.news.notify_one();
        }
        deliver
    }

    /// Takes a page in that was read after a place.
    pub(crate) fn admit(&self, after: Sequence, page: Page) {
        let mut progress = self.lock();
        if progress.cursor == after {
            page.messages.into_iter().for_each(|message| progress.take(Arc::new(message)));
            progress.cursor = page.end;
        }
    }

    /// Nobody reads a page any more.
    pub(crate) fn end_loading(&self) {
        self.lock().loading = false;
        self.news.notify_one();
    }

    /// A message is done with. Tells how far the consumer is done with the log.
    pub(crate) fn acknowledge(&self, sequence: Sequence) -> Sequence {
        let mut progress = self.lock();
        let was_full = progress.pending.len() >= MAX_PENDING;
        progress.pending.remove(&sequence);
        let done = progress.done();
        drop(progress);
        if was_full {
            self.news.notify_one();
        }
        done
    }

    /// A message comes again at a time.
    pub(crate) fn redeliver(&self, sequence: Sequence, due: Instant) {
        self.lock().delayed.insert((due, sequence));
        self.news.notify_one();
    }

    /// A message was dropped by its worker: it comes again, later each time.
    pub(crate) fn give_back(&self, sequence: Sequence, attempt: u64, now: Instant) {
        let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
        let delay = FIRST_REDELIVERY.saturating_mul(1 << doublings).min(LONGEST_REDELIVERY);
        self.redeliver(sequence, now + delay);
    }

    /// Up to where each stream is done.
    pub(crate) fn done_by_stream(&self) -> (Sequence, BTreeMap<Stream, Sequence>) {
        let progress = self.lock();
        let done = progress.done();
        let joined = progress.streams.iter().map(|(stream, start)| (*stream, done.max(*start)));
        (done, progress.left.iter().map(|(stream, left)| (*stream, *left)).chain(joined).collect())
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    /// Everything up to here was acknowledged or is of no interest.
    fn done(&self) -> Sequence {
        let first = self.pending.first_key_value();
        first.map_or(self.cursor, |(sequence, _)| Sequence(sequence.0 - 1))
    }

    fn let_delayed_in(&mut self, now: Instant) {
        while let Some(&(due, sequence)) = self.delayed.first() {
            if due > now {
                break;
            }
            self.delayed.pop_first();
            self.ready.push_back(sequence);
        }
    }

    /// Reads on in memory until something is ready; tells after which place the disk has to be read, if it has to.
    fn read_memory(&mut self, recent: &Recent) -> Option<Sequence> {
        while self.ready.is_empty()
            && !self.loading
            && self.pending.len() < MAX_PENDING
            && self.cursor < recent.last()
        {
            let Some(messages) = recent.after(self.cursor, PAGE) else { return Some(self.cursor) };
            self.cursor = messages.last()?.sequence;
            messages.into_iter().for_each(|message| self.take(message));
        }
        None
    }

    fn take(&mut self, message: Arc<Message>) {
        let stream = message.subject.stream();
        if self.streams.get(&stream).is_some_and(|done| message.sequence > *done) {
            let sequence = message.sequence;
            self.ready.push_back(sequence);
            self.pending.insert(sequence, Pending { message, attempts: 0 });
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::{
        AccountId, OrderId, Timestamp,
        account::{AccountUpdated, Event},
    };
    use eventstore::{Actor, Context, Envelope, MessageId, Subject};

    use super::*;

    const A: Stream = Stream::Accounts;
    const O: Stream = Stream::Orders(0);

    fn message(sequence: u64, stream: Stream) -> Message {
        let context = Context {
            actor: Actor::Signer,
            request_id: None,
            traceparent: None,
            at: Timestamp::from_unix_seconds(0),
        };
        let event = Event::AccountUpdated(AccountUpdated { contact: vec![] });
        let subject = if stream == A {
            Subject::account(&AccountId::from_hash(&[0; 32]))
        } else {
            Subject::order(&OrderId::new(0, &[0; 16]))
        };
        let envelope = Envelope::new(MessageId::random(), &context, &[event]).unwrap();
        Message { subject, sequence: Sequence(sequence), envelope }
    }

    /// A log of accounts at even places and orders at odd ones.
    fn log(length: u64) -> Recent {
        let recent = Recent::new(Sequence::NONE, 100);
        for n in 1..=length {
            recent.push(Arc::new(message(n, if n % 2 == 0 { A } else { O })), 0);
        }
        recent
    }

    fn take(consumer: &Consumer, recent: &Recent) -> Option<(u64, u64)> {
        match consumer.step(Instant::now(), recent) {
            Step::Deliver(message, attempt) => Some((message.sequence.0, attempt)),
            Step::Load(after) => panic!("nothing is on the disk after {after}"),
            Step::Wait(_) => None,
        }
    }

    #[test]
    fn large_messages_are_kept_in_memory_up_to_a_bound() {
        let recent = Recent::new(Sequence::NONE, 100);
        let third = (16 << 20) / 3 + 1;
        for n in 1..=3 {
            recent.push(Arc::new(message(n, A)), third);
        }
        assert!(recent.get(Sequence(1)).is_none());
        assert!(recent.get(Sequence(2)).is_some() && recent.get(Sequence(3)).is_some());
    }

    #[test]
    fn the_mark_stays_before_the_first_message_that_is_not_acknowledged() {
        let (consumer, recent) = (Consumer::new(BTreeMap::new()), log(8));
        consumer.join(&[A]);
        let taken: Vec<_> = std::iter::from_fn(|| take(&consumer, &recent)).collect();
        assert_eq!(taken, [(2, 1), (4, 1), (6, 1), (8, 1)]);
        assert_eq!(consumer.acknowledge(Sequence(4)), Sequence(1));
        assert_eq!(consumer.acknowledge(Sequence(2)), Sequence(5));
        assert_eq!(consumer.acknowledge(Sequence(8)), Sequence(5));
        assert_eq!(consumer.acknowledge(Sequence(6)), Sequence(8));
    }

    #[test]
    fn a_stream_that_joins_later_starts_where_it_was_left_and_repeats_no_other() {
        let left = BTreeMap::from([(A, Sequence(4)), (O, Sequence(3))]);
        let (consumer, recent) = (Consumer::new(left), log(8));
        consumer.join(&[A]);
        assert_eq!(take(&consumer, &recent), Some((6, 1)));
        consumer.acknowledge(Sequence(6));
        assert_eq!(
            consumer.done_by_stream().1,
            BTreeMap::from([(A, Sequence(7)), (O, Sequence(3))])
        );
        consumer.join(&[A, O]);
        let taken: Vec<_> = std::iter::from_fn(|| take(&consumer, &recent)).collect();
        assert_eq!(taken, [(8, 1), (5, 1), (7, 1)]);
    }

    #[test]
    fn a_message_given_back_comes_again_later_each_time() {
        let (consumer, recent) = (Consumer::new(BTreeMap::new()), log(2));
        consumer.join(&[A]);
        let mut now = Instant::now();
        for (attempt, millis) in [(1, 100), (2, 200), (3, 400)] {
            let Step::Deliver(_, found) = consumer.step(now, &recent) else { panic!("it is due") };
            assert_eq!(found, attempt);
            consumer.give_back(Sequence(2), attempt, now);
            let Step::Wait(Some(due)) = consumer.step(now, &recent) else { panic!("it is early") };
            assert_eq!(due - now, Duration::from_millis(millis));
            now = due;
        }
    }

    #[test]
    fn a_consumer_reads_no_further_than_its_workers_can_hold() {
        let recent = Recent::new(Sequence::NONE, 40_000);
        (1..=20_000).for_each(|n| recent.push(Arc::new(message(n, A)), 0));
        let consumer = Consumer::new(BTreeMap::new());
        consumer.join(&[A]);
        let taken = std::iter::from_fn(|| take(&consumer, &recent)).count() as u64;
        assert_eq!(taken, MAX_PENDING as u64);
        consumer.acknowledge(Sequence(1));
        assert_eq!(take(&consumer, &recent), Some((taken + 1, 1)));
    }

    #[test]
    fn what_left_memory_is_read_from_the_disk_by_one_worker_at_a_time() {
        let recent = Recent::new(Sequence(8), 100);
        let consumer = Consumer::new(BTreeMap::new());
        consumer.join(&[A]);
        let step = || consumer.step(Instant::now(), &recent);
        assert!(matches!(step(), Step::Load(Sequence::NONE)));
        assert!(matches!(step(), Step::Wait(None)));
        let messages = vec![message(2, A), message(3, O)];
        consumer.admit(Sequence::NONE, Page { messages, end: Sequence(8) });
        consumer.end_loading();
        assert!(matches!(step(), Step::Deliver(message, 1) if message.sequence == Sequence(2)));
        assert!(matches!(step(), Step::Wait(None)));
    }
}
