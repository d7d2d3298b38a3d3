//! Account keys: which are accepted, and their thumbprints.

use acme::{BadPublicKey, PublicJwk, base64url, jwk::JwkError};
use domain::AccountKey;

use crate::signer::Signer;

/// The example of RFC 7638 §3.1.
const RFC_7638_N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

fn refused(json: &str) -> JwkError {
    PublicJwk::parse(json).unwrap_err()
}

fn bad(reason: BadPublicKey) -> JwkError {
    JwkError::BadPublicKey(reason)
}

/// A JWK with members put in front of its own.
fn with(extra: &str, jwk: &str) -> String {
    format!("{{{extra},{}", jwk.strip_prefix('{').unwrap())
}

#[test]
fn thumbprints_are_those_of_the_rfcs() {
    let rsa = format!(
        r#"{{"kty":"RSA","n":"{RFC_7638_N}","e":"AQAB","alg":"RS256","kid":"2011-04-29"}}"#
    );
    let jwk = PublicJwk::parse(&rsa).unwrap();
    assert_eq!(jwk.thumbprint().as_str(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    let canonical = format!(r#"{{"e":"AQAB","kty":"RSA","n":"{RFC_7638_N}"}}"#);
    assert_eq!(jwk.account_key().jwk, canonical);
    // RFC 8037 appendix A.3.
    let ed25519 =
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let jwk = PublicJwk::parse(ed25519).unwrap();
    assert_eq!(jwk.thumbprint().as_str(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn the_thumbprint_is_the_hash_of_the_canonical_form() {
    for signer in Signer::all() {
        let jwk = signer.public_jwk();
        let hash = ring::digest::digest(&ring::digest::SHA256, jwk.account_key().jwk.as_bytes());
        assert_eq!(jwk.thumbprint().as_str(), base64url::encode(hash.as_ref()));
    }
}

#[test]
fn a_key_survives_being_stored() {
    for signer in Signer::all() {
        let jwk = signer.public_jwk();
        assert_eq!(PublicJwk::from_account_key(jwk.account_key()), Ok(jwk));
    }
    let thumbprint = Signer::es256().public_jwk().thumbprint().clone();
    let damaged = AccountKey { jwk: "{}".into(), thumbprint };
    assert_eq!(PublicJwk::from_account_key(&damaged), Err(JwkError::Malformed));
}

#[test]
fn leading_zeros_of_rsa_numbers_do_not_make_another_key() {
    let n = base64url::decode(RFC_7638_N).unwrap();
    let padded = base64url::encode(&[&[0, 0], &n[..]].concat());
    let jwk = PublicJwk::parse(&format!(r#"{{"kty":"RSA","n":"{padded}","e":"AAAAAQAB"}}"#));
    assert_eq!(jwk.unwrap().thumbprint().as_str(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

/// biscuit accepts all of these.
#[test]
fn private_keys_are_refused() {
    for signer in Signer::all() {
        for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            for value in [r#""AQAB""#, "null", "[]"] {
                let json = with(&format!(r#""{name}":{value}"#), &signer.jwk);
                assert_eq!(refused(&json), bad(BadPublicKey::Private), "{json}");
            }
        }
    }
    assert_eq!(refused(r#"{"kty":"oct","k":"AQAB"}"#), bad(BadPublicKey::Private));
}

/// biscuit accepts P-521, and Ed25519 as the curve of an EC key.
#[test]
fn other_key_types_and_curves_are_refused() {
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let long = base64url::encode(&[1; 66]);
    for json in [
        format!(r#"{{"kty":"EC","crv":"P-521","x":"{long}","y":"{long}"}}"#),
        format!(r#"{{"kty":"EC","crv":"Ed25519","x":"{x}","y":"{x}"}}"#),
        format!(r#"{{"kty":"OKP","crv":"P-256","x":"{x}","y":"{x}"}}"#),
        format!(r#"{{"kty":"OKP","crv":"Ed448","x":"{x}"}}"#),
        format!(r#"{{"kty":"OKP","crv":"X25519","x":"{x}"}}"#),
        format!(r#"{{"kty":"EC","crv":"secp256k1","x":"{x}","y":"{x}"}}"#),
        format!(r#"{{"kty":"EC","x":"{x}","y":"{x}"}}"#),
        format!(r#"{{"kty":"RSA","crv":"P-256","n":"{RFC_7638_N}","e":"AQAB"}}"#),
        r#"{"kty":"oct"}"#.to_owned(),
        r#"{"kty":"AKP"}"#.to_owned(),
    ] {
        assert_eq!(refused(&json), bad(BadPublicKey::Unsupported), "{json}");
    }
}

#[test]
fn coordinates_have_their_full_length_and_lie_on_the_curve() {
    let coordinate = |length| base64url::encode(&vec![1; length]);
    let ec = |curve: &str, x: usize, y: usize| {
        let (x, y) = (coordinate(x), coordinate(y));
        refused(&format!(r#"{{"kty":"EC","crv":"{curve}","x":"{x}","y":"{y}"}}"#))
    };
    assert_eq!(ec("P-256", 32, 32), bad(BadPublicKey::NotOnCurve));
    assert_eq!(ec("P-384", 48, 48), bad(BadPublicKey::NotOnCurve));
    for (x, y) in [(31, 33), (33, 31), (31, 32), (0, 64), (48, 48), (33, 32)] {
        assert_eq!(ec("P-256", x, y), bad(BadPublicKey::Length));
    }
    let no_y = format!(r#"{{"kty":"EC","crv":"P-256","x":"{}"}}"#, coordinate(32));
    assert_eq!(refused(&no_y), bad(BadPublicKey::Length));
    let short = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#, coordinate(31));
    assert_eq!(refused(&short), bad(BadPublicKey::Length));
}

#[test]
fn weak_rsa_keys_are_refused() {
    let rsa = |n: &[u8], e: &[u8]| {
        let (n, e) = (base64url::encode(n), base64url::encode(e));
        refused(&format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#))
    };
    let good = base64url::decode(RFC_7638_N).unwrap();
    assert_eq!(rsa(&good[..128], &[1, 0, 1]), bad(BadPublicKey::ModulusSize));
    assert_eq!(rsa(&[], &[1, 0, 1]), bad(BadPublicKey::ModulusSize));
    assert_eq!(rsa(&good, &[3]), bad(BadPublicKey::Exponent));
    assert_eq!(rsa(&good, &[]), bad(BadPublicKey::Exponent));
    assert_eq!(rsa(&[0xff; 256], &[1, 0, 1]), bad(BadPublicKey::SmallFactor));
}

#[test]
fn what_is_no_jwk_is_malformed() {
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    for json in [
        String::new(),
        "[]".to_owned(),
        "{}".to_owned(),
        r#"{"kty":7}"#.to_owned(),
        format!(r#"{{"kty":"OKP","kty":"OKP","crv":"Ed25519","x":"{x}"}}"#),
        format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}="}}"#),
        format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","pad":"{}"}}"#, "A".repeat(5000)),
        r#"{"kty":"OKP","crv":"Ed25519","x":["AA"]}"#.to_owned(),
    ] {
        assert_eq!(refused(&json), JwkError::Malformed, "{json}");
    }
}

#[test]
fn members_that_say_nothing_about_the_key_are_ignored() {
    let signer = Signer::es256();
    let extra = r#""use":"enc","key_ops":["verify"],"alg":"unknown","kid":"1","x5c":[],"ext":true"#;
    assert_eq!(PublicJwk::parse(&with(extra, &signer.jwk)), Ok(signer.public_jwk()));
}
