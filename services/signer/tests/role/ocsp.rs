//! Answers to OCSP requests, of which none waits for another.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU8, Ordering},
};

use ca::{Authority, KeyAlgorithm};
use eventstore::{Calls as _, LocalCalls, Sequence, Service, Stream};
use futures::future::join_all;
use ring::digest::{SHA256, digest};
use runtime::config::Issuer;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use crate::{
    faults::{Fate, Faults, Port},
    workshop::{Running, Workshop, until},
};

const SEQUENCE: u8 = 0x30;
const OCTETS: u8 = 0x04;
/// The DER of an AlgorithmIdentifier for SHA-256.
const BY_SHA256: [u8; 13] = [SEQUENCE, 11, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
}

/// What is asked about a serial of an issuer.
fn question(issuer: &Authority, serial: u8) -> Vec<u8> {
    let (_, issuer) = X509Certificate::from_der(issuer.certificate().der()).unwrap();
    let hash = |of: &[u8]| der(OCTETS, digest(&SHA256, of).as_ref());
    let (name, key) = (issuer.subject().as_raw(), &issuer.public_key().subject_public_key.data);
    let id = [&BY_SHA256[..], &hash(name), &hash(key), &der(2, &[serial; 16])].concat();
    (0..5).fold(id, |content, _| der(SEQUENCE, &content))
}

/// Has one call of a port hang for ever.
#[derive(Clone, Default)]
struct Hanging(Arc<AtomicBool>);

impl Hanging {
    /// Hangs the next call that is meant.
    fn hangs(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_hanging(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }

    fn plan(&self, is_meant: fn(Port, &str) -> bool) -> Arc<Faults> {
        let next = self.clone();
        Arc::new(Faults::new(move |port, key: &str| {
            match is_meant(port, key) && next.0.swap(false, Ordering::Relaxed) {
                true => Fate::Slow(u32::MAX),
                false => Fate::Done,
            }
        }))
    }
}

/// A signer that answers.
async fn serve(workshop: &Workshop, faults: Arc<Faults>) -> (Running, Arc<LocalCalls>) {
    let ports = workshop.ports(&faults);
    let calls = Arc::clone(&ports.calls);
    let running = Running::start(workshop.open("signer", &ports).await.unwrap());
    until("the signer serves", async || calls.call(Service::Ocsp, vec![]).await.ok()).await;
    (running, calls)
}

/// More than are answered at once.
const MANY: u8 = 40;
/// What is signed is longer.
const MOST_OF_A_REFUSAL: usize = 20;

#[tokio::test]
async fn an_issuer_whose_responder_is_long_in_coming_keeps_no_other_waiting() {
    let mut workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let second = workshop.add_issuer("second", KeyAlgorithm::EcdsaP256);
    workshop.config.ca.ocsp = true;
    workshop.config.ca.issuer.push(Issuer {
        name: "second".parse().unwrap(),
        key_source: None,
        key_label: None,
        key_type: None,
        intermediate_name: None,
        intermediate_validity: None,
        ocsp: None,
        issuer_url: None,
    });
    let next = Hanging::default();
    let (running, calls) =
        serve(&workshop, next.plan(|port, key| port == Port::Append && key == "ledger")).await;

    workshop.views.mark_complete(Stream::Ledger, Sequence(100)).await.unwrap();
    let first = workshop.authority();
    next.hangs();
    let ask = |serial| calls.call(Service::Ocsp, question(&first, serial));
    let (hung, answered) = tokio::join!(join_all((1..=MANY).map(ask)), async {
        until("the first hangs", async || next.is_hanging().then_some(())).await;
        calls.call(Service::Ocsp, question(&second, 1)).await
    });
    assert!(hung.iter().any(Result::is_err));
    assert!(answered.unwrap().len() > MOST_OF_A_REFUSAL);
    running.kill().await;
}

#[tokio::test]
async fn a_request_that_hangs_keeps_no_other_waiting() {
    let mut workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    workshop.config.ca.ocsp = true;
    let next = Hanging::default();
    let (running, calls) =
        serve(&workshop, next.plan(|port, key| port == Port::Read && key == "revocations")).await;

    let issuer = workshop.authority();
    next.hangs();
    let (hung, answered) = tokio::join!(calls.call(Service::Ocsp, question(&issuer, 1)), async {
        until("the first hangs", async || next.is_hanging().then_some(())).await;
        calls.call(Service::Ocsp, question(&issuer, 2)).await
    });
    assert!(hung.is_err());
    answered.unwrap();
    running.kill().await;
}

/// Lets all be done, and counts what is asked of a port about a key.
fn counting(of: Port, about: &'static str) -> (Arc<Faults>, Arc<AtomicU8>) {
    let asked = Arc::new(AtomicU8::new(0));
    let counted = Arc::clone(&asked);
    let faults = Faults::new(move |port, key: &str| {
        counted.fetch_add(u8::from(port == of && key == about), Ordering::Relaxed);
        Fate::Done
    });
    (Arc::new(faults), asked)
}

#[tokio::test]
async fn what_there_is_not_is_unknown_also_while_the_index_follows_the_ledger() {
    let mut workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    workshop.config.ca.ocsp = true;
    let (faults, asked_for_its_end) = counting(Port::LastSequence, "ledger");
    let (running, calls) = serve(&workshop, faults).await;
    let issuer = workshop.authority();

    // Nobody has indexed the responder's own certificate.
    asked_for_its_end.store(0, Ordering::Relaxed);
    let ask = |serial| calls.call(Service::Ocsp, question(&issuer, serial));
    let (answers, ()) = tokio::join!(join_all((1..=MANY).map(ask)), async {
        let all = async || (asked_for_its_end.load(Ordering::Relaxed) >= MANY).then_some(());
        until("all are looked at", all).await;
        workshop.views.mark_complete(Stream::Ledger, Sequence(100)).await.unwrap();
    });
    assert!(answers.iter().flatten().all(|answer| answer.len() > MOST_OF_A_REFUSAL));
    running.kill().await;
}

#[tokio::test]
async fn whoever_waits_for_the_index_asks_the_log_once() {
    let mut workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    workshop.config.ca.ocsp = true;
    let (faults, read) = counting(Port::Read, "revocations");
    let (running, calls) = serve(&workshop, faults).await;

    // Nobody ever indexes the responder's own certificate.
    read.store(0, Ordering::Relaxed);
    let answer = calls.call(Service::Ocsp, question(&workshop.authority(), 1)).await.unwrap();
    assert!(answer.len() < MOST_OF_A_REFUSAL);
    assert_eq!(read.load(Ordering::Relaxed), 1);
    running.kill().await;
}
