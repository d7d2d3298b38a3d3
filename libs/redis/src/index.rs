//! Indexes and their markers.
//!
//! An entry is a fact, which is true in every epoch. That the entries are complete is not: an indexer that continues
//! after Redis lost its memory would mark a gap as complete. So a mark is accepted only in the epoch in which the
//! marker was read.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::{Serial, Timestamp};
use eventstore::{Sequence, Stream};
use readmodel::{CertificateEntry, Lookup};
use redis::cmd;

use crate::{
    RedisStore,
    epoch::{Epoch, EpochId},
    exchange::{Record, Wanted, now},
    fault::Fault,
    key,
    stamp::{Stamped, Version},
};

/// The form an entry is kept in.
const ENTRY_SCHEMA: u16 = 1;
/// How many entries are written at once: less than a millisecond in which Redis does nothing else.
pub(crate) const ENTRIES_AT_ONCE: usize = 100;
/// How many keys one step of [`RedisStore::start_over`] looks at: about a millisecond in which Redis does nothing else.
const SWEEP_KEYS: usize = 1000;

/// For each stream, the epoch in which its marker was read.
#[derive(Debug, Default)]
pub(crate) struct Marks(Mutex<HashMap<Stream, EpochId>>);

impl Marks {
    /// The epoch a mark is good in: the one bound before, else this one.
    fn bind(&self, stream: Stream, epoch: EpochId) -> EpochId {
        *self.epochs().entry(stream).or_insert(epoch)
    }

    /// Forgets all epochs after a refused mark, so that the next readings of the markers count: the markers of the
    /// other streams were read in an epoch that has ended, too, and the indexer begins with all of them again.
    fn unbind(&self) {
        self.epochs().clear();
    }

    fn epochs(&self) -> MutexGuard<'_, HashMap<Stream, EpochId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RedisStore {
    pub(crate) async fn find_certificate(
        &self,
        serial: &Serial,
    ) -> Result<Lookup<CertificateEntry>, Fault> {
        let keys = [key::certificate(serial), key::complete_to(Stream::Ledger)];
        let wanted = keys.map(|key| Wanted { key, keep: None });
        let answer = self.exchange(None, &wanted).await?;
        let (epoch, mut values) = (answer.epoch, answer.values.into_iter());
        let (entry, marker) = (values.next().flatten(), values.next().flatten());
        let stamped = entry.as_deref().and_then(Stamped::read);
        let known = stamped.filter(|stamped| stamped.version.schema == ENTRY_SCHEMA);
        let entry = known.and_then(|stamped| serde_json::from_slice(stamped.body).ok());
        let missing = || Lookup::Missing { complete_to: epoch.place(marker.as_deref()) };
        Ok(entry.map_or_else(missing, Lookup::Found))
    }

    pub(crate) async fn index_certificates(
        &self,
        entries: &[CertificateEntry],
    ) -> Result<(), Fault> {
        let now = now();
        for some in entries.chunks(ENTRIES_AT_ONCE) {
            let records = some.iter().filter_map(|entry| self.certificate_record(entry, now));
            let records = records.collect::<Result<Vec<_>, _>>().map_err(Fault::Encode)?;
            if !records.is_empty() {
                self.write_in_epoch(&records).await?;
            }
        }
        Ok(())
    }

    /// What is kept of a certificate; `None` for one that nobody asks for any more.
    fn certificate_record(
        &self,
        entry: &CertificateEntry,
        now: Timestamp,
    ) -> Option<serde_json::Result<Record>> {
        let left = now.until(entry.not_after.plus(self.options.keep_certificate));
        if left == Duration::ZERO {
            return None;
        }
        let (key, keep) = (key::certificate(&entry.serial), Some(left));
        let version = Version { sequence: entry.ledger_sequence.0, schema: ENTRY_SCHEMA };
        Some(serde_json::to_vec(entry).map(|body| Record { key, version, body, keep }))
    }

    pub(crate) async fn read_marker(&self, stream: Stream) -> Result<Sequence, Fault> {
        let wanted = Wanted { key: key::complete_to(stream), keep: None };
        let answer = self.exchange(None, &[wanted]).await?;
        self.marks.bind(stream, answer.epoch.id);
        let value = answer.values.into_iter().next().flatten();
        Ok(answer.epoch.place(value.as_deref()))
    }

    pub(crate) async fn write_marker(
        &self,
        stream: Stream,
        sequence: Sequence,
    ) -> Result<(), Fault> {
        let last_seen = self.epoch().await?;
        let epoch = self.marks.bind(stream, last_seen.id);
        let key = key::complete_to(stream);
        let version = Version { sequence: sequence.0, schema: 0 };
        let record = Record { key, version, body: Vec::new(), keep: None };
        if self.write_if(epoch, last_seen.marks, &[record]).await? {
            return Ok(());
        }
        self.marks.unbind();
        Err(Fault::EntriesLost)
    }

    /// Forgets views, entries and markers.
    ///
    /// Ends the epoch first, together with the markers: from then on views are misses, and whoever is indexing is told to
    /// start over. What is then written belongs to the new epoch and survives the sweep, which only frees memory, so that
    /// being interrupted does no harm. A sweep ends with its epoch: whoever ended that indexes anew by now.
    pub(crate) async fn start_over(&self) -> Result<(), Fault> {
        let ended = self.epoch().await?;
        let mut forget = cmd("UNLINK");
        forget.arg(key::EPOCH).arg(key::markers());
        let () = self.link.query("unlink", &forget).await?;
        self.last_seen.forget(ended.id);
        let epoch = self.epoch().await?;
        self.sweep(epoch.id).await
    }

    async fn sweep(&self, epoch: EpochId) -> Result<(), Fault> {
        let mut cursor = 0u64;
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(key::ALL).arg("COUNT").arg(SWEEP_KEYS);
            let (next, keys): (u64, Vec<String>) = self.link.query("scan", &scan).await?;
            let keys: Vec<String> = keys.into_iter().filter(|key| key::is_rebuilt(key)).collect();
            if !keys.is_empty() {
                let mut call = self.scripts.sweep.key(key::EPOCH);
                call.key(keys).arg(epoch.to_string());
                let lasts: bool = self.link.invoke("sweep", &call).await?;
                if !lasts {
                    self.last_seen.forget(epoch);
                    return Err(Fault::MemoryLost);
                }
            }
            cursor = next;
            if cursor == 0 {
                return Ok(());
            }
        }
    }
}

impl Epoch {
    /// Where a marker stands.
    pub(crate) fn place(&self, marker: Option<&[u8]>) -> Sequence {
        let marker = marker.and_then(Stamped::read).filter(|marker| marker.tag == self.marks);
        marker.map_or(Sequence::NONE, |marker| Sequence(marker.version.sequence))
    }
}
