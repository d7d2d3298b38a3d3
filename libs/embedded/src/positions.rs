//! Where subjects end, so that a compare-and-set and most reads need no query.

use std::sync::{Mutex, PoisonError};

use eventstore::{Sequence, Subject};

use crate::generations::Generations;

/// The end of a subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Its first message, by which the tables name it; nothing before there is one.
    pub(crate) aggregate: Option<Sequence>,
    /// Its last message; nothing when it has none or they were pruned.
    pub(crate) last: Sequence,
    /// How many messages it ever had.
    pub(crate) version: u64,
}

/// The ends of the subjects used last. Only the writing thread adds to it, so what it holds is never behind the log.
#[derive(Debug)]
pub(crate) struct Positions(Mutex<Generations<Subject, Position>>);

impl Positions {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Mutex::new(Generations::new(capacity)))
    }

    pub(crate) fn get(&self, subject: &Subject) -> Option<Position> {
        self.lock().get(subject)
    }

    pub(crate) fn insert(&self, subject: Subject, position: Position) {
        self.lock().insert(subject, position);
    }

    pub(crate) fn remove(&self, subject: &Subject) {
        self.lock().remove(subject);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Generations<Subject, Position>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
