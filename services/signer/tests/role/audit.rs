//! Reads the log and the journals as an auditor would, and checks what must hold whatever went wrong.

use std::collections::{BTreeMap, BTreeSet};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use ca::{
    Authority,
    journal::{Entry, Journal},
};
use domain::{
    Identifier, IssuerId, OrderId, Serial, Timestamp,
    certificate::{CertificateSigned, LedgerEvent, RevocationEvent, SerialReserved},
    order::{Event, OrderPlaced},
};
use eventstore::{EventStore as _, Sequence, Stream, Subject};
use x509_parser::{
    certificate::{TbsCertificate, X509Certificate},
    extensions::GeneralName,
    prelude::FromDer as _,
};

use crate::workshop::Workshop;

const PAGE: usize = 1000;

/// What the log says about one issuer.
#[derive(Default)]
pub(crate) struct Audit {
    reserved: BTreeMap<Serial, (Sequence, SerialReserved)>,
    signed: BTreeMap<Serial, Vec<(Sequence, CertificateSigned)>>,
    pub(crate) burned: BTreeSet<Serial>,
    pub(crate) revoked: BTreeSet<Serial>,
}

/// What became of an order, as far as it was checked.
pub(crate) struct Outcome {
    /// The certificate, if there is one.
    pub(crate) certificate: Option<(Serial, Vec<u8>)>,
    /// Serials that the order had and lost.
    pub(crate) burned: BTreeSet<Serial>,
    pub(crate) events: Vec<Event>,
}

impl Workshop {
    /// Reads the log and checks what concerns no single order.
    pub(crate) async fn audit(&self) -> Audit {
        let issuer = self.authority().id().clone();
        let mut audit = Audit::default();
        let mut after = Sequence::NONE;
        loop {
            let page = self.log.scan(Stream::Ledger, after, PAGE).await.unwrap();
            let Some(last) = page.last() else { break };
            after = last.sequence;
            for message in &page {
                for event in message.envelope.decode().unwrap() {
                    audit.take(&issuer, message.sequence, event);
                }
            }
        }
        for message in self.log.scan(Stream::Revocations, Sequence::NONE, 10_000).await.unwrap() {
            for RevocationEvent::CertRevoked(revoked) in message.envelope.decode().unwrap() {
                let fresh = revoked.issuer != issuer || audit.revoked.insert(revoked.serial);
                assert!(fresh, "a serial is revoked once");
            }
        }
        audit.check(&self.authority());
        audit
    }

    /// Checks an order against the log: at most one certificate, the serial in the ledger first, nothing left over.
    pub(crate) async fn outcome(&self, audit: &Audit, id: &OrderId) -> Outcome {
        let messages = self.log.read(&Subject::order(id), Sequence::NONE).await.unwrap();
        let events: Vec<(Sequence, Event)> = messages
            .iter()
            .flat_map(|message| {
                let events: Vec<Event> = message.envelope.decode().unwrap();
                events.into_iter().map(|event| (message.sequence, event))
            })
            .collect();
        let mut outcome = Outcome {
            certificate: None,
            burned: BTreeSet::new(),
            events: events.iter().map(|(_, event)| event.clone()).collect(),
        };
        let Some((_, Event::OrderPlaced(placed))) = events.first() else { panic!("placed first") };
        let mut claimed = None;
        for (sequence, event) in &events {
            match event {
                Event::CertificateReserved(reserved) => {
                    assert_eq!(claimed.replace(&reserved.serial), None, "one serial at a time");
                    let (place, entry) = &audit.reserved[&reserved.serial];
                    assert_eq!(place.0, reserved.ledger_sequence);
                    assert!(place < sequence, "the ledger knows a serial before its order");
                    assert_eq!(entry.order.as_ref(), Some(id));
                }
                Event::ReservationBurned(burned) => {
                    assert_eq!(claimed.take(), Some(&burned.serial));
                    assert!(audit.burned.contains(&burned.serial), "a lost serial is burned");
                    outcome.burned.insert(burned.serial.clone());
                }
                Event::CertificateIssued(issued) => {
                    assert_eq!(claimed.take(), Some(&issued.serial));
                    let place = Sequence(issued.ledger_sequence);
                    let found = &audit.signed[&issued.serial];
                    let found = found.iter().find(|(sequence, _)| *sequence == place);
                    let (_, signed) = found.expect("the order names the certificate's place");
                    assert!(place < *sequence, "the ledger knows a certificate before its order");
                    assert!(!audit.revoked.contains(&issued.serial), "{id} has a good certificate");
                    let der = BASE64_URL_SAFE_NO_PAD.decode(&signed.certificate).unwrap();
                    check_names(&der, placed);
                    let first = outcome.certificate.replace((issued.serial.clone(), der));
                    assert_eq!(first, None, "an order has one certificate");
                }
                Event::OrderPlaced(_)
                | Event::ChallengeReady(_)
                | Event::ChallengeValidated(_)
                | Event::ChallengeFailed(_)
                | Event::ChallengeAttemptFailed(_)
                | Event::CaaCheckNeeded(_)
                | Event::CaaChecked(_)
                | Event::CaaCheckFailed(_)
                | Event::AuthorizationDeactivated(_)
                | Event::OrderFinalized(_)
                | Event::IssuanceFailed(_) => {}
            }
        }
        assert_eq!(claimed, None, "no serial is left over");
        outcome
    }

    /// Checks the journal of a signer that does not run: it is whole, settled, and agrees with the ledger.
    pub(crate) fn check_journal(&self, audit: &Audit, name: &str) {
        let dir = self.data_dir(name).join("signer").join("journal");
        ca::journal::verify(&dir).unwrap();
        let journal = Journal::open(&dir).unwrap();
        assert_eq!(journal.pending(), [], "everything is settled");
        let serials = audit.reserved.keys().cloned().collect();
        let known = journal.find(&serials, Timestamp::from_unix_seconds(0)).unwrap();
        for (serial, entry) in known {
            match entry {
                Entry::Issued(issued) => match audit.signed.get(&serial) {
                    Some(recorded) => {
                        let issued = BASE64_URL_SAFE_NO_PAD.encode(issued.der);
                        assert_eq!(issued, recorded[0].1.certificate);
                    }
                    // Another signer took the order meanwhile.
                    None => assert!(audit.burned.contains(&serial), "{serial} is in the ledger"),
                },
                Entry::Burned(_) => assert!(audit.revoked.contains(&serial)),
                Entry::Reserved(_) => panic!("{serial} is settled"),
            }
        }
    }

    /// Checks one order that must have its certificate, and the signer that made it.
    pub(crate) async fn check_valid(&self, id: &OrderId, name: &str) -> (Audit, Outcome) {
        let audit = self.audit().await;
        let outcome = self.outcome(&audit, id).await;
        assert!(outcome.certificate.is_some(), "the order is valid");
        self.check_journal(&audit, name);
        (audit, outcome)
    }
}

impl Audit {
    fn take(&mut self, issuer: &IssuerId, sequence: Sequence, event: LedgerEvent) {
        match event {
            LedgerEvent::SerialReserved(reserved) if reserved.issuer == *issuer => {
                let serial = reserved.serial.clone();
                let again = self.reserved.insert(serial, (sequence, reserved));
                assert!(again.is_none(), "a serial is reserved once");
            }
            LedgerEvent::CertificateSigned(signed) if signed.issuer == *issuer => {
                self.signed.entry(signed.serial.clone()).or_default().push((sequence, signed));
            }
            LedgerEvent::SerialBurned(burned) if burned.issuer == *issuer => {
                self.burned.insert(burned.serial);
            }
            LedgerEvent::SerialReserved(_)
            | LedgerEvent::CertificateSigned(_)
            | LedgerEvent::SerialBurned(_) => {}
        }
    }

    fn check(&self, authority: &Authority) {
        for serial in &self.burned {
            assert!(self.reserved.contains_key(serial), "what is burned was reserved");
            assert!(self.revoked.contains(serial), "what is burned is revoked");
        }
        for (serial, copies) in &self.signed {
            let (place, reserved) = &self.reserved[serial];
            let tbs = BASE64_URL_SAFE_NO_PAD.decode(&reserved.tbs).unwrap();
            for (sequence, signed) in copies {
                assert!(place < sequence, "a serial is reserved before it is signed");
                assert_eq!(signed.certificate, copies[0].1.certificate, "a serial is signed once");
                let der = BASE64_URL_SAFE_NO_PAD.decode(&signed.certificate).unwrap();
                assert!(authority.is_issuer_of(&der));
                let (_, parsed) = X509Certificate::from_der(&der).unwrap();
                assert_eq!(parsed.tbs_certificate.as_ref(), tbs, "what is signed was reserved");
                check_chain(authority, &signed.chain);
            }
        }
    }

    /// What was recorded of a certificate.
    pub(crate) fn recorded(&self, serial: &Serial) -> Option<&CertificateSigned> {
        self.signed.get(serial)?.first().map(|(_, signed)| signed)
    }

    /// The certificates that were recorded for no order.
    pub(crate) fn for_no_order(&self) -> Vec<&CertificateSigned> {
        let signed = self.signed.values().flatten().map(|(_, signed)| signed);
        signed.filter(|signed| signed.order.is_none()).collect()
    }

    /// The serials reserved for an order.
    pub(crate) fn reserved_for(&self, order: &OrderId) -> Vec<&SerialReserved> {
        let reserved = self.reserved.values().map(|(_, reserved)| reserved);
        reserved.filter(|reserved| reserved.order.as_ref() == Some(order)).collect()
    }
}

fn check_chain(authority: &Authority, chain: &[String]) {
    let chain: Vec<_> =
        chain.iter().map(|der| BASE64_URL_SAFE_NO_PAD.decode(der).unwrap()).collect();
    assert_eq!(chain, [authority.certificate().der()]);
    let root = authority.roots().next().unwrap();
    let (_, root) = X509Certificate::from_der(root).unwrap();
    let (_, issuing) = X509Certificate::from_der(&chain[0]).unwrap();
    issuing.verify_signature(Some(root.public_key())).unwrap();
}

fn check_names(der: &[u8], placed: &OrderPlaced) {
    let (_, parsed) = X509Certificate::from_der(der).unwrap();
    let names = names(&parsed.tbs_certificate);
    assert_eq!(names, placed.identifiers.iter().map(Identifier::canonical).collect::<Vec<_>>());
}

/// The names a certificate is for.
pub(crate) fn names(certificate: &TbsCertificate<'_>) -> Vec<String> {
    let names = certificate.subject_alternative_name().unwrap().expect("it has names");
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        other => panic!("{other} is no DNS name"),
    };
    names.value.general_names.iter().map(text).collect()
}
