//! CAs of every kind: made at the first start, imported, or below a root kept elsewhere.

use std::{
    fs::{DirBuilder, File},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use acceptance::{ChallengeServer, RawClient, Scene, Setup, Surroundings, documented, verify};
use anyhow::bail;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd};
use serde_json::json;
use tempfile::TempDir;

#[tokio::test]
async fn cas_with_every_kind_of_key_that_can_be_made_issue() -> anyhow::Result<()> {
    for kind in ["p256", "p384", "ed25519"] {
        let scene = Scene::with(|setup| setup.set("ca.key_type", kind)).await?;
        let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
        verify(&issued.chain, &scene.server.root()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_ca_keys_are_for_their_owner_only() -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = Scene::start().await?;
    let mut open = vec![scene.server.data_dir().join("ca")];
    let mut keys = 0;
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
                continue;
            }
            if std::fs::read_to_string(entry.path())?.contains("PRIVATE KEY") {
                keys += 1;
                let mode = entry.metadata()?.permissions().mode();
                assert_eq!(mode & 0o077, 0, "{} is {mode:o}", entry.path().display());
            }
        }
    }
    assert!(keys >= 2, "the keys of root and intermediate were not found");
    Ok(())
}

#[tokio::test]
async fn a_passphrase_protects_the_keys_and_is_needed_again() -> anyhow::Result<()> {
    let mut scene = Scene::with(|setup| setup.set("ca.passphrase", "correct horse")).await?;
    scene.client.issue(&["a.localhost"], &scene.web).await?;
    scene.server.stop().await?;
    let data_dir = scene.server.data_dir();
    for wrong in [None, Some("wrong")] {
        let setup = Setup::embedded().set("data_dir", data_dir.display());
        let setup = wrong.into_iter().fold(setup, |setup, it| setup.set("ca.passphrase", it));
        let refused = setup.prepare("wrong")?.start_in_vain().await?;
        assert!(!refused.status.success(), "it started with the passphrase {wrong:?}");
        assert!(refused.stderr.contains("passphrase"), "{}", refused.stderr);
    }
    scene.server.start().await
}

/// Makes a CA whose validity is over: one certificate is root and intermediate.
fn make_ended_ca(dir: &Path) -> anyhow::Result<()> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
    let certificate = params.self_signed(&key)?.pem();
    DirBuilder::new().recursive(true).mode(0o700).create(dir.join("keys"))?;
    for name in ["root.pem", "intermediate.pem"] {
        std::fs::write(dir.join(name), &certificate)?;
    }
    let path = dir.join("keys/intermediate.key");
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(file.write_all(key.serialize_pem().as_bytes())?)
}

#[tokio::test]
async fn a_ca_that_has_ended_is_told_with_where_to_look() -> anyhow::Result<()> {
    let server = Setup::embedded().prepare("ended")?;
    make_ended_ca(&server.data_dir().join("ca"))?;
    let refused = server.start_in_vain().await?;
    assert!(!refused.status.success(), "it started: {}", refused.stdout);
    assert!(refused.stderr.contains("the issuer's certificate is not valid"), "{}", refused.stderr);
    assert!(refused.stderr.contains("certmill ca show"), "{}", refused.stderr);
    let shown = server.operate(&["ca", "show"]).await?.success()?;
    assert!(shown.contains("2001-01-01T00:00:00Z to 2002-01-01T00:00:00Z"), "{shown}");
    Ok(())
}

#[tokio::test]
async fn an_intermediate_below_an_offline_root_issues_after_the_ceremony_as_documented()
-> anyhow::Result<()> {
    issue_below_an_offline_root(Setup::embedded()).await
}

/// Has a root that openssl made certify the intermediate's key, wherever that is, and gets a certificate.
pub(crate) async fn issue_below_an_offline_root(setup: Setup) -> anyhow::Result<()> {
    // One directory stands for both machines and for what is carried between them.
    let desk = TempDir::new()?;
    std::fs::write(desk.path().join("root.pass"), "correct horse\n")?;
    let web = ChallengeServer::start().await?;
    let mut server = setup.set("validation.http01_port", web.port()).prepare("certmill")?;
    for block in documented("Key ceremony with an offline root", "sh")? {
        server.follow(&block, &Surroundings::default(), desk.path()).await?;
    }
    assert!(!server.data_dir().join("ca/keys/root.key").exists(), "the root's key came near");
    server.start().await?;
    let client = RawClient::register(&server.directory_url(), &server.root()).await?;
    let issued = client.issue(&["a.localhost"], &web).await?;
    verify(&issued.chain, &desk.path().join("root.pem")).await?;
    let payload = json!({ "certificate": issued.chain.leaf_base64url()? });
    client.post("revokeCert", &payload).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn names_that_the_intermediate_may_not_certify_are_refused() -> anyhow::Result<()> {
    const LAST: &str = "authorityKeyIdentifier = keyid";
    const LIMITS: &str =
        "nameConstraints = critical, permitted;DNS:localhost, excluded;DNS:no.localhost";
    let desk = TempDir::new()?;
    std::fs::write(desk.path().join("root.pass"), "correct horse\n")?;
    let web = ChallengeServer::start().await?;
    let setup = Setup::embedded().set("validation.http01_port", web.port());
    let mut server = setup.prepare("certmill")?;
    for block in documented("Key ceremony with an offline root", "sh")? {
        let block = block.replace(LAST, &format!("{LAST}\n{LIMITS}"));
        server.follow(&block, &Surroundings::default(), desk.path()).await?;
    }
    server.start().await?;
    let client = RawClient::register(&server.directory_url(), &server.root()).await?;
    let issued = client.issue(&["yes.localhost"], &web).await?;
    verify(&issued.chain, &desk.path().join("root.pem")).await?;
    let names = ["yes.localhost", "no.localhost"];
    let order = client.ready_order(&names, &web).await?;
    let Err(refused) = client.finalize(&order, &names).await else {
        bail!("nobody can verify that certificate");
    };
    let refused = format!("{refused:#}");
    for part in ["error:rejectedIdentifier", "issuer's certificate does not permit no.localhost"] {
        assert!(refused.contains(part), "{refused}");
    }
    Ok(())
}

#[tokio::test]
async fn keys_are_encrypted_and_their_passphrase_is_changed_as_documented() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let first = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let (files, mut old) = (TempDir::new()?, "none");
    for new in ["first", "second"] {
        scene.server.stop().await?;
        let path = |name: &str| files.path().join(name);
        for name in [old, new] {
            std::fs::write(path(name), format!("{name} passphrase\n"))?;
        }
        let surroundings = Surroundings::default().variable("OLD", path(old));
        let surroundings = surroundings.variable("NEW", path(new));
        for block in documented("The passphrase of the keys", "sh")? {
            scene.server.follow(&block, &surroundings, files.path()).await?;
        }
        let keys = scene.server.data_dir().join("ca/keys");
        for name in ["root.key", "intermediate.key"] {
            let key = std::fs::read_to_string(keys.join(name))?;
            assert!(key.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{name}");
        }
        let refused = scene.server.start_in_vain().await?;
        assert!(refused.stderr.contains("passphrase"), "{}", refused.stderr);
        scene.server.configure("ca.passphrase_file", path(new).display());
        scene.server.start().await?;
        let issued = scene.stranger().await?.issue(&["a.localhost"], &scene.web).await?;
        assert_eq!(issued.chain.issuers_pem(), first.chain.issuers_pem());
        old = new;
    }
    Ok(())
}
