//! OCSP requests that openssl makes, and responses that it judges.

use std::{path::PathBuf, process::Command};

use ca::{KeyAlgorithm, OcspRequest, OcspResponder, OcspStatus};
use domain::{Serial, certificate::RevocationReason};

use crate::support::{DAY, NOW, TestCa, now, openssl, pem_of, public_key, text};

/// Issues a certificate under a serial, and says where it is.
fn issued(ca: &TestCa, serial: u8) -> PathBuf {
    let certificate = ca.issue(&["a.example"], &public_key(KeyAlgorithm::Ed25519), serial);
    let file = ca.path(&format!("{serial}.pem"));
    std::fs::write(&file, pem_of("CERTIFICATE", &certificate)).unwrap();
    file
}

/// What openssl asks with these options, which stand before the certificates.
fn asked(ca: &TestCa, options: &[&str], certificates: &[PathBuf]) -> OcspRequest {
    let (issuer, file) = (ca.path("intermediate.pem"), ca.path("request.der"));
    let mut arguments = vec!["ocsp", "-issuer", text(&issuer), "-reqout", text(&file)];
    for certificate in certificates {
        arguments.extend(options);
        arguments.extend(["-cert", text(certificate)]);
    }
    openssl(&arguments);
    OcspRequest::parse(&std::fs::read(file).unwrap()).unwrap()
}

#[test]
fn a_request_names_its_issuer_by_any_hash_and_no_other() {
    let (ca, other) = (TestCa::new(KeyAlgorithm::Ed25519), TestCa::new(KeyAlgorithm::Ed25519));
    let certificates = [issued(&ca, 1), issued(&ca, 2)];
    let serials = [1, 2].map(|serial| Serial::from_random(&[serial; 16]));
    for hash in ["-sha1", "-sha256", "-sha384", "-sha512"] {
        let request = asked(&ca, &[hash], &certificates);
        let found = request.serials(ca.authority.certificate());
        assert_eq!(found, [Some(&serials[0]), Some(&serials[1])], "{hash}");
        // Its name is the same, its key is not.
        assert_eq!(request.serials(other.authority.certificate()), [None, None], "{hash}");
    }
    assert!(asked(&ca, &["-nonce"], &certificates).has_nonce());
    assert!(!asked(&ca, &["-no_nonce"], &certificates).has_nonce());
}

#[test]
fn a_request_asks_about_sixteen_certificates_at_most() {
    let ca = TestCa::new(KeyAlgorithm::Ed25519);
    let certificate = issued(&ca, 1);
    let sixteen = vec![certificate.clone(); 16];
    assert_eq!(asked(&ca, &[], &sixteen).serials(ca.authority.certificate()).len(), 16);
    let (issuer, file) = (ca.path("intermediate.pem"), ca.path("more.der"));
    let mut arguments = vec!["ocsp", "-issuer", text(&issuer), "-reqout", text(&file)];
    arguments.extend([["-cert", text(&certificate)]; 17].as_flattened());
    openssl(&arguments);
    assert!(OcspRequest::parse(&std::fs::read(file).unwrap()).is_err());
}

#[test]
fn openssl_believes_the_delegated_responder() {
    let ca = TestCa::new(KeyAlgorithm::EcdsaP256);
    let certificates = [issued(&ca, 1), issued(&ca, 2), issued(&ca, 3)];
    let request = asked(&ca, &["-sha256"], &certificates);

    let serial = Serial::from_random(&[9; 16]);
    let (responder, planned) = OcspResponder::plan(&ca.authority, &serial, now(), DAY).unwrap();
    let responder = responder.with_certificate(ca.authority.issue(&planned.tbs).unwrap());
    let revoked =
        OcspStatus::Revoked { at: now().minus(DAY), reason: RevocationReason::KeyCompromise };
    let statuses = [OcspStatus::Good, revoked, OcspStatus::Unknown];
    let response = responder.respond(&request, &statuses, now(), now().plus(DAY)).unwrap();
    std::fs::write(ca.path("response.der"), response).unwrap();

    let said = judged(&ca, NOW);
    let told: Vec<&str> =
        said.lines().filter_map(|line| line.split_once("Status: ")).map(|it| it.1).collect();
    assert_eq!(told, ["successful (0x0)", "good", "revoked", "unknown"], "{said}");
    for part in [
        "Revocation Reason: keyCompromise (0x1)",
        "Revocation Time: Sep 20 14:13:20 2026 GMT",
        "Extended Key Usage: \n                OCSP Signing\n",
        // Otherwise clients ask whether the responder was revoked, and whom but the responder?
        "OCSP No Check",
    ] {
        assert!(said.contains(part), "{part:?} in {said}");
    }
    // The responder was certified this moment, and not everybody's clock is right.
    judged(&ca, NOW - 60);
}

/// What openssl says of the response at a time, after it believed it.
fn judged(ca: &TestCa, at: i64) -> String {
    let path = |name| text(&ca.path(name)).to_owned();
    let mut command = Command::new("openssl");
    command.args(["ocsp", "-attime", &at.to_string(), "-CAfile", &path("root.pem")]);
    command.args([
        "-issuer",
        &path("intermediate.pem"),
        "-verify_other",
        &path("intermediate.pem"),
    ]);
    command.args(["-reqin", &path("request.der"), "-respin", &path("response.der")]);
    command.arg("-resp_text");
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("Response verify OK"), "{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
