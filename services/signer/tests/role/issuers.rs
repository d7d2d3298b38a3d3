//! Several issuing CAs in one signer: who reserved signs, whatever crashes or is configured anew in between.

use std::sync::Arc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use ca::{Authority, KeyAlgorithm};
use domain::{CrlName, OrderId, Serial, certificate::LedgerEvent, order::Progress};
use eventstore::{EventStore as _, Sequence, Stream};
use signer::{IssuersError, OpenError};

use crate::{
    faults::{Fate, Faults, Port},
    workshop::{Workshop, until},
};

/// Far more than the steps at which an issuance can end.
const STEPS: u64 = 25;

impl Workshop {
    fn issue_by(&mut self, issuer: Option<&str>) {
        self.config.profiles[0].issuer = issuer.map(|name| name.parse().unwrap());
    }

    /// Checks that an order has a certificate that the authority signed, with its chain, and returns its serial.
    async fn check_signed_by(&self, order: &OrderId, authority: &Authority) -> Serial {
        let Progress::Valid { issuer, serial, ledger_sequence, .. } = self.ended(order).await
        else {
            panic!("the order is valid");
        };
        assert_eq!(issuer, *authority.id());
        let place = Sequence(ledger_sequence);
        let message = self.log.message(Stream::Ledger, place).await.unwrap().unwrap();
        let events: Vec<LedgerEvent> = message.envelope.decode().unwrap();
        let [LedgerEvent::CertificateSigned(signed)] = events.as_slice() else {
            panic!("{events:?}");
        };
        let der = |text: &String| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
        assert!(authority.is_issuer_of(&der(&signed.certificate)));
        let chain: Vec<Vec<u8>> = signed.chain.iter().map(der).collect();
        assert_eq!(chain, authority.chain().collect::<Vec<_>>());
        serial
    }

    /// Leads an order until its signer dies right after it reserved a serial for it.
    async fn reserved(&self) -> OrderId {
        let order = self.finalized().await;
        let id = order.to_string();
        let faults = Arc::new(Faults::new(move |port, key| match port {
            Port::Append if key == id => Fate::CrashAfter,
            _ => Fate::Done,
        }));
        let signer = self.start_with("signer", &faults).await;
        faults.crashed().await;
        signer.kill().await;
        order
    }
}

#[tokio::test]
async fn a_crash_at_any_step_leaves_an_order_with_its_issuer() {
    for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::Rsa] {
        let mut workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
        let second = workshop.add_issuer("second", algorithm);
        workshop.issue_by(Some("second"));
        for step in 1..STEPS {
            let faults = Arc::new(Faults::at(step, Fate::CrashAfter).0);
            let order = workshop.finalized().await;
            let signer = workshop.start_with("signer", &faults).await;
            tokio::select! {
                _ = workshop.ended(&order) => {}
                () = faults.crashed() => {}
            }
            signer.stop_or_crash(&faults).await;
            let signer = workshop.start("signer").await;
            workshop.check_signed_by(&order, &second).await;
            signer.stop().await;
        }
        let revoked = workshop.log.scan(Stream::Revocations, Sequence::NONE, 100).await.unwrap();
        let of_second = format!("revocation.{}.", second.id());
        assert!(revoked.iter().all(|message| message.subject.as_str().starts_with(&of_second)));
        assert_eq!(revoked.is_empty(), algorithm.is_deterministic());
    }
}

#[tokio::test]
async fn who_reserved_signs_although_the_profile_has_another_issuer_by_now() {
    let mut workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let second = workshop.add_issuer("second", KeyAlgorithm::Ed25519);
    workshop.issue_by(Some("second"));
    let order = workshop.reserved().await;
    workshop.issue_by(None);
    let signer = workshop.start("signer").await;
    workshop.check_signed_by(&order, &second).await;
    let next = workshop.finalized().await;
    workshop.check_signed_by(&next, &workshop.authority()).await;
    signer.stop().await;
}

#[tokio::test]
async fn what_cannot_be_signed_again_is_revoked_by_its_issuer_and_issued_by_the_present_one() {
    let mut workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let second = workshop.add_issuer("second", KeyAlgorithm::EcdsaP384);
    workshop.issue_by(Some("second"));
    let order = workshop.reserved().await;
    workshop.issue_by(None);
    let signer = workshop.start("signer").await;
    workshop.check_signed_by(&order, &workshop.authority()).await;
    let listed = async |authority: &Authority| {
        let name = CrlName::whole(authority.id().clone());
        let views = &workshop.views;
        let read = || async { views.crl(&name).await.unwrap() };
        let crl = until("a crl", async || read().await).await;
        let (_, parsed) = x509_parser::parse_x509_crl(&crl.der).unwrap();
        parsed.iter_revoked_certificates().count()
    };
    until("the burned serial is listed", async || (listed(&second).await == 1).then_some(())).await;
    assert_eq!(listed(&workshop.authority()).await, 0);
    signer.stop().await;
}

#[tokio::test]
async fn two_issuers_with_one_key_and_profiles_without_their_issuer_are_refused() {
    let mut workshop = Workshop::new(KeyAlgorithm::Ed25519);
    workshop.issue_by(Some("second"));
    let ports = workshop.ports(&Arc::new(Faults::none()));
    let refused = workshop.open("signer", &ports).await.err();
    assert!(matches!(refused, Some(OpenError::Issuers(IssuersError::Missing(_)))), "{refused:?}");
    workshop.repeat_issuer("second");
    let refused = workshop.open("signer", &ports).await.err();
    assert!(matches!(refused, Some(OpenError::Issuers(IssuersError::SameKey(_)))), "{refused:?}");
}
