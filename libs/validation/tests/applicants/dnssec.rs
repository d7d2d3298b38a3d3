//! DNSSEC: what a trust anchor changes.

use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use domain::{ChallengeType, FailureKind};
use hickory_resolver::proto::{
    dnssec::{
        DnssecSigner, PublicKey as _, SigningKey as _, crypto::Ed25519SigningKey, rdata::DNSKEY,
    },
    rr::{
        Name, RData, Record, RecordType,
        rdata::{NS, SOA},
    },
};

use crate::{
    dns_server::{Answer, Sections, Zone, issue, record, txt},
    scene::{NAME, Scene, TXT_VALUE, failure},
};

pub(crate) const OWNER: &str = "_acme-challenge.a.example";
const ZONE: &str = "example.";
const BELOW: &str = "below.example";

/// A signer of the zone and the trust anchor for its key.
pub(crate) fn signer() -> (DnssecSigner, String) {
    let der = Ed25519SigningKey::generate_pkcs8().unwrap();
    let key = Ed25519SigningKey::from_pkcs8(&der).unwrap();
    let public = key.to_public_key().unwrap();
    let anchor =
        format!("{ZONE} 60 IN DNSKEY 257 3 15 {}", BASE64_STANDARD.encode(public.public_bytes()));
    let dnskey = DNSKEY::from_key(&public);
    let name = Name::from_ascii(ZONE).unwrap();
    (DnssecSigner::new(dnskey, Box::new(key), name, Duration::from_secs(86_400)), anchor)
}

async fn scene(zone: Zone, anchor: String) -> Scene {
    let mut scene = Scene::new(zone.txt(OWNER, &[&[TXT_VALUE]])).await;
    scene.settings.trust_anchor = Some(anchor);
    scene
}

#[tokio::test]
async fn a_signed_answer_is_secure() {
    let (signer, anchor) = signer();
    let evidence = scene(Zone::default().signed(signer), anchor).await.dns01().await.unwrap();
    assert_eq!(evidence.dnssec.as_deref(), Some("secure"));
    assert_eq!(evidence.records.len(), 1);
}

#[tokio::test]
async fn an_answer_signed_by_another_key_is_refused() {
    let (_, anchor) = signer();
    let (other, _) = signer();
    let failure = failure(scene(Zone::default().signed(other), anchor).await.dns01().await);
    assert_eq!(failure.kind, FailureKind::Dns);
    assert!(failure.detail.contains("DNSSEC"), "{}", failure.detail);
}

#[tokio::test]
async fn an_unsigned_answer_from_a_zone_that_must_be_signed_is_refused() {
    let (_, anchor) = signer();
    let failure = failure(scene(Zone::default(), anchor).await.dns01().await);
    assert_eq!(failure.kind, FailureKind::Dns);
}

#[tokio::test]
async fn where_proof_is_required_an_answer_without_it_is_refused() {
    let unsigned = Zone::default().txt(OWNER, &[&[TXT_VALUE]]);
    let mut scene = Scene::new(unsigned).await;
    scene.dns01().await.unwrap();
    scene.settings.dnssec_required = true;
    let failure = failure(scene.dns01().await);
    assert_eq!(failure.kind, FailureKind::Dns);
    assert!(failure.detail.contains("not proven by DNSSEC"), "{}", failure.detail);
}

#[tokio::test]
async fn where_proof_is_required_a_signed_answer_is_accepted() {
    let (signer, anchor) = signer();
    let mut scene = scene(Zone::default().signed(signer), anchor).await;
    scene.settings.dnssec_required = true;
    assert_eq!(scene.dns01().await.unwrap().dnssec.as_deref(), Some("secure"));
}

/// A signed zone with an unsigned one below, which has the challenge's record.
fn unsigned_below(signer: DnssecSigner) -> Zone {
    let owner = format!("_acme-challenge.{BELOW}");
    Zone::default().signed(signer).delegated_unsigned(BELOW).txt(&owner, &[&[TXT_VALUE]])
}

#[tokio::test]
async fn a_zone_that_is_proven_to_be_unsigned_passes_unless_proof_is_required() {
    let (signer, anchor) = signer();
    let mut scene = scene(unsigned_below(signer), anchor).await;
    let evidence = scene.validate(ChallengeType::Dns01, BELOW).await.unwrap();
    assert_eq!(evidence.dnssec.as_deref(), Some("insecure"));
    scene.settings.dnssec_required = true;
    let failure = failure(scene.validate(ChallengeType::Dns01, BELOW).await);
    assert_eq!(failure.kind, FailureKind::Dns);
    assert!(failure.detail.contains("not proven by DNSSEC"), "{}", failure.detail);
}

#[tokio::test]
async fn a_name_below_no_trust_anchor_passes_unless_proof_is_required() {
    let (signer, anchor) = signer();
    let zone = Zone::default().signed(signer).txt("_acme-challenge.a.test", &[&[TXT_VALUE]]);
    let mut scene = scene(zone, anchor).await;
    let evidence = scene.validate(ChallengeType::Dns01, "a.test").await.unwrap();
    assert_eq!(evidence.dnssec, None);
    scene.settings.dnssec_required = true;
    let failure = failure(scene.validate(ChallengeType::Dns01, "a.test").await);
    assert!(failure.detail.contains("not proven by DNSSEC"), "{}", failure.detail);
}

#[tokio::test]
async fn caa_records_are_proven_like_others() {
    let (signer, anchor) = signer();
    let zone = Zone::default().signed(signer).caa("a.example", &[(0, "issue", "ca.example")]);
    let mut scene = scene(zone, anchor).await;
    scene.settings.caa_identities = vec!["ca.example".to_owned()];
    let seen = scene.dns01().await.unwrap().caa.unwrap();
    assert_eq!(seen.dnssec.as_deref(), Some("secure"));
}

#[tokio::test]
async fn the_absence_of_caa_records_must_be_proven_where_the_zone_is_signed() {
    let (signer, anchor) = signer();
    let mut scene = scene(Zone::default().signed(signer), anchor).await;
    scene.settings.caa_identities = vec!["ca.example".to_owned()];
    let failure = failure(scene.dns01().await);
    assert_eq!(failure.kind, FailureKind::Dns);
    assert!(failure.detail.contains("CAA records for a.example"), "{}", failure.detail);
}

/// Records that anybody can make up on the way: nothing signs them, and nothing has to.
fn unsigned(data: RData) -> Vec<Record> {
    vec![record(&format!("x.{BELOW}"), data)]
}

/// What begins an unsigned zone.
fn apexes() -> [RData; 2] {
    let name = Name::from_ascii(format!("ns.{BELOW}.")).unwrap();
    [RData::SOA(SOA::new(name.clone(), name.clone(), 1, 60, 60, 60, 60)), RData::NS(NS(name))]
}

#[tokio::test]
async fn an_address_that_fails_validation_is_not_hidden_by_one_that_does_not() {
    let (signer, anchor) = signer();
    let forged = vec![record(NAME, RData::AAAA("2001:db8::1".parse().unwrap()))];
    let forged = Answer::Mixed(Sections { others: forged, ..Sections::default() });
    let zone = Zone::default().signed(signer).a(NAME, "127.0.0.1");
    let mut scene = Scene::new(zone.answer(NAME, RecordType::AAAA, forged)).await;
    scene.settings.trust_anchor = Some(anchor);
    let failure = failure(scene.http01().await);
    assert_eq!(failure.kind, FailureKind::Dns, "{}", failure.detail);
    assert!(failure.detail.contains("fails DNSSEC validation"), "{}", failure.detail);
}

#[tokio::test]
async fn an_address_that_fails_validation_is_waited_for() {
    let (signer, anchor) = signer();
    let forged = vec![record(NAME, RData::AAAA("2001:db8::1".parse().unwrap()))];
    let forged = Answer::Mixed(Sections { others: forged, ..Sections::default() });
    let late = Answer::Late(Instant::now() + Duration::from_millis(1500), Box::new(forged));
    let zone = Zone::default().signed(signer).a(NAME, "127.0.0.1");
    let mut scene = Scene::new(zone.answer(NAME, RecordType::AAAA, late)).await;
    scene.settings.dns_timeout = Duration::from_secs(2);
    scene.settings.trust_anchor = Some(anchor);
    let failure = failure(scene.http01().await);
    assert!(failure.detail.contains("fails DNSSEC validation"), "{}", failure.detail);
}

#[tokio::test]
async fn an_unsigned_record_beside_the_signed_ones_proves_nothing() {
    let (signer, anchor) = signer();
    let zone = Zone::default().signed(signer).delegated_unsigned(BELOW);
    let (own, others) = (vec![txt("other")], unsigned(txt(TXT_VALUE)));
    let answer = Answer::Mixed(Sections { own, others, ..Sections::default() });
    let mut scene = Scene::new(zone.answer(OWNER, RecordType::TXT, answer)).await;
    scene.settings.trust_anchor = Some(anchor);
    let failure = failure(scene.dns01().await);
    assert_eq!(failure.kind, FailureKind::IncorrectResponse, "{}", failure.detail);
}

#[tokio::test]
async fn an_unsigned_record_beside_the_signed_ones_permits_nothing() {
    let (signer, anchor) = signer();
    let zone = Zone::default().signed(signer).delegated_unsigned(BELOW);
    let (own, others) = (vec![issue(";")], unsigned(issue("ca.example")));
    let answer = Answer::Mixed(Sections { own, others, ..Sections::default() });
    let mut scene = scene(zone.answer("a.example", RecordType::CAA, answer), anchor).await;
    scene.settings.caa_identities = vec!["ca.example".to_owned()];
    assert_eq!(failure(scene.dns01().await).kind, FailureKind::Caa);
}

#[tokio::test]
async fn the_records_of_an_unsigned_zone_deny_nothing_in_a_signed_one() {
    for apex in apexes() {
        for others in [Vec::new(), unsigned(issue("ca.example"))] {
            let (signer, anchor) = signer();
            let zone = Zone::default().signed(signer).delegated_unsigned(BELOW);
            let authorities = vec![record(BELOW, apex.clone())];
            let sections = Sections { others, authorities, ..Sections::default() };
            let answer = Answer::Mixed(sections);
            let zone = ["a.example", "example"]
                .iter()
                .fold(zone, |zone, name| zone.answer(name, RecordType::CAA, answer.clone()));
            let mut scene = scene(zone, anchor).await;
            scene.settings.caa_identities = vec!["ca.example".to_owned()];
            let failure = failure(scene.dns01().await);
            assert!(failure.detail.contains("fails DNSSEC validation"), "{}", failure.detail);
        }
    }
}

#[tokio::test]
async fn the_records_of_an_unsigned_zone_deny_what_is_in_it() {
    let (signer, anchor) = signer();
    let [start, _] = apexes();
    let authorities = vec![record(BELOW, start)];
    let answer = Answer::Mixed(Sections { authorities, ..Sections::default() });
    let zone = unsigned_below(signer).answer(BELOW, RecordType::CAA, answer);
    let zone = zone.caa("example", &[(0, "issue", "ca.example")]);
    let mut scene = scene(zone, anchor).await;
    scene.settings.caa_identities = vec!["ca.example".to_owned()];
    let evidence = scene.validate(ChallengeType::Dns01, BELOW).await.unwrap();
    assert_eq!(evidence.caa.unwrap().found_at.as_deref(), Some("example"));
}

#[tokio::test]
async fn without_a_trust_anchor_signatures_are_ignored() {
    let (signer, _) = signer();
    let scene = Scene::new(Zone::default().signed(signer).txt(OWNER, &[&[TXT_VALUE]])).await;
    assert_eq!(scene.dns01().await.unwrap().dnssec, None);
}
