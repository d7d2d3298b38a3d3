//! The rules every ledger keeps: nothing signed that was not reserved, no serial and no order twice.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
};

use acme::base64url;
use domain::{
    OrderId, Serial,
    certificate::{CertificateSigned, LedgerEvent, SerialBurned, SerialReserved},
};
use eventstore::Sequence;

/// More problems than this are counted, not told.
const MAX_TOLD: usize = 100;

/// Follows a ledger entry by entry.
#[derive(Default)]
pub(super) struct LedgerCheck {
    serials: HashMap<Serial, Progress>,
    issued: HashMap<OrderId, Serial>,
    /// Makes the hashes of certificates: to keep all of them whole would take too much memory.
    hashes: RandomState,
    problems: Vec<String>,
    untold: usize,
}

/// How far a serial came.
enum Progress {
    Reserved { tbs: String },
    Signed { hash: u64 },
    Burned,
}

impl LedgerCheck {
    /// Takes the next entry. One that repeats an earlier entry is no problem: the ledger is an idempotent record.
    pub(super) fn see(&mut self, sequence: Sequence, event: &LedgerEvent) {
        let problem = match event {
            LedgerEvent::SerialReserved(reserved) => self.reserve(reserved),
            LedgerEvent::CertificateSigned(signed) => self.sign(signed),
            LedgerEvent::SerialBurned(burned) => self.burn(burned),
        };
        match problem {
            Some(problem) if self.problems.len() < MAX_TOLD => {
                self.problems.push(format!("message {sequence}: {problem}"));
            }
            Some(_) => self.untold += 1,
            None => {}
        }
    }

    /// What the ledger holds, and everything that is wrong with it.
    pub(super) fn finish(self) -> (String, Vec<String>) {
        let count = |wanted: fn(&Progress) -> bool| {
            self.serials.values().filter(|progress| wanted(progress)).count()
        };
        let holds = format!(
            "{} serials: {} certificates, {} reserved, {} given up",
            self.serials.len(),
            count(|progress| matches!(progress, Progress::Signed { .. })),
            count(|progress| matches!(progress, Progress::Reserved { .. })),
            count(|progress| matches!(progress, Progress::Burned)),
        );
        let mut problems = self.problems;
        if self.untold > 0 {
            problems.push(format!("{} more problems", self.untold));
        }
        (holds, problems)
    }

    fn reserve(&mut self, reserved: &SerialReserved) -> Option<String> {
        let serial = &reserved.serial;
        match self.serials.get(serial) {
            None => {
                let progress = Progress::Reserved { tbs: reserved.tbs.clone() };
                self.serials.insert(serial.clone(), progress);
                None
            }
            Some(Progress::Reserved { tbs }) if *tbs == reserved.tbs => None,
            Some(_) => Some(format!("serial {serial} is reserved again")),
        }
    }

    fn sign(&mut self, signed: &CertificateSigned) -> Option<String> {
        let serial = &signed.serial;
        let said = self.hashes.hash_one(&signed.certificate);
        let problem = match self.serials.get(serial) {
            None => Some(format!("serial {serial} is signed without being reserved")),
            Some(Progress::Burned) => {
                Some(format!("serial {serial} is signed after it was given up"))
            }
            Some(Progress::Signed { hash }) => (*hash != said)
                .then(|| format!("serial {serial} is signed again with other contents")),
            Some(Progress::Reserved { tbs }) => (!holds(&signed.certificate, tbs))
                .then(|| format!("serial {serial} is not signed as it was reserved")),
        };
        self.serials.insert(serial.clone(), Progress::Signed { hash: said });
        problem.or_else(|| self.complete(signed))
    }

    fn complete(&mut self, signed: &CertificateSigned) -> Option<String> {
        let order = signed.order.as_ref()?;
        let first = self.issued.entry(order.clone()).or_insert_with(|| signed.serial.clone());
        (*first != signed.serial)
            .then(|| format!("order {order} has two certificates: {first} and {}", signed.serial))
    }

    fn burn(&mut self, burned: &SerialBurned) -> Option<String> {
        let serial = &burned.serial;
        match self.serials.insert(serial.clone(), Progress::Burned) {
            None => Some(format!("serial {serial} is given up without being reserved")),
            Some(Progress::Reserved { .. } | Progress::Burned) => None,
            Some(Progress::Signed { .. }) => {
                Some(format!("serial {serial} is given up after it was signed"))
            }
        }
    }
}

/// Whether a certificate, as base64url of its DER, begins with the bytes that were to be signed.
fn holds(certificate: &str, tbs: &str) -> bool {
    let (Ok(certificate), Ok(tbs)) = (base64url::decode(certificate), base64url::decode(tbs))
    else {
        return false;
    };
    contents(&certificate).is_some_and(|contents| contents.starts_with(&tbs))
}

/// What stands in the outer SEQUENCE of a DER value.
fn contents(der: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    const LONG_FORM: u8 = 0x80;
    match der {
        [SEQUENCE, length, rest @ ..] if *length < LONG_FORM => Some(rest),
        [SEQUENCE, length, rest @ ..] => rest.get(usize::from(length - LONG_FORM)..),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use domain::{IssuerId, Timestamp};

    use super::*;

    const TBS: &[u8] = &[0x30, 0x01, 0x07];
    /// As long as the other.
    const OTHER_TBS: &[u8] = &[0x30, 0x01, 0x08];

    fn serial(n: u8) -> Serial {
        Serial::from_random(&[n; 16])
    }

    fn reserved(n: u8) -> LedgerEvent {
        reserved_for(n, TBS)
    }

    fn reserved_for(n: u8, tbs: &[u8]) -> LedgerEvent {
        LedgerEvent::SerialReserved(SerialReserved {
            issuer: IssuerId::from_hash(&[1; 32]),
            serial: serial(n),
            order: Some(OrderId::new(0, &[7; 16])),
            account: None,
            profile: None,
            identifiers: vec![],
            tbs: base64url::encode(tbs),
            not_before: Timestamp::from_unix_seconds(1),
            not_after: Timestamp::from_unix_seconds(2),
        })
    }

    fn signed(n: u8, tbs: &[u8]) -> LedgerEvent {
        let mut certificate = vec![0x30, 0x81, 0x80];
        certificate.extend_from_slice(tbs);
        LedgerEvent::CertificateSigned(CertificateSigned {
            issuer: IssuerId::from_hash(&[1; 32]),
            serial: serial(n),
            order: Some(OrderId::new(0, &[7; 16])),
            account: None,
            profile: None,
            certificate: base64url::encode(&certificate),
            chain: vec![],
            alternates: vec![],
            not_after: Timestamp::from_unix_seconds(2),
        })
    }

    fn burned(n: u8) -> LedgerEvent {
        LedgerEvent::SerialBurned(SerialBurned {
            issuer: IssuerId::from_hash(&[1; 32]),
            serial: serial(n),
            not_after: Timestamp::from_unix_seconds(2),
        })
    }

    fn problems(ledger: &[LedgerEvent]) -> Vec<String> {
        let mut check = LedgerCheck::default();
        for (place, event) in (1..).zip(ledger) {
            check.see(Sequence(place), event);
        }
        check.finish().1
    }

    fn check(ledger: &[LedgerEvent], expected: &[&str]) {
        let problems = problems(ledger);
        assert_eq!(problems.len(), expected.len(), "{problems:?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.contains(expected), "{problem}");
        }
    }

    #[test]
    fn what_was_reserved_signed_given_up_and_said_again_is_good() {
        let certificate = signed(1, TBS);
        check(&[reserved(1), reserved(1), certificate.clone(), certificate], &[]);
        check(&[reserved(1), burned(1), burned(1), reserved(2), signed(2, TBS)], &[]);
    }

    #[test]
    fn a_certificate_needs_the_reservation_of_its_bytes() {
        check(&[signed(1, TBS)], &["without being reserved"]);
        check(&[reserved(1), signed(1, OTHER_TBS)], &["not signed as it was reserved"]);
    }

    #[test]
    fn an_order_has_one_certificate() {
        let twice = [reserved(1), signed(1, TBS), reserved(2), signed(2, TBS)];
        check(&twice, &["has two certificates"]);
    }

    #[test]
    fn a_serial_that_was_given_up_is_not_signed() {
        check(&[reserved(1), burned(1), signed(1, TBS)], &["after it was given up"]);
        check(&[reserved(1), signed(1, TBS), burned(1)], &["after it was signed"]);
        check(&[burned(1)], &["given up without being reserved"]);
    }

    #[test]
    fn a_serial_is_for_one_certificate() {
        let again = ["is reserved again"];
        check(&[reserved(1), reserved_for(1, OTHER_TBS)], &again);
        check(&[reserved(1), signed(1, TBS), reserved(1)], &again);
        check(&[reserved(1), burned(1), reserved(1)], &again);
        let other = signed(1, OTHER_TBS);
        check(&[reserved(1), signed(1, TBS), other], &["signed again with other contents"]);
    }

    #[test]
    fn problems_that_are_too_many_to_be_told_are_counted() {
        let ledger: Vec<LedgerEvent> = (0..150).map(|n| signed(n, TBS)).collect();
        let problems = problems(&ledger);
        assert_eq!(problems.len(), MAX_TOLD + 1);
        assert_eq!(problems.last().map(String::as_str), Some("50 more problems"));
    }
}
