//! A CA with its key in a file goes on beside one whose token hangs.

use acceptance::{
    Chain, OcspQuestion, Order, RawClient, Scene, Setup, Token, TokenServer, csr, eventually,
    revoked,
};
use futures::future::{join, try_join_all};
use http::Method;
use serde_json::json;

use crate::token::{LIMIT, count};

/// As many orders as a signer works on at once.
const ORDERS: usize = 64;
const ISSUERS: &str = r#"[{name="hsm", key_source="pkcs11", ocsp=true}]"#;
const PROFILES: &str = r#"[{name="file"}, {name="hsm", issuer="hsm"}]"#;

/// A server with a profile for each of two issuers, and a client of the one in the token.
async fn start(hsm: &TokenServer<'_>) -> anyhow::Result<(Scene, RawClient)> {
    let setup = hsm
        .in_setup(Setup::embedded())?
        .set("ca.key_source", "file")
        .set("ca.issuer", ISSUERS)
        .set("ca.ocsp", true)
        .set("profile", PROFILES)
        .set("default_profile", "file");
    let scene = Scene::over(setup).await?;
    let (directory, root) = (scene.server.profile_url("hsm"), scene.server.root());
    let client = RawClient::register(&directory, &root).await?;
    Ok((scene, client))
}

async fn finalize(client: &RawClient, order: &Order) -> anyhow::Result<()> {
    let (_, request) = csr(&["a.localhost"])?;
    client.post(&order.finalize()?, &json!({ "csr": request })).await?.expect(200)?;
    Ok(())
}

async fn revoke(client: &RawClient, chain: &Chain) -> anyhow::Result<()> {
    let payload = json!({ "certificate": chain.leaf_base64url()? });
    client.post("revokeCert", &payload).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn as_many_orders_as_are_worked_on_at_once_do_not_keep_others_from_theirs()
-> anyhow::Result<()> {
    let token = Token::make().await?;
    let hsm = token.serve().await?;
    let (scene, client) = start(&hsm).await?;
    let mut orders = Vec::new();
    for _ in 0..ORDERS {
        orders.push(client.ready_order(&["a.localhost"], &scene.web).await?);
    }
    hsm.freeze().await?;
    try_join_all(orders.iter().map(|order| finalize(&client, order))).await?;
    let reserved = count(&scene.server.events().await?, "CertificateReserved");
    assert_eq!(reserved, ORDERS, "each waits for its signature");

    let order = scene.client.ready_order(&["a.localhost"], &scene.web).await?;
    finalize(&scene.client, &order).await?;
    eventually("the order of the other issuer is valid", LIMIT, async || {
        let order = scene.client.read(&order.url).await?;
        Ok((order.status() == "valid").then_some(()))
    })
    .await?;

    hsm.thaw().await?;
    for order in &orders {
        client.expect_status(&order.url, "valid").await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_crl_and_the_ocsp_answers_of_others_go_on() -> anyhow::Result<()> {
    let token = Token::make().await?;
    let hsm = token.serve().await?;
    let (scene, client) = start(&hsm).await?;
    let in_token = client.issue(&["a.localhost"], &scene.web).await?.chain;
    let in_file = scene.client.issue(&["a.localhost"], &scene.web).await?.chain;
    let other = OcspQuestion::about(&client, &scene.server.root(), &in_token)?;
    let other_request = other.request(&["-no_nonce"]).await?;
    hsm.freeze().await?;
    // Both want a signature of the token: of a CRL, and of a responder's certificate.
    let (revoking, _) = join(revoke(&client, &in_token), other.post(other_request)).await;
    revoking?;

    revoke(&scene.client, &in_file).await?;
    let (url, serial) = (in_file.crl_url()?, in_file.serial()?);
    eventually("the certificate is on the other CRL", LIMIT, async || {
        let crl = scene.client.request(Method::GET, &url, None).await?.expect(200)?;
        Ok(revoked(&crl.body)?.contains_key(&serial).then_some(()))
    })
    .await?;
    let question = OcspQuestion::about(&scene.client, &scene.server.root(), &in_file)?;
    let request = question.request(&["-no_nonce"]).await?;
    eventually("the other responder answers", LIMIT, async || {
        let Ok(answer) = question.post(request.clone()).await else { return Ok(None) };
        let verdict = question.verdict(&answer).await?;
        Ok(verdict.contains("leaf.pem: revoked").then_some(()))
    })
    .await?;
    Ok(())
}
