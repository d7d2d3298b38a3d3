//! Which entries may follow those before: each serial is reserved once, then issued or burned once.

use std::collections::BTreeMap;

use domain::Serial;

use super::{AppendError, Burning, Entry, Issuance, Reservation};
use crate::unsigned::tbs_of;

/// Reservations that are neither issued nor burned.
pub(super) type Pending = BTreeMap<Serial, Reservation>;

/// No certificate, bytes to sign or reason is larger.
const MAX_ENTRY_BYTES: usize = 1024 * 1024;

/// Applies an entry to what is pending; one that is refused changes nothing.
pub(super) fn admit(pending: &mut Pending, entry: &Entry) -> Result<(), AppendError> {
    let serial = entry.serial();
    match (entry, pending.get(serial)) {
        (Entry::Reserved(reservation), None) => {
            check_size(reservation.tbs.len())?;
            pending.insert(serial.clone(), reservation.clone());
        }
        (Entry::Reserved(_), Some(_)) => return Err(AppendError::AlreadyReserved(serial.clone())),
        (Entry::Issued(_) | Entry::Burned(_), None) => {
            return Err(AppendError::NotReserved(serial.clone()));
        }
        (Entry::Issued(Issuance { der, .. }), Some(reservation)) => {
            check_size(der.len())?;
            if tbs_of(der).as_ref() != Some(&reservation.tbs) {
                return Err(AppendError::OtherCertificate(serial.clone()));
            }
            pending.remove(serial);
        }
        (Entry::Burned(Burning { reason, .. }), Some(_)) => {
            check_size(reason.len())?;
            pending.remove(serial);
        }
    }
    Ok(())
}

fn check_size(bytes: usize) -> Result<(), AppendError> {
    if bytes > MAX_ENTRY_BYTES { Err(AppendError::TooLarge) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use domain::{IssuerId, Timestamp};

    use super::*;
    use crate::{KeyAlgorithm, unsigned::assemble};

    const TBS: [u8; 5] = [0x30, 0x03, 0x02, 0x01, 0x05];
    const OTHER_TBS: [u8; 5] = [0x30, 0x03, 0x02, 0x01, 0x06];

    fn serial() -> Serial {
        "01ab".parse().unwrap()
    }

    fn at() -> Timestamp {
        Timestamp::from_unix_seconds(0)
    }

    fn reserved() -> Entry {
        let issuer = IssuerId::from_hash(&[0; 32]);
        Entry::Reserved(Reservation {
            serial: serial(),
            order: None,
            issuer,
            tbs: TBS.to_vec(),
            at: at(),
        })
    }

    fn issued(tbs: &[u8]) -> Entry {
        let der = assemble(tbs, b"signature", KeyAlgorithm::Ed25519);
        Entry::Issued(Issuance { serial: serial(), der, at: at() })
    }

    fn burned() -> Entry {
        Entry::Burned(Burning { serial: serial(), reason: "crash".to_owned(), at: at() })
    }

    /// Given entries that are admitted, when another one comes, then it is admitted or changes nothing.
    fn check(given: &[Entry], when: &Entry, admitted: bool) {
        let mut pending = Pending::new();
        for entry in given {
            admit(&mut pending, entry).unwrap();
        }
        let before = pending.clone();
        assert_eq!(admit(&mut pending, when).is_ok(), admitted, "{when:?} after {given:?}");
        assert_eq!(pending == before, !admitted);
    }

    #[test]
    fn a_serial_is_reserved_then_issued_or_burned_once() {
        check(&[], &reserved(), true);
        check(&[reserved()], &issued(&TBS), true);
        check(&[reserved()], &burned(), true);
    }

    #[test]
    fn a_reserved_serial_is_not_reserved_again() {
        check(&[reserved()], &reserved(), false);
    }

    #[test]
    fn what_is_not_reserved_is_neither_issued_nor_burned() {
        check(&[], &issued(&TBS), false);
        check(&[], &burned(), false);
        check(&[reserved(), issued(&TBS)], &burned(), false);
        check(&[reserved(), burned()], &issued(&TBS), false);
        check(&[reserved(), issued(&TBS)], &issued(&TBS), false);
    }

    #[test]
    fn only_the_reserved_bytes_are_issued() {
        check(&[reserved()], &issued(&OTHER_TBS), false);
    }
}
