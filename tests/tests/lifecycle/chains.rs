//! The forms and chains in which a certificate is sent (RFC 8555 §7.4.2).

use std::path::{Path, PathBuf};

use acceptance::{Chain, ChallengeServer, RawClient, Reply, Scene, Setup, run, tool, verify};
use tempfile::TempDir;
use tokio::process::Command;

const ALTERNATE: &str = "Other Root";

async fn openssl(files: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(tool("openssl")?);
    command.args(arguments);
    run(command, files).await?.success()
}

/// Downloads a certificate in the form that an Accept header asks for.
async fn download(client: &RawClient, url: &str, accept: &str) -> anyhow::Result<Reply> {
    client.post_as_get_accepting(url, accept).await?.expect(200)
}

/// A second root, with the issuing certificate of a CA directory signed by it as well.
async fn cross_sign(ca: &Path, files: &Path) -> anyhow::Result<PathBuf> {
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let (key, root) = (text(files.join("other.key")), text(files.join("other.pem")));
    let issuing = text(ca.join("intermediate.pem"));
    let subject = format!("/CN={ALTERNATE}");
    let usage = "keyUsage=critical,keyCertSign,cRLSign";
    openssl(
        files,
        &[
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", &subject,
            "-addext", usage, "-keyout", &key, "-out", &root,
        ],
    )
    .await?;
    let shown =
        openssl(files, &["x509", "-noout", "-ext", "subjectKeyIdentifier", "-in", &issuing])
            .await?;
    let identifier = shown.lines().last().unwrap_or_default().trim();
    let extensions = format!(
        "basicConstraints=critical,CA:TRUE,pathlen:0\n{usage}\n\
         subjectKeyIdentifier={identifier}\nauthorityKeyIdentifier=keyid\n"
    );
    std::fs::write(files.join("extensions"), extensions)?;
    let (extensions, cross) = (text(files.join("extensions")), text(files.join("cross.pem")));
    let (public, subject) = (text(files.join("issuing.pub")), "/CN=Certmill Intermediate");
    openssl(files, &["x509", "-noout", "-pubkey", "-in", &issuing, "-out", &public]).await?;
    let signed_by_other = ["-CA", &root, "-CAkey", &key, "-CAcreateserial", "-out", &cross];
    let issuing = ["-new", "-force_pubkey", &public, "-subj", subject, "-days", "30"];
    let arguments = [&["x509", "-extfile", &extensions], &issuing[..], &signed_by_other[..]];
    openssl(files, &arguments.concat()).await?;
    std::fs::create_dir_all(ca.join("alternates"))?;
    let chain = std::fs::read_to_string(&cross)? + &std::fs::read_to_string(&root)?;
    std::fs::write(ca.join("alternates/other.pem"), chain)?;
    Ok(root.into())
}

#[tokio::test]
async fn a_certificate_is_sent_in_the_form_that_is_asked_for() -> anyhow::Result<()> {
    let issuer = "http://ca.example.com/issuer.cer";
    // Certificates name OCSP as well, and first.
    let scene =
        Scene::with(|setup| setup.set("ca.issuer_url", issuer).set("ca.ocsp", true)).await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let url = issued.order.certificate()?;
    let files = TempDir::new()?;
    let (leaf, bundle) = (files.path().join("leaf.der"), files.path().join("bundle.p7b"));

    let pem = download(&scene.client, &url, "application/pem-certificate-chain").await?;
    assert_eq!(pem.header("content-type"), Some("application/pem-certificate-chain"));
    assert_eq!(pem.text(), issued.chain.pem());
    assert!(pem.links("alternate").is_empty());

    let der = download(&scene.client, &url, "application/pkix-cert").await?;
    assert_eq!(der.header("content-type"), Some("application/pkix-cert"));
    assert_eq!(der.links("up"), [issuer]);
    std::fs::write(&leaf, &der.body)?;
    let leaf = leaf.to_string_lossy();
    let as_pem = openssl(files.path(), &["x509", "-inform", "DER", "-in", &leaf]).await?;
    assert_eq!(as_pem, issued.chain.leaf_pem());

    let cms = download(&scene.client, &url, "application/pkcs7-mime").await?;
    let media_type = "application/pkcs7-mime; smime-type=certs-only";
    assert_eq!(cms.header("content-type"), Some(media_type));
    assert!(pem.links("up").is_empty() && cms.links("up").is_empty());
    std::fs::write(&bundle, &cms.body)?;
    let arguments = ["pkcs7", "-inform", "DER", "-print_certs", "-in", &bundle.to_string_lossy()];
    let printed = openssl(files.path(), &arguments).await?;
    for certificate in [issued.chain.leaf_pem(), issued.chain.issuers_pem()] {
        assert!(printed.contains(certificate), "{printed}");
    }
    Ok(())
}

#[tokio::test]
async fn a_cross_signed_issuer_makes_an_alternate_chain() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    scene.server.stop().await?;
    let files = TempDir::new()?;
    let other = cross_sign(&scene.server.data_dir().join("ca"), files.path()).await?;
    scene.server.start().await?;
    let client = scene.stranger().await?;
    let issued = client.issue(&["a.localhost"], &scene.web).await?;
    verify(&issued.chain, &scene.server.root()).await?;

    let url = issued.order.certificate()?;
    let first = client.post_as_get(&url).await?.expect(200)?;
    let [alternate] = &first.links("alternate")[..] else { anyhow::bail!("{:?}", first.headers) };
    let second = client.post_as_get(alternate).await?.expect(200)?;
    assert_eq!(second.links("alternate"), std::slice::from_ref(&url));
    let chain = Chain::parse(&second.text())?;
    assert_eq!(chain.leaf_pem(), issued.chain.leaf_pem());
    verify(&chain, &other).await?;
    assert!(verify(&chain, &scene.server.root()).await.is_err());
    for other in [format!("{url}/0"), format!("{url}/2"), format!("{url}/01")] {
        client.post_as_get(&other).await?.refused((404, "malformed"))?;
    }
    let stranger = scene.stranger().await?;
    stranger.post_as_get(alternate).await?.refused((404, "malformed"))?;
    Ok(())
}

#[tokio::test]
async fn a_profile_prefers_a_root_or_mandates_it() -> anyhow::Result<()> {
    let mut first = Setup::embedded().start().await?;
    first.stop().await?;
    let files = TempDir::new()?;
    let other = cross_sign(&first.data_dir().join("ca"), files.path()).await?;
    let profiles = format!(
        r#"[{{name="first"}}, {{name="preferred", preferred_root="{ALTERNATE}"}},
            {{name="mandated", preferred_root="{ALTERNATE}", alternate_chains=false}}]"#
    );
    let web = ChallengeServer::start().await?;
    let server = Setup::embedded()
        .set("data_dir", first.data_dir().display())
        .set("validation.http01_port", web.port())
        .set("profile", profiles.replace('\n', ""))
        .set("default_profile", "first")
        .start()
        .await?;
    for (profile, root, alternates) in [
        ("first", first.root(), 1),
        ("preferred", other.clone(), 1),
        ("mandated", other.clone(), 0),
    ] {
        let client = RawClient::register(&server.profile_url(profile), &first.root()).await?;
        let issued = client.issue(&["a.localhost"], &web).await?;
        verify(&issued.chain, &root).await?;
        let reply = client.post_as_get(&issued.order.certificate()?).await?.expect(200)?;
        assert_eq!(reply.links("alternate").len(), alternates, "{profile}");
    }
    Ok(())
}

#[tokio::test]
async fn a_preferred_root_that_is_not_there_is_refused_with_its_line() -> anyhow::Result<()> {
    let files = TempDir::new()?;
    let configuration = files.path().join("certmill.toml");
    std::fs::write(&configuration, "[[profile]]\npreferred_root = \"No Such Root\"\n")?;
    let refused = Setup::embedded().configuration(configuration).prepare("wrong")?;
    // Before the first start the CA may be on another machine.
    let warned = refused.operate(&["check-config"]).await?.success()?;
    assert!(warned.contains("WARNING") && warned.contains("preferred_root"), "{warned}");
    let serve = refused.start_in_vain().await?;
    let check = refused.operate(&["check-config"]).await?;
    for refused in [serve, check] {
        assert!(!refused.status.success());
        let expected = "certmill.toml, line 2 (preferred_root): profile default: preferred_root: \
                        must be the common name of a root that the chains lead to: Certmill Root";
        assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    }
    Ok(())
}
