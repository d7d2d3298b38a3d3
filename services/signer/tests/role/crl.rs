//! CRLs are published, republished, and never step back.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ca::{CrlPlan, KeyAlgorithm, sign_crl};
use domain::{
    CrlName, Serial,
    certificate::{CertRevoked, Revocation, RevocationReason},
};
use eventstore::{Loaded, Subject, execute};
use readmodel::Crl;
use runtime::config::HumanDuration;
use x509_parser::{
    prelude::FromDer as _, revocation_list::CertificateRevocationList, x509::SubjectPublicKeyInfo,
};

use crate::{
    applicant::context,
    faults::{Fate, Faults, Port},
    workshop::{Workshop, now, until},
};

const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(365 * 24);

impl Workshop {
    pub(crate) async fn revoke(&self, serial: &Serial) {
        let issuer = self.authority().id().clone();
        let subject = Subject::revocation(&issuer, serial);
        let command = CertRevoked {
            issuer,
            serial: serial.clone(),
            reason: RevocationReason::KeyCompromise,
            at: now(),
            not_after: now().plus(YEAR),
        };
        let loaded = Loaded::default();
        execute::<Revocation>(&self.log, &subject, loaded, &command, &context()).await.unwrap();
    }

    /// Waits for a CRL with a number above another's.
    pub(crate) async fn crl_after(&self, number: u64) -> Arc<Crl> {
        let issuer = self.authority().id().clone();
        until("a new crl", async || {
            self.views
                .crl(&CrlName::whole(issuer.clone()))
                .await
                .unwrap()
                .filter(|crl| crl.number > number)
        })
        .await
    }

    /// The serials of a CRL that verifies.
    pub(crate) fn listed(&self, crl: &Crl) -> BTreeSet<Serial> {
        let (_, parsed) = CertificateRevocationList::from_der(&crl.der).unwrap();
        let authority = self.authority();
        let (_, key) = SubjectPublicKeyInfo::from_der(authority.certificate().spki()).unwrap();
        parsed.verify_signature(&key).unwrap();
        assert_eq!(parsed.crl_number().unwrap(), &crl.number.into());
        assert!(crl.next_update > now());
        let serial = |raw: &[u8]| Serial::from_octets(raw).unwrap();
        parsed.iter_revoked_certificates().map(|revoked| serial(revoked.raw_serial())).collect()
    }
}

pub(crate) fn serial(n: u8) -> Serial {
    Serial::from_random(&[n; 16])
}

#[tokio::test]
async fn a_crl_is_published_at_the_start_and_again_after_each_revocation() {
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    workshop.revoke(&serial(1)).await;
    let signer = workshop.start("signer").await;
    let first = workshop.crl_after(0).await;
    assert_eq!(workshop.listed(&first), BTreeSet::from([serial(1)]));
    workshop.revoke(&serial(2)).await;
    let second = workshop.crl_after(first.number).await;
    assert_eq!(workshop.listed(&second), BTreeSet::from([serial(1), serial(2)]));
    signer.stop().await;
}

#[tokio::test]
async fn revocations_that_come_at_once_are_looked_at_once() {
    const REVOKED: u8 = 50;
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    for n in 1..=REVOKED {
        workshop.revoke(&serial(n)).await;
    }
    let (looks, heard) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (look, hear) = (Arc::clone(&looks), Arc::clone(&heard));
    let faults = Faults::new(move |port, key| {
        match port {
            Port::Crl => look.fetch_add(1, Ordering::Relaxed),
            Port::Acknowledge if key.starts_with("revo") => hear.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        Fate::Done
    });
    let signer = workshop.start_with("signer", &Arc::new(faults)).await;
    workshop.crl_after(0).await;
    tokio::time::pause();
    until("all are heard", async || {
        (heard.load(Ordering::Relaxed) >= u64::from(REVOKED)).then_some(())
    })
    .await;
    tokio::time::resume();
    signer.stop().await;
    let looks = looks.load(Ordering::Relaxed);
    assert!(looks < 10, "each look reads and compares the whole CRL: {looks}");
}

#[tokio::test]
async fn a_burned_serial_is_on_the_crl() {
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let order = workshop.finalized().await;
    workshop.kill_after_append("signer", &order).await;
    let signer = workshop.start("signer").await;
    workshop.ended(&order).await;
    let burned = workshop.audit().await.burned;
    assert_eq!(burned.len(), 1);
    let issuer = workshop.authority().id().clone();
    until("the burned serial is listed", async || {
        let crl = workshop.views.crl(&CrlName::whole(issuer.clone())).await.unwrap()?;
        (workshop.listed(&crl) == burned).then_some(())
    })
    .await;
    signer.stop().await;
}

#[tokio::test]
async fn numbers_grow_over_a_restart_with_an_empty_read_model() {
    let mut workshop = Workshop::new(KeyAlgorithm::Ed25519);
    let signer = workshop.start("signer").await;
    let first = workshop.crl_after(0).await;
    signer.stop().await;
    workshop.views = workshop.empty_views("views-2");
    let signer = workshop.start("signer").await;
    let again = workshop.crl_after(0).await;
    assert_eq!(again, first, "the last CRL is published as it was while it is not due");
    workshop.revoke(&serial(1)).await;
    let next = workshop.crl_after(first.number).await;
    assert_eq!(workshop.listed(&next), BTreeSet::from([serial(1)]));
    signer.stop().await;
}

#[tokio::test]
async fn a_crl_in_the_read_model_that_the_ca_did_not_sign_is_replaced() {
    let workshop = Workshop::new(KeyAlgorithm::Ed25519);
    let signer = workshop.start("signer").await;
    let first = workshop.crl_after(0).await;
    signer.stop().await;
    let name = CrlName::whole(workshop.authority().id().clone());
    let mut damaged = first.der.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let stranger = Workshop::new(KeyAlgorithm::Ed25519).authority();
    let foreign = CrlPlan::new(&stranger, first.number, now(), DAY, []);
    let foreign = sign_crl(&stranger, &foreign).unwrap();
    let mut last = first;
    for der in [damaged, foreign] {
        let forged = Crl { der, number: last.number + 1_000_000, ..last.as_ref().clone() };
        workshop.views.put_crl(&name, &forged).await.unwrap();
        let signer = workshop.start("signer").await;
        last = workshop.crl_after(forged.number).await;
        assert_eq!(workshop.listed(&last), BTreeSet::new());
        signer.stop().await;
    }
}

#[tokio::test]
async fn crls_go_on_after_one_with_the_last_number_that_is_followed() {
    let workshop = Workshop::new(KeyAlgorithm::Ed25519);
    let signer = workshop.start("signer").await;
    let first = workshop.crl_after(0).await;
    signer.stop().await;
    let name = CrlName::whole(workshop.authority().id().clone());
    let forged = Crl { der: vec![], number: 1 << 40, ..first.as_ref().clone() };
    workshop.views.put_crl(&name, &forged).await.unwrap();
    let signer = workshop.start("signer").await;
    let next = workshop.crl_after(forged.number).await;
    workshop.revoke(&serial(1)).await;
    let last = workshop.crl_after(next.number).await;
    assert_eq!(workshop.listed(&last), BTreeSet::from([serial(1)]));
    signer.stop().await;
}

#[tokio::test]
async fn a_crl_number_that_no_crl_can_have_is_not_followed() {
    let mut workshop = Workshop::new(KeyAlgorithm::Ed25519);
    let signer = workshop.start("signer").await;
    let first = workshop.crl_after(0).await;
    signer.stop().await;
    let name = CrlName::whole(workshop.authority().id().clone());
    let forged = Crl { number: u64::MAX, ..first.as_ref().clone() };
    workshop.views.put_crl(&name, &forged).await.unwrap();
    workshop.revoke(&serial(1)).await;
    let order = workshop.finalized().await;
    let signer = workshop.start("signer").await;
    workshop.ended(&order).await;
    signer.stop().await;
    workshop.views = workshop.empty_views("views-2");
    let signer = workshop.start("signer").await;
    let next = workshop.crl_after(first.number).await;
    assert_eq!(workshop.listed(&next), BTreeSet::from([serial(1)]));
    signer.stop().await;
}

#[tokio::test]
async fn what_another_signer_published_is_never_taken_back() {
    let workshop = Workshop::new(KeyAlgorithm::Ed25519);
    workshop.revoke(&serial(1)).await;
    let signer = workshop.start("first").await;
    let first = workshop.crl_after(0).await;
    signer.stop().await;
    // One whose disk is new takes over, and reads the log from its beginning.
    let signer = workshop.start("second").await;
    workshop.revoke(&serial(2)).await;
    let second = workshop.crl_after(first.number).await;
    assert_eq!(workshop.listed(&second), BTreeSet::from([serial(1), serial(2)]));
    signer.stop().await;
    // The first one comes back with an older crl on its disk.
    let signer = workshop.start("first").await;
    workshop.revoke(&serial(3)).await;
    let third = workshop.crl_after(second.number).await;
    assert_eq!(workshop.listed(&third), BTreeSet::from([serial(1), serial(2), serial(3)]));
    signer.stop().await;
}

#[tokio::test]
async fn a_crl_that_lacks_what_is_published_is_not_published() {
    let mut workshop = Workshop::new(KeyAlgorithm::Ed25519);
    workshop.revoke(&serial(1)).await;
    let signer = workshop.start("first").await;
    let first = workshop.crl_after(0).await;
    signer.stop().await;
    // Disk and log are lost, and only the read model still knows what was revoked.
    workshop.lose_log();
    let looks = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&looks);
    let faults = Faults::new(move |port, _| {
        assert_ne!(port, Port::PutCrl, "nothing is published");
        if port == Port::Crl {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Fate::Done
    });
    let signer = workshop.start_with("second", &Arc::new(faults)).await;
    until("the first look", async || (looks.load(Ordering::Relaxed) > 0).then_some(())).await;
    tokio::time::pause();
    until("the next look", async || (looks.load(Ordering::Relaxed) > 1).then_some(())).await;
    tokio::time::resume();
    signer.stop().await;
    assert_eq!(workshop.crl_after(0).await, first);
}

#[tokio::test]
async fn a_crl_that_is_due_is_made_anew() {
    let mut workshop = Workshop::new(KeyAlgorithm::Ed25519);
    workshop.config.ca.crl_refresh = HumanDuration::ZERO;
    let signer = workshop.start("signer").await;
    let first = workshop.crl_after(0).await;
    signer.stop().await;
    let signer = workshop.start("signer").await;
    workshop.crl_after(first.number).await;
    signer.stop().await;
}

#[tokio::test]
async fn a_crl_that_ends_sooner_than_the_configuration_says_by_now_is_made_anew() {
    let mut workshop = Workshop::new(KeyAlgorithm::Ed25519);
    let made_for = workshop.config.ca.clone();
    workshop.config.ca.crl_validity = HumanDuration::hours(1);
    workshop.config.ca.crl_refresh = HumanDuration::minutes(30);
    let signer = workshop.start("signer").await;
    let first = workshop.crl_after(0).await;
    signer.stop().await;
    workshop.config.ca = made_for;
    let signer = workshop.start("signer").await;
    let next = workshop.crl_after(first.number).await;
    assert!(next.next_update > now().plus(6 * DAY), "{}", next.next_update);
    signer.stop().await;
}

#[tokio::test]
async fn revocations_are_published_although_the_clock_ran_ahead_before() {
    let workshop = Workshop::new(KeyAlgorithm::Ed25519);
    let authority = workshop.authority();
    let (ahead, period) = (now().plus(DAY), 7 * DAY);
    let number = u64::try_from(ahead.unix_seconds()).unwrap();
    let plan = CrlPlan::new(&authority, number, ahead, period, []);
    let (der, next_update) = (sign_crl(&authority, &plan).unwrap(), plan.next_update);
    let name = CrlName::whole(authority.id().clone());
    workshop.views.put_crl(&name, &Crl { der, number, next_update }).await.unwrap();
    workshop.revoke(&serial(1)).await;
    let signer = workshop.start("signer").await;
    let crl = workshop.crl_after(number).await;
    assert_eq!(workshop.listed(&crl), BTreeSet::from([serial(1)]));
    assert_eq!(crl.next_update, next_update, "who trusts the former clock can use it as long");
    let (_, parsed) = CertificateRevocationList::from_der(&crl.der).unwrap();
    assert!(parsed.last_update().timestamp() <= now().unix_seconds());
    signer.stop().await;
}

#[tokio::test]
async fn what_ended_while_there_was_no_signer_leaves_the_crl() {
    let workshop = Workshop::new(KeyAlgorithm::Ed25519);
    let (authority, period) = (workshop.authority(), 7 * DAY);
    let made = now().minus(60 * DAY);
    let revoked = |n: u8, not_after| CertRevoked {
        issuer: authority.id().clone(),
        serial: serial(n),
        reason: RevocationReason::Superseded,
        at: made,
        not_after,
    };
    let (ended, lasting) = (revoked(1, made.plus(DAY)), revoked(2, now().plus(DAY)));
    for revoked in [&ended, &lasting] {
        let subject = Subject::revocation(&revoked.issuer, &revoked.serial);
        let loaded = Loaded::default();
        execute::<Revocation>(&workshop.log, &subject, loaded, revoked, &context()).await.unwrap();
    }
    let plan = CrlPlan::new(&authority, 1, made, period, [&ended, &lasting]);
    let (der, next_update) = (sign_crl(&authority, &plan).unwrap(), plan.next_update);
    let name = CrlName::whole(authority.id().clone());
    workshop.views.put_crl(&name, &Crl { der, number: 1, next_update }).await.unwrap();
    let signer = workshop.start("signer").await;
    let crl = workshop.crl_after(1).await;
    assert_eq!(workshop.listed(&crl), BTreeSet::from([serial(2)]));
    signer.stop().await;
}

#[tokio::test]
async fn a_crl_that_the_read_model_lost_is_published_again() {
    let workshop = Workshop::new(KeyAlgorithm::Ed25519);
    let published = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&published);
    let faults = Faults::new(move |port, _| match port {
        // From the second look on, nothing is there.
        Port::Crl if count.load(Ordering::Relaxed) > 0 => Fate::Forgotten,
        Port::PutCrl => {
            count.fetch_add(1, Ordering::Relaxed);
            Fate::Done
        }
        _ => Fate::Done,
    });
    let signer = workshop.start_with("signer", &Arc::new(faults)).await;
    workshop.crl_after(0).await;
    // Only time leads to the next look.
    tokio::time::pause();
    until("it is published again", async || (published.load(Ordering::Relaxed) > 1).then_some(()))
        .await;
    tokio::time::resume();
    signer.stop().await;
}

#[tokio::test]
async fn a_read_model_that_was_restored_gets_the_newest_crl_again() {
    let mut workshop = Workshop::new(KeyAlgorithm::Ed25519);
    let signer = workshop.start("signer").await;
    let first = workshop.crl_after(0).await;
    workshop.revoke(&Serial::from_random(&[1; 16])).await;
    let second = workshop.crl_after(first.number).await;
    signer.stop().await;
    workshop.views = workshop.empty_views("restored");
    let name = CrlName::whole(workshop.authority().id().clone());
    workshop.views.put_crl(&name, &first).await.unwrap();
    let signer = workshop.start("signer").await;
    assert_eq!(workshop.crl_after(first.number).await, second);
    signer.stop().await;
}
