//! Hostile octets: nothing panics, nothing is slow.

use std::time::{Duration, Instant};

use acme::{
    BadPublicKey, Jws, Nonce, PublicJwk, base64url, csr::CertificateRequest, jwk::JwkError,
    jws::MAX_BODY_BYTES, revocation::PresentedCertificate,
};
use proptest::prelude::*;

use crate::{
    csr::request,
    signer::{Signer, body, header},
};

/// Generous for an unoptimised build on a busy machine; the arithmetic these inputs would cause takes seconds.
const QUICK: Duration = Duration::from_millis(50);

/// The best of three, so that a busy machine does not decide.
fn takes(work: impl Fn()) -> Duration {
    let once = || {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..3).map(|_| once()).min().unwrap()
}

/// BIND's unbounded RSA exponent, and moduli as long as a request (CVE-2023-29409).
#[test]
fn huge_rsa_numbers_are_refused_before_any_arithmetic() {
    let huge = base64url::encode(&[0xff; 40_000]);
    let normal = base64url::encode(&[0xff; 256]);
    for (n, e) in [(&huge, &"AQAB".to_owned()), (&normal, &huge), (&huge, &huge)] {
        let jwk = format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#);
        assert!(takes(|| assert!(PublicJwk::parse(&jwk).is_err())) < QUICK);
        let header = header("RS256", &format!(r#""jwk":{jwk}"#));
        let request = body(&base64url::encode(header.as_bytes()), "", "");
        assert!(takes(|| assert!(Jws::parse(&request).is_err())) < QUICK);
    }
    // As much as a JWK may hold.
    let long = base64url::encode(&[0xff; 2000]);
    let jwk = format!(r#"{{"kty":"RSA","n":"{normal}","e":"{long}"}}"#);
    let exponent = Err(JwkError::BadPublicKey(BadPublicKey::Exponent));
    assert!(takes(|| assert_eq!(PublicJwk::parse(&jwk), exponent)) < QUICK);
}

/// Splitting on dots allocated for each of them (CVE-2025-27144).
#[test]
fn a_body_of_dots_or_brackets_is_refused_at_once() {
    for octet in ["{", "[", ".", "\"", "\\", "\u{ff}", "{\"a\":", "[{\"a\":"] {
        let body = octet.repeat(MAX_BODY_BYTES / octet.len());
        assert!(takes(|| assert!(Jws::parse(body.as_bytes()).is_err())) < QUICK, "{octet}");
    }
    let dots = body(&".".repeat(8000), &".".repeat(20_000), &".".repeat(600));
    assert!(takes(|| assert!(Jws::parse(&dots).is_err())) < QUICK);
}

#[test]
fn nested_der_is_refused_at_once() {
    let mut nested = vec![];
    while nested.len() < 30_000 {
        let length = u16::try_from(nested.len()).unwrap().to_be_bytes();
        nested.splice(0..0, [0x30, 0x82, length[0], length[1]]);
    }
    assert!(takes(|| assert!(CertificateRequest::parse(&nested).is_err())) < QUICK * 4);
}

/// Changes a few octets.
fn mutated(original: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3), 1..6);
    changes.prop_map(move |changes| {
        let mut octets = original.clone();
        for (index, octet, change) in changes {
            let at = index.index(octets.len());
            match change {
                0 => octets[at] = octet,
                1 => octets.insert(at, octet),
                _ if octets.len() > 1 => drop(octets.remove(at)),
                _ => {}
            }
        }
        octets
    })
}

/// JSON objects whose members have the names we look for and values of every type.
fn jwk_like() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["kty", "crv", "x", "y", "n", "e", "d", "k", "alg"]);
    let value = prop_oneof![
        prop::sample::select(vec!["\"EC\"", "\"RSA\"", "\"OKP\"", "\"oct\"", "null", "{}", "[0]"])
            .prop_map(str::to_owned),
        prop::sample::select(vec!["\"P-256\"", "\"P-384\"", "\"P-521\"", "\"Ed25519\""])
            .prop_map(str::to_owned),
        prop::sample::select(vec![0_usize, 1, 3, 31, 32, 33, 48, 66, 255, 256, 257, 512])
            .prop_flat_map(|length| prop::collection::vec(any::<u8>(), length))
            .prop_map(|octets| format!("\"{}\"", base64url::encode(&octets))),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    prop::collection::btree_map(name, value, 0..8).prop_map(|members| {
        let members: Vec<_> =
            members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    })
}

fn verify_if_parsed(octets: &[u8], key: &PublicJwk) {
    if let Ok(jws) = Jws::parse(octets) {
        let _ = jws.verify(key);
        let _ = jws.payload_object::<acme::order::NewOrder>();
        if let acme::KeyReference::Jwk(jwk) = jws.key_reference() {
            let _ = jwk.check().map(|key| jws.verify(&key));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_requests_do_not_panic(octets in prop::collection::vec(any::<u8>(), 0..2000)) {
        verify_if_parsed(&octets, &Signer::es256().public_jwk());
    }

    #[test]
    fn mutated_requests_do_not_panic_or_verify(octets in mutated(Signer::eddsa().request("{}"))) {
        verify_if_parsed(&octets, &Signer::rs256().public_jwk());
    }

    #[test]
    fn requests_with_mutated_headers_do_not_panic(
        header in mutated(header("PS256", &format!(r#""jwk":{}"#, Signer::rs256().jwk)).into_bytes()),
    ) {
        let octets = body(&base64url::encode(&header), "e30", "AAAA");
        verify_if_parsed(&octets, &Signer::es384().public_jwk());
    }

    #[test]
    fn random_keys_do_not_panic(jwk in jwk_like()) {
        if let Ok(jwk) = PublicJwk::parse(&jwk) {
            prop_assert_eq!(PublicJwk::from_account_key(jwk.account_key()), Ok(jwk));
        }
    }

    #[test]
    fn random_csrs_do_not_panic(octets in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(CertificateRequest::parse(&octets).is_err());
        prop_assert!(PresentedCertificate::from_base64url(&base64url::encode(&octets)).is_err());
    }

    #[test]
    fn mutated_csrs_do_not_panic(
        octets in mutated(request(&["a.example", "*.b.example"], Some("a.example"))),
    ) {
        let _ = CertificateRequest::parse(&octets);
    }

    #[test]
    fn any_text_that_is_a_nonce_decodes(text in "[A-Za-z0-9_=+/-]{0,70}") {
        prop_assert_eq!(
            text.parse::<Nonce>().is_ok(),
            !text.is_empty() && base64url::decode(&text).is_ok()
        );
    }
}
