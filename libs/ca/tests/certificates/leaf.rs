//! What leaf certificates say, and which are refused.

use std::time::Duration;

use ca::{
    CertificateProfile, ExtendedKeyUsage, IssueError, KeyAlgorithm, LeafRequest, PlanError,
    SubjectName, SubjectRule, plan,
};
use domain::{Serial, Timestamp};
use rcgen::{CertificateParams, CustomExtension, Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use crate::support::{
    DAY, TestCa, assert_success, dns, leaf_request, now, openssl, pem_of, profile, public_key, text,
};

fn serial() -> Serial {
    Serial::from_random(&[7; 16])
}

/// Given an Ed25519 CA that lasts 1825 days, when this is asked for, then it is refused with `Validity` or planned so.
fn check_validity(change: impl Fn(&mut LeafRequest<'_>), expected: Option<(Timestamp, Timestamp)>) {
    let ca = TestCa::new(KeyAlgorithm::Ed25519);
    let (names, key, serial) = ([dns("a.example")], public_key(KeyAlgorithm::Ed25519), serial());
    let mut request = leaf_request(&names, &key, &serial);
    change(&mut request);
    let planned = plan(&ca.authority, &profile(), &request);
    match (planned, expected) {
        (Ok(planned), expected) => {
            assert_eq!(Some((planned.not_before, planned.not_after)), expected);
        }
        (Err(PlanError::Validity), None) => {}
        (Err(error), _) => panic!("{error}"),
    }
}

#[test]
fn a_leaf_says_what_the_profile_and_the_order_say() {
    let ca = TestCa::new(KeyAlgorithm::EcdsaP256);
    let usages = [
        (KeyAlgorithm::EcdsaP256, "Digital Signature\n"),
        (KeyAlgorithm::Ed25519, "Digital Signature\n"),
        (KeyAlgorithm::Rsa, "Digital Signature, Key Encipherment\n"),
    ];
    for (kind, usage) in usages {
        let certificate = ca.issue(&["B.Example", "*.a.example"], &public_key(kind), 0xab);
        let file = ca.path("shown.pem");
        std::fs::write(&file, pem_of("CERTIFICATE", &certificate)).unwrap();
        let shown = openssl(&["x509", "-noout", "-text", "-in", text(&file)]);
        let crl = format!("URI:http://ca.example/crl/{}.crl", ca.authority.id());
        for part in [
            "Alternative Name: critical\n                DNS:b.example, DNS:*.a.example\n",
            "Subject: \n",
            "Basic Constraints: critical\n                CA:FALSE",
            "Extended Key Usage: \n                TLS Web Server Authentication\n",
            &format!("Key Usage: critical\n                {usage}"),
            "Subject Key Identifier",
            "Authority Key Identifier",
            "CA Issuers - URI:http://ca.example/issuer.crt",
            &crl,
            "01:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab:ab",
        ] {
            assert!(shown.contains(part), "{part:?} in {shown}");
        }
    }
}

#[test]
fn a_hundred_names_are_certified_in_order() {
    let ca = TestCa::new(KeyAlgorithm::EcdsaP256);
    let names: Vec<String> = (0..100).map(|n| format!("host-{n}.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let certificate = ca.issue(&names, &public_key(KeyAlgorithm::EcdsaP256), 1);
    assert_success(&ca.verify(&certificate, &["-verify_hostname", "host-99.example"]));
}

#[test]
fn planning_twice_gives_the_same_bytes() {
    let ca = TestCa::new(KeyAlgorithm::EcdsaP256);
    let (names, key, serial) = ([dns("a.example")], public_key(KeyAlgorithm::Rsa), serial());
    let request = leaf_request(&names, &key, &serial);
    let plan = || plan(&ca.authority, &profile(), &request).unwrap();
    assert_eq!(plan(), plan());
}

#[test]
fn a_lost_signature_is_made_again_by_deterministic_keys() {
    for algorithm in KeyAlgorithm::ALL {
        let ca = TestCa::new(algorithm);
        let (names, key, serial) = ([dns("a.example")], public_key(KeyAlgorithm::Rsa), serial());
        let tbs =
            plan(&ca.authority, &profile(), &leaf_request(&names, &key, &serial)).unwrap().tbs;
        let same = ca.authority.issue(&tbs).unwrap() == ca.authority.issue(&tbs).unwrap();
        assert_eq!(same, ca.authority.key().is_deterministic(), "{algorithm}");
    }
}

#[test]
fn validity_is_the_profiles_unless_the_order_asks_for_less() {
    let hour = Duration::from_hours(1);
    let start = now().minus(hour);
    let end = start.plus(90 * DAY).minus(Duration::from_secs(1));
    check_validity(|_| {}, Some((start, end)));
    check_validity(
        |request| request.now = now().plus(Duration::from_millis(999)),
        Some((start, end)),
    );
    check_validity(
        |request| request.not_after = Some(now().plus(DAY)),
        Some((start, now().plus(DAY))),
    );
    let later = now().plus(DAY);
    let its_end = later.plus(90 * DAY).minus(Duration::from_secs(1));
    check_validity(|request| request.not_before = Some(later), Some((later, its_end)));
    // An end beyond what the backdating leaves takes from the backdating.
    let second = Duration::from_secs(1);
    let last = now().plus(90 * DAY).minus(second);
    check_validity(|request| request.not_after = Some(last), Some((now(), last)));
    check_validity(
        |request| request.not_after = Some(last.plus(second)),
        Some((now().plus(second), last.plus(second))),
    );
}

#[test]
fn a_start_that_was_granted_is_kept_however_long_the_order_waited() {
    let end = now().plus(90 * DAY).minus(Duration::from_secs(1));
    for (hours, expected) in [(0, Some((now(), end))), (1, Some((now(), end))), (2, None)] {
        check_validity(
            |request| {
                request.not_before = Some(now());
                request.asked_at = now().plus(Duration::from_hours(hours));
                request.now = now().plus(20 * DAY);
            },
            expected,
        );
    }
}

#[test]
fn validity_that_cannot_be_given_is_refused() {
    let second = Duration::from_secs(1);
    check_validity(|request| request.not_before = Some(now().minus(2 * DAY)), None);
    check_validity(|request| request.not_after = Some(now().plus(91 * DAY)), None);
    check_validity(|request| request.not_after = Some(now().minus(second)), None);
    check_validity(
        |request| {
            request.not_before = Some(now().plus(DAY));
            request.not_after = Some(now().plus(DAY).minus(second));
        },
        None,
    );
}

#[test]
fn no_leaf_outlives_its_issuer() {
    let ca = TestCa::with_validity(KeyAlgorithm::Ed25519, 30 * DAY);
    let end = ca.authority.certificate().not_after();
    let (names, key, serial) = ([dns("a.example")], public_key(KeyAlgorithm::Ed25519), serial());
    let mut request = leaf_request(&names, &key, &serial);
    let planned = plan(&ca.authority, &profile(), &request).unwrap();
    assert_eq!(planned.not_after, end);
    assert_success(&ca.verify(&ca.authority.issue(&planned.tbs).unwrap(), &[]));

    request.not_after = Some(end.plus(Duration::from_secs(1)));
    let refused = plan(&ca.authority, &profile(), &request);
    assert!(matches!(refused, Err(PlanError::BeyondIssuer { end: told }) if told == end));

    request.not_after = None;
    request.not_before = Some(end.plus(Duration::from_secs(1)));
    let refused = plan(&ca.authority, &profile(), &request);
    assert!(matches!(refused, Err(PlanError::BeyondIssuer { .. })));

    request.not_before = None;
    request.now = end.plus(Duration::from_secs(1));
    let refused = plan(&ca.authority, &profile(), &request);
    assert!(matches!(refused, Err(PlanError::IssuerNotValid)));
}

#[test]
fn that_the_issuer_is_not_valid_yet_is_said_of_the_issuer() {
    let ca = TestCa::new(KeyAlgorithm::Ed25519);
    let (names, key, serial) = ([dns("a.example")], public_key(KeyAlgorithm::Ed25519), serial());
    let begin = ca.authority.certificate().not_before();
    let planned = |now: Timestamp| {
        let request = leaf_request(&names, &key, &serial);
        plan(&ca.authority, &profile(), &LeafRequest { asked_at: now, now, ..request })
    };
    let early = planned(begin.minus(DAY));
    assert!(matches!(early, Err(PlanError::IssuerNotValid)), "{early:?}");
    assert_eq!(planned(begin).unwrap().not_before, begin);
}

#[test]
fn bytes_planned_for_another_authority_are_not_signed() {
    let (ca, other) = (TestCa::new(KeyAlgorithm::Ed25519), TestCa::new(KeyAlgorithm::EcdsaP256));
    let (names, key, serial) = ([dns("a.example")], public_key(KeyAlgorithm::Ed25519), serial());
    let planned = plan(&other.authority, &profile(), &leaf_request(&names, &key, &serial)).unwrap();
    assert_eq!(ca.authority.issue(&planned.tbs), Err(IssueError::OtherIssuer));
    assert_eq!(ca.authority.issue(b"anything"), Err(IssueError::Malformed));
}

/// What somebody else could put in place of planned bytes: each value is the content of one basicConstraints extension.
fn foreign_bytes(ca: &TestCa, values: &[&[u8]], usages: &[KeyUsagePurpose]) -> Vec<u8> {
    let issuer = ca.authority.certificate().der().into();
    let stranger = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let issuer = Issuer::from_ca_cert_der(&issuer, &stranger).unwrap();
    let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    params.not_before = now().to_offset_date_time();
    params.not_after = now().plus(DAY).to_offset_date_time();
    params.key_usages = usages.to_vec();
    let extension =
        |value: &&[u8]| CustomExtension::from_oid_content(&[2, 5, 29, 19], value.to_vec());
    params.custom_extensions = values.iter().map(extension).collect();
    let certificate = params.signed_by(&stranger, &issuer).unwrap();
    let (_, parsed) = X509Certificate::from_der(certificate.der()).unwrap();
    parsed.tbs_certificate.as_ref().to_vec()
}

#[test]
fn bytes_that_could_be_taken_for_a_ca_are_not_signed() {
    const NO: &[u8] = &[0x30, 0];
    const YES: &[u8] = &[0x30, 3, 1, 1, 0xff];
    // BER, which OpenSSL reads as well.
    const BER: &[u8] = &[0x30, 3, 1, 1, 1];
    let ca = TestCa::new(KeyAlgorithm::Ed25519);
    let leaf = [KeyUsagePurpose::DigitalSignature];
    let issue = |values: &[&[u8]], usages: &[KeyUsagePurpose]| {
        ca.authority.issue(&foreign_bytes(&ca, values, usages)).map(drop)
    };
    assert_eq!(issue(&[NO], &leaf), Ok(()));
    for values in [&[][..], &[YES], &[BER], &[NO, YES], &[YES, NO], &[YES, YES]] {
        assert_eq!(issue(values, &leaf), Err(IssueError::IsCa), "{values:?}");
    }
    for usage in [KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign] {
        assert_eq!(issue(&[NO], &[usage]), Err(IssueError::IsCa), "{usage:?}");
    }
}

#[test]
fn a_certificate_of_a_ca_with_the_same_name_or_key_is_not_ours() {
    let (ca, other) = (TestCa::new(KeyAlgorithm::Ed25519), TestCa::new(KeyAlgorithm::Ed25519));
    let certificate = ca.issue(&["a.example"], &public_key(KeyAlgorithm::Ed25519), 1);
    assert!(ca.authority.is_issuer_of(&certificate));
    assert!(!other.authority.is_issuer_of(&certificate));
    let mut forged = certificate;
    *forged.last_mut().unwrap() ^= 1;
    assert!(!ca.authority.is_issuer_of(&forged));
    assert!(!ca.authority.is_issuer_of(b""));
}

#[test]
fn names_that_are_none_or_repeated_are_refused() {
    let ca = TestCa::new(KeyAlgorithm::Ed25519);
    let (key, serial) = (public_key(KeyAlgorithm::Ed25519), serial());
    let many: Vec<SubjectName> = (0..1001).map(|n| dns(&format!("h{n}.example"))).collect();
    for names in [vec![], vec![dns("a.example"), dns("A.example")], many] {
        let refused = plan(&ca.authority, &profile(), &leaf_request(&names, &key, &serial));
        assert!(matches!(refused, Err(PlanError::Names)));
    }
}

#[test]
fn a_weak_key_is_not_certified() {
    let ca = TestCa::new(KeyAlgorithm::Ed25519);
    let (names, serial) = ([dns("a.example")], serial());
    let refused = plan(&ca.authority, &profile(), &leaf_request(&names, b"no key", &serial));
    assert!(matches!(refused, Err(PlanError::PublicKey(_))));
}

#[test]
fn a_certificate_of_our_own_server_names_localhost_and_addresses() {
    let ca = TestCa::new(KeyAlgorithm::EcdsaP256);
    let (key, serial) = (public_key(KeyAlgorithm::EcdsaP256), serial());
    let names: Vec<SubjectName> =
        ["localhost", "127.0.0.1", "::1"].map(|name| name.parse().unwrap()).into();
    let request = leaf_request(&names, &key, &serial);
    let planned = plan(&ca.authority, &CertificateProfile::default(), &request).unwrap();
    let certificate = ca.authority.issue(&planned.tbs).unwrap();
    assert_success(&ca.verify(&certificate, &["-verify_hostname", "localhost"]));
    assert_success(&ca.verify(&certificate, &["-verify_ip", "::1"]));
}

/// Given names and a common name asked for, when a certificate is planned by a rule, then it has this common name.
fn check_subject(rule: SubjectRule, names: &[&str], asked: Option<&str>, expected: Option<&str>) {
    let ca = TestCa::new(KeyAlgorithm::Ed25519);
    let names: Vec<SubjectName> = names.iter().map(|name| dns(name)).collect();
    let (key, serial) = (public_key(KeyAlgorithm::Ed25519), serial());
    let request = LeafRequest { common_name: asked, ..leaf_request(&names, &key, &serial) };
    let profile = CertificateProfile { subject: rule, ..profile() };
    let planned = plan(&ca.authority, &profile, &request).unwrap();
    let certificate = ca.authority.issue(&planned.tbs).unwrap();
    let file = ca.path("subject.pem");
    std::fs::write(&file, pem_of("CERTIFICATE", &certificate)).unwrap();
    let shown = openssl(&["x509", "-noout", "-subject", "-nameopt", "RFC2253", "-in", text(&file)]);
    let expected = expected.map(|name| format!("CN={name}")).unwrap_or_default();
    assert_eq!(shown.trim_end(), format!("subject={expected}"));
    assert_success(&ca.verify(&certificate, &[]));
}

#[test]
fn the_subject_follows_the_profiles_rule() {
    use SubjectRule::{AsRequested, Empty, FirstName};
    let long = format!("{}.example", "a".repeat(60));
    let names = ["b.example", "a.example"];
    check_subject(Empty, &names, Some("a.example"), None);
    check_subject(FirstName, &names, Some("a.example"), Some("b.example"));
    check_subject(FirstName, &[&long, "a.example"], None, None);
    check_subject(AsRequested, &names, Some("a.example"), Some("a.example"));
    check_subject(AsRequested, &names, Some("c.example"), None);
    check_subject(AsRequested, &names, None, None);
    check_subject(AsRequested, &[&long], Some(&long), None);
}

#[test]
fn every_extended_key_usage_of_the_profile_stands_in_the_certificate() {
    let ca = TestCa::new(KeyAlgorithm::Ed25519);
    let (names, key, serial) = ([dns("a.example")], public_key(KeyAlgorithm::Ed25519), serial());
    let usages = vec![
        ExtendedKeyUsage::ServerAuth,
        ExtendedKeyUsage::ClientAuth,
        ExtendedKeyUsage::CodeSigning,
        ExtendedKeyUsage::EmailProtection,
        ExtendedKeyUsage::IpsecIke,
    ];
    let profile = CertificateProfile { extended_key_usages: usages, ..profile() };
    let planned = plan(&ca.authority, &profile, &leaf_request(&names, &key, &serial)).unwrap();
    let file = ca.path("usages.pem");
    let certificate = ca.authority.issue(&planned.tbs).unwrap();
    std::fs::write(&file, pem_of("CERTIFICATE", &certificate)).unwrap();
    let shown = openssl(&["x509", "-noout", "-ext", "extendedKeyUsage", "-in", text(&file)]);
    assert!(
        shown.contains(
            "TLS Web Server Authentication, TLS Web Client Authentication, Code Signing, \
             E-mail Protection, ipsec Internet Key Exchange"
        ),
        "{shown}"
    );
}
