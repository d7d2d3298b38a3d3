//! CAs whose keys are in a PKCS#11 token: what they sign, how they start, and what a crash leaves.

use std::{fmt::Write as _, time::Duration};

use acceptance::{
    Certmill, ChallengeServer, OcspQuestion, RawClient, Scene, Setup, Token, csr, eventually,
    revoked, verify, verify_with_crl,
};
use http::Method;
use serde_json::{Value, json};

use crate::authority::issue_below_an_offline_root;

/// How soon what is signed is to be seen, a token that came back included.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// How often an event of a type was written.
pub(crate) fn count(events: &[Value], kind: &str) -> usize {
    events.iter().filter(|event| event["type"] == kind).count()
}

#[tokio::test]
async fn a_ca_in_a_token_signs_certificates_crls_and_for_its_ocsp_responder() -> anyhow::Result<()>
{
    for kind in ["p256", "p384", "ed25519"] {
        let token = Token::make().await?;
        let setup = token.in_setup(Setup::embedded())?;
        let setup = setup.set("ca.key_type", kind).set("ca.ocsp", true);
        let mut scene = Scene::over(setup).await?;
        let (client, root) = (&scene.client, scene.server.root());
        let issued = client.issue(&["a.localhost"], &scene.web).await?;
        verify(&issued.chain, &root).await?;

        let question = OcspQuestion::about(client, &root, &issued.chain)?;
        let answer = question.post(question.request(&["-no_nonce"]).await?).await?;
        assert!(question.verdict(&answer).await?.contains("leaf.pem: good"), "{kind}");

        let payload = json!({ "certificate": issued.chain.leaf_base64url()? });
        client.post("revokeCert", &payload).await?.expect(200)?;
        let serial = issued.chain.serial()?;
        let crl = eventually("the certificate is on the CRL", LIMIT, async || {
            let crl = client.request(Method::GET, &issued.chain.crl_url()?, None).await?;
            let crl = crl.expect(200)?.body.to_vec();
            Ok(revoked(&crl)?.contains_key(&serial).then_some(crl))
        })
        .await?;
        let said = verify_with_crl(&issued.chain, &root, &crl).await.unwrap_err().to_string();
        assert!(said.contains("certificate revoked"), "{kind}: {said}");

        assert!(!scene.server.data_dir().join("ca/keys/intermediate.key").exists());
        let shown = scene.server.operate(&["ca", "show"]).await?.success()?;
        assert!(shown.contains("\"certmill-intermediate\" in the PKCS#11 token"), "{shown}");
        let mut seen = scene.server.operate(&["check-config"]).await?.success()?;
        seen.write_str(&scene.server.process()?.log_tail())?;
        assert!(!seen.contains(token.pin()), "the PIN is shown");
        // The same key is found again.
        scene.server.stop().await?;
        scene.server.start().await?;
        scene.client.forget_nonces();
        let again = scene.client.issue(&["b.localhost"], &scene.web).await?;
        verify(&again.chain, &root).await?;
        let objects = token.objects().await?;
        assert_eq!(objects.matches("Private Key Object").count(), 1);
        let usages: Vec<&str> = objects
            .lines()
            .filter_map(|it| it.split_once("Usage:"))
            .map(|(_, it)| it.trim())
            .collect();
        assert!(
            usages.contains(&"sign") && usages.iter().all(|it| ["sign", "verify"].contains(it)),
            "{kind}: {usages:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn root_and_intermediate_in_the_token_may_be_rsa() -> anyhow::Result<()> {
    let token = Token::make().await?;
    let web = ChallengeServer::start().await?;
    let setup = token.in_setup(Setup::embedded())?.set("ca.pkcs11.root_key_label", "root");
    let setup = setup.set("validation.http01_port", web.port());
    let mut server = setup.prepare("certmill")?;
    for ca in ["root", "intermediate"] {
        server.operate(&["ca", ca, "--key-type", "rsa"]).await?.success()?;
    }
    assert!(!server.data_dir().join("ca/keys").exists(), "a key is in a file");
    assert_eq!(token.objects().await?.matches("Public Key Object; RSA 3072 bits").count(), 2);
    server.start().await?;
    let client = RawClient::register(&server.directory_url(), &server.root()).await?;
    let issued = client.issue(&["a.localhost"], &web).await?;
    verify(&issued.chain, &server.root()).await
}

#[tokio::test]
async fn a_key_that_others_made_in_the_token_is_certified_by_an_offline_root() -> anyhow::Result<()>
{
    let token = Token::make().await?;
    token.make_key("EC:secp384r1", "ceremony-2026").await?;
    let setup = token.in_setup(Setup::embedded())?.set("ca.pkcs11.key_label", "ceremony-2026");
    issue_below_an_offline_root(setup).await?;
    assert_eq!(token.objects().await?.matches("Private Key Object").count(), 1);
    Ok(())
}

#[tokio::test]
async fn a_token_that_cannot_be_used_is_refused_at_start_with_what_to_do() -> anyhow::Result<()> {
    let token = Token::make().await?;
    token.make_key("EC:secp521r1", "p521").await?;
    for _ in 0..2 {
        token.make_key("EC:prime256v1", "twice").await?;
    }
    token.make_key("EC:prime256v1", "halves").await?;
    token.replace_private_half("halves").await?;
    let wrong_pin = token.pin_file().with_extension("wrong");
    std::fs::write(&wrong_pin, "161803")?;
    let wrong = [
        ("ca.pkcs11.pin_file", wrong_pin.display().to_string(), "correct the PIN file before"),
        ("ca.pkcs11.pin_file", "/nowhere/pin".to_owned(), "Set ca.pkcs11.pin_file to a file"),
        ("ca.pkcs11.module", "/nowhere/module.so".to_owned(), "module /nowhere/module.so cannot"),
        ("ca.pkcs11.token", "other".to_owned(), "shows no token with the label \"other\""),
        ("ca.pkcs11.key_label", "p521".to_owned(), "not of a supported kind"),
        ("ca.pkcs11.key_label", "halves".to_owned(), "do not belong together"),
        ("ca.pkcs11.key_label", "twice".to_owned(), "several keys in the token have the label"),
    ];
    for (key, value, said) in wrong {
        let setup = token.in_setup(Setup::embedded())?.set(key, &value);
        let refused = setup.prepare("refused")?.start_in_vain().await?;
        assert!(!refused.status.success(), "it started with {key} = {value}");
        assert!(refused.stderr.contains(said), "{key} = {value}: {}", refused.stderr);
        assert!(refused.stderr.contains("ca.pkcs11"), "{}", refused.stderr);
        assert!(!refused.stderr.contains("161803"), "the PIN is shown");
    }
    let server = token.in_setup(Setup::embedded())?.prepare("certmill")?;
    let key = server.data_dir().with_extension("key");
    std::fs::write(&key, "")?;
    let key = key.display().to_string();
    let refused = server.operate(&["ca", "import-key", "intermediate", &key]).await?;
    assert!(refused.stderr.contains("imported into a token with its own tools"), "{refused:?}");
    Ok(())
}

/// Kills the server while its token signs, and starts it again.
async fn crash_while_signing(key_type: &str) -> anyhow::Result<(Certmill, Vec<Value>)> {
    let token = Token::make().await?;
    let hsm = token.serve().await?;
    let web = ChallengeServer::start().await?;
    let setup = hsm.in_setup(Setup::embedded())?.set("validation.http01_port", web.port());
    let mut server = setup.prepare("certmill")?;
    server.operate(&["ca", "root"]).await?.success()?;
    server.operate(&["ca", "intermediate", "--key-type", key_type]).await?.success()?;
    server.start().await?;
    let client = RawClient::register(&server.directory_url(), &server.root()).await?;
    let order = client.ready_order(&["a.localhost"], &web).await?;
    let (_, request) = csr(&["a.localhost"])?;
    hsm.freeze().await?;
    client.post(&order.finalize()?, &json!({ "csr": request })).await?.expect(200)?;
    eventually("a serial is reserved", LIMIT, async || {
        Ok((count(&server.events().await?, "CertificateReserved") == 1).then_some(()))
    })
    .await?;
    server.kill().await?;
    hsm.thaw().await?;
    server.start().await?;
    client.forget_nonces();
    let order = client.expect_status(&order.url, "valid").await?;
    verify(&client.download(&order).await?, &server.root()).await?;
    let events = server.events().await?;
    Ok((server, events))
}

#[tokio::test]
async fn a_serial_whose_signature_cannot_be_made_again_is_burned_after_a_crash()
-> anyhow::Result<()> {
    let (server, events) = crash_while_signing("p256").await?;
    assert_eq!(count(&events, "SerialBurned"), 1);
    assert_eq!(count(&events, "CertRevoked"), 1);
    assert_eq!(count(&events, "CertificateReserved"), 2);

    let burned = events.iter().find(|event| event["type"] == "SerialBurned");
    let serial = burned.and_then(|event| event["data"]["serial"].as_str()).unwrap_or_default();
    let refused = server.operate(&["revoke", serial, "--reason", "superseded"]).await?.stderr;
    assert!(refused.contains(&format!("no certificate with serial {serial} is on record")));
    assert!(refused.contains(&format!("is revoked already: `certmill why {serial}`")), "{refused}");
    Ok(())
}

#[tokio::test]
async fn an_rsa_signature_of_the_token_is_made_again_after_a_crash() -> anyhow::Result<()> {
    let (_, events) = crash_while_signing("rsa").await?;
    assert_eq!(count(&events, "SerialBurned"), 0);
    assert_eq!(count(&events, "CertificateReserved"), 1);
    Ok(())
}
