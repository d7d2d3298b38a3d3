//! Nonces that are used twice, made up or malformed (RFC 8555 §6.5).

use acceptance::{AccountKey, Scene};
use serde_json::json;

use crate::MALFORMED;

const BAD_NONCE: acceptance::Refused = (400, "badNonce");

#[tokio::test]
async fn a_request_that_is_sent_again_is_refused() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let url = scene.client.url("newOrder")?;
    let protected = scene.client.protected(&url).await?;
    let payload = json!({ "identifiers": [{ "type": "dns", "value": "a.localhost" }] });
    let jws = scene.client.key().sign(&protected, payload.to_string().as_bytes())?;
    scene.client.send_jws(&url, &jws).await?.expect(201)?;
    scene
        .unimpressed(async |scene| {
            let problem = scene.client.send_jws(&url, &jws).await?.refused(BAD_NONCE)?;
            // Some clients know a bad nonce by these words only.
            let detail = problem["detail"].as_str().unwrap_or_default();
            assert!(detail.starts_with("JWS has an invalid anti-replay nonce"), "{detail}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_refused_request_spends_its_nonce_as_well() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let client = &scene.client;
            let url = client.url("newOrder")?;
            let protected = client.protected(&url).await?;
            let refused = client.key().sign(&protected, b"[]")?;
            client.send_jws(&url, &refused).await?.refused(MALFORMED)?;
            client.send_jws(&url, &refused).await?.refused(BAD_NONCE)?;

            // Also one whose algorithm, signature or URL is wrong.
            for (member, value) in [("alg", "none"), ("url", "https://other"), ("kid", "x")] {
                let mut protected = client.protected(&url).await?;
                let good = protected.clone();
                protected[member] = json!(value);
                let spoiled = client.key().sign(&protected, b"{}")?;
                assert_ne!(client.send_jws(&url, &spoiled).await?.problem_type()?, "badNonce");
                let repaired = client.key().sign(&good, b"{}")?;
                client.send_jws(&url, &repaired).await?.refused(BAD_NONCE)?;
            }
            // And one that is no JWS, but has a protected header.
            for (member, value) in [
                ("payload", json!("e30=")),
                ("signature", json!("*")),
                ("signature", json!(null)),
                ("header", json!({ "kid": "x" })),
            ] {
                let good = client.key().sign(&client.protected(&url).await?, b"{}")?;
                let mut spoiled = good.clone();
                spoiled[member] = value;
                client.send_jws(&url, &spoiled).await?.refused(MALFORMED)?;
                client.send_jws(&url, &good).await?.refused(BAD_NONCE)?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_nonce_that_was_made_up_is_refused() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let client = &scene.client;
            let url = client.url("newOrder")?;
            let good = client.nonce().await?;
            let flipped = if good.starts_with('A') { "B" } else { "A" };
            let forged = [
                "AAAA".to_owned(),
                "A".repeat(good.len()),
                format!("{flipped}{}", &good[1..]),
                format!("{good}AAAA"),
                good[..good.len() - 4].to_owned(),
            ];
            for nonce in forged {
                let mut protected = client.protected(&url).await?;
                protected["nonce"] = json!(nonce);
                let jws = client.key().sign(&protected, b"{}")?;
                client.send_jws(&url, &jws).await?.refused(BAD_NONCE)?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_nonce_that_is_no_base64url_is_malformed() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let client = &scene.client;
            let url = client.url("newOrder")?;
            for nonce in [json!(""), json!("a b"), json!("AAAA="), json!("ä"), json!(7), json!({})]
            {
                let mut protected = client.protected(&url).await?;
                protected["nonce"] = nonce;
                let jws = client.key().sign(&protected, b"{}")?;
                client.send_jws(&url, &jws).await?.refused(MALFORMED)?;
            }
            let long = json!("A".repeat(20_000));
            let mut protected = client.protected(&url).await?;
            protected["nonce"] = long;
            let jws = client.key().sign(&protected, b"{}")?;
            client.send_jws(&url, &jws).await?.refused(MALFORMED)?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_request_without_a_nonce_is_told_so_with_a_fresh_one() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let client = &scene.client;
            let url = client.url("newOrder")?;
            let mut protected = client.protected(&url).await?;
            protected.as_object_mut().map(|members| members.remove("nonce"));
            let jws = client.key().sign(&protected, b"{}")?;
            let reply = client.send_jws(&url, &jws).await?;
            reply.refused(BAD_NONCE)?;

            let fresh = reply.header("replay-nonce").unwrap_or_default();
            protected["nonce"] = json!(fresh);
            let jws = client.key().sign(&protected, b"{}")?;
            client.send_jws(&url, &jws).await?.refused(MALFORMED)?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_nonce_from_before_a_restart_is_refused() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let url = scene.client.url("newOrder")?;
    let protected = scene.client.protected(&url).await?;
    scene.server.stop().await?;
    scene.server.start().await?;
    scene
        .unimpressed(async |scene| {
            let jws = scene.client.key().sign(&protected, b"{}")?;
            scene.client.send_jws(&url, &jws).await?.refused(BAD_NONCE)?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_request_that_a_key_signs_for_itself_is_good_once_and_at_one_url() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    scene
        .unimpressed(async |scene| {
            let client = scene.newcomer(AccountKey::p256()?).await?;
            let url = client.url("newAccount")?;
            let find = json!({ "onlyReturnExisting": true }).to_string();
            let protected = client.protected(&url).await?;
            let jws = client.key().sign(&protected, find.as_bytes())?;
            client.send_jws(&url, &jws).await?.refused((400, "accountDoesNotExist"))?;
            client.send_jws(&url, &jws).await?.refused(BAD_NONCE)?;

            // What was signed for one resource says nothing at another that takes keys.
            let protected = client.protected(&url).await?;
            let jws = client.key().sign(&protected, find.as_bytes())?;
            let reply = client.send_jws(&client.url("revokeCert")?, &jws).await?;
            reply.refused((403, "unauthorized"))?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn only_an_accounts_signature_reads_a_nonce_by_post() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let url = scene.client.url("newNonce")?;
            let protected = scene.client.protected(&url).await?;
            let forged = AccountKey::p256()?.sign(&protected, b"")?;
            scene.client.send_jws(&url, &forged).await?.refused((400, "unauthorized"))?;
            Ok(())
        })
        .await
}
