//! What the store counts, so that its tests see how it came by what it answers.

use std::sync::atomic::{AtomicU64, Ordering};

/// How often things happened since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages stored.
    pub appends: u64,
    /// Transactions committed, each with one fsync.
    pub commits: u64,
    /// Transactions that failed.
    pub failed_commits: u64,
    /// Reads answered from memory.
    pub memory_reads: u64,
    /// Reads answered by a query.
    pub disk_reads: u64,
}

/// The running counts.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) appends: Count,
    pub(crate) commits: Count,
    pub(crate) failed_commits: Count,
    pub(crate) memory_reads: Count,
    pub(crate) disk_reads: Count,
}

/// One running count.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, times: u64) {
        self.0.fetch_add(times, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counts {
    pub(crate) fn snapshot(&self) -> Counters {
        Counters {
            appends: self.appends.get(),
            commits: self.commits.get(),
            failed_commits: self.failed_commits.get(),
            memory_reads: self.memory_reads.get(),
            disk_reads: self.disk_reads.get(),
        }
    }
}
