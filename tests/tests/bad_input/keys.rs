//! Keys that no account may have (RFC 8555 §6.2, badPublicKey).

use acceptance::{AccountKey, RawClient, Scene};
use serde_json::{Value, json};

use crate::MALFORMED;

/// A modulus that is a power of 65537 modulo small primes, as Infineon's generator makes them (ROCA).
const ROCA_MODULUS: &str = concat!(
    "gAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB4auEmUhbx8oQdts8w",
);

/// Asks for an account with a JWK that is not the key's own; the signature is never reached.
async fn send_with_jwk(scene: &Scene, jwk: Value) -> anyhow::Result<acceptance::Reply> {
    let client = scene.newcomer(AccountKey::p256()?).await?;
    let url = client.url("newAccount")?;
    let mut protected = client.protected(&url).await?;
    protected["alg"] = match jwk["kty"].as_str() {
        Some("RSA") => json!("RS256"),
        Some("OKP") => json!("EdDSA"),
        _ => json!("ES256"),
    };
    protected["jwk"] = jwk;
    client.send_jws(&url, &client.key().sign(&protected, b"{}")?).await
}

#[tokio::test]
async fn keys_that_are_too_small_too_large_or_of_another_kind_are_refused() -> anyhow::Result<()> {
    let number = |octets: usize| "_".repeat(octets * 4 / 3);
    let keys = vec![
        json!({ "kty": "RSA", "e": "AQAB", "n": number(96) }),
        json!({ "kty": "RSA", "e": "AQAB", "n": number(1026) }),
        json!({ "kty": "RSA", "e": "Aw", "n": number(384) }),
        json!({ "kty": "RSA", "e": "AQ", "n": number(384) }),
        json!({ "kty": "RSA", "e": "AQAC", "n": number(384) }),
        json!({ "kty": "RSA", "e": number(48), "n": number(384) }),
        json!({ "kty": "RSA", "e": "", "n": "" }),
        json!({ "kty": "RSA", "e": "AQAB" }),
        json!({ "kty": "RSA", "e": "AQAB", "n": ROCA_MODULUS }),
        json!({ "kty": "EC", "crv": "P-521", "x": number(66), "y": number(66) }),
        json!({ "kty": "EC", "crv": "secp256k1", "x": number(33), "y": number(33) }),
        json!({ "kty": "EC", "crv": "Ed25519", "x": number(33) }),
        json!({ "kty": "OKP", "crv": "Ed448", "x": number(57) }),
        json!({ "kty": "OKP", "crv": "X25519", "x": number(33) }),
        json!({ "kty": "oct", "k": number(33) }),
        json!({ "kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA" }),
    ];
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            for key in keys {
                send_with_jwk(scene, key).await?.refused((400, "badPublicKey"))?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_key_that_shows_its_private_part_is_refused() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let mut jwk = AccountKey::p256()?.jwk().clone();
            jwk["d"] = json!("A".repeat(43));
            send_with_jwk(scene, jwk).await?.refused((400, "badPublicKey"))?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_point_off_its_curve_makes_no_account() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let mut jwk = AccountKey::p256()?.jwk().clone();
            jwk["y"] = jwk["x"].clone();
            let reply = send_with_jwk(scene, jwk).await?;
            let kind = reply.problem_type()?;
            assert_eq!(reply.status, 400);
            assert!(["badPublicKey", "unauthorized"].contains(&kind.as_str()), "{kind}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_jwk_that_is_none_is_malformed() -> anyhow::Result<()> {
    let jwks = [
        json!({ "kty": 7 }),
        json!({ "kty": "EC", "crv": "P-256", "x": 1, "y": 2 }),
        json!({ "kty": "EC", "crv": "P-256", "x": "=", "y": "AAAA" }),
        json!("text"),
        json!([]),
        json!({}),
    ];
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            for jwk in jwks {
                send_with_jwk(scene, jwk).await?.refused(MALFORMED)?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_small_rsa_key_is_refused_although_it_signs_well() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let client = scene.newcomer(AccountKey::rsa(2048).await?).await?;
            let url = client.url("newAccount")?;
            let mut protected = client.protected(&url).await?;
            let modulus = protected["jwk"]["n"].as_str().unwrap_or_default().to_owned();
            // Half of the modulus: 1024 bits.
            protected["jwk"]["n"] = json!(&modulus[..172]);
            let jws = client.key().sign(&protected, b"{}")?;
            client.send_jws(&url, &jws).await?.refused((400, "badPublicKey"))?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_profile_takes_only_the_account_keys_it_allows() -> anyhow::Result<()> {
    let profiles = r#"[{name="default"}, {name="strict", account_keys={types=["p384"]}}]"#;
    let mut scene =
        Scene::with(|setup| setup.set("profile", profiles).set("default_profile", "default"))
            .await?;
    let strict = scene.server.profile_url("strict");
    let root = scene.server.root();
    scene
        .unimpressed(async |_| {
            let client = RawClient::connect(&strict, &root, AccountKey::p256()?).await?;
            let payload = json!({ "termsOfServiceAgreed": true });
            client.post("newAccount", &payload).await?.refused((400, "badPublicKey"))?;
            Ok(())
        })
        .await?;
    RawClient::connect(&strict, &root, AccountKey::p384()?).await?.with_account().await?;
    Ok(())
}
