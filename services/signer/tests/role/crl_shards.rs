//! Divided CRLs: what certificates ever named is published for ever, from the log alone.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use ca::KeyAlgorithm;
use domain::{CrlName, CrlShards, Serial};
use futures::{StreamExt as _, stream};
use readmodel::Crl;
use tokio::time::Instant;

use crate::{
    crl::serial,
    workshop::{Workshop, until},
};

/// As many as the load test revokes.
const MANY: u64 = 10_000;
/// Far more than a debug build among other tests needs for them.
const SENSIBLE: Duration = Duration::from_secs(60);

impl Workshop {
    fn divide(&mut self, shards: u16) {
        self.config.ca.crl_shards = shards.try_into().unwrap();
    }

    /// Every CRL of a division.
    fn shards(&self, shards: u16) -> Vec<CrlName> {
        CrlName::all(self.authority().id(), shards.try_into().unwrap()).collect()
    }

    /// Waits until a CRL lists exactly what it has to of those serials.
    async fn crl_with(&self, name: &CrlName, revoked: &[Serial]) -> Arc<Crl> {
        let wanted: BTreeSet<Serial> =
            revoked.iter().filter(|serial| name.lists(serial)).cloned().collect();
        until("a crl that lists the revoked", async || {
            self.views.crl(name).await.unwrap().filter(|crl| self.listed(crl) == wanted)
        })
        .await
    }

    /// Waits until the CRLs of all these divisions list the serials.
    async fn crls_with(&self, divisions: &[u16], revoked: &[Serial]) -> Vec<Arc<Crl>> {
        let mut crls = Vec::new();
        for name in divisions.iter().flat_map(|shards| self.shards(*shards)) {
            crls.push(self.crl_with(&name, revoked).await);
        }
        crls
    }
}

fn text(crl: &Crl) -> String {
    String::from_utf8_lossy(&crl.der).into_owned()
}

#[tokio::test]
async fn a_revocation_changes_its_shard_and_the_undivided_crl_only() {
    let mut workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    workshop.divide(4);
    let signer = workshop.start("signer").await;
    let before = workshop.crls_with(&[1, 4], &[]).await;
    workshop.revoke(&serial(6)).await;
    let after = workshop.crls_with(&[1, 4], &[serial(6)]).await;
    let grown: Vec<bool> =
        before.iter().zip(&after).map(|(before, after)| after.number > before.number).collect();
    assert_eq!(grown, [true, false, false, true, false]);
    signer.stop().await;
}

#[tokio::test]
async fn what_certificates_named_under_any_setting_is_published_from_the_log_alone() {
    let mut workshop = Workshop::new(KeyAlgorithm::Ed25519);
    workshop.divide(4);
    workshop.config.ca.crl_base_url = Some("http://first.example/crl".parse().unwrap());
    let signer = workshop.start("signer").await;
    workshop.crls_with(&[1, 4], &[]).await;
    signer.stop().await;
    // Raised, lowered, elsewhere.
    workshop.divide(8);
    workshop.config.ca.crl_base_url = Some("http://second.example/crl".parse().unwrap());
    workshop.start("signer").await.stop().await;
    workshop.divide(4);
    workshop.start("signer").await.stop().await;
    workshop.divide(1);
    workshop.revoke(&serial(5)).await;
    let signer = workshop.start("signer").await;
    let (first, second) = ("http://first.example/crl/", "http://second.example/crl/");
    let crls = until("what was divided before names its new place", async || {
        let crls = workshop.crls_with(&[1, 4, 8], &[serial(5)]).await;
        crls[1..].iter().all(|crl| text(crl).contains(second)).then_some(crls)
    })
    .await;
    signer.stop().await;
    for crl in &crls[..1] {
        assert!(!text(crl).contains(".example/crl/"), "the undivided CRL has no scope");
    }
    assert!(crls[1..5].iter().all(|crl| text(crl).contains(first)));
    assert!(!crls[5..].iter().any(|crl| text(crl).contains(first)));
    // Nothing is left but the log.
    workshop.views = workshop.empty_views("views-2");
    let signer = workshop.start("another").await;
    workshop.crls_with(&[1, 4, 8], &[serial(5)]).await;
    assert!(workshop.views.crl(&workshop.shards(2)[0]).await.unwrap().is_none());
    signer.stop().await;
}

#[tokio::test]
async fn undivided_crls_leave_no_trace_in_the_log() {
    let workshop = Workshop::new(KeyAlgorithm::Ed25519);
    let signer = workshop.start("signer").await;
    workshop.crls_with(&[1], &[]).await;
    signer.stop().await;
    let stream = eventstore::Stream::Revocations;
    let last = eventstore::EventStore::last_sequence(&workshop.log, stream).await.unwrap();
    assert_eq!(last, eventstore::Sequence::NONE);
    assert_eq!(workshop.config.ca.crl_shards, CrlShards::UNDIVIDED);
}

#[tokio::test]
async fn ten_thousand_revocations_are_on_their_crls_in_a_sensible_time() {
    let mut workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    workshop.divide(16);
    let serials: Vec<Serial> = (0..MANY)
        .map(|number| {
            Serial::from_random(&(u128::from(number) << 64 | u128::from(number)).to_be_bytes())
        })
        .collect();
    let revoking = stream::iter(&serials).map(|serial| workshop.revoke(serial));
    revoking.buffer_unordered(256).collect::<()>().await;
    let started = Instant::now();
    let signer = workshop.start("signer").await;
    workshop.crls_with(&[1, 16], &serials).await;
    assert!(started.elapsed() < SENSIBLE, "{:?}", started.elapsed());
    signer.stop().await;
}
