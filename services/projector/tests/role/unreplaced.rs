//! Certificates that end soon and were not replaced.

use std::{sync::Arc, time::Duration};

use domain::{
    Identifier, IssuerId, Timestamp,
    certificate::{
        CertRevoked, CertificateSigned, LedgerEvent, RevocationEvent, RevocationReason,
        SerialReserved,
    },
};
use eventstore::{
    Actor, Context, Envelope, EventStore as _, Expected, MessageId, Sequence, Subject,
};
use projector::{Unreplaced, watch_unreplaced};
use runtime::Metrics;
use tokio_util::sync::CancellationToken;

use crate::scene::{Scene, serial, until};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const METRIC: &str = "certmill_certificates_unreplaced{profile=\"web\"}";

/// So many days before now.
fn ago(days: u32) -> Timestamp {
    Timestamp::from(time::OffsetDateTime::now_utc()).minus(days * DAY)
}

fn issuer() -> IssuerId {
    IssuerId::from_hash(&[1; 32])
}

impl Scene {
    async fn store(&self, subject: &Subject, envelope: &Envelope) -> Sequence {
        self.log.append(subject, Expected::Anything, envelope).await.unwrap()
    }

    /// Puts a certificate that was issued so many days ago, for so many days, into the ledger.
    async fn certify(&self, n: u32, name: &str, (days_ago, validity): (u32, u32)) {
        let (issued_at, not_after) = (ago(days_ago), ago(days_ago).plus(validity * DAY));
        let profile = Some("web".parse().unwrap());
        let reserved = LedgerEvent::SerialReserved(SerialReserved {
            issuer: issuer(),
            serial: serial(n),
            order: None,
            account: None,
            profile: profile.clone(),
            identifiers: vec![Identifier::Dns(name.parse().unwrap())],
            tbs: String::new(),
            not_before: issued_at,
            not_after,
        });
        let signed = LedgerEvent::CertificateSigned(CertificateSigned {
            issuer: issuer(),
            serial: serial(n),
            order: None,
            account: None,
            profile,
            certificate: String::new(),
            chain: vec![],
            alternates: vec![],
            not_after,
        });
        let subject = Subject::ledger(&issuer(), &serial(n));
        for event in [reserved, signed] {
            let envelope = Envelope::new(MessageId::random(), &at(issued_at), &[event]).unwrap();
            self.store(&subject, &envelope).await;
        }
    }

    async fn revoke(&self, n: u32) {
        let revoked = RevocationEvent::CertRevoked(CertRevoked {
            issuer: issuer(),
            serial: serial(n),
            reason: RevocationReason::CessationOfOperation,
            at: ago(0),
            not_after: ago(0).plus(90 * DAY),
        });
        let envelope = Envelope::new(MessageId::random(), &at(ago(0)), &[revoked]).unwrap();
        self.store(&Subject::revocation(&issuer(), &serial(n)), &envelope).await;
    }

    /// Waits until somebody who begins to look now counts as many.
    async fn counts(&self, expected: u32) {
        let which = Unreplaced { within: 7 * DAY, longest_validity: 90 * DAY };
        let stop = CancellationToken::new();
        let watching =
            tokio::spawn(watch_unreplaced(Arc::new(self.log.clone()), which, stop.clone()));
        let metrics = Metrics::install().unwrap();
        until(&format!("{expected} unreplaced"), async || {
            let shown = metrics.render();
            shown.contains(&format!("{METRIC} {expected}\n")).then_some(())
        })
        .await;
        stop.cancel();
        watching.await.unwrap();
    }
}

fn at(at: Timestamp) -> Context {
    Context { actor: Actor::Signer, request_id: None, traceparent: None, at }
}

#[tokio::test]
async fn certificates_that_end_soon_are_counted_by_whoever_starts_to_look() {
    Metrics::install().unwrap();
    let scene = Scene::new();
    // More than a page, and half of it older than any certificate that may still be valid.
    for n in 0..300 {
        scene.certify(n, "old.test", (700 - n, 90)).await;
    }
    // It would be counted if it were looked at: nobody issued for so long.
    scene.certify(1000, "forgotten.test", (500, 505)).await;
    scene.certify(1001, "long.test", (390, 395)).await;
    scene.certify(1002, "a.test", (85, 90)).await;
    scene.certify(1003, "b.test", (85, 90)).await;
    scene.certify(1004, "young.test", (10, 90)).await;
    scene.counts(3).await;
    scene.certify(1005, "a.test", (1, 90)).await;
    scene.counts(2).await;
    scene.revoke(1003).await;
    scene.counts(1).await;
}
