//! CRLs: read by openssl, and never taking a revocation back.

use std::time::Duration;

use ca::{CertificateProfile, CrlPlan, KeyAlgorithm, SuccessorError, check_successor, sign_crl};
use domain::{
    CrlName, CrlShards, Serial, Timestamp,
    certificate::{CertRevoked, RevocationReason},
};

use crate::support::{
    DAY, TestCa, assert_success, dns, now, openssl, pem_of, profile, public_key, request, text,
};

fn revoked(ca: &TestCa, serial: u8, reason: RevocationReason, not_after: Timestamp) -> CertRevoked {
    CertRevoked {
        issuer: ca.authority.id().clone(),
        serial: Serial::from_random(&[serial; 16]),
        reason,
        at: now(),
        not_after,
    }
}

fn crl(ca: &TestCa, number: u64, at: Timestamp, revocations: &[CertRevoked]) -> Vec<u8> {
    let plan = CrlPlan::new(&ca.authority, number, at, DAY, revocations);
    sign_crl(&ca.authority, &plan).unwrap()
}

#[test]
fn openssl_knows_the_revoked_from_the_others() {
    for algorithm in KeyAlgorithm::ALL {
        let ca = TestCa::new(algorithm);
        let key = public_key(KeyAlgorithm::EcdsaP256);
        let (good, bad) = (ca.issue(&["a.example"], &key, 1), ca.issue(&["b.example"], &key, 2));
        let entry = revoked(&ca, 2, RevocationReason::KeyCompromise, now().plus(90 * DAY));
        let file = ca.path("crl.pem");
        std::fs::write(&file, pem_of("X509 CRL", &crl(&ca, 1, now(), &[entry]))).unwrap();
        let arguments = ["-crl_check", "-CRLfile", text(&file)];
        assert_success(&ca.verify(&good, &arguments));
        let output = ca.verify(&bad, &arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains("certificate revoked"), "{algorithm}: {errors}");
    }
}

#[test]
fn openssl_takes_a_shard_for_the_certificates_that_name_it_and_no_other() {
    let ca = TestCa::new(KeyAlgorithm::EcdsaP256);
    let key = public_key(KeyAlgorithm::EcdsaP256);
    let shards = CrlShards::try_from(4).unwrap();
    let divided = CertificateProfile { crl_shards: shards, ..profile() };
    let end = now().plus(90 * DAY);
    let revoked = [3, 7, 8].map(|serial| revoked(&ca, serial, RevocationReason::Superseded, end));
    let file = ca.path("crl.pem");
    // The third of four; certificates of an earlier base URL name it elsewhere.
    let name = CrlName::listing(ca.authority.id().clone(), &revoked[0].serial, shards);
    let urls = ["http://old.example/crl", "http://ca.example/crl"];
    let urls = urls.map(|base| format!("{base}/{name}.crl")).to_vec();
    let plan = CrlPlan::new(&ca.authority, 1, now(), DAY, &revoked).limited_to(&name, urls);
    assert_eq!(plan.entries.len(), 2);
    let shard = sign_crl(&ca.authority, &plan).unwrap();
    std::fs::write(&file, pem_of("X509 CRL", &shard)).unwrap();
    let shown = openssl(&["crl", "-noout", "-text", "-in", text(&file)]);
    assert!(shown.contains("Issuing Distribution Point: critical"), "{shown}");
    assert!(shown.contains("Only User Certificates"), "{shown}");

    let check = |profile: &CertificateProfile, serial: u8| {
        let certificate = ca.issue_as(profile, &[dns("a.example")], (&key, serial));
        ca.verify(&certificate, &["-crl_check", "-CRLfile", text(&file)])
    };
    assert_success(&check(&divided, 11));
    let earlier = CertificateProfile {
        crl_base_url: Some("http://old.example/crl".parse().unwrap()),
        ..divided.clone()
    };
    for profile in [&divided, &earlier] {
        let errors = String::from_utf8_lossy(&check(profile, 3).stderr).into_owned();
        assert!(errors.contains("certificate revoked"), "{errors}");
    }
    // A certificate of another shard, and one that names the undivided CRL.
    for (profile, serial) in [(&divided, 8), (&divided, 1), (&profile(), 3)] {
        let errors = String::from_utf8_lossy(&check(profile, serial).stderr).into_owned();
        assert!(errors.contains("different CRL scope"), "{serial}: {errors}");
    }
}

#[test]
fn a_crl_says_number_reasons_and_key() {
    let ca = TestCa::new(KeyAlgorithm::EcdsaP256);
    let end = now().plus(90 * DAY);
    let entries: Vec<CertRevoked> = RevocationReason::ALL
        .into_iter()
        .zip(1..)
        .map(|(reason, serial)| CertRevoked {
            at: now().minus(DAY),
            ..revoked(&ca, serial, reason, end)
        })
        .collect();
    let file = ca.path("crl.pem");
    std::fs::write(&file, pem_of("X509 CRL", &crl(&ca, 258, now(), &entries))).unwrap();
    let shown = openssl(&["crl", "-noout", "-text", "-in", text(&file)]);
    for part in [
        "Version 2",
        "Last Update: Sep 21 14:13:20 2026 GMT\n        Next Update: Sep 22 14:13:20 2026 GMT",
        "CRL Number: \n                258",
        "Authority Key Identifier",
        "Key Compromise",
        "Affiliation Changed",
        "Superseded",
        "Cessation Of Operation",
        "Privilege Withdrawn",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert_eq!(shown.matches("CRL Reason Code").count(), RevocationReason::ALL.len() - 1);
    let date = "Revocation Date: Sep 20 14:13:20 2026 GMT";
    for each in ["Serial Number", date] {
        assert_eq!(shown.matches(each).count(), RevocationReason::ALL.len(), "{each} in {shown}");
    }
}

#[test]
fn an_empty_crl_is_one_too() {
    let ca = TestCa::new(KeyAlgorithm::EcdsaP384);
    let certificate = ca.issue(&["a.example"], &public_key(KeyAlgorithm::EcdsaP256), 1);
    let file = ca.path("crl.pem");
    std::fs::write(&file, pem_of("X509 CRL", &crl(&ca, 1, now(), &[]))).unwrap();
    assert_success(&ca.verify(&certificate, &["-crl_check", "-CRLfile", text(&file)]));
}

#[test]
fn the_root_signs_a_crl_for_its_intermediates() {
    let ca = TestCa::new(KeyAlgorithm::EcdsaP256);
    let root = ca::CaDirectory::new(ca.dir.path(), None).open_root().unwrap();
    let plan = CrlPlan::new(&root, 1, now(), DAY, []);
    let file = ca.path("crls.pem");
    let crls = pem_of("X509 CRL", &crl(&ca, 1, now(), &[]))
        + &pem_of("X509 CRL", &sign_crl(&root, &plan).unwrap());
    std::fs::write(&file, crls).unwrap();
    let certificate = ca.issue(&["a.example"], &public_key(KeyAlgorithm::EcdsaP256), 1);
    assert_success(&ca.verify(&certificate, &["-crl_check_all", "-CRLfile", text(&file)]));
}

#[test]
fn an_entry_stays_one_period_beyond_its_certificate() {
    let ca = TestCa::new(KeyAlgorithm::Ed25519);
    let entry = revoked(&ca, 1, RevocationReason::Unspecified, now());
    let listed = |at| CrlPlan::new(&ca.authority, 1, at, DAY, [&entry]).entries.len();
    assert_eq!(listed(now()), 1);
    assert_eq!(listed(now().plus(DAY)), 1);
    assert_eq!(listed(now().plus(DAY + std::time::Duration::from_secs(1))), 0);
}

#[test]
fn revocations_of_other_issuers_are_not_listed() {
    let (ca, other) = (TestCa::new(KeyAlgorithm::Ed25519), TestCa::new(KeyAlgorithm::Ed25519));
    let entry = revoked(&other, 1, RevocationReason::Unspecified, now().plus(DAY));
    assert!(CrlPlan::new(&ca.authority, 1, now(), DAY, [&entry]).entries.is_empty());
}

#[test]
fn a_crl_that_takes_a_revocation_back_is_refused() {
    let ca = TestCa::new(KeyAlgorithm::Ed25519);
    let lasting = revoked(&ca, 1, RevocationReason::Superseded, now().plus(90 * DAY));
    let ended = revoked(&ca, 2, RevocationReason::Superseded, now());
    let both = [lasting.clone(), ended.clone()];
    let previous = crl(&ca, 1, now(), &both);
    let late = now().plus(3 * DAY);

    let next = crl(&ca, 2, late, &both);
    assert_eq!(check_successor(&previous, &next, DAY, &both), Ok(()));

    let empty = crl(&ca, 2, late, &[]);
    let lacks = |serial: &CertRevoked| Err(SuccessorError::LacksEntry(serial.serial.clone()));
    assert_eq!(check_successor(&previous, &empty, DAY, &both), lacks(&lasting));
    // Of a serial nobody knows the end of, nobody knows that it may go.
    assert_eq!(check_successor(&previous, &next, DAY, [&lasting]), lacks(&ended));
    let early = crl(&ca, 2, now().plus(DAY), std::slice::from_ref(&lasting));
    assert_eq!(check_successor(&previous, &early, DAY, &both), lacks(&ended));
}

#[test]
fn a_crl_of_any_moment_follows_the_one_that_listed_what_ended() {
    let ca = TestCa::new(KeyAlgorithm::Ed25519);
    let ended = [revoked(&ca, 1, RevocationReason::Superseded, now())];
    let previous = crl(&ca, 1, now(), &ended);
    for millis in [0, 1, 999, 1000] {
        let next = crl(&ca, 2, now().plus(DAY + Duration::from_millis(millis)), &ended);
        assert_eq!(check_successor(&previous, &next, DAY, &ended), Ok(()), "{millis} ms");
    }
}

/// How many octets the process has had at most.
fn most_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    most.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[test]
fn of_two_long_crls_that_are_compared_one_is_parsed_at_a_time() {
    const ENTRIES: usize = 30_000;
    // Both parsed at once, beside what they are made from, an entry takes 1,300.
    const MOST_OCTETS_EACH: usize = 1100;
    let ca = TestCa::new(KeyAlgorithm::Ed25519);
    let one = revoked(&ca, 1, RevocationReason::Superseded, now().plus(90 * DAY));
    let serial = |n: usize| Serial::from_random(&(n as u128).to_be_bytes());
    let each = (0..ENTRIES).map(|n| CertRevoked { serial: serial(n), ..one.clone() });
    let revocations: Vec<_> = each.collect();
    let before = most_memory();
    let (previous, next) = (crl(&ca, 1, now(), &revocations), crl(&ca, 2, now(), &revocations));
    assert_eq!(check_successor(&previous, &next, DAY, &revocations), Ok(()));
    let each = (most_memory() - before) / ENTRIES;
    assert!(each < MOST_OCTETS_EACH, "{each}");
}

#[test]
fn a_crl_out_of_order_is_refused() {
    let (ca, other) = (TestCa::new(KeyAlgorithm::Ed25519), TestCa::new(KeyAlgorithm::Ed25519));
    let previous = crl(&ca, 2, now(), &[]);
    let check = |next: &[u8]| check_successor(&previous, next, DAY, []);
    assert_eq!(check(&crl(&ca, 3, now(), &[])), Ok(()));
    assert_eq!(check(&crl(&ca, 2, now(), &[])), Err(SuccessorError::NumberNotAbove));
    assert_eq!(check(&crl(&ca, 3, now().minus(DAY), &[])), Err(SuccessorError::DatedBefore));
    assert_eq!(check(b"no crl"), Err(SuccessorError::Malformed));
    let signed = |plan: &CrlPlan| sign_crl(&ca.authority, plan).unwrap();
    let earlier = |made| CrlPlan::new(&ca.authority, 3, made, DAY, []);
    let no_shorter = |made| signed(&earlier(made).not_ending_before(now().plus(DAY), DAY));
    assert_eq!(
        check(&no_shorter(now().minus(DAY))),
        Ok(()),
        "the clock was a day ahead, or is late"
    );
    assert_eq!(check(&no_shorter(now().minus(2 * DAY))), Err(SuccessorError::DatedBefore));
    let later = earlier(now()).not_ending_before(now(), DAY);
    assert_eq!(later.next_update, now().plus(DAY), "nothing is taken from it");
    let names_differ = request("Other Issuing CA", DAY);
    let dir = ca::CaDirectory::new(other.path("second"), None);
    dir.create_root(KeyAlgorithm::Ed25519, &names_differ).unwrap();
    let root = dir.open_root().unwrap();
    let foreign = sign_crl(&root, &CrlPlan::new(&root, 3, now(), DAY, [])).unwrap();
    assert_eq!(check(&foreign), Err(SuccessorError::OtherIssuer));
}

#[test]
fn a_crl_needs_a_period() {
    let ca = TestCa::new(KeyAlgorithm::Ed25519);
    let plan = CrlPlan::new(&ca.authority, 1, now(), std::time::Duration::ZERO, []);
    assert!(sign_crl(&ca.authority, &plan).is_err());
}
