//! Which identifiers and challenges a profile offers, and certificates for IP addresses (RFC 8738).

use acceptance::{ChallengeServer, DnsServer, Scene, csr, verify};
use serde_json::{Value, json};

const ADDRESSES: &str = r#"[{name="default", identifier_types=["dns", "ip"]}]"#;

async fn scene(profile: &str) -> anyhow::Result<Scene> {
    Scene::with(|setup| setup.set("profile", profile)).await
}

/// The types of the challenges that are offered for an identifier.
async fn offered(scene: &Scene, name: &str) -> anyhow::Result<Vec<String>> {
    let order = scene.client.place(&[name]).await?;
    let authorization = &order.authorizations()[0];
    let authorization = scene.client.post_as_get(authorization).await?.expect(200)?.json()?;
    let challenges = authorization["challenges"].as_array().cloned().unwrap_or_default();
    let kind = |challenge: &Value| challenge["type"].as_str().unwrap_or_default().to_owned();
    Ok(challenges.iter().map(kind).collect())
}

#[tokio::test]
async fn a_certificate_for_addresses_and_names_names_both() -> anyhow::Result<()> {
    let scene = scene(ADDRESSES).await?;
    let issued = scene.client.issue(&["127.0.0.1", "a.localhost"], &scene.web).await?;
    assert_eq!(issued.chain.names()?, ["127.0.0.1", "a.localhost"]);
    let identifiers = &issued.order.body["identifiers"];
    assert_eq!(identifiers[0], json!({ "type": "ip", "value": "127.0.0.1" }));
    Ok(())
}

#[tokio::test]
async fn an_address_and_a_name_are_proven_by_ipv6() -> anyhow::Result<()> {
    let (dns, web) = (DnsServer::start().await?, ChallengeServer::start_on_ipv6().await?);
    let scene = Scene::with(|setup| {
        setup
            .set("profile", ADDRESSES)
            .set("validation.http01_port", web.port())
            .set("validation.dns_resolver", dns.address())
    })
    .await?;
    let names = ["::1", "www.ipv6.example.com"];
    let issued = scene.client.issue(&names, &web).await?;
    assert_eq!(issued.chain.names()?, names);
    verify(&issued.chain, &scene.server.root()).await
}

#[tokio::test]
async fn an_internationalized_name_is_issued_and_shown_as_it_was_sent() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let name = "XN--bcher-KVA.localhost";
    let issued = scene.client.issue(&[name], &scene.web).await?;
    assert_eq!(issued.order.body["identifiers"], json!([{ "type": "dns", "value": name }]));
    assert_eq!(issued.chain.names()?, [name.to_lowercase()]);
    Ok(())
}

#[tokio::test]
async fn a_csr_with_another_address_than_the_order_is_refused() -> anyhow::Result<()> {
    let scene = scene(ADDRESSES).await?;
    let order = scene.client.ready_order(&["127.0.0.1"], &scene.web).await?;
    for names in [&["127.0.0.2"][..], &["127.0.0.1", "127.0.0.2"], &["a.localhost"]] {
        let payload = json!({ "csr": csr(names)?.1 });
        scene.client.post(&order.finalize()?, &payload).await?.refused((400, "badCSR"))?;
    }
    scene.client.finalize(&order, &["127.0.0.1"]).await?;
    Ok(())
}

#[tokio::test]
async fn each_kind_of_identifier_is_offered_what_can_prove_it() -> anyhow::Result<()> {
    let scene = scene(ADDRESSES).await?;
    let name = offered(&scene, "a.localhost").await?;
    assert_eq!(name, ["http-01", "dns-01", "tls-alpn-01"]);
    assert_eq!(offered(&scene, "*.a.localhost").await?, ["dns-01"]);
    for address in ["192.0.2.1", "2001:db8::1"] {
        assert_eq!(offered(&scene, address).await?, ["http-01", "tls-alpn-01"]);
    }
    Ok(())
}

#[tokio::test]
async fn a_profile_offers_only_the_challenges_it_is_configured_to() -> anyhow::Result<()> {
    let profile = r#"[{name="default", identifier_types=["dns", "ip"], challenge_types=["dns-01"],
        ip_challenge_types=["tls-alpn-01"]}]"#;
    let scene = scene(profile).await?;
    assert_eq!(offered(&scene, "a.localhost").await?, ["dns-01"]);
    assert_eq!(offered(&scene, "192.0.2.1").await?, ["tls-alpn-01"]);
    Ok(())
}

#[tokio::test]
async fn http01_is_offered_for_wildcards_only_where_the_operator_says_so() -> anyhow::Result<()> {
    let profile = r#"[{name="default", wildcard_http01_allowed=true}]"#;
    let scene = scene(profile).await?;
    assert_eq!(offered(&scene, "*.a.localhost").await?, ["http-01", "dns-01"]);
    Ok(())
}

#[tokio::test]
async fn a_profile_for_addresses_alone_refuses_names() -> anyhow::Result<()> {
    let mut scene = scene(r#"[{name="default", identifier_types=["ip"]}]"#).await?;
    scene
        .unimpressed(async |scene| {
            let order = json!({ "identifiers": [{ "type": "dns", "value": "a.localhost" }] });
            let reply = scene.client.post("newOrder", &order).await?;
            reply.refused((400, "unsupportedIdentifier"))?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn addresses_that_are_not_canonical_are_malformed() -> anyhow::Result<()> {
    let values = [
        "",
        "a.localhost",
        "192.0.2.01",
        "192.0.2",
        "0xc0.0.2.1",
        "192.0.2.1:80",
        "192.0.2.0/24",
        "*.192.0.2.1",
        "[2001:db8::1]",
        "2001:DB8::1",
        "2001:db8:0:0:0:0:0:1",
        "fe80::1%eth0",
        "::ffff:192.0.2.1",
    ];
    let mut scene = scene(ADDRESSES).await?;
    scene
        .unimpressed(async |scene| {
            for value in values {
                let order = json!({ "identifiers": [{ "type": "ip", "value": value }] });
                scene.client.post("newOrder", &order).await?.refused((400, "malformed"))?;
            }
            Ok(())
        })
        .await
}
