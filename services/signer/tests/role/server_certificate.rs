//! The server's own certificate: obtained, kept, and made anew.

use std::{
    fs,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use ca::{Authority, CertificateProfile, KeyAlgorithm, LeafRequest};
use domain::{Serial, Timestamp};
use rcgen::{KeyPair, PublicKeyData as _};
use signer::ServerCertificate;
use tokio::time::timeout;
use x509_parser::{
    certificate::X509Certificate, oid_registry::OID_PKIX_AUTHORITY_INFO_ACCESS, pem::Pem,
    prelude::FromDer as _,
};

use crate::{
    audit::names,
    faults::{Fate, Faults, Port},
    workshop::{PATIENCE, Running, Workshop, now},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Making one takes fewer steps than this.
const MOST_STEPS: u64 = 20;

async fn obtain(workshop: &Workshop) -> Arc<ServerCertificate> {
    let ports = workshop.ports(&Arc::new(Faults::none()));
    let signer = workshop.open("signer", &ports).await.unwrap();
    let certificate = signer.server_certificate().await.unwrap();
    let certificate = certificate.borrow().clone();
    drop(signer);
    certificate
}

/// It is for the configured name and its own key, from that CA, and complete up to the root.
fn check(workshop: &Workshop, certificate: &ServerCertificate, authority: &Authority) {
    let pem = certificate.chain_pem.as_bytes();
    let chain: Vec<Vec<u8>> = Pem::iter_from_buffer(pem).map(|pem| pem.unwrap().contents).collect();
    assert_eq!(chain[1..], [authority.certificate().der()]);
    assert!(authority.is_issuer_of(&chain[0]));
    let (_, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
    assert_eq!(names(&leaf.tbs_certificate), [workshop.config.api.base_url.host()]);
    let key = KeyPair::from_pem(&certificate.key_pem).unwrap();
    assert_eq!(leaf.public_key().raw, key.subject_public_key_info());
}

#[tokio::test]
async fn the_servers_certificate_is_kept_over_a_restart() {
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let first = obtain(&workshop).await;
    check(&workshop, &first, &workshop.authority());
    assert_eq!(obtain(&workshop).await, first);
    let audit = workshop.audit().await;
    let recorded: Vec<_> = audit.for_no_order();
    assert_eq!(recorded.len(), 1, "it is in the ledger like any other");
    workshop.check_journal(&audit, "signer");
}

#[tokio::test]
async fn a_server_that_is_called_otherwise_gets_another_certificate() {
    let mut workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let first = obtain(&workshop).await;
    workshop.config.api.base_url = "https://acme.example.org".parse().unwrap();
    assert_ne!(obtain(&workshop).await, first);
}

#[tokio::test]
async fn a_certificate_of_another_ca_is_replaced() {
    let mut workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let first = obtain(&workshop).await;
    workshop.replace_ca(KeyAlgorithm::Ed25519);
    let second = obtain(&workshop).await;
    assert_ne!(second, first);
    check(&workshop, &second, &workshop.authority());
}

#[tokio::test]
async fn the_servers_chain_leads_to_the_root_that_its_ca_is_below_by_now() {
    let mut workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let first = obtain(&workshop).await;
    workshop.move_ca_below_another_root();
    let second = obtain(&workshop).await;
    assert_ne!(second, first);
    check(&workshop, &second, &workshop.authority());
    assert_eq!(obtain(&workshop).await, second, "it is kept");
}

#[tokio::test]
async fn another_issuer_certifies_the_server_once_the_default_ca_has_ended() {
    let mut workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    workshop.config.ca.issuer_url = Some("http://ca.example/issuing.crt".parse().unwrap());
    let other = workshop.add_issuer("other", KeyAlgorithm::EcdsaP384);
    let first = obtain(&workshop).await;
    check(&workshop, &first, &workshop.authority());
    workshop.end_ca();
    let second = obtain(&workshop).await;
    check(&workshop, &second, &other);
    assert!(
        is_ca_issuers_told(&first) && !is_ca_issuers_told(&second),
        "it is that of the default"
    );
    assert_eq!(obtain(&workshop).await, second, "it is kept");
    let below = workshop.add_issuer_below("below");
    let third = obtain(&workshop).await;
    check(&workshop, &third, &below);
}

fn is_ca_issuers_told(certificate: &ServerCertificate) -> bool {
    let leaf = Pem::iter_from_buffer(certificate.chain_pem.as_bytes()).next().unwrap().unwrap();
    let leaf = leaf.parse_x509().unwrap();
    leaf.get_extension_unique(&OID_PKIX_AUTHORITY_INFO_ACCESS).unwrap().is_some()
}

#[tokio::test]
async fn a_certificate_without_its_key_is_replaced() {
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let first = obtain(&workshop).await;
    let other = KeyPair::generate().unwrap().serialize_pem();
    fs::write(workshop.data_dir("signer").join("tls").join("server.key"), other).unwrap();
    assert_ne!(obtain(&workshop).await, first);
}

#[tokio::test]
async fn a_certificate_is_replaced_when_a_third_of_its_life_is_left() {
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    for (days, is_kept) in [(19, true), (21, false)] {
        let aged = kept(&workshop, now().minus(DAY * days));
        assert_eq!(*obtain(&workshop).await == aged, is_kept, "{days} days");
    }
}

#[tokio::test]
async fn a_certificate_that_was_revoked_is_replaced() {
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let first = obtain(&workshop).await;
    workshop.revoke(&serial(&first)).await;
    let second = obtain(&workshop).await;
    assert_ne!(second, first);

    let signer = workshop.open("signer", &workshop.ports(&Arc::new(Faults::none()))).await.unwrap();
    let mut shown = signer.server_certificate().await.unwrap();
    assert_eq!(*shown.borrow_and_update(), second);
    let running = Running::start(signer);
    workshop.revoke(&serial(&second)).await;
    timeout(PATIENCE, shown.changed()).await.expect("a running server notices").unwrap();
    let third = shown.borrow().clone();
    check(&workshop, &third, &workshop.authority());
    assert_ne!(third.key_pem, second.key_pem);
    running.stop().await;
}

fn serial(certificate: &ServerCertificate) -> Serial {
    let leaf = Pem::iter_from_buffer(certificate.chain_pem.as_bytes()).next().unwrap().unwrap();
    Serial::from_octets(leaf.parse_x509().unwrap().raw_serial()).unwrap()
}

#[tokio::test]
async fn a_certificate_that_was_made_while_the_clock_was_ahead_is_replaced() {
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let early = kept(&workshop, now().plus(DAY));
    assert_ne!(*obtain(&workshop).await, early);
}

/// A certificate for thirty days that was made at a time, where the signer keeps its own.
fn kept(workshop: &Workshop, made: Timestamp) -> ServerCertificate {
    let certificate = made_at(workshop, made);
    let dir = workshop.data_dir("signer").join("tls");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("server.key"), &certificate.key_pem).unwrap();
    fs::write(dir.join("server.pem"), &certificate.chain_pem).unwrap();
    certificate
}

fn made_at(workshop: &Workshop, made: Timestamp) -> ServerCertificate {
    let key = KeyPair::generate().unwrap();
    let authority = workshop.authority();
    let request = LeafRequest {
        common_name: None,
        names: &[workshop.config.api.base_url.host().parse().unwrap()],
        public_key: &key.subject_public_key_info(),
        not_before: None,
        not_after: None,
        asked_at: made,
        now: made,
        serial: &Serial::from_random(&[5; 16]),
    };
    let profile = CertificateProfile { validity: DAY * 30, ..CertificateProfile::default() };
    let planned = ca::plan(&authority, &profile, &request).unwrap();
    let leaf = authority.issue(&planned.tbs).unwrap();
    let chain = [leaf.as_slice(), authority.certificate().der()];
    let encode = |der: &&[u8]| {
        let text = BASE64_STANDARD.encode(der);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    };
    let chain_pem = chain.iter().map(encode).collect();
    ServerCertificate { chain_pem, key_pem: key.serialize_pem() }
}

#[tokio::test]
async fn a_certificate_in_the_ledger_is_not_given_up_because_the_index_is_out_of_reach() {
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let faults = Faults::new(|port, _| match port {
        Port::PutIndex => Fate::Lost,
        _ => Fate::Done,
    });
    let signer = workshop.open("signer", &workshop.ports(&Arc::new(faults))).await.unwrap();
    let obtained = signer.server_certificate().await;
    check(&workshop, &obtained.unwrap().borrow().clone(), &workshop.authority());
    drop(signer);
    let audit = workshop.audit().await;
    workshop.check_journal(&audit, "signer");
}

#[tokio::test]
async fn a_crash_at_any_step_leaves_no_serial_unsettled() {
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    for fate in [Fate::Crash, Fate::CrashAfter, Fate::Lost, Fate::ReplyLost] {
        for step in 1.. {
            assert!(step < MOST_STEPS, "the steps come to an end");
            let _ = fs::remove_dir_all(workshop.data_dir("signer").join("tls"));
            let (faults, steps) = Faults::at(step, fate);
            let faults = Arc::new(faults);
            let signer = workshop.open("signer", &workshop.ports(&faults)).await.unwrap();
            tokio::select! {
                obtained = signer.server_certificate() => drop(obtained),
                () = faults.crashed() => {}
            }
            drop(signer);
            obtain(&workshop).await;
            let audit = workshop.audit().await;
            workshop.check_journal(&audit, "signer");
            if steps.load(Ordering::Relaxed) < step {
                break;
            }
        }
    }
}
