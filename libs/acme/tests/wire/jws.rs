//! Signed requests: RFC 8555 §6.2 to §6.5.

use acme::{
    Jws, KeyReference, SignatureAlgorithm,
    account::NewAccount,
    base64url,
    jws::{BadSignature, InnerJws, JwsErrorReason, MAX_BODY_BYTES},
};

use crate::signer::{Signer, body, header};

const KID: &str = r#""kid":"https://ca.example/acme/account/1""#;

fn reason(body: &[u8]) -> JwsErrorReason {
    Jws::parse(body).unwrap_err().reason
}

fn is_malformed(body: &[u8]) -> bool {
    matches!(reason(body), JwsErrorReason::Malformed(_))
}

#[test]
fn every_algorithm_verifies_its_own_signatures_only() {
    for signer in Signer::all() {
        let jws = Jws::parse(&signer.request(r#"{"contact":[]}"#)).unwrap();
        let key = signer.public_jwk();
        assert_eq!(jws.verify(&key), Ok(()), "{}", signer.alg);
        assert_eq!(jws.algorithm().name(), signer.alg);
        let KeyReference::Jwk(jwk) = jws.key_reference() else { panic!("a jwk was sent") };
        assert_eq!(jwk.check(), Ok(key));
        let other = Signer::all().into_iter().find(|other| other.jwk != signer.jwk).unwrap();
        assert!(jws.verify(&other.public_jwk()).is_err());
    }
}

/// biscuit panics when an RSA key meets ES256, and when an Ed25519 key meets anything.
#[test]
fn an_algorithm_of_another_kind_of_key_is_refused_without_a_panic() {
    for signer in Signer::all() {
        let key = signer.public_jwk();
        for algorithm in SignatureAlgorithm::ALL {
            let verified = algorithm.verify(key.public_key(), b"message", &signer.sign(b"message"));
            let rsa = ["RS256", "PS256"];
            let same = algorithm.name() == signer.alg;
            let both_rsa = rsa.contains(&algorithm.name()) && rsa.contains(&signer.alg);
            let expected = match (same, both_rsa) {
                (true, _) => Ok(()),
                (false, true) => Err(BadSignature::Signature),
                (false, false) => Err(BadSignature::Algorithm),
            };
            assert_eq!(verified, expected, "{} with a key for {}", algorithm.name(), signer.alg);
        }
    }
}

#[test]
fn a_signature_covers_header_and_payload() {
    for signer in Signer::all() {
        let good = signer.request("{}");
        let other = signer.request(r#"{"a":1}"#);
        let text = |body: &[u8], member: &str| {
            let json: serde_json::Value = serde_json::from_slice(body).unwrap();
            json[member].as_str().unwrap().to_owned()
        };
        let swapped =
            body(&text(&good, "protected"), &text(&other, "payload"), &text(&good, "signature"));
        let jws = Jws::parse(&swapped).unwrap();
        assert_eq!(jws.verify(&signer.public_jwk()), Err(BadSignature::Signature));
        let unsigned = body(&text(&good, "protected"), &text(&good, "payload"), "");
        let jws = Jws::parse(&unsigned).unwrap();
        assert_eq!(jws.verify(&signer.public_jwk()), Err(BadSignature::Signature));
    }
}

#[test]
fn ecdsa_signatures_of_zeros_are_refused() {
    for signer in [Signer::es256(), Signer::es384()] {
        let algorithm = SignatureAlgorithm::from_name(signer.alg).unwrap();
        for length in [0, 1, 64, 96, 128] {
            let zeros = vec![0; length];
            let verified = algorithm.verify(signer.public_jwk().public_key(), b"m", &zeros);
            assert_eq!(verified, Err(BadSignature::Signature));
        }
    }
}

#[test]
fn what_was_signed_is_shown() {
    let jws = Signer::es256().request_with_header(&header("ES256", KID), "");
    let jws = Jws::parse(&jws).unwrap();
    assert_eq!(jws.nonce().as_str(), "AAAA");
    assert_eq!(jws.url(), "https://ca.example/acme/new-account");
    let kid = "https://ca.example/acme/account/1".to_owned();
    assert_eq!(*jws.key_reference(), KeyReference::Kid(kid));
    assert!(jws.is_post_as_get());
    let jws = Jws::parse(&Signer::es256().request("{}")).unwrap();
    assert!(!jws.is_post_as_get());
    assert_eq!(jws.payload(), b"{}");
}

#[test]
fn an_inner_jws_is_verified_by_the_key_it_brings_along() {
    for signer in Signer::all() {
        let header = format!(r#"{{"alg":"{}","url":"u","jwk":{}}}"#, signer.alg, signer.jwk);
        let inner = |signer: &Signer| {
            InnerJws::parse(&signer.request_with_header(&header, r#"{"a":1}"#)).unwrap()
        };
        let jws = inner(&signer);
        let key = jws.jwk().check().unwrap();
        assert_eq!(key, signer.public_jwk());
        assert_eq!(jws.verify(&key), Ok(()), "{}", signer.alg);
        assert_eq!((jws.url(), jws.payload()), ("u", br#"{"a":1}"#.as_slice()));
        let forged = inner(&Signer::es256());
        assert_eq!(forged.verify(&key), Err(BadSignature::Signature), "{}", signer.alg);
    }
}

#[test]
fn only_a_flattened_jws_with_one_signature_is_read() {
    let protected = base64url::encode(header("ES256", KID).as_bytes());
    let good = format!(r#""protected":"{protected}","payload":"","signature":"AAAA""#);
    assert!(Jws::parse(format!("{{{good}}}").as_bytes()).is_ok());
    assert!(Jws::parse(format!(r#"{{"other":[1],{good}}}"#).as_bytes()).is_ok());
    for bad in [
        format!(r#"{{"header":{{}},{good}}}"#),
        format!(r#"{{"header":null,{good}}}"#),
        format!(r#"{{"signatures":[],{good}}}"#),
        format!(r#"{{"payload":"",{good}}}"#),
        format!(r#"{{"other":1,"other":1,{good}}}"#),
        format!(r#"{{"protected":"{protected}","signature":"AAAA"}}"#),
        format!(r#"{{"protected":"{protected}","payload":null,"signature":"AAAA"}}"#),
        format!(r#"{{"protected":"{protected}","payload":"","signature":"AAA="}}"#),
        format!(r#"{{"protected":"{protected}","payload":"e30=","signature":"AAAA"}}"#),
        format!(r#"{{"protected":"{protected}=","payload":"","signature":"AAAA"}}"#),
        format!(r#"{{"protected":"{protected}","payload":"A B","signature":"AAAA"}}"#),
        format!(r#"{{"protected":"{protected}","payload":"","signature":"{}"}}"#, "A".repeat(684)),
        format!("[{{{good}}}]"),
        format!("{{{good}}} {{}}"),
        format!("{protected}..AAAA"),
        String::new(),
    ] {
        assert!(is_malformed(bad.as_bytes()), "{bad}");
    }
}

#[test]
fn headers_that_change_what_is_signed_are_refused() {
    for extra in [r#""crit":["b64"],"b64":false"#, r#""crit":["x"],"x":1"#, r#""b64":true"#] {
        let signer = Signer::es256();
        let header = header("ES256", &format!("{KID},{extra}"));
        assert!(is_malformed(&signer.request_with_header(&header, "{}")), "{extra}");
    }
}

#[test]
fn repeated_header_members_are_refused() {
    for extra in [r#""nonce":"BBBB""#, r#""url":"x""#, r#""alg":"ES256""#, r#""x":1,"x":2"#] {
        let header = header("ES256", &format!("{KID},{extra}"));
        assert!(is_malformed(&body(&base64url::encode(header.as_bytes()), "", "")), "{extra}");
    }
}

#[test]
fn either_kid_or_jwk_is_needed() {
    let jwk = format!(r#""jwk":{}"#, Signer::es256().jwk);
    for key in [format!("{KID},{jwk}"), r#""x":1"#.to_owned()] {
        let protected = base64url::encode(header("ES256", &key).as_bytes());
        assert_eq!(reason(&body(&protected, "", "")), JwsErrorReason::KeyReference);
    }
    for key in [r#""jwk":"x""#, r#""jwk":null"#, r#""jwk":{}"#, r#""kid":1"#, r#""jwk":{"kty":1}"#]
    {
        let protected = base64url::encode(header("ES256", key).as_bytes());
        assert!(is_malformed(&body(&protected, "", "")), "{key}");
    }
}

#[test]
fn an_unsupported_algorithm_is_told_apart_and_still_shows_the_nonce() {
    for alg in ["none", "HS256", "ES512", "RS384", "RS512", "PS512", "es256", "", "Ed448"] {
        let protected = base64url::encode(header(alg, KID).as_bytes());
        let error = Jws::parse(&body(&protected, "", "")).unwrap_err();
        assert_eq!(error.reason, JwsErrorReason::UnsupportedAlgorithm, "{alg}");
        assert_eq!(error.nonce.unwrap().as_str(), "AAAA");
    }
}

#[test]
fn what_is_no_jws_shows_its_nonce_all_the_same() {
    let protected = base64url::encode(header("ES256", KID).as_bytes());
    let nonce = |body: &[u8]| Jws::parse(body).unwrap_err().nonce;
    for spoiled in [body(&protected, "e30=", ""), body(&protected, "", "*")] {
        assert_eq!(nonce(&spoiled).unwrap().as_str(), "AAAA");
    }
    let protected = format!(r#""protected":"{protected}""#);
    for rest in ["", r#","payload":7"#, r#","payload":"","signature":"","header":{}"#] {
        assert_eq!(nonce(format!("{{{protected}{rest}}}").as_bytes()).unwrap().as_str(), "AAAA");
    }
    // Which of two, nobody can say.
    assert_eq!(nonce(format!("{{{protected},{protected}}}").as_bytes()), None);
    let long = format!(r#"{{{protected},"payload":"{}"}}"#, "A".repeat(70_000));
    assert_eq!(nonce(long.as_bytes()), None);
}

#[test]
fn an_absent_nonce_and_a_malformed_one_are_told_apart() {
    let request = |nonce: &str| {
        let header = format!(r#"{{"alg":"ES256",{nonce}"url":"u",{KID}}}"#);
        body(&base64url::encode(header.as_bytes()), "", "")
    };
    assert_eq!(reason(&request("")), JwsErrorReason::MissingNonce);
    for nonce in [r#""nonce":"","#, r#""nonce":"a b","#, r#""nonce":"AA==","#, r#""nonce":1,"#] {
        assert!(is_malformed(&request(nonce)), "{nonce}");
    }
}

#[test]
fn url_and_alg_are_needed() {
    for header in [
        format!(r#"{{"alg":"ES256","nonce":"AAAA",{KID}}}"#),
        format!(r#"{{"alg":"ES256","nonce":"AAAA","url":1,{KID}}}"#),
        format!(r#"{{"alg":"ES256","nonce":"AAAA","url":"{}",{KID}}}"#, "u".repeat(2049)),
        format!(r#"{{"nonce":"AAAA","url":"u",{KID}}}"#),
        format!(r#"{{"alg":1,"nonce":"AAAA","url":"u",{KID}}}"#),
        "[]".to_owned(),
        "\u{ff}".to_owned(),
    ] {
        assert!(is_malformed(&body(&base64url::encode(header.as_bytes()), "", "")), "{header}");
    }
}

#[test]
fn a_payload_must_be_an_object() {
    let payload = |text: &str| {
        let jws = Jws::parse(&Signer::es256().request(text)).unwrap();
        jws.payload_object::<NewAccount>().is_ok()
    };
    assert!(payload("{}"));
    assert!(payload(" {\"unknown\":1}"));
    for text in ["", "[]", "[null]", "null", "\"\"", "{", "{}x", r#"{"contact":[],"contact":[]}"#] {
        assert!(!payload(text), "{text}");
    }
}

#[test]
fn what_is_wrong_with_a_payload_is_told_without_repeating_what_could_harm() {
    let detail = |text: &str| {
        let jws = Jws::parse(&Signer::es256().request(text)).unwrap();
        jws.payload_object::<NewAccount>().unwrap_err().detail()
    };
    let said = "the payload is not the JSON object that this resource takes";
    assert_eq!(detail("[]"), said);
    assert_eq!(
        detail("{\"contact\":\"<b>$(id)\\r\\n\"}"),
        format!("{said}: invalid type: string bidrn, expected a sequence at line 1 column 25")
    );
}

#[test]
fn a_request_has_a_bounded_length() {
    let fill = |length: usize| {
        let protected = base64url::encode(header("ES256", KID).as_bytes());
        let rest = body(&protected, "", "").len();
        body(&protected, &"A".repeat((length - rest) / 4 * 4), "")
    };
    assert!(Jws::parse(&fill(MAX_BODY_BYTES)).is_ok());
    assert!(is_malformed(&fill(MAX_BODY_BYTES + 8)));
}
