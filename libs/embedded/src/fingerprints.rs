//! Which subjects surely hold nothing, so that a key that nobody knows needs no query.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use eventstore::{Stream, Subject};
use tracing::warn;

use crate::{queries, readers::Readers};

/// The streams in which callers ask for subjects that may not exist.
const COVERED: [Stream; 2] = [Stream::Accounts, Stream::Administration];
/// More are not kept, at some 10 octets each; the database answers then.
const MAX_FINGERPRINTS: usize = 1 << 20;

/// Fingerprints of all subjects of accounts and of administration, of which there are about as many as keys that were
/// seen. With a million of them, two of ten thousand unknown subjects share a fingerprint with a known one; the
/// database is asked then.
#[derive(Debug, Default)]
pub(crate) struct Fingerprints {
    hasher: RandomState,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// Those of what was appended since the store was opened.
    New { seen: HashSet<u32>, is_loading: bool },
    /// Those of every message.
    All(HashSet<u32>),
    /// There are too many.
    TooMany,
}

impl Default for State {
    fn default() -> Self {
        Self::New { seen: HashSet::new(), is_loading: false }
    }
}

impl Fingerprints {
    /// Notes the subject of a message that was stored; before anybody is told, so that nobody misses an own append.
    pub(crate) fn note(&self, subject: &Subject) {
        if is_covered(subject) {
            let fingerprint = self.of(subject.as_str());
            self.state().add([fingerprint]);
        }
    }

    /// Whether it is certain that none of the subjects holds a message; if not, only the database can tell.
    pub(crate) fn are_surely_empty(&self, subjects: &[Subject]) -> bool {
        match &*self.state() {
            State::All(seen) => subjects
                .iter()
                .all(|subject| is_covered(subject) && !seen.contains(&self.of(subject.as_str()))),
            State::New { .. } | State::TooMany => false,
        }
    }

    /// Starts to read the subjects of the log in the background, at the first call.
    pub(crate) fn load(self: &Arc<Self>, readers: &Arc<Readers>) {
        match &mut *self.state() {
            State::New { is_loading, .. } if !*is_loading => *is_loading = true,
            State::New { .. } | State::All(_) | State::TooMany => return,
        }
        let (own, readers) = (Arc::clone(self), Arc::clone(readers));
        tokio::spawn(async move {
            let hasher = own.hasher.clone();
            let found = readers.query(move |connection| {
                let mut found = HashSet::new();
                queries::each_subject(connection, &COVERED, |subject| {
                    found.insert(fingerprint(&hasher, subject));
                    found.len() <= MAX_FINGERPRINTS
                })?;
                Ok(found)
            });
            match found.await {
                Ok(found) => own.state().complete(found),
                Err(error) => {
                    // The next question tries again.
                    *own.state() = State::default();
                    warn!(error = &error as &dyn std::error::Error, "subjects not read");
                }
            }
        });
    }

    fn of(&self, subject: &str) -> u32 {
        fingerprint(&self.hasher, subject)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, fingerprints: impl IntoIterator<Item = u32>) {
        let (Self::New { seen, .. } | Self::All(seen)) = self else { return };
        seen.extend(fingerprints);
        if seen.len() > MAX_FINGERPRINTS {
            *self = Self::TooMany;
        }
    }

    /// Takes what the log held when it was read; what was appended since was noted.
    fn complete(&mut self, read: HashSet<u32>) {
        self.add(read);
        if let Self::New { seen, .. } = self {
            *self = Self::All(mem::take(seen));
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "half of a hash is a shorter hash")]
fn fingerprint(hasher: &RandomState, subject: &str) -> u32 {
    hasher.hash_one(subject) as u32
}

fn is_covered(subject: &Subject) -> bool {
    COVERED.contains(&subject.stream())
}
