//! OCSP as openssl speaks it (RFC 6960): by POST and GET, with a nonce and from what is kept.

use std::time::Duration;

use acceptance::{Chain, OcspQuestion, Scene, eventually, lint_ocsp_response};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::Method;
use serde_json::json;

const REQUEST: &str = "application/ocsp-request";

fn about<'a>(scene: &'a Scene, chain: &Chain) -> anyhow::Result<OcspQuestion<'a>> {
    OcspQuestion::about(&scene.client, &scene.server.root(), chain)
}

async fn scene() -> anyhow::Result<Scene> {
    Scene::with(|setup| setup.set("ca.ocsp", true)).await
}

#[tokio::test]
async fn a_certificate_is_good_until_it_is_revoked() -> anyhow::Result<()> {
    let scene = scene().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let question = about(&scene, &issued.chain)?;
    let request = question.request(&["-no_nonce"]).await?;
    let good = question.post(request.clone()).await?;
    assert!(question.verdict(&good).await?.contains("leaf.pem: good"));
    // What holds for everybody is kept.
    assert_eq!(question.post(request.clone()).await?.body, good.body);

    let payload = json!({ "certificate": issued.chain.leaf_base64url()?, "reason": 1 });
    scene.client.post("revokeCert", &payload).await?.expect(200)?;
    let said = question.verdict(&question.post(request).await?).await?;
    assert!(said.contains("leaf.pem: revoked"), "{said}");
    assert!(said.contains("Reason: keyCompromise"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_nonce_is_sent_back_and_its_response_is_not_kept() -> anyhow::Result<()> {
    let scene = scene().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let question = about(&scene, &issued.chain)?;
    for hash in ["-sha1", "-sha256"] {
        let request = question.request(&[hash, "-nonce"]).await?;
        let first = question.post(request.clone()).await?;
        let said = question.verify(&first, &[hash, "-cert", &question.file("leaf.pem")]).await?;
        assert!(said.contains("leaf.pem: good"), "{said}");
        // openssl compares the nonces of a request and its response.
        let said = question.verify(&first, &["-reqin", &question.file("request.der")]).await?;
        assert!(!said.to_lowercase().contains("nonce"), "{said}");
        assert_ne!(question.post(request).await?.body, first.body);
    }
    Ok(())
}

#[tokio::test]
async fn a_request_is_answered_by_get_with_how_long_to_keep_it() -> anyhow::Result<()> {
    let scene = scene().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let question = about(&scene, &issued.chain)?;
    let request = BASE64_STANDARD.encode(question.request(&["-no_nonce"]).await?);
    let encoded = request.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let url = format!("{}/{encoded}", question.url);
    let reply = scene.client.request(Method::GET, &url, None).await?.expect(200)?;
    assert!(question.verdict(&reply).await?.contains("leaf.pem: good"));
    let kept = reply.header("cache-control").unwrap_or_default();
    assert!(kept.starts_with("max-age="), "{kept}");
    assert!(reply.header("etag").is_some());
    let time_of_day = reply.header("expires").and_then(|date| date.split(' ').nth(4));
    let said = question.verify(&reply, &["-resp_text"]).await?;
    let next_update = said.lines().find(|line| line.contains("Next Update: "));
    assert!(next_update.zip(time_of_day).is_some_and(|(text, time)| text.contains(time)), "{said}");
    assert!(reply.header("replay-nonce").is_none());
    Ok(())
}

#[tokio::test]
async fn a_certificate_of_another_issuer_is_unknown() -> anyhow::Result<()> {
    let (scene, other) = (scene().await?, scene().await?);
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let foreign = other.client.issue(&["a.localhost"], &other.web).await?;
    let url = about(&scene, &issued.chain)?.url;
    let mut question = about(&other, &foreign.chain)?;
    question.url = url;
    let request = question.request(&["-no_nonce"]).await?;
    let ask = async || {
        let body = Some((REQUEST, request.clone()));
        scene.client.request(Method::POST, &question.url, body).await?.expect(200)
    };
    let reply = ask().await?;
    assert_ne!(ask().await?.body, reply.body, "what anybody can ask for without end is kept");
    let file = question.file("response.der");
    std::fs::write(&file, &reply.body)?;
    let said = question.openssl(&["-respin", &file, "-noverify", "-resp_text"]).await?;
    assert!(said.contains("Cert Status: unknown"), "{said}");
    Ok(())
}

#[tokio::test]
async fn every_kind_of_response_pleases_the_linter() -> anyhow::Result<()> {
    let scene = scene().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let question = about(&scene, &issued.chain)?;
    let request = question.request(&["-nonce"]).await?;
    lint_ocsp_response(&question.post(request.clone()).await?.body).await?;
    let payload = json!({ "certificate": issued.chain.leaf_base64url()?, "reason": 1 });
    scene.client.post("revokeCert", &payload).await?.expect(200)?;
    lint_ocsp_response(&question.post(request).await?.body).await?;

    let (issuer, unknown) = (question.file("issuer.pem"), question.file("unknown.der"));
    let about = ["-issuer", &issuer, "-serial", "0x1234", "-no_nonce", "-reqout", &unknown];
    question.openssl(&about).await?;
    let reply = question.post(std::fs::read(&unknown)?).await?;
    let said = question.verify(&reply, &["-serial", "0x1234"]).await?;
    assert!(said.contains("0x1234: unknown"), "{said}");
    lint_ocsp_response(&reply.body).await
}

#[tokio::test]
async fn near_the_end_of_its_issuer_one_responder_answers_until_then() -> anyhow::Result<()> {
    let scene = Scene::with(|setup| {
        setup
            .set("ca.ocsp", true)
            .set("ca.ocsp_validity", "10d")
            .set("ca.intermediate_validity", "1d")
    });
    let scene = scene.await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let question = about(&scene, &issued.chain)?;
    let request = question.request(&["-nonce"]).await?;
    question.post(request.clone()).await?;
    let before = scene.server.events().await?.len();
    let reply = question.post(request).await?;
    assert!(question.verdict(&reply).await?.contains("leaf.pem: good"));
    assert_eq!(scene.server.events().await?.len(), before, "nothing was issued for the answer");

    let file = question.file("response.der");
    std::fs::write(&file, &reply.body)?;
    let said = question.openssl(&["-respin", &file, "-noverify", "-resp_text"]).await?;
    let text_after = |what: &str| {
        let rest = said.split_once(what).map(|(_, rest)| rest);
        rest.and_then(|rest| rest.lines().next()).map(str::trim)
    };
    let end = text_after("Not After :");
    assert!(end.is_some(), "{said}");
    assert_eq!(text_after("Next Update:"), end, "{said}");
    Ok(())
}

#[tokio::test]
async fn what_an_operator_revokes_is_answered_at_the_next_look() -> anyhow::Result<()> {
    let scene = scene().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let question = about(&scene, &issued.chain)?;
    let request = question.request(&["-no_nonce"]).await?;
    let good = question.post(request.clone()).await?;
    scene
        .server
        .operate(&["revoke", &issued.chain.serial()?, "--reason", "superseded"])
        .await?
        .success()?;
    let said = eventually("the revocation is answered", Duration::from_secs(10), async || {
        let reply = question.post(request.clone()).await?;
        Ok((reply.body != good.body).then_some(reply))
    });
    assert!(question.verdict(&said.await?).await?.contains("leaf.pem: revoked"));
    Ok(())
}

#[tokio::test]
async fn what_is_no_request_is_answered_as_malformed() -> anyhow::Result<()> {
    let scene = scene().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let question = about(&scene, &issued.chain)?;
    for body in [vec![], vec![0x30, 0x00], vec![0xff; 4096], b"text".to_vec()] {
        assert_eq!(question.post(body).await?.body, [0x30, 0x03, 0x0a, 0x01, 0x01]);
    }
    let body = Some((REQUEST, vec![0x30; 5000]));
    scene.client.request(Method::POST, &question.url, body).await?.expect(413)?;
    for rest in ["/%", "/***", "/%zz"] {
        let url = format!("{}{rest}", question.url);
        scene.client.request(Method::GET, &url, None).await?.expect(404)?;
    }
    Ok(())
}

#[tokio::test]
async fn without_ocsp_nothing_is_answered_or_promised() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    assert_eq!(issued.chain.ocsp_url()?, None);
    let url = issued.chain.crl_url()?.replace("/crl/", "/ocsp/").replace(".crl", "");
    let body = Some((REQUEST, vec![0x30, 0x00]));
    scene.client.request(Method::POST, &url, body).await?.expect(404)?;
    Ok(())
}
