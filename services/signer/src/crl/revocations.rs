//! All that CRLs are made from: what was revoked and how CRLs were ever divided, read from one stream of the log.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use domain::{
    CrlName, CrlShards, IssuerId, Serial, Timestamp,
    certificate::{CertRevoked, CrlDivided, CrlDivisionEvent, RevocationEvent},
};
use eventstore::{Sequence, StoredEvent, Stream};

use super::PublishError;
use crate::desk::{Desk, now};

/// How many messages are read at once.
const PAGE: usize = 1000;
/// How often it is looked for what can be forgotten, and how far a clock may be set back without all being read again.
const FORGET_INTERVAL: Duration = Duration::from_hours(1);

/// The revocations and divisions of every issuer, up to a place in the log, but for those of certificates that ended so long
/// ago that no CRL lists them any more: these grow with the log for ever.
#[derive(Clone)]
pub(super) struct Revocations {
    of_issuers: HashMap<IssuerId, OfIssuer>,
    read_to: Sequence,
    /// Revocations of certificates that ended before this are forgotten.
    forgotten_to: Timestamp,
}

#[derive(Clone, Default)]
struct OfIssuer {
    /// By last octet, so that a shard costs no more than what it lists.
    revoked: BTreeMap<u8, BTreeMap<Serial, CertRevoked>>,
    divided: Vec<CrlDivided>,
}

impl Default for Revocations {
    fn default() -> Self {
        let forgotten_to = Timestamp::from_unix_seconds(0);
        Self { of_issuers: HashMap::new(), read_to: Sequence::NONE, forgotten_to }
    }
}

impl Revocations {
    /// Reads what is new in the log.
    pub(super) async fn catch_up(&mut self, desk: &Desk) -> Result<(), PublishError> {
        // A CRL lists what ended a period ago, and the one before it, which it is compared with, may be a period older.
        self.forget_ended_before(now().minus(desk.settings.crl_validity.saturating_mul(2)));
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
        if revoked.not_after < self.forgotten_to {
            return Ok(());
        }
        let issuer = self.of_issuers.entry(revoked.issuer.clone()).or_default();
        let shard = issuer.revoked.entry(revoked.serial.shard()).or_default();
        // The first revocation of a serial stands.
        shard.entry(revoked.serial.clone()).or_insert(revoked);
        Ok(())
    }

    /// Forgets the revocations of certificates that ended before a time, or a moment more.
    fn forget_ended_before(&mut self, time: Timestamp) {
        if time < self.forgotten_to {
            // The clock ran ahead: what was forgotten may have to be listed.
            *self = Self::default();
        }
        let time = time.minus(FORGET_INTERVAL);
        if self.forgotten_to.until(time) < FORGET_INTERVAL {
            return;
        }
        self.forgotten_to = time;
        for shard in self.of_issuers.values_mut().flat_map(|of| of.revoked.values_mut()) {
            shard.retain(|_, revoked| revoked.not_after >= time);
        }
    }

    /// Whether a revocation is remembered.
    pub(super) fn holds(&self, issuer: &IssuerId, serial: &Serial) -> bool {
        let shards = self.of_issuers.get(issuer).map(|of| &of.revoked);
        let shard = shards.and_then(|shards| shards.get(&serial.shard()));
        shard.is_some_and(|shard| shard.contains_key(serial))
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

#[cfg(test)]
mod tests {
    use domain::certificate::RevocationReason;
    use eventstore::{Actor, Context, Envelope, MessageId};

    use super::*;

    const HOUR: Duration = FORGET_INTERVAL;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_unix_seconds(1_800_000_000 + hours * 3600)
    }

    fn issuer() -> IssuerId {
        IssuerId::from_hash(&[1; 32])
    }

    fn serial(n: u8) -> Serial {
        Serial::from_random(&[n; 16])
    }

    fn take(revocations: &mut Revocations, n: u8, not_after: Timestamp) {
        let revoked = CertRevoked {
            issuer: issuer(),
            serial: serial(n),
            reason: RevocationReason::Superseded,
            at: at(-9),
            not_after,
        };
        let context =
            Context { actor: Actor::Signer, request_id: None, traceparent: None, at: at(-9) };
        let events = [RevocationEvent::CertRevoked(revoked)];
        let envelope = Envelope::new(MessageId::random(), &context, &events).unwrap();
        revocations.take(&envelope.events[0]).unwrap();
        revocations.read_to = Sequence(n.into());
    }

    fn held(revocations: &Revocations) -> Vec<u8> {
        (0..9).filter(|n| revocations.holds(&issuer(), &serial(*n))).collect()
    }

    #[test]
    fn what_no_crl_lists_any_more_takes_no_memory() {
        let mut revocations = Revocations::default();
        revocations.forget_ended_before(at(0));
        take(&mut revocations, 1, at(-2));
        take(&mut revocations, 2, at(1));
        take(&mut revocations, 3, at(99));
        assert_eq!(held(&revocations), [2, 3]);
        revocations.forget_ended_before(at(3));
        assert_eq!(held(&revocations), [3]);
        let kept = revocations.of_issuers[&issuer()].revoked.values().map(BTreeMap::len);
        assert_eq!((kept.sum::<usize>(), revocations.read_to), (1, Sequence(3)));
    }

    #[test]
    fn a_clock_that_is_set_back_has_all_of_them_read_again() {
        let mut revocations = Revocations::default();
        revocations.forget_ended_before(at(99));
        take(&mut revocations, 1, at(1));
        take(&mut revocations, 2, at(99));
        revocations.forget_ended_before(at(99).minus(HOUR));
        assert_eq!((held(&revocations), revocations.read_to), (vec![2], Sequence(2)));
        revocations.forget_ended_before(at(0));
        assert_eq!((held(&revocations), revocations.read_to), (vec![], Sequence::NONE));
        take(&mut revocations, 1, at(1));
        assert_eq!(held(&revocations), [1]);
    }
}
