//! Two issuing CAs in one server: one made by it, one with an RSA key that was made elsewhere.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use acceptance::{
    Certmill, Chain, ChallengeServer, OcspQuestion, RawClient, Setup, eventually, revoked, run,
    tool, verify,
};
use http::Method;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

/// How soon a revocation is to be on the CRL.
const CRL_LIMIT: Duration = Duration::from_secs(20);
const ISSUERS: &str = r#"[{name="imported", ocsp=true}]"#;
const PROFILES: &str = r#"[{name="own"}, {name="rsa", issuer="imported"}]"#;

/// A server with a profile for each of two issuers.
struct Two {
    server: Certmill,
    web: ChallengeServer,
    files: TempDir,
}

impl Two {
    async fn start() -> anyhow::Result<Self> {
        let (web, files) = (ChallengeServer::start().await?, TempDir::new()?);
        let mut server = Setup::embedded()
            .set("validation.http01_port", web.port())
            .set("ca.issuer", ISSUERS)
            .set("profile", PROFILES)
            .set("default_profile", "own")
            .prepare("certmill")?;
        let (key, bundle) = make_rsa_ca(files.path()).await?;
        let ca = async |arguments: &[&str]| {
            let command = [&["ca", "--issuer", "imported"], arguments].concat();
            server.operate(&command).await?.success()
        };
        ca(&["import-key", "intermediate", text(&key)]).await?;
        ca(&["install", text(&bundle)]).await?;
        let shown = ca(&["show"]).await?;
        assert!(shown.contains("CN=RSA Issuing"), "{shown}");
        server.start().await?;
        Ok(Self { server, web, files })
    }

    async fn client(&self, profile: &str) -> anyhow::Result<RawClient> {
        RawClient::register(&self.server.profile_url(profile), &self.server.root()).await
    }

    fn rsa_root(&self) -> PathBuf {
        self.files.path().join("root.pem")
    }

    /// Waits until the certificate is on the CRL that it names, and returns the serials there.
    async fn on_crl(&self, client: &RawClient, chain: &Chain) -> anyhow::Result<Vec<String>> {
        let (url, serial) = (chain.crl_url()?, chain.serial()?);
        eventually("the certificate is on the CRL that it names", CRL_LIMIT, async || {
            let reply = client.request(Method::GET, &url, None).await?.expect(200)?;
            let listed = revoked(&reply.body)?;
            Ok(listed.contains_key(&serial).then(|| listed.into_keys().collect()))
        })
        .await
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

/// A root and below it an issuing CA, both RSA; returns the latter's key and the bundle of both certificates.
async fn make_rsa_ca(files: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let file = |name: &str| files.join(name);
    let openssl = async |line: &str| {
        let mut command = Command::new(tool("openssl")?);
        command.args(line.split(' ').map(|word| word.replace('_', " ")));
        run(command, files).await?.success()
    };
    let new = "-newkey rsa:2048 -nodes";
    openssl(&format!(
        "req -x509 {new} -days 3650 -subj /CN=RSA_Root -addext keyUsage=critical,keyCertSign,cRLSign \
         -keyout root.key -out root.pem"
    ))
    .await?;
    openssl(&format!("req {new} -subj /CN=RSA_Issuing -keyout rsa.key -out rsa.csr")).await?;
    std::fs::write(
        file("extensions"),
        "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign,digitalSignature\n\
         subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n",
    )?;
    openssl(
        "x509 -req -days 365 -in rsa.csr -CA root.pem -CAkey root.key -CAcreateserial -extfile \
         extensions -out rsa.pem",
    )
    .await?;
    let bundle =
        std::fs::read_to_string(file("rsa.pem"))? + &std::fs::read_to_string(file("root.pem"))?;
    std::fs::write(file("bundle.pem"), bundle)?;
    Ok((file("rsa.key"), file("bundle.pem")))
}

#[tokio::test]
async fn each_profile_has_its_issuers_chain_and_crl_also_after_a_kill() -> anyhow::Result<()> {
    let mut two = Two::start().await?;
    let (own, rsa) = (two.client("own").await?, two.client("rsa").await?);
    let by_own = own.issue(&["a.localhost"], &two.web).await?.chain;
    let by_rsa = rsa.issue(&["a.localhost"], &two.web).await?.chain;
    for (chain, root, other) in
        [(&by_own, two.server.root(), two.rsa_root()), (&by_rsa, two.rsa_root(), two.server.root())]
    {
        verify(chain, &root).await?;
        assert!(verify(chain, &other).await.is_err(), "it leads to one root only");
    }
    assert_ne!(by_own.crl_url()?, by_rsa.crl_url()?);
    let payload = json!({ "certificate": by_rsa.leaf_base64url()? });
    rsa.post("revokeCert", &payload).await?.expect(200)?;

    two.server.kill().await?;
    two.server.start().await?;
    rsa.forget_nonces();
    assert_eq!(two.on_crl(&rsa, &by_rsa).await?, [by_rsa.serial()?]);
    let revoke = ["revoke", &by_own.serial()?, "--reason", "superseded"];
    two.server.operate(&revoke).await?.success()?;
    assert_eq!(two.on_crl(&rsa, &by_own).await?, [by_own.serial()?]);
    let again = rsa.issue(&["b.localhost"], &two.web).await?.chain;
    verify(&again, &two.rsa_root()).await?;
    two.server.operate(&["audit", "verify"]).await?.success()?;
    Ok(())
}

#[tokio::test]
async fn ocsp_is_answered_for_the_issuer_that_has_it_and_by_nobody_else() -> anyhow::Result<()> {
    let two = Two::start().await?;
    let (own, rsa) = (two.client("own").await?, two.client("rsa").await?);
    let by_own = own.issue(&["a.localhost"], &two.web).await?.chain;
    let by_rsa = rsa.issue(&["a.localhost"], &two.web).await?.chain;
    assert_eq!(by_own.ocsp_url()?, None);
    let question = OcspQuestion::about(&rsa, &two.rsa_root(), &by_rsa)?;
    let request = question.request(&["-no_nonce"]).await?;
    let said = question.verdict(&question.post(request).await?).await?;
    assert!(said.contains("leaf.pem: good"), "{said}");

    // What one issuer signed, no other one calls good.
    let (serial, file) = (format!("0x{}", by_own.serial()?), question.file("other.der"));
    let about = ["-issuer", &question.file("issuer.pem"), "-serial", &serial, "-no_nonce"];
    question.openssl(&[&about[..], &["-reqout", &file]].concat()).await?;
    let reply = question.post(std::fs::read(&file)?).await?;
    let said = question.verify(&reply, &["-serial", &serial]).await?;
    assert!(said.contains(&format!("{serial}: unknown")), "{said}");

    let mut about_other = OcspQuestion::about(&rsa, &two.server.root(), &by_own)?;
    about_other.url.clone_from(&question.url);
    let reply = about_other.post(about_other.request(&["-no_nonce"]).await?).await?;
    // unauthorized (RFC 6960 §4.2.1).
    assert_eq!(reply.body, [0x30, 0x03, 0x0a, 0x01, 0x06]);
    Ok(())
}

#[tokio::test]
async fn an_issuer_that_is_not_there_is_refused_with_those_that_are() -> anyhow::Result<()> {
    let server = Setup::embedded().set("ca.issuer", ISSUERS).prepare("unknown")?;
    let refused = server.operate(&["ca", "show", "--issuer", "none"]).await?;
    assert!(refused.stderr.contains("no [[ca.issuer]] named none"), "{}", refused.stderr);

    let profile = r#"[{name="default", issuer="none"}]"#;
    let setup = Setup::embedded().set("ca.issuer", ISSUERS).set("profile", profile);
    let refused = setup.prepare("refused")?.operate(&["check-config"]).await?;
    assert!(!refused.status.success());
    let named = "profile default: issuer: must be the name of a [[ca.issuer]]: imported";
    assert!(refused.stderr.contains(named), "{}", refused.stderr);
    Ok(())
}
