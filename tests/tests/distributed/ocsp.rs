//! OCSP in a cluster: one signer answers for every api node, and none keeps what a revocation overtook.

use std::time::Duration;

use acceptance::{OcspQuestion, Setup, eventually};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::Method;
use serde_json::json;

use crate::town::Town;

/// Far less than the hour for which answers are kept.
const SOON: Duration = Duration::from_secs(10);

fn with_ocsp(setup: Setup) -> Setup {
    setup.set("ca.ocsp", true)
}

#[tokio::test]
async fn what_is_revoked_through_one_node_is_soon_revoked_at_the_other() -> anyhow::Result<()> {
    let town = Town::configured(with_ocsp).await?;
    let [one, other] = &town.at;
    let issued = one.issue(&["a.localhost"], &town.web).await?;
    let question = OcspQuestion::about(other, &town.cluster.root(), &issued.chain)?;
    let request = question.request(&["-no_nonce"]).await?;
    let good = question.post(request.clone()).await?;
    assert!(question.verdict(&good).await?.contains("leaf.pem: good"));
    assert_eq!(question.post(request.clone()).await?.body, good.body, "it is kept");
    let encoded = BASE64_STANDARD.encode(&request);
    let encoded = encoded.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let by_get = format!("{}/{encoded}", question.url);
    let same = other.request(Method::GET, &by_get, None).await?.expect(200)?;
    assert_eq!(same.body, good.body);

    let payload = json!({ "certificate": issued.chain.leaf_base64url()?, "reason": 1 });
    one.post("revokeCert", &payload).await?.expect(200)?;
    let newer = eventually("the other node knows", SOON, async || {
        let reply = question.post(request.clone()).await?;
        Ok((reply.body != good.body).then_some(reply))
    });
    let said = question.verdict(&newer.await?).await?;
    assert!(said.contains("leaf.pem: revoked"), "{said}");
    assert!(said.contains("Reason: keyCompromise"), "{said}");
    Ok(())
}

#[tokio::test]
async fn each_node_sends_the_nonce_back_in_what_a_delegated_key_signs() -> anyhow::Result<()> {
    let town = Town::configured(with_ocsp).await?;
    let issued = town.at[0].issue(&["a.localhost"], &town.web).await?;
    for node in &town.at {
        let question = OcspQuestion::about(node, &town.cluster.root(), &issued.chain)?;
        let request = question.request(&["-nonce"]).await?;
        let reply = question.post(request).await?;
        let said = question.verify(&reply, &["-reqin", &question.file("request.der")]).await?;
        assert!(!said.to_lowercase().contains("nonce"), "{said}");
        let file = question.file("response.der");
        let text = question.openssl(&["-respin", &file, "-noverify", "-resp_text"]).await?;
        assert!(text.contains("OCSP Nonce"), "{text}");
        assert!(text.contains("OCSP No Check") && text.contains("OCSP Signing"), "{text}");
    }
    Ok(())
}
