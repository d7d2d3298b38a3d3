//! Revocations that are refused (RFC 8555 §7.6).

use std::str::FromStr as _;

use acceptance::{AccountKey, Scene};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use domain::Serial;
use rcgen::{CertificateParams, KeyPair, SerialNumber};
use serde_json::{Value, json};

use crate::MALFORMED;

#[tokio::test]
async fn what_is_no_certificate_cannot_be_revoked() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let good = issued.chain.leaf_base64url()?;
    scene
        .unimpressed(async |scene| {
            let certificates = [
                json!(""),
                json!("AAAA"),
                json!(format!("{good}=")),
                json!(format!("{good}AAAA")),
                json!(good[..good.len() / 2]),
                json!("A".repeat(45_000)),
                json!(null),
                json!(7),
            ];
            for certificate in certificates {
                let payload = json!({ "certificate": certificate });
                scene.client.post("revokeCert", &payload).await?.refused(MALFORMED)?;
            }
            scene.client.post("revokeCert", &json!({})).await?.refused(MALFORMED)?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn only_the_account_and_the_certificates_key_may_revoke() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let stranger = scene.stranger().await?;
    let newcomer = scene.newcomer(AccountKey::p256()?).await?;
    let foreign = rcgen::generate_simple_self_signed(["a.localhost".to_owned()])?;
    scene
        .unimpressed(async |scene| {
            let refused = (403, "unauthorized");
            let payload = json!({ "certificate": issued.chain.leaf_base64url()? });
            stranger.post("revokeCert", &payload).await?.refused(refused)?;
            newcomer.post("revokeCert", &payload).await?.refused(refused)?;
            // A certificate that is not ours answers the same.
            let foreign = BASE64_URL_SAFE_NO_PAD.encode(foreign.cert.der());
            let payload = json!({ "certificate": foreign });
            scene.client.post("revokeCert", &payload).await?.refused(refused)?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_forged_certificate_with_the_serial_of_another_revokes_nothing() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let stranger = scene.stranger().await?;
    stranger.ready_order(&["b.localhost"], &scene.web).await?;
    let mut forged = CertificateParams::new(vec!["b.localhost".to_owned()])?;
    let serial = Serial::from_str(&issued.chain.serial()?.to_lowercase())?.octets();
    forged.serial_number = Some(SerialNumber::from_slice(&serial));
    let forged = forged.self_signed(&KeyPair::generate()?)?;
    let payload = json!({ "certificate": BASE64_URL_SAFE_NO_PAD.encode(forged.der()) });
    scene
        .unimpressed(async |scene| {
            for client in [&stranger, &scene.client] {
                client.post("revokeCert", &payload).await?.refused((403, "unauthorized"))?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn reasons_that_clients_may_not_give_are_refused_with_those_they_may() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    scene
        .unimpressed(async |scene| {
            let certificate = issued.chain.leaf_base64url()?;
            let payload = |reason: Value| json!({ "certificate": certificate, "reason": reason });
            for reason in [-1, 2, 6, 7, 8, 9, 10, 11, 256] {
                let reply = scene.client.post("revokeCert", &payload(json!(reason))).await?;
                let problem = reply.refused((400, "badRevocationReason"))?;
                let detail = problem["detail"].as_str().unwrap_or_default();
                assert!(detail.contains("0, 1, 3, 4"), "{detail}");
            }
            for reason in [json!("1"), json!(1.5), json!([1])] {
                scene.client.post("revokeCert", &payload(reason)).await?.refused(MALFORMED)?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_certificate_is_revoked_once() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let payload = json!({ "certificate": issued.chain.leaf_base64url()?, "reason": 4 });
    scene.client.post("revokeCert", &payload).await?.expect(200)?;
    scene
        .unimpressed(async |scene| {
            let reply = scene.client.post("revokeCert", &payload).await?;
            reply.refused((400, "alreadyRevoked"))?;
            Ok(())
        })
        .await
}
