//! All that CRLs are made from: what was revoked and how CRLs were ever divided, read from one stream of the log.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use domain::{
    CrlName, CrlShards, IssuerId, Serial,
    certificate::{CertRevoked, CrlDivided, CrlDivisionEvent, RevocationEvent},
};
use eventstore::{Sequence, StoredEvent, Stream};

use super::PublishError;
use crate::desk::Desk;

/// How many messages are read at once.
const PAGE: usize = 1000;

/// The revocations and divisions of every issuer, up to a place in the log.
#[derive(Default)]
pub(super) struct Revocations {
    of_issuers: HashMap<IssuerId, OfIssuer>,
    read_to: Sequence,
}

#[derive(Default)]
struct OfIssuer {
    /// By last octet, so that a shard costs no more than what it lists.
    revoked: BTreeMap<u8, BTreeMap<Serial, CertRevoked>>,
    divided: Vec<CrlDivided>,
}

impl Revocations {
    /// Reads what is new in the log.
    pub(super) async fn catch_up(&mut self, desk: &Desk) -> Result<(), PublishError> {
        let store = Arc::clone(&desk.ports.aggregates.store);
        loop {
            let page = store
                .scan(Stream::Revocations, self.read_to, PAGE)
                .await
                .map_err(PublishError::Store)?;
            let Some(last) = page.last().map(|message| message.sequence) else { return Ok(()) };
            for event in page.iter().flat_map(|message| &message.envelope.events) {
                self.take(event)?;
            }
            desk.positions.acknowledged(Stream::Revocations, last);
            self.read_to = last;
        }
    }

    fn take(&mut self, event: &StoredEvent) -> Result<(), PublishError> {
        if event.is("CrlDivided") {
            let CrlDivisionEvent::CrlDivided(divided) =
                event.decode().map_err(PublishError::Decode)?;
            let issuer = self.of_issuers.entry(divided.issuer.clone()).or_default();
            issuer.divided.push(divided);
            return Ok(());
        }
        let RevocationEvent::CertRevoked(revoked) = event.decode().map_err(PublishError::Decode)?;
        let issuer = self.of_issuers.entry(revoked.issuer.clone()).or_default();
        let shard = issuer.revoked.entry(revoked.serial.shard()).or_default();
        // The first revocation of a serial stands.
        shard.entry(revoked.serial.clone()).or_insert(revoked);
        Ok(())
    }

    /// Every CRL that certificates of an issuer may name: the undivided one, and those of each division there ever was.
    pub(super) fn crls(&self, issuer: &IssuerId) -> Vec<CrlName> {
        let divided = self.of_issuers.get(issuer).map(|of| of.divided.as_slice());
        let shards: BTreeSet<CrlShards> = divided
            .unwrap_or_default()
            .iter()
            .map(|divided| divided.shards)
            .chain([CrlShards::UNDIVIDED])
            .collect();
        shards.into_iter().flat_map(|shards| CrlName::all(issuer, shards)).collect()
    }

    /// The URLs under which certificates name a shard; none for the undivided CRL, which is for whoever finds it.
    pub(super) fn urls(&self, name: &CrlName) -> Vec<String> {
        let divided = self.of_issuers.get(name.issuer()).map(|of| of.divided.as_slice());
        let is_its = |divided: &&CrlDivided| {
            divided.shards == name.shards() && divided.shards != CrlShards::UNDIVIDED
        };
        let divided = divided.unwrap_or_default().iter().filter(is_its);
        divided.map(|divided| format!("{}/{name}.crl", divided.base_url)).collect()
    }

    /// What was revoked of that which a CRL lists.
    pub(super) fn of(&self, name: &CrlName) -> impl Iterator<Item = &CertRevoked> + Clone {
        let shards = self.of_issuers.get(name.issuer()).map(|of| &of.revoked);
        let shards = shards.into_iter().flatten();
        shards.filter(|(octet, _)| name.lists_shard(**octet)).flat_map(|(_, shard)| shard.values())
    }
}
