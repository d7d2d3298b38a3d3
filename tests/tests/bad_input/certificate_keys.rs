//! Keys that are not certified: not allowed by the profile, on a list, an account's, or known to others.

use std::{path::Path, time::Duration};

use acceptance::{AccountKey, CertificateKey, RawClient, Scene, csr_from, eventually, until};
use rcgen::{PKCS_ECDSA_P384_SHA384, PublicKeyData as _};
use ring::digest::{SHA256, digest};
use serde_json::json;

const BAD_CSR: acceptance::Refused = (400, "badCSR");
const NAME: &str = "a.localhost";
/// Longer than a server takes to notice that a file changed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Finalizes a new order with a key that must be refused, and checks that the order is still ready.
async fn refused(
    client: &RawClient,
    scene: &Scene,
    key: &CertificateKey,
) -> anyhow::Result<String> {
    let order = client.ready_order(&[NAME], &scene.web).await?;
    let payload = json!({ "csr": csr_from(key, &[NAME])? });
    let problem = client.post(&order.finalize()?, &payload).await?.refused(BAD_CSR)?;
    assert_eq!(client.read(&order.url).await?.status(), "ready");
    Ok(problem["detail"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn the_key_of_a_certificate_revoked_for_key_compromise_is_never_certified_again()
-> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let issued = scene.client.issue(&["b.localhost"], &scene.web).await?;
    let payload = json!({ "certificate": issued.chain.leaf_base64url()?, "reason": 1 });
    scene.client.post("revokeCert", &payload).await?.expect(200)?;
    let detail = refused(&scene.client, &scene, &issued.key).await?;
    assert!(detail.contains("known to others"), "{detail}");
    let newcomer = scene.newcomer((&issued.key).try_into()?).await?;
    let payload = json!({ "termsOfServiceAgreed": true });
    newcomer.post("newAccount", &payload).await?.refused((400, "badPublicKey"))?;
    scene.server.kill().await?;
    scene.server.start().await?;
    let client = scene.stranger().await?;
    refused(&client, &scene, &issued.key).await?;
    Ok(())
}

#[tokio::test]
async fn an_operator_who_revokes_for_key_compromise_blocks_the_key() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let issued = scene.client.issue(&["b.localhost"], &scene.web).await?;
    let serial = issued.chain.serial()?;
    let command = ["revoke", &serial, "--reason", "keyCompromise"];
    scene.server.operate(&command).await?.success()?;
    refused(&scene.client, &scene, &issued.key).await?;
    Ok(())
}

#[tokio::test]
async fn an_operator_who_tells_of_a_compromise_too_late_hears_that_the_key_is_blocked()
-> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let issued = scene.client.issue(&["b.localhost"], &scene.web).await?;
    let serial = issued.chain.serial()?;
    scene.server.operate(&["revoke", &serial, "--reason", "superseded"]).await?.success()?;
    for (reason, is_blocked) in [("superseded", false), ("keyCompromise", true)] {
        let said = scene.server.operate(&["revoke", &serial, "--reason", reason]).await?.stderr;
        assert!(said.contains("is revoked already"), "{said}");
        assert_eq!(said.contains("Its key is blocked now"), is_blocked, "{said}");
    }
    refused(&scene.client, &scene, &issued.key).await?;
    Ok(())
}

#[tokio::test]
async fn a_compromise_that_is_told_after_another_reason_blocks_the_key() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let issued = scene.client.issue(&["b.localhost"], &scene.web).await?;
    let certificate = issued.chain.leaf_base64url()?;
    let revoke = async |reason: u8| {
        scene
            .client
            .post("revokeCert", &json!({ "certificate": certificate, "reason": reason }))
            .await
    };
    revoke(4).await?.expect(200)?;
    revoke(1).await?.refused((400, "alreadyRevoked"))?;
    refused(&scene.client, &scene, &issued.key).await?;
    Ok(())
}

#[tokio::test]
async fn who_only_proved_the_names_of_a_certificate_does_not_block_its_key() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let issued = scene.client.issue(&["b.localhost"], &scene.web).await?;
    let payload = json!({ "certificate": issued.chain.leaf_base64url()?, "reason": 1 });
    let neighbour = scene.stranger().await?;
    neighbour.ready_order(&["b.localhost"], &scene.web).await?;
    neighbour.post("revokeCert", &payload).await?.expect(200)?;
    // The key may have certificates for other names, which the neighbour cannot take away.
    let order = scene.client.ready_order(&[NAME], &scene.web).await?;
    let csr = json!({ "csr": csr_from(&issued.key, &[NAME])? });
    scene.client.post(&order.finalize()?, &csr).await?.expect(200)?;
    scene.client.expect_status(&order.url, "valid").await?;
    scene.client.post("revokeCert", &payload).await?.refused((400, "alreadyRevoked"))?;
    refused(&scene.client, &scene, &issued.key).await?;
    Ok(())
}

#[tokio::test]
async fn the_key_of_a_certificate_revoked_for_another_reason_may_be_certified_again()
-> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let issued = scene.client.issue(&[NAME], &scene.web).await?;
    let payload = json!({ "certificate": issued.chain.leaf_base64url()?, "reason": 4 });
    scene.client.post("revokeCert", &payload).await?.expect(200)?;
    let order = scene.client.ready_order(&[NAME], &scene.web).await?;
    let payload = json!({ "csr": csr_from(&issued.key, &[NAME])? });
    scene.client.post(&order.finalize()?, &payload).await?.expect(200)?;
    scene.client.expect_status(&order.url, "valid").await?;
    Ok(())
}

#[tokio::test]
async fn the_key_of_any_account_of_any_profile_is_not_certified() -> anyhow::Result<()> {
    let profiles = r#"[{name="default"}, {name="other"}]"#;
    let scene =
        Scene::with(|setup| setup.set("profile", profiles).set("default_profile", "default"))
            .await?;
    let key = CertificateKey::generate()?;
    scene.newcomer((&key).try_into()?).await?.with_account().await?;
    let of_account = "the CSR must not have the key of an account";
    assert_eq!(refused(&scene.client, &scene, &key).await?, of_account);
    let key = CertificateKey::generate()?;
    let (other, root) = (scene.server.profile_url("other"), scene.server.root());
    let account_key = AccountKey::try_from(&key)?;
    RawClient::connect(&other, &root, account_key).await?.with_account().await?;
    assert_eq!(refused(&scene.client, &scene, &key).await?, of_account);
    Ok(())
}

#[tokio::test]
async fn a_profile_certifies_only_the_keys_it_allows() -> anyhow::Result<()> {
    let profiles = r#"[{name="default", certificate_keys={types=["rsa", "p384"]}}]"#;
    let scene = Scene::with(|setup| setup.set("profile", profiles)).await?;
    refused(&scene.client, &scene, &CertificateKey::generate()?).await?;
    let key = CertificateKey::generate_for(&PKCS_ECDSA_P384_SHA384)?;
    let order = scene.client.ready_order(&[NAME], &scene.web).await?;
    let payload = json!({ "csr": csr_from(&key, &[NAME])? });
    scene.client.post(&order.finalize()?, &payload).await?.expect(200)?;
    scene.client.expect_status(&order.url, "valid").await?;
    Ok(())
}

/// Writes a list with a key.
fn list(path: &Path, key: &CertificateKey) -> anyhow::Result<()> {
    let hash = digest(&SHA256, &key.subject_public_key_info());
    let hash: String = hash.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
    Ok(std::fs::write(path, format!("# keys others know\n{hash}\n"))?)
}

#[tokio::test]
async fn a_key_on_the_operators_list_is_refused_for_certificates_and_accounts() -> anyhow::Result<()>
{
    let key = CertificateKey::generate()?;
    let file = tempfile::NamedTempFile::new()?;
    list(file.path(), &key)?;
    let lists = format!("[{:?}]", file.path());
    let scene = Scene::with(|setup| setup.set("key_block_lists", lists)).await?;
    refused(&scene.client, &scene, &key).await?;
    let newcomer = scene.newcomer((&key).try_into()?).await?;
    let payload = json!({ "termsOfServiceAgreed": true });
    newcomer.post("newAccount", &payload).await?.refused((400, "badPublicKey"))?;
    Ok(())
}

#[tokio::test]
async fn a_changed_list_is_heeded_without_a_restart_and_a_damaged_one_is_not() -> anyhow::Result<()>
{
    let [former, next] = [CertificateKey::generate()?, CertificateKey::generate()?];
    let file = tempfile::NamedTempFile::new()?;
    list(file.path(), &former)?;
    let lists = format!("[{:?}]", file.path());
    let scene = Scene::with(|setup| setup.set("key_block_lists", lists)).await?;
    let client = &scene.client;
    std::fs::write(file.path(), "no hash\n")?;
    let is_told = || scene.server.log().is_ok_and(|log| log.contains("changed files are not used"));
    until("the damage is told", PATIENCE, async || is_told()).await?;
    refused(client, &scene, &former).await?;
    list(file.path(), &next)?;
    let order = client.ready_order(&[NAME], &scene.web).await?;
    let payload = json!({ "csr": csr_from(&former, &[NAME])? });
    let finalize = order.finalize()?;
    eventually("the former key is off the list", PATIENCE, async || {
        let reply = client.post(&finalize, &payload).await?;
        Ok((reply.status == 200).then_some(()))
    })
    .await?;
    refused(client, &scene, &next).await?;
    Ok(())
}
