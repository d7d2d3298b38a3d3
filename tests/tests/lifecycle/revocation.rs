//! Revocation and the CRL (RFC 8555 §7.6, RFC 5280 §5).

use std::time::Duration;

use acceptance::{Chain, DnsServer, RawClient, Scene, eventually, revoked};
use http::Method;
use serde_json::{Value, json};

/// How soon a revocation is to be on the CRL.
const CRL_LIMIT: Duration = Duration::from_secs(20);

/// Waits until the certificate is on the CRL that it names, and returns the code of the reason.
async fn reason_on_crl(scene: &Scene, chain: &Chain) -> anyhow::Result<u8> {
    let (url, serial) = (chain.crl_url()?, chain.serial()?);
    eventually("the certificate is on the CRL", CRL_LIMIT, async || {
        let reply = scene.client.request(Method::GET, &url, None).await?.expect(200)?;
        assert_eq!(reply.header("content-type"), Some("application/pkix-crl"));
        Ok(revoked(&reply.body)?.get(&serial).copied())
    })
    .await
}

#[tokio::test]
async fn an_account_revokes_its_certificate_with_a_reason() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let payload = json!({ "certificate": issued.chain.leaf_base64url()?, "reason": 4 });
    scene.client.post("revokeCert", &payload).await?.expect(200)?;
    assert_eq!(reason_on_crl(&scene, &issued.chain).await?, 4);
    // It stays on the CRL until it ends, which the log therefore says.
    let events = scene.server.events().await?;
    let end = |kind: &str| {
        let event = events.iter().rev().find(|event| event["type"] == kind);
        event.map(|event| event["data"]["not_after"].clone())
    };
    assert!(end("CertRevoked").is_some_and(|end| end.is_string()), "{events:?}");
    assert_eq!(end("CertRevoked"), end("CertificateSigned"));
    Ok(())
}

#[tokio::test]
async fn the_key_of_a_certificate_revokes_it() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let holder = scene.newcomer((&issued.key).try_into()?).await?;
    let payload = json!({ "certificate": issued.chain.leaf_base64url()?, "reason": 1 });
    holder.post("revokeCert", &payload).await?.expect(200)?;
    assert_eq!(reason_on_crl(&scene, &issued.chain).await?, 1);
    Ok(())
}

#[tokio::test]
async fn an_operator_revokes_beside_the_running_server() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let serial = issued.chain.serial()?;
    let command = ["revoke", &serial, "--reason", "privilegeWithdrawn"];
    scene.server.operate(&command).await?.success()?;
    assert_eq!(reason_on_crl(&scene, &issued.chain).await?, 9);
    let again = scene.server.operate(&command).await?;
    assert!(!again.status.success(), "{}", again.stdout);
    let audit = ["audit", "export", "--json", "--profile", "default"];
    let audit = scene.server.operate(&audit).await?.success()?;
    let lines = audit.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    let ends: Vec<&Value> = lines.iter().map(|line| &line["not_after"]).collect();
    assert_eq!(ends[0], ends[1], "it is on CRLs as long as it would have been valid");
    Ok(())
}

#[tokio::test]
async fn a_certificate_that_was_not_revoked_is_not_on_the_crl() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let kept = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let given_up = scene.client.issue(&["b.localhost"], &scene.web).await?;
    let payload = json!({ "certificate": given_up.chain.leaf_base64url()? });
    scene.client.post("revokeCert", &payload).await?.expect(200)?;
    reason_on_crl(&scene, &given_up.chain).await?;
    let url = kept.chain.crl_url()?;
    let crl = scene.client.request(Method::GET, &url, None).await?.expect(200)?;
    assert!(!revoked(&crl.body)?.contains_key(&kept.chain.serial()?));
    Ok(())
}

#[tokio::test]
async fn a_revocation_survives_a_restart() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let payload = json!({ "certificate": issued.chain.leaf_base64url()? });
    scene.client.post("revokeCert", &payload).await?.expect(200)?;
    scene.server.kill().await?;
    scene.server.start().await?;
    reason_on_crl(&scene, &issued.chain).await?;
    Ok(())
}

#[tokio::test]
async fn an_account_that_proved_all_names_revokes_another_accounts_certificate()
-> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost", "b.localhost"], &scene.web).await?;
    let payload = json!({ "certificate": issued.chain.leaf_base64url()?, "reason": 5 });
    let owner = scene.stranger().await?;
    owner.post("revokeCert", &payload).await?.refused((403, "unauthorized"))?;
    // The names are proven in two orders, of which one has its certificate already.
    owner.issue(&["A.localhost"], &scene.web).await?;
    owner.place(&["b.localhost"]).await?;
    owner.post("revokeCert", &payload).await?.refused((403, "unauthorized"))?;
    owner.ready_order(&["b.localhost"], &scene.web).await?;
    owner.post("revokeCert", &payload).await?.expect(200)?;
    assert_eq!(reason_on_crl(&scene, &issued.chain).await?, 5);
    Ok(())
}

#[tokio::test]
async fn who_proved_a_name_does_not_revoke_its_wildcard_nor_the_other_way_round()
-> anyhow::Result<()> {
    let dns = DnsServer::start().await?;
    let scene = Scene::with(|setup| setup.set("validation.dns_resolver", dns.address())).await?;
    let proven = async |client: &RawClient, name: &str| {
        let order = client.place(&[name]).await?;
        client.prove_by_dns(&order, &dns).await
    };
    for (name, other) in [("*.a.example", "a.example"), ("b.example", "*.b.example")] {
        let order = proven(&scene.client, name).await?;
        let issued = scene.client.finalize(&order, &[name]).await?;
        let payload = json!({ "certificate": issued.chain.leaf_base64url()? });
        let owner = scene.stranger().await?;
        proven(&owner, other).await?;
        owner.post("revokeCert", &payload).await?.refused((403, "unauthorized"))?;
        proven(&owner, name).await?;
        owner.post("revokeCert", &payload).await?.expect(200)?;
    }
    Ok(())
}

#[tokio::test]
async fn what_was_proven_shortly_before_counts_and_not_what_many_orders_followed()
-> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let payload = json!({ "certificate": issued.chain.leaf_base64url()? });
    let owner = scene.stranger().await?;
    owner.ready_order(&["a.localhost"], &scene.web).await?;
    let names: Vec<String> = (0..50).map(|number| format!("n{number}.localhost")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for _ in 0..5 {
        owner.place(&names).await?;
    }
    owner.post("revokeCert", &payload).await?.refused((403, "unauthorized"))?;
    owner.ready_order(&["a.localhost"], &scene.web).await?;
    for _ in 0..4 {
        owner.place(&names).await?;
    }
    owner.post("revokeCert", &payload).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn an_authorization_that_was_given_up_revokes_nothing() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let payload = json!({ "certificate": issued.chain.leaf_base64url()? });
    let owner = scene.stranger().await?;
    let order = owner.ready_order(&["a.localhost"], &scene.web).await?;
    for authorization in order.authorizations() {
        owner.post(&authorization, &json!({ "status": "deactivated" })).await?.expect(200)?;
    }
    owner.post("revokeCert", &payload).await?.refused((403, "unauthorized"))?;
    Ok(())
}

#[tokio::test]
async fn authorizations_of_another_profile_revoke_nothing() -> anyhow::Result<()> {
    let profiles = r#"[{name="default"}, {name="other"}]"#;
    let scene =
        Scene::with(|setup| setup.set("profile", profiles).set("default_profile", "default"))
            .await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let other =
        acceptance::RawClient::register(&scene.server.profile_url("other"), &scene.server.root())
            .await?;
    other.ready_order(&["a.localhost"], &scene.web).await?;
    let payload = json!({ "certificate": issued.chain.leaf_base64url()? });
    other.post("revokeCert", &payload).await?.refused((403, "unauthorized"))?;
    Ok(())
}
