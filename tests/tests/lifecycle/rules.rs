//! One rule of a profile at a time, as its clients notice it.

use std::time::{SystemTime, UNIX_EPOCH};

use acceptance::{
    AccountKey, CertificateKey, ChallengeServer, DnsServer, RawClient, Scene, Setup, csr_from, run,
    tool,
};
use anyhow::Context as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use x509_parser::{pem::parse_x509_pem, prelude::FromDer as _};

const NAME: &str = "a.localhost";

async fn scene(profile: &str) -> anyhow::Result<Scene> {
    Scene::with(|setup| setup.set("profile", format!("[{{name=\"default\", {profile}}}]"))).await
}

/// The problem of an order for a name whose http-01 proof is there and that is looked at once.
async fn problem_of(
    client: &RawClient,
    name: &str,
    web: &ChallengeServer,
) -> anyhow::Result<Value> {
    let order = client.place(&[name]).await?;
    let challenge = client.challenge(&order.authorizations()[0], "http-01").await?;
    let token = challenge["token"].as_str().unwrap_or_default();
    web.answer(token, &client.key().key_authorization(token))?;
    client.post(challenge["url"].as_str().unwrap_or_default(), &json!({})).await?.expect(200)?;
    Ok(client.expect_status(&order.url, "invalid").await?.body["error"].clone())
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// How many seconds from now a time of a resource is.
fn seconds_to(time: &Value) -> anyhow::Result<i64> {
    let time: domain::Timestamp = serde_json::from_value(time.clone())?;
    Ok(time.unix_seconds() - unix_now().cast_signed())
}

#[tokio::test]
async fn the_directory_names_the_website_and_the_terms() -> anyhow::Result<()> {
    let profile = r#"website="https://ca.example.com/about", terms_of_service="https://ca.example.com/terms""#;
    let scene = scene(profile).await?;
    let meta = &scene.client.directory()["meta"];
    assert_eq!(meta["website"], "https://ca.example.com/about");
    assert_eq!(meta["termsOfService"], "https://ca.example.com/terms");
    Ok(())
}

#[tokio::test]
async fn an_order_and_its_authorizations_end_when_the_profile_says() -> anyhow::Result<()> {
    for (rules, minutes) in [
        (r#"order_validity="1h 30m""#, 90),
        (r#"order_validity="10d 12h""#, 252 * 60),
        // An order does not outlive its authorizations.
        (r#"order_validity="1h 30m", authorization_validity="20m""#, 20),
        (r#"order_validity="1h 30m", authorization_validity="3h""#, 90),
    ] {
        let scene = scene(rules).await?;
        let order = scene.client.place(&[NAME]).await?;
        let authorization = scene.client.post_as_get(&order.authorizations()[0]).await?.json()?;
        for ends in [&order.body["expires"], &authorization["expires"]] {
            let seconds = seconds_to(ends)?;
            assert!((minutes * 60 - 60..=minutes * 60).contains(&seconds), "{rules}: {seconds}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_certificate_starts_before_its_issuance_as_far_as_the_profile_says() -> anyhow::Result<()>
{
    for (backdate, minutes) in [("0", 0), ("30m", 30)] {
        let scene = scene(&format!("backdate={backdate:?}")).await?;
        let issued = scene.client.issue(&[NAME], &scene.web).await?;
        let (_, pem) = parse_x509_pem(issued.chain.leaf_pem().as_bytes())?;
        let (_, leaf) = x509_parser::certificate::X509Certificate::from_der(&pem.contents)?;
        let before = unix_now().cast_signed() - leaf.validity().not_before.timestamp();
        assert!((minutes * 60..minutes * 60 + 60).contains(&before), "{backdate}: {before}");
    }
    Ok(())
}

#[tokio::test]
async fn an_order_has_at_most_as_many_identifiers_as_the_profile_says() -> anyhow::Result<()> {
    let mut scene = scene("max_identifiers=2").await?;
    scene.client.place(&[NAME, "b.localhost"]).await?;
    scene
        .unimpressed(async |scene| {
            let identifiers: Vec<Value> = ["a", "b", "c"]
                .map(|name| json!({ "type": "dns", "value": format!("{name}.localhost") }))
                .into();
            let order = json!({ "identifiers": identifiers });
            scene.client.post("newOrder", &order).await?.refused((400, "malformed"))?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn clients_are_told_to_wait_as_long_as_their_profile_says() -> anyhow::Result<()> {
    let profiles = r#"[{name="default"}, {name="patient", retry_after="17s"}]"#;
    let scene = Scene::with(|setup| {
        setup
            .set("profile", profiles)
            .set("default_profile", "default")
            .set("api.retry_after", "13s")
            .set("validation.retry_wait", "2s")
    })
    .await?;
    for (profile, expected) in [("default", "13"), ("patient", "17")] {
        let url = scene.server.profile_url(profile);
        let client = RawClient::register(&url, &scene.server.root()).await?;
        let order = client.place(&[NAME]).await?;
        let challenge = client.challenge(&order.authorizations()[0], "http-01").await?;
        let url = challenge["url"].as_str().unwrap_or_default();
        let reply = client.post(url, &json!({})).await?.expect(200)?;
        assert_eq!(reply.header("retry-after"), Some(expected), "{profile}");
    }
    Ok(())
}

#[tokio::test]
async fn rsa_keys_have_the_lengths_that_the_profile_accepts() -> anyhow::Result<()> {
    let rules = r#"account_keys={min_rsa_bits=3072}, certificate_keys={max_rsa_bits=2048}"#;
    let scene = scene(rules).await?;
    let agreed = json!({ "termsOfServiceAgreed": true });
    let short = scene.newcomer(AccountKey::rsa(2048).await?).await?;
    short.post("newAccount", &agreed).await?.refused((400, "badPublicKey"))?;
    let long = scene.newcomer(AccountKey::rsa(3072).await?).await?;
    long.post("newAccount", &agreed).await?.expect(201)?;

    let order = scene.client.ready_order(&[NAME], &scene.web).await?;
    let finalize = order.finalize()?;
    for (bits, status) in [(3072, 400), (2048, 200)] {
        let key = rsa_key(bits).await?;
        let payload = json!({ "csr": csr_from(&key, &[NAME])? });
        assert_eq!(scene.client.post(&finalize, &payload).await?.status, status, "{bits}");
    }
    Ok(())
}

/// ring cannot make RSA keys; openssl can.
async fn rsa_key(bits: u32) -> anyhow::Result<CertificateKey> {
    let directory = tempfile::tempdir()?;
    let mut command = tokio::process::Command::new(tool("openssl")?);
    command.args(["genpkey", "-algorithm", "RSA", "-pkeyopt"]);
    command.arg(format!("rsa_keygen_bits:{bits}"));
    Ok(CertificateKey::from_pem(&run(command, directory.path()).await?.success()?)?)
}

#[tokio::test]
async fn a_profile_reaches_only_the_networks_that_it_may() -> anyhow::Result<()> {
    let profiles = r#"[{name="default"}, {name="outside", validation={allow_networks=[]}}]"#;
    let scene = Scene::with(|setup| {
        setup
            .set("profile", profiles)
            .set("default_profile", "default")
            .set("validation.attempts", 1)
    })
    .await?;
    scene.client.issue(&[NAME], &scene.web).await?;
    let url = scene.server.profile_url("outside");
    let outside = RawClient::register(&url, &scene.server.root()).await?;
    let problem = problem_of(&outside, NAME, &scene.web).await?;
    assert_eq!(problem["type"], "urn:ietf:params:acme:error:connection", "{problem}");
    Ok(())
}

#[tokio::test]
async fn redirects_lead_to_the_ports_that_the_profile_authorizes() -> anyhow::Result<()> {
    let web = ChallengeServer::start().await?;
    let redirecting = TcpListener::bind("127.0.0.1:0").await?;
    let entrance = redirecting.local_addr()?.port();
    let target = web.port();
    let redirector = tokio::spawn(redirect_all(redirecting, target));
    let profiles = format!(
        r#"[{{name="default", validation={{redirect_ports=[{target}]}}}}, {{name="strict"}}]"#
    );
    let server = Setup::embedded()
        .set("validation.http01_port", entrance)
        .set("validation.attempts", 1)
        .set("profile", profiles)
        .set("default_profile", "default")
        .start()
        .await?;
    let client = RawClient::register(&server.directory_url(), &server.root()).await?;
    client.issue(&[NAME], &web).await?;
    let strict = RawClient::register(&server.profile_url("strict"), &server.root()).await?;
    let problem = problem_of(&strict, NAME, &web).await?;
    assert!(problem["detail"].as_str().unwrap_or_default().contains("port"), "{problem}");
    redirector.abort();
    Ok(())
}

/// Sends every request to the same path at another port.
async fn redirect_all(listener: TcpListener, port: u16) -> anyhow::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request).await?;
        let request = String::from_utf8_lossy(&request[..length]).into_owned();
        let path = request.split(' ').nth(1).context("no path")?;
        let reply = format!(
            "HTTP/1.1 302 Found\r\nLocation: http://{NAME}:{port}{path}\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(reply.as_bytes()).await?;
    }
}

#[tokio::test]
async fn a_profile_asks_its_own_resolver() -> anyhow::Result<()> {
    let (common, own) = (DnsServer::start().await?, DnsServer::start().await?);
    let profiles = format!(
        r#"[{{name="default"}}, {{name="own", validation={{dns_resolver="{}"}}}}]"#,
        own.address()
    );
    let scene = Scene::with(|setup| {
        setup
            .set("validation.dns_resolver", common.address())
            .set("profile", profiles)
            .set("default_profile", "default")
    })
    .await?;
    let url = scene.server.profile_url("own");
    let client = RawClient::register(&url, &scene.server.root()).await?;
    let order = client.place(&["www.example.com"]).await?;
    // The proof is known to the profile's own resolver alone.
    client.prove_by_dns(&order, &own).await?;
    Ok(())
}

#[tokio::test]
async fn a_profile_can_refuse_names_whose_dns_is_not_signed() -> anyhow::Result<()> {
    let dns = DnsServer::start().await?;
    let key = AccountKey::ed25519()?;
    let key = BASE64_URL_SAFE_NO_PAD.decode(key.jwk()["x"].as_str().unwrap_or_default())?;
    let anchor = format!("elsewhere.test. 60 IN DNSKEY 257 3 15 {}", BASE64_STANDARD.encode(key));
    let profiles = format!(
        r#"[{{name="default", validation={{trust_anchor="{anchor}"}}}},
            {{name="strict", validation={{trust_anchor="{anchor}", dnssec_required=true}}}}]"#
    );
    let scene = Scene::with(|setup| {
        setup
            .set("validation.dns_resolver", dns.address())
            .set("validation.attempts", 1)
            .set("profile", profiles)
            .set("default_profile", "default")
    })
    .await?;
    scene.client.issue(&["www.example.com"], &scene.web).await?;
    let url = scene.server.profile_url("strict");
    let strict = RawClient::register(&url, &scene.server.root()).await?;
    let problem = problem_of(&strict, "www.example.com", &scene.web).await?;
    assert_eq!(problem["type"], "urn:ietf:params:acme:error:dns", "{problem}");
    Ok(())
}

#[tokio::test]
async fn the_directory_names_the_caa_identities_of_its_profile() -> anyhow::Result<()> {
    let profiles =
        r#"[{name="default"}, {name="own", validation={caa_identities=["own.example"]}}]"#;
    let scene = Scene::with(|setup| {
        setup
            .set("validation.caa_identities", r#"["ca.example"]"#)
            .set("profile", profiles)
            .set("default_profile", "default")
    })
    .await?;
    let named = |client: &RawClient| client.directory()["meta"]["caaIdentities"].clone();
    assert_eq!(named(&scene.client), json!(["ca.example"]));
    let url = scene.server.profile_url("own");
    let own = RawClient::connect(&url, &scene.server.root(), AccountKey::p256()?).await?;
    assert_eq!(named(&own), json!(["own.example"]));
    Ok(())
}
