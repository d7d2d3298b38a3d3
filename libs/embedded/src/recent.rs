//! The newest messages in memory, from which workers are fed and recent places read.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use eventstore::{Message, Sequence};

/// A bound in bytes beside the one in messages: bodies may be large.
const MAX_BYTES: usize = 16 << 20;

/// The end of the log, without gaps.
#[derive(Debug)]
pub(crate) struct Recent {
    max_messages: usize,
    ring: Mutex<Ring>,
}

#[derive(Debug)]
struct Ring {
    /// The last message of the log.
    last: Sequence,
    /// The messages up to `last`, each with the size of its body.
    messages: VecDeque<(Arc<Message>, usize)>,
    bytes: usize,
}

impl Recent {
    /// Starts empty behind the last message of the log.
    pub(crate) fn new(last: Sequence, max_messages: usize) -> Self {
        let ring = Ring { last, messages: VecDeque::new(), bytes: 0 };
        Self { max_messages, ring: Mutex::new(ring) }
    }

    /// The last message of the log.
    pub(crate) fn last(&self) -> Sequence {
        self.lock().last
    }

    /// Adds the next message of the log.
    pub(crate) fn push(&self, message: Arc<Message>, body_bytes: usize) {
        let mut ring = self.lock();
        ring.last = message.sequence;
        ring.bytes += body_bytes;
        ring.messages.push_back((message, body_bytes));
        while ring.messages.len() > self.max_messages || ring.bytes > MAX_BYTES {
            let Some((_, bytes)) = ring.messages.pop_front() else { break };
            ring.bytes -= bytes;
        }
    }

    /// Forgets the messages; the end of the log stays known.
    pub(crate) fn clear(&self) {
        let mut ring = self.lock();
        ring.messages.clear();
        ring.bytes = 0;
    }

    /// The message at a place, if it is here.
    pub(crate) fn get(&self, sequence: Sequence) -> Option<Arc<Message>> {
        let ring = self.lock();
        let index = sequence.0.checked_sub(ring.first())?;
        ring.messages.get(usize::try_from(index).ok()?).map(|(message, _)| Arc::clone(message))
    }

    /// The next messages after a place, at most so many; `None` when they are not here any more.
    pub(crate) fn after(&self, after: Sequence, limit: usize) -> Option<Vec<Arc<Message>>> {
        let ring = self.lock();
        let start = usize::try_from(after.0.saturating_add(1).checked_sub(ring.first())?).ok()?;
        let rest = ring.messages.iter().skip(start).take(limit);
        Some(rest.map(|(message, _)| Arc::clone(message)).collect())
    }

    /// Every message after a place; `None` when that is more than `limit` or they are not here any more.
    pub(crate) fn all_after(&self, after: Sequence, limit: usize) -> Option<Vec<Arc<Message>>> {
        let missing = self.last().0.saturating_sub(after.0);
        if missing > limit as u64 { None } else { self.after(after, limit) }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    /// The sequence of the oldest message here, or of the next one to come.
    fn first(&self) -> u64 {
        self.last.0 + 1 - self.messages.len() as u64
    }
}
