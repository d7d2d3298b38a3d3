//! OCSP as openssl speaks it (RFC 6960): by POST and GET, with a nonce and from what is kept.

use std::path::PathBuf;

use acceptance::{Chain, Reply, Scene, run, tool};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::Method;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;
use x509_parser::{extensions::ParsedExtension, pem::parse_x509_pem, prelude::FromDer as _};

const REQUEST: &str = "application/ocsp-request";

/// Asks about one certificate.
struct Question<'a> {
    scene: &'a Scene,
    files: TempDir,
    url: String,
}

async fn scene() -> anyhow::Result<Scene> {
    Scene::with(|setup| setup.set("ca.ocsp", true)).await
}

/// Where a certificate says that OCSP is answered.
fn ocsp_url(chain: &Chain) -> anyhow::Result<Option<String>> {
    let (_, pem) = parse_x509_pem(chain.leaf_pem().as_bytes())?;
    let (_, leaf) = x509_parser::certificate::X509Certificate::from_der(&pem.contents)?;
    let texts =
        leaf.extensions().iter().filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityInfoAccess(access) => Some(access.accessdescs.iter()),
            _ => None,
        });
    let mut ocsp = texts
        .flatten()
        .filter(|place| place.access_method.to_id_string() == "1.3.6.1.5.5.7.48.1")
        .filter_map(|place| match &place.access_location {
            x509_parser::extensions::GeneralName::URI(url) => Some((*url).to_owned()),
            _ => None,
        });
    Ok(ocsp.next())
}

impl<'a> Question<'a> {
    fn about(scene: &'a Scene, chain: &Chain) -> anyhow::Result<Self> {
        let files = TempDir::new()?;
        std::fs::write(files.path().join("leaf.pem"), chain.leaf_pem())?;
        std::fs::write(files.path().join("issuer.pem"), chain.issuers_pem())?;
        let url = ocsp_url(chain)?.unwrap_or_default();
        Ok(Self { scene, files, url })
    }

    fn file(&self, name: &str) -> String {
        self.files.path().join(name).to_string_lossy().into_owned()
    }

    async fn openssl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(tool("openssl")?);
        command.arg("ocsp").args(arguments);
        let output = run(command, self.files.path()).await?;
        Ok(output.stdout + &output.stderr)
    }

    /// Writes a request with more arguments for openssl, and returns it.
    async fn request(&self, more: &[&str]) -> anyhow::Result<Vec<u8>> {
        let (leaf, issuer, request) =
            (self.file("leaf.pem"), self.file("issuer.pem"), self.file("request.der"));
        let about = [more, &["-issuer", &issuer, "-cert", &leaf, "-reqout", &request]].concat();
        self.openssl(&about).await?;
        Ok(std::fs::read(request)?)
    }

    async fn post(&self, request: Vec<u8>) -> anyhow::Result<Reply> {
        let body = Some((REQUEST, request));
        let reply = self.scene.client.request(Method::POST, &self.url, body).await?.expect(200)?;
        assert_eq!(reply.header("content-type"), Some("application/ocsp-response"));
        Ok(reply)
    }

    /// What openssl says of a response, which it must verify up to the root.
    async fn verdict(&self, response: &Reply) -> anyhow::Result<String> {
        self.verify(response, &["-cert", &self.file("leaf.pem")]).await
    }

    /// What openssl says of a response with more arguments.
    async fn verify(&self, response: &Reply, more: &[&str]) -> anyhow::Result<String> {
        let root: PathBuf = self.scene.server.root();
        let (root, issuer) = (root.to_string_lossy(), self.file("issuer.pem"));
        let file = self.file("response.der");
        std::fs::write(&file, &response.body)?;
        let trust = ["-CAfile", &root, "-issuer", &issuer, "-verify_other", &issuer];
        let said =
            self.openssl(&[&["-no_nonce", "-respin", &file], &trust[..], more].concat()).await?;
        assert!(said.contains("Response verify OK"), "{said}");
        Ok(said)
    }
}

#[tokio::test]
async fn a_certificate_is_good_until_it_is_revoked() -> anyhow::Result<()> {
    let scene = scene().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let question = Question::about(&scene, &issued.chain)?;
    let request = question.request(&["-no_nonce"]).await?;
    let good = question.post(request.clone()).await?;
    assert!(question.verdict(&good).await?.contains("leaf.pem: good"));
    // What holds for everybody is kept.
    assert_eq!(question.post(request.clone()).await?.body, good.body);

    let payload = json!({ "certificate": issued.chain.leaf_base64url()?, "reason": 1 });
    scene.client.post("revokeCert", &payload).await?.expect(200)?;
    let said = question.verdict(&question.post(request).await?).await?;
    assert!(said.contains("leaf.pem: revoked"), "{said}");
    assert!(said.contains("Reason: keyCompromise"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_nonce_is_sent_back_and_its_response_is_not_kept() -> anyhow::Result<()> {
    let scene = scene().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let question = Question::about(&scene, &issued.chain)?;
    for hash in ["-sha1", "-sha256"] {
        let request = question.request(&[hash, "-nonce"]).await?;
        let first = question.post(request.clone()).await?;
        let said = question.verify(&first, &[hash, "-cert", &question.file("leaf.pem")]).await?;
        assert!(said.contains("leaf.pem: good"), "{said}");
        // openssl compares the nonces of a request and its response.
        let said = question.verify(&first, &["-reqin", &question.file("request.der")]).await?;
        assert!(!said.to_lowercase().contains("nonce"), "{said}");
        assert_ne!(question.post(request).await?.body, first.body);
    }
    Ok(())
}

#[tokio::test]
async fn a_request_is_answered_by_get_with_how_long_to_keep_it() -> anyhow::Result<()> {
    let scene = scene().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let question = Question::about(&scene, &issued.chain)?;
    let request = BASE64_STANDARD.encode(question.request(&["-no_nonce"]).await?);
    let encoded = request.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let url = format!("{}/{encoded}", question.url);
    let reply = scene.client.request(Method::GET, &url, None).await?.expect(200)?;
    assert!(question.verdict(&reply).await?.contains("leaf.pem: good"));
    let kept = reply.header("cache-control").unwrap_or_default();
    assert!(kept.starts_with("max-age="), "{kept}");
    assert!(reply.header("replay-nonce").is_none());
    Ok(())
}

#[tokio::test]
async fn a_certificate_of_another_issuer_is_unknown() -> anyhow::Result<()> {
    let (scene, other) = (scene().await?, scene().await?);
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let foreign = other.client.issue(&["a.localhost"], &other.web).await?;
    let url = Question::about(&scene, &issued.chain)?.url;
    let question = Question { url, ..Question::about(&other, &foreign.chain)? };
    let request = question.request(&["-no_nonce"]).await?;
    let body = Some((REQUEST, request));
    let reply = scene.client.request(Method::POST, &question.url, body).await?.expect(200)?;
    let file = question.file("response.der");
    std::fs::write(&file, &reply.body)?;
    let said = question.openssl(&["-respin", &file, "-noverify", "-resp_text"]).await?;
    assert!(said.contains("Cert Status: unknown"), "{said}");
    Ok(())
}

#[tokio::test]
async fn what_is_no_request_is_answered_as_malformed() -> anyhow::Result<()> {
    let scene = scene().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let question = Question::about(&scene, &issued.chain)?;
    for body in [vec![], vec![0x30, 0x00], vec![0xff; 4096], b"text".to_vec()] {
        assert_eq!(question.post(body).await?.body, [0x30, 0x03, 0x0a, 0x01, 0x01]);
    }
    let body = Some((REQUEST, vec![0x30; 5000]));
    scene.client.request(Method::POST, &question.url, body).await?.expect(413)?;
    for rest in ["/%", "/***", "/%zz"] {
        let url = format!("{}{rest}", question.url);
        scene.client.request(Method::GET, &url, None).await?.expect(404)?;
    }
    Ok(())
}

#[tokio::test]
async fn without_ocsp_nothing_is_answered_or_promised() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    assert_eq!(ocsp_url(&issued.chain)?, None);
    let url = issued.chain.crl_url()?.replace("/crl/", "/ocsp/").replace(".crl", "");
    let body = Some((REQUEST, vec![0x30, 0x00]));
    scene.client.request(Method::POST, &url, body).await?.expect(404)?;
    Ok(())
}
