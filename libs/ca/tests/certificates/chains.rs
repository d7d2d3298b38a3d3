//! Chains of every kind of CA key and leaf key.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use ca::{
    Authority, AuthorityError, CaCertificate, CaDirectory, CaDirectoryError, CaProfileError,
    CaRequest, ChainError, CrlPlan, ExtendedKeyUsage, KeyAlgorithm, LeafRequest, PlanError, plan,
    sign_crl,
};
use domain::{Serial, Timestamp};
use tempfile::TempDir;

use crate::support::{
    DAY, TestCa, assert_success, dns, leaf_request, openssl, pem_of, private_key, profile,
    public_key, request, text,
};

fn check_ca(algorithm: KeyAlgorithm) {
    let ca = TestCa::new(algorithm);
    for (leaf, serial) in KeyAlgorithm::ALL.into_iter().zip(1..) {
        let certificate = ca.issue(&["host.example", "*.host.example"], &public_key(leaf), serial);
        assert_success(&ca.verify(&certificate, &["-verify_hostname", "host.example"]));
        assert_success(&ca.verify(&certificate, &["-verify_hostname", "any.host.example"]));
        let other = ca.verify(&certificate, &["-verify_hostname", "other.example"]);
        assert!(!other.status.success(), "{algorithm} {leaf}");
    }
}

#[test]
fn a_p256_ca_certifies_every_kind_of_key() {
    check_ca(KeyAlgorithm::EcdsaP256);
}

#[test]
fn a_p384_ca_certifies_every_kind_of_key() {
    check_ca(KeyAlgorithm::EcdsaP384);
}

#[test]
fn an_ed25519_ca_certifies_every_kind_of_key() {
    check_ca(KeyAlgorithm::Ed25519);
}

#[test]
fn an_rsa_ca_certifies_every_kind_of_key() {
    check_ca(KeyAlgorithm::Rsa);
}

#[test]
fn ca_certificates_say_what_they_must() {
    let ca = TestCa::new(KeyAlgorithm::EcdsaP256);
    let shown = |file: &str| openssl(&["x509", "-noout", "-text", "-in", text(&ca.path(file))]);
    let (root, intermediate) = (shown("root.pem"), shown("intermediate.pem"));
    for certificate in [&root, &intermediate] {
        assert!(
            certificate
                .contains("X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign")
        );
        assert!(certificate.contains("X509v3 Subject Key Identifier"));
        assert!(certificate.contains("X509v3 Authority Key Identifier"));
    }
    assert!(root.contains("X509v3 Basic Constraints: critical\n                CA:TRUE\n"));
    assert!(
        intermediate.contains("Basic Constraints: critical\n                CA:TRUE, pathlen:0")
    );
    // A leaf may claim any policy below it (RFC 5280 §6.1.3 (d)).
    let any = "Certificate Policies: \n                Policy: X509v3 Any Policy\n";
    assert!(intermediate.contains(any), "{intermediate}");
    assert!(root.contains("Subject: C = DE, O = Example, CN = Test Root"));
}

#[test]
fn years_have_two_digits_until_2049_and_four_from_then_on() {
    let dir = tempfile::tempdir().unwrap();
    let ca = CaDirectory::new(dir.path(), None);
    let validity = Duration::from_hours(30 * 365 * 24);
    ca.create_root(KeyAlgorithm::EcdsaP256, &request("Root", validity)).unwrap();
    let shown = openssl(&["asn1parse", "-in", text(&dir.path().join("root.pem"))]);
    let dates = shown.lines().filter(|line| line.contains("TIME "));
    let dates: Vec<&str> =
        dates.filter_map(|line| line.split_once("prim: ")).map(|it| it.1).collect();
    let [start, end] = dates[..] else { panic!("{shown}") };
    assert!(start.starts_with("UTCTIME           :26"), "{start}");
    assert!(end.starts_with("GENERALIZEDTIME   :2056"), "{end}");
}

#[test]
fn an_intermediate_is_for_servers_and_clients_and_what_was_asked() {
    use ExtendedKeyUsage::{ClientAuth, CodeSigning, EmailProtection, IpsecIke, ServerAuth};
    let is_for = |authority: &Authority| {
        ExtendedKeyUsage::ALL.into_iter().filter(|usage| authority.is_for(*usage)).collect()
    };
    for (asked, expected) in [
        (vec![], vec![ServerAuth, ClientAuth]),
        (vec![IpsecIke, ServerAuth], vec![ServerAuth, ClientAuth, IpsecIke]),
        (
            vec![CodeSigning, EmailProtection],
            vec![ServerAuth, ClientAuth, CodeSigning, EmailProtection],
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let ca = CaDirectory::new(dir.path(), None);
        let algorithm = KeyAlgorithm::EcdsaP256;
        let root = ca.create_root(algorithm, &request("Root", DAY)).unwrap();
        assert_eq!(is_for(&root), ExtendedKeyUsage::ALL.to_vec());
        let asked = CaRequest { extended_key_usages: asked, ..request("Issuing", DAY) };
        let made: Vec<_> = is_for(&ca.create_intermediate(algorithm, &asked).unwrap());
        assert_eq!(made, expected);
    }
}

/// A CA that waits for the certificate of its intermediate, and its request in csr.pem.
fn requested() -> (TempDir, CaDirectory) {
    let dir = tempfile::tempdir().unwrap();
    let ca = CaDirectory::new(dir.path(), None);
    let asked = request("Offline Issuing CA", DAY);
    let csr = ca.request_intermediate(KeyAlgorithm::EcdsaP256, &asked).unwrap();
    std::fs::write(dir.path().join("csr.pem"), &csr).unwrap();
    (dir, ca)
}

#[test]
fn an_offline_root_signs_our_request() {
    let (dir, ca) = requested();
    let path = |name: &str| dir.path().join(name);
    let shown = openssl(&["req", "-verify", "-noout", "-text", "-in", text(&path("csr.pem"))]);
    assert!(shown.contains("CA:TRUE, pathlen:0"), "{shown}");

    sign_offline(dir.path(), &["-sha256"], "keyCertSign,cRLSign");
    let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
    let today = today();
    let authority = ca.install(&(read("offline.pem") + &read("signed.pem")), today).unwrap();
    assert_eq!(authority.chain().count(), 1);
    assert_eq!(ca.open().unwrap().id(), authority.id());

    let (names, key) = ([dns("a.example")], public_key(KeyAlgorithm::EcdsaP256));
    let serial = Serial::from_random(&[1; 16]);
    let leaf = LeafRequest { now: today, ..leaf_request(&names, &key, &serial) };
    let planned = plan(&authority, &profile(), &leaf).unwrap();
    let certificate = authority.issue(&planned.tbs).unwrap();
    let crl = sign_crl(&authority, &CrlPlan::new(&authority, 1, today, DAY, [])).unwrap();
    std::fs::write(path("crl.pem"), pem_of("X509 CRL", &crl)).unwrap();
    let ca = TestCa { dir, authority };
    let crl = ca.path("crl.pem");
    let today = today.unix_seconds().to_string();
    let arguments = ["-attime", today.as_str(), "-crl_check", "-CRLfile", text(&crl)];
    assert_success(&ca.verify(&certificate, &arguments));
}

#[test]
fn what_an_offline_root_signed_with_sha1_or_without_crls_is_not_installed() {
    let (dir, ca) = requested();
    let path = |name: &str| dir.path().join(name);
    let install = |digest, usage| {
        sign_offline(dir.path(), &[digest], usage);
        let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
        let Err(CaDirectoryError::Authority(refused)) =
            ca.install(&(read("signed.pem") + &read("offline.pem")), today())
        else {
            panic!("it was installed")
        };
        refused
    };
    // A signature that is not accepted is as none, so that there is no root.
    let sha1 = install("-sha1", "keyCertSign,cRLSign");
    let AuthorityError::Chain(why @ ChainError::NoRoot) = sha1 else { panic!("{sha1:?}") };
    assert!(why.to_string().contains("not with SHA-1"), "{why}");
    let no_crls = install("-sha256", "keyCertSign");
    assert!(matches!(no_crls, AuthorityError::NoCrlSigning), "{no_crls:?}");
}

#[test]
fn no_leaf_outlives_the_root_above_its_issuer() {
    let (dir, ca) = requested();
    let path = |name: &str| dir.path().join(name);
    let install = |root: &str| {
        let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
        ca.install(&(read("signed.pem") + &read(root)), today()).unwrap()
    };
    sign_offline(dir.path(), &["-sha256"], "keyCertSign,cRLSign");
    let (key, short) = (path("offline.key"), path("short.pem"));
    let mut arguments = vec!["req", "-x509", "-key", text(&key), "-out", text(&short)];
    arguments.extend(["-days", "30", "-subj", "/O=Offline/CN=Offline Root"]);
    openssl(&[&arguments[..], &["-addext", "keyUsage=critical,keyCertSign,cRLSign"]].concat());

    let authority = install("short.pem");
    let end = authority.not_after();
    let root = CaCertificate::from_der(authority.roots().next().unwrap()).unwrap();
    assert_eq!(end, root.not_after());
    assert!(end < authority.certificate().not_after());
    let (names, key) = ([dns("a.example")], public_key(KeyAlgorithm::EcdsaP256));
    let serial = Serial::from_random(&[1; 16]);
    let mut leaf = LeafRequest { now: today(), ..leaf_request(&names, &key, &serial) };
    assert_eq!(plan(&authority, &profile(), &leaf).unwrap().not_after, end);
    leaf.not_after = Some(end.plus(DAY));
    let refused = plan(&authority, &profile(), &leaf);
    assert!(matches!(refused, Err(PlanError::BeyondIssuer { end: told }) if told == end));
    (leaf.now, leaf.not_after) = (end.plus(DAY), None);
    let refused = plan(&authority, &profile(), &leaf);
    assert!(matches!(refused, Err(PlanError::AboveNotValid)), "{refused:?}");

    // The root is renewed: whoever trusts the new one verifies for longer.
    let renewed = install("offline.pem");
    assert_eq!(renewed.not_after(), renewed.certificate().not_after());
    plan(&renewed, &profile(), &leaf).unwrap();
}

#[test]
fn a_chain_is_named_by_its_root() {
    let ca = TestCa::new(KeyAlgorithm::EcdsaP256);
    let [chain] = ca.authority.chains() else { panic!("there are others") };
    assert_eq!(chain.root_name(), "Test Root");
    assert_eq!(chain.certificates().count(), 1);
    assert_eq!(chain.not_after(), Some(ca.authority.certificate().not_after()));
}

#[test]
fn an_alternate_chain_that_does_not_hold_is_told_with_its_file() {
    let ca = TestCa::new(KeyAlgorithm::EcdsaP256);
    let file = ca.path("alternates/cross.pem");
    std::fs::create_dir(ca.path("alternates")).unwrap();
    let root = std::fs::read_to_string(ca.path("root.pem")).unwrap();
    for (contents, expected) in
        [("text", "cannot be read"), (&(root.clone() + &root), "cannot be used")]
    {
        std::fs::write(&file, contents).unwrap();
        let directory = CaDirectory::new(ca.dir.path(), None);
        for refused in [directory.open().unwrap_err(), directory.root_names().unwrap_err()] {
            let said = refused.to_string();
            assert!(said.contains(text(&file)) && said.ends_with(expected), "{said}");
        }
    }
}

#[test]
fn only_a_root_that_is_valid_now_signs_an_intermediate() {
    let ca = TestCa::new(KeyAlgorithm::EcdsaP256);
    let root = CaDirectory::new(ca.dir.path(), None).open_root().unwrap();
    let (begin, end) = (root.certificate().not_before(), root.certificate().not_after());
    let second = Duration::from_secs(1);
    for (now, expected) in
        [(begin.minus(second), false), (begin, true), (end.minus(second), true), (end, false)]
    {
        let dir = tempfile::tempdir().unwrap();
        let below = CaDirectory::new(dir.path(), None);
        let asked = CaRequest { now, ..request("Test Issuing CA", DAY) };
        let made = below.create_intermediate_below(&root, KeyAlgorithm::EcdsaP256, &asked);
        let refused = matches!(made, Err(CaDirectoryError::Profile(CaProfileError::RootNotValid)));
        assert_eq!((made.is_ok(), refused), (expected, !expected), "{now}");
    }
}

fn today() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_unix_seconds(0).plus(since_1970)
}

/// Makes an RSA root with openssl, `offline.pem`, that signs `csr.pem` as `signed.pem` for a use.
fn sign_offline(dir: &Path, digest: &[&str], usage: &str) {
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    std::fs::write(path("offline.key"), private_key(KeyAlgorithm::Rsa)).unwrap();
    // openssl derives key identifiers from SHA-1, we from SHA-256: leaves and CRLs have to follow the certificate.
    let extensions = format!(
        "subjectKeyIdentifier=hash\nbasicConstraints=critical,CA:TRUE,pathlen:0\n\
         keyUsage=critical,{usage}\nauthorityKeyIdentifier=keyid\n"
    );
    std::fs::write(path("extensions"), extensions).unwrap();
    let (key, root) = (path("offline.key"), path("offline.pem"));
    let subject = "/O=Offline/CN=Offline Root";
    let usage = "keyUsage=critical,keyCertSign,cRLSign";
    let mut arguments = vec!["req", "-x509", "-key", &key, "-out", &root, "-days", "3650"];
    arguments.extend(["-subj", subject, "-addext", usage]);
    openssl(&arguments);
    let (csr, signed, extensions) = (path("csr.pem"), path("signed.pem"), path("extensions"));
    let mut arguments = vec!["x509", "-req", "-in", &csr, "-out", &signed, "-days", "1000"];
    arguments.extend(["-CA", &root, "-CAkey", &key, "-extfile", &extensions]);
    arguments.extend(digest);
    openssl(&arguments);
}
