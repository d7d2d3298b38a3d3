//! What a profile lets certificates say: subject, usages, validity, and how many are active.

use std::time::Duration;

use acceptance::{Order, RawClient, Scene, eventually, revoked, run, tool};
use anyhow::bail;
use http::Method;
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use x509_parser::{pem::parse_x509_pem, prelude::FromDer as _};

/// How soon a revocation is to be on the CRL.
const CRL_LIMIT: Duration = Duration::from_secs(20);

async fn scene(profile: &str) -> anyhow::Result<Scene> {
    Scene::with(|setup| setup.set("profile", format!("[{{name=\"default\", {profile}}}]"))).await
}

/// Issues for names with a common name in the CSR, and returns subject and extended key usages as text.
async fn subject_and_usages(scene: &Scene, common_name: &str) -> anyhow::Result<(String, String)> {
    let names = ["b.localhost", "a.localhost"];
    let order = scene.client.ready_order(&names, &scene.web).await?;
    let mut params = CertificateParams::new(names.map(str::to_owned))?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.distinguished_name.push(DnType::OrganizationName, "Somebody");
    let csr = params.serialize_request(&KeyPair::generate()?)?;
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
    let payload = json!({ "csr": BASE64_URL_SAFE_NO_PAD.encode(csr.der()) });
    scene.client.post(&order.finalize()?, &payload).await?.expect(200)?;
    let order = scene.client.expect_status(&order.url, "valid").await?;
    let chain = scene.client.download(&order).await?;
    let (_, pem) = parse_x509_pem(chain.leaf_pem().as_bytes())?;
    let (_, leaf) = x509_parser::certificate::X509Certificate::from_der(&pem.contents)?;
    let usages = leaf.extended_key_usage()?.map(|usages| format!("{:?}", usages.value));
    Ok((leaf.subject().to_string(), usages.unwrap_or_default()))
}

#[tokio::test]
async fn the_subject_is_empty_unless_the_profile_says_otherwise() -> anyhow::Result<()> {
    for (profile, expected) in [
        ("", ""),
        ("subject=\"none\"", ""),
        ("subject=\"first-name\"", "CN=b.localhost"),
        ("subject=\"as-requested\"", "CN=a.localhost"),
    ] {
        let scene = scene(profile).await?;
        let (subject, _) = subject_and_usages(&scene, "A.localhost").await?;
        assert_eq!(subject, expected, "{profile}");
    }
    Ok(())
}

#[tokio::test]
async fn certificates_are_for_what_the_profile_says() -> anyhow::Result<()> {
    let scene = scene(r#"extended_key_usages=["serverAuth", "clientAuth"]"#).await?;
    let (_, usages) = subject_and_usages(&scene, "a.localhost").await?;
    assert!(usages.contains("server_auth: true, client_auth: true"), "{usages}");
    assert!(usages.contains("code_signing: false"), "{usages}");
    Ok(())
}

#[tokio::test]
async fn the_intermediate_that_is_made_may_certify_for_what_its_profiles_say() -> anyhow::Result<()>
{
    let scene = scene(r#"extended_key_usages=["emailProtection"]"#).await?;
    let chain = scene.client.issue(&["a.localhost"], &scene.web).await?.chain;
    let files = TempDir::new()?;
    std::fs::write(files.path().join("leaf.pem"), chain.leaf_pem())?;
    std::fs::write(files.path().join("issuers.pem"), chain.issuers_pem())?;
    let mut command = Command::new(tool("openssl")?);
    command.args(["verify", "-purpose", "smimesign", "-untrusted", "issuers.pem", "-CAfile"]);
    command.arg(scene.server.root()).arg("leaf.pem");
    run(command, files.path()).await?.success()?;
    Ok(())
}

#[tokio::test]
async fn validities_are_written_in_years_and_months_as_well() -> anyhow::Result<()> {
    for (validity, days) in [("6mo", 180), ("1y", 365), ("395d", 395), ("36h", 1)] {
        let scene = scene(&format!("certificate_validity={validity:?}")).await?;
        let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
        assert_eq!((issued.chain.validity()?.as_secs() + 1) / 86_400, days, "{validity}");
    }
    Ok(())
}

async fn order(client: &RawClient, dates: Value) -> anyhow::Result<u16> {
    let mut payload = json!({ "identifiers": [{ "type": "dns", "value": "a.localhost" }] });
    for (key, value) in dates.as_object().into_iter().flatten() {
        payload[key] = value.clone();
    }
    Ok(client.post("newOrder", &payload).await?.status)
}

#[tokio::test]
async fn an_end_after_that_of_the_issuer_is_refused_with_the_latest_that_is_possible()
-> anyhow::Result<()> {
    let scene = Scene::with(|setup| setup.set("ca.intermediate_validity", "2d")).await?;
    let identifiers = json!([{ "type": "dns", "value": "a.localhost" }]);
    let payload = json!({ "identifiers": identifiers, "notAfter": from_now(3 * 86_400) });
    let reply = scene.client.post("newOrder", &payload).await?.expect(201)?;
    let order = Order { url: reply.location()?, body: reply.json()? };
    let order = scene.client.prove(&order, &scene.web).await?;
    let Err(refused) = scene.client.finalize(&order, &["a.localhost"]).await else {
        bail!("the certificate outlives its issuer");
    };
    let refused = format!("{refused:#}");
    for part in [
        "urn:ietf:params:acme:error:unauthorized",
        "beyond the end of the issuer's certificate, which is 20",
    ] {
        assert!(refused.contains(part), "{refused}");
    }
    Ok(())
}

#[tokio::test]
async fn dates_outside_the_profiles_bounds_are_refused() -> anyhow::Result<()> {
    let in_days = |days: i64| from_now(days * 86_400);
    let bounded = scene(r#"not_before_ahead="3d", min_requested_validity="10d""#).await?;
    let client = &bounded.client;
    assert_eq!(order(client, json!({ "notBefore": in_days(2) })).await?, 201);
    assert_eq!(order(client, json!({ "notBefore": in_days(4) })).await?, 400);
    assert_eq!(order(client, json!({ "notAfter": in_days(20) })).await?, 201);
    assert_eq!(order(client, json!({ "notAfter": in_days(9) })).await?, 400);
    let fixed = scene("requested_validity_allowed=false").await?;
    assert_eq!(order(&fixed.client, json!({})).await?, 201);
    assert_eq!(order(&fixed.client, json!({ "notAfter": in_days(20) })).await?, 400);
    assert_eq!(order(&fixed.client, json!({ "notBefore": in_days(0) })).await?, 400);
    Ok(())
}

/// So many seconds from now, as an order asks for it.
fn from_now(seconds: i64) -> domain::Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    domain::Timestamp::from_unix_seconds(now.unwrap_or_default().as_secs().cast_signed() + seconds)
}

#[tokio::test]
async fn whatever_dates_an_order_is_granted_its_certificate_has() -> anyhow::Result<()> {
    const DAYS: i64 = 90 * 86_400;
    let scene = scene(r#"certificate_validity="90d""#).await?;
    let client = &scene.client;
    for (start, end) in [
        (None, Some(DAYS)),
        (None, Some(DAYS - 1800)),
        (Some(-60), Some(DAYS - 61)),
        (Some(60), None),
    ] {
        let (start, end) = (start.map(from_now), end.map(from_now));
        let identifiers = json!([{ "type": "dns", "value": "a.localhost" }]);
        let payload = json!({ "identifiers": identifiers, "notBefore": start, "notAfter": end });
        let reply = client.post("newOrder", &payload).await?.expect(201)?;
        let order = Order { url: reply.location()?, body: reply.json()? };
        assert_eq!(order.body["notBefore"], json!(start));
        assert_eq!(order.body["notAfter"], json!(end));
        let order = client.prove(&order, &scene.web).await?;
        let issued = client.finalize(&order, &["a.localhost"]).await?;
        let (_, pem) = parse_x509_pem(issued.chain.leaf_pem().as_bytes())?;
        let (_, leaf) = x509_parser::certificate::X509Certificate::from_der(&pem.contents)?;
        let found = [leaf.validity().not_before, leaf.validity().not_after];
        let found = found.map(|time| domain::Timestamp::from_unix_seconds(time.timestamp()));
        assert_eq!(start.unwrap_or(found[0]), found[0]);
        assert_eq!(end.unwrap_or(found[1]), found[1]);
        assert!(issued.chain.validity()? < Duration::from_secs(DAYS.cast_unsigned()));
    }
    // Both ends count.
    let dates = json!({ "notBefore": from_now(60), "notAfter": from_now(60 + DAYS) });
    assert_eq!(order(client, dates).await?, 400);
    Ok(())
}

#[tokio::test]
async fn a_new_certificate_supersedes_the_one_for_the_same_names() -> anyhow::Result<()> {
    let scene = scene("single_active_certificate=true").await?;
    let first = scene.client.issue(&["a.localhost", "b.localhost"], &scene.web).await?;
    let other = scene.client.issue(&["a.localhost"], &scene.web).await?;
    // Another account, the names in another order and spelling.
    let stranger = scene.stranger().await?;
    let second = stranger.ready_order(&["B.localhost", "a.localhost"], &scene.web).await?;
    let second = stranger.finalize(&second, &["a.localhost", "b.localhost"]).await?;
    let (url, serial) = (first.chain.crl_url()?, first.chain.serial()?);
    let listed = eventually("the first certificate is on the CRL", CRL_LIMIT, async || {
        let reply = scene.client.request(Method::GET, &url, None).await?.expect(200)?;
        let listed = revoked(&reply.body)?;
        Ok(listed.contains_key(&serial).then_some(listed))
    })
    .await?;
    assert_eq!(listed[&serial], 4);
    assert!(!listed.contains_key(&second.chain.serial()?));
    assert!(!listed.contains_key(&other.chain.serial()?));
    Ok(())
}
