//! Which certificates end soon though nobody replaced them: their identifiers got no later certificate.

use std::{collections::BTreeMap, time::Duration};

use super::{CertRevoked, LedgerEvent};
use crate::{Identifier, ProfileName, Serial, Timestamp};

/// A certificate should have been replaced when this part of its validity is left, a quarter: clients renew when a third is
/// left, and the shortest lived certificates have no week.
const LAST_PART: u32 = 4;

/// A set of identifiers by its hash, whoever orders for it and under which profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdentifierSet([u8; 16]);

/// The latest certificate of each set of identifiers, as the ledger and the revocations tell. It takes 48 octets for each set
/// whose certificate has not ended, and 16 for each that was revoked.
#[derive(Debug)]
pub struct Replacements {
    within: Duration,
    latest: BTreeMap<IdentifierSet, Latest>,
    /// What may be signed soon.
    reserved: BTreeMap<Fingerprint, (IdentifierSet, Latest)>,
    /// Until when each revoked certificate matters.
    revoked: BTreeMap<Fingerprint, Timestamp>,
    /// Those that [`Latest::profile`] counts.
    profiles: Vec<ProfileName>,
}

/// The random bits that end a serial.
type Fingerprint = u64;

#[derive(Clone, Copy, Debug)]
struct Latest {
    certificate: Fingerprint,
    due_at: Timestamp,
    not_after: Timestamp,
    profile: u16,
}

impl IdentifierSet {
    /// Takes the SHA-256 over what [`Self::text`] says.
    pub fn from_hash(hash: &[u8; 32]) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&hash[..16]);
        Self(half)
    }

    /// Names the set whatever the order or the spelling of the identifiers. No text of an identifier has a zero octet.
    pub fn text(identifiers: &[Identifier]) -> String {
        let mut names: Vec<String> = identifiers.iter().map(Identifier::canonical).collect();
        names.sort();
        names.join("\0")
    }
}

impl Replacements {
    /// Begins without any certificate; each is due so long before its end, or in the last quarter of its validity where
    /// that is later.
    pub fn due_within(within: Duration) -> Self {
        Self {
            within,
            latest: BTreeMap::new(),
            reserved: BTreeMap::new(),
            revoked: BTreeMap::new(),
            profiles: Vec::new(),
        }
    }

    /// Takes an entry of the ledger; what was taken before changes nothing.
    pub fn take(&mut self, event: &LedgerEvent, set: impl FnOnce(&[Identifier]) -> IdentifierSet) {
        match event {
            LedgerEvent::SerialReserved(reserved) => {
                // What the CA certifies for itself it renews by itself.
                let Some(profile) = &reserved.profile else { return };
                let lifetime = reserved.not_before.until(reserved.not_after);
                let latest = Latest {
                    certificate: fingerprint(&reserved.serial),
                    due_at: reserved.not_after.minus(self.within.min(lifetime / LAST_PART)),
                    not_after: reserved.not_after,
                    profile: self.number_of(profile),
                };
                self.reserved.insert(latest.certificate, (set(&reserved.identifiers), latest));
            }
            LedgerEvent::CertificateSigned(signed) => {
                // The ledger may hold a certificate twice: the second one was taken already.
                if let Some((set, latest)) = self.reserved.remove(&fingerprint(&signed.serial)) {
                    self.latest.insert(set, latest);
                }
            }
            LedgerEvent::SerialBurned(burned) => {
                self.reserved.remove(&fingerprint(&burned.serial));
            }
        }
    }

    /// Takes a revocation.
    pub fn revoke(&mut self, revoked: &CertRevoked) {
        self.revoked.insert(fingerprint(&revoked.serial), revoked.not_after);
    }

    /// Forgets what has ended.
    pub fn forget_ended(&mut self, now: Timestamp) {
        self.latest.retain(|_, latest| latest.not_after > now);
        self.reserved.retain(|_, (_, latest)| latest.not_after > now);
        self.revoked.retain(|_, not_after| *not_after > now);
    }

    /// How many certificates of each profile are due, have not ended, and are neither replaced nor revoked.
    pub fn unreplaced(&self, now: Timestamp) -> impl Iterator<Item = (&ProfileName, u32)> {
        let mut counts = vec![0; self.profiles.len()];
        for latest in self.latest.values() {
            let is_due = latest.due_at <= now && now < latest.not_after;
            if is_due && !self.revoked.contains_key(&latest.certificate) {
                counts[usize::from(latest.profile)] += 1;
            }
        }
        self.profiles.iter().zip(counts)
    }

    /// A profile's place in the list; a ledger has few of them.
    fn number_of(&mut self, profile: &ProfileName) -> u16 {
        let place = self.profiles.iter().position(|known| known == profile);
        let place = place.unwrap_or_else(|| {
            // The last one stands for all that a number has no room for.
            if self.profiles.len() <= usize::from(u16::MAX) {
                self.profiles.push(profile.clone());
            }
            self.profiles.len() - 1
        });
        u16::try_from(place).unwrap_or(u16::MAX)
    }
}

fn fingerprint(serial: &Serial) -> Fingerprint {
    serial.octets().iter().fold(0, |bits, octet| bits << 8 | u64::from(*octet))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{CertificateSigned, RevocationReason, SerialBurned, SerialReserved},
        *,
    };
    use crate::IssuerId;

    const DAY: i64 = 24 * 60 * 60;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn issuer() -> IssuerId {
        IssuerId::from_hash(&[1; 32])
    }

    /// Serials that end alike.
    fn serial(n: u8) -> Serial {
        Serial::from_random(&std::array::from_fn(|i| if i < 15 { n } else { 0 }))
    }

    fn reserved(n: u8, name: &str, (from, until): (i64, i64)) -> LedgerEvent {
        LedgerEvent::SerialReserved(SerialReserved {
            issuer: issuer(),
            serial: serial(n),
            order: None,
            account: None,
            profile: Some("web".parse().unwrap()),
            identifiers: vec![Identifier::Dns(name.parse().unwrap())],
            tbs: String::new(),
            not_before: at(from),
            not_after: at(until),
        })
    }

    fn signed(n: u8) -> LedgerEvent {
        LedgerEvent::CertificateSigned(CertificateSigned {
            issuer: issuer(),
            serial: serial(n),
            order: None,
            account: None,
            profile: None,
            certificate: String::new(),
            chain: vec![],
            alternates: vec![],
            not_after: at(0),
        })
    }

    fn revoked(n: u8, not_after: i64) -> CertRevoked {
        CertRevoked {
            issuer: issuer(),
            serial: serial(n),
            reason: RevocationReason::Superseded,
            at: at(0),
            not_after: at(not_after),
        }
    }

    /// Stands in for a hash: the names of the tests are short.
    fn set(identifiers: &[Identifier]) -> IdentifierSet {
        let mut octets = [0; 32];
        for (octet, character) in octets.iter_mut().zip(IdentifierSet::text(identifiers).bytes()) {
            *octet = character;
        }
        IdentifierSet::from_hash(&octets)
    }

    fn after(events: &[LedgerEvent]) -> Replacements {
        let mut replacements = Replacements::due_within(Duration::from_hours(7 * 24));
        events.iter().for_each(|event| replacements.take(event, set));
        replacements
    }

    fn count(replacements: &Replacements, now: i64) -> u32 {
        replacements.unreplaced(at(now)).map(|(_, count)| count).sum()
    }

    #[test]
    fn a_certificate_is_unreplaced_from_a_week_before_its_end_until_it_ends() {
        let known = after(&[reserved(1, "a.test", (0, 90 * DAY)), signed(1)]);
        for (now, expected) in [(0, 0), (83 * DAY - 1, 0), (83 * DAY, 1), (90 * DAY, 0)] {
            assert_eq!(count(&known, now), expected, "at {now}");
        }
        let profiles: Vec<_> = known.unreplaced(at(83 * DAY)).collect();
        assert_eq!(profiles, [(&"web".parse().unwrap(), 1)]);
    }

    #[test]
    fn each_profile_has_a_count_of_its_own() {
        let of = |profile: &str, n, name| {
            let LedgerEvent::SerialReserved(reserved) = reserved(n, name, (0, 90 * DAY)) else {
                unreachable!()
            };
            let profile = Some(profile.parse().unwrap());
            [LedgerEvent::SerialReserved(SerialReserved { profile, ..reserved }), signed(n)]
        };
        let known = [of("web", 1, "a.test"), of("mail", 2, "b.test"), of("web", 3, "c.test")];
        let known = after(&known.concat());
        let counts: Vec<_> = known.unreplaced(at(85 * DAY)).collect();
        assert_eq!(counts, [(&"web".parse().unwrap(), 2), (&"mail".parse().unwrap(), 1)]);
    }

    #[test]
    fn a_short_one_is_unreplaced_in_the_last_quarter_of_its_validity() {
        let known = after(&[reserved(1, "a.test", (0, DAY)), signed(1)]);
        assert_eq!((count(&known, DAY * 3 / 4 - 1), count(&known, DAY * 3 / 4)), (0, 1));
    }

    #[test]
    fn a_later_certificate_for_the_same_identifiers_replaces_it() {
        let first = [reserved(1, "a.test", (0, 90 * DAY)), signed(1)];
        let second = [reserved(2, "A.test", (60 * DAY, 150 * DAY)), signed(2)];
        let other = [reserved(3, "b.test", (60 * DAY, 150 * DAY)), signed(3)];
        assert_eq!(count(&after(&[first.clone(), second].concat()), 85 * DAY), 0);
        assert_eq!(count(&after(&[first, other].concat()), 85 * DAY), 1);
    }

    #[test]
    fn a_serial_that_was_never_signed_replaces_nothing() {
        let first = [reserved(1, "a.test", (0, 90 * DAY)), signed(1)];
        let second = reserved(2, "a.test", (60 * DAY, 150 * DAY));
        let burned = LedgerEvent::SerialBurned(SerialBurned {
            issuer: issuer(),
            serial: serial(2),
            not_after: at(150 * DAY),
        });
        let [reserving, signing] = first;
        assert_eq!(count(&after(&[reserving, signing, second, burned, signed(2)]), 85 * DAY), 1);
    }

    #[test]
    fn what_is_revoked_needs_no_replacement() {
        let mut known = after(&[reserved(1, "a.test", (0, 90 * DAY)), signed(1)]);
        known.revoke(&revoked(2, 90 * DAY));
        assert_eq!(count(&known, 85 * DAY), 1);
        known.revoke(&revoked(1, 90 * DAY));
        assert_eq!(count(&known, 85 * DAY), 0);
    }

    #[test]
    fn what_is_taken_twice_counts_once() {
        let first = [reserved(1, "a.test", (0, 90 * DAY)), signed(1), signed(1)];
        let second = [reserved(2, "a.test", (60 * DAY, 150 * DAY)), signed(2), signed(1)];
        assert_eq!(count(&after(&[first.clone(), first.clone()].concat()), 85 * DAY), 1);
        assert_eq!(count(&after(&[first, second].concat()), 85 * DAY), 0);
    }

    #[test]
    fn what_has_ended_takes_no_memory() {
        let first = [reserved(1, "a.test", (0, 90 * DAY)), signed(1)];
        let waiting = [reserved(2, "b.test", (0, DAY)), reserved(3, "c.test", (0, 90 * DAY))];
        let mut known = after(&[first, waiting].concat());
        known.revoke(&revoked(1, 90 * DAY));
        known.forget_ended(at(DAY));
        assert_eq!((known.latest.len(), known.reserved.len(), known.revoked.len()), (1, 1, 1));
        known.forget_ended(at(90 * DAY));
        assert_eq!((known.latest.len(), known.reserved.len(), known.revoked.len()), (0, 0, 0));
    }

    #[test]
    fn a_set_of_identifiers_takes_48_octets() {
        assert_eq!(size_of::<(IdentifierSet, Latest)>(), 48);
    }
}
