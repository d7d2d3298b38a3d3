//! OCSP as openssl speaks it: requests, and its judgement of responses.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use http::Method;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{Chain, RawClient, Reply, run, tool};

const REQUEST: &str = "application/ocsp-request";

/// Asks about one certificate.
pub struct OcspQuestion<'a> {
    client: &'a RawClient,
    root: PathBuf,
    files: TempDir,
    /// Where it is asked.
    pub url: String,
}

impl<'a> OcspQuestion<'a> {
    /// Asks where the certificate says, over a client's connection; responses have to lead to the root.
    ///
    /// # Errors
    /// When the certificate cannot be read.
    pub fn about(client: &'a RawClient, root: &Path, chain: &Chain) -> anyhow::Result<Self> {
        let files = TempDir::new()?;
        std::fs::write(files.path().join("leaf.pem"), chain.leaf_pem())?;
        std::fs::write(files.path().join("issuer.pem"), chain.issuers_pem())?;
        let url = chain.ocsp_url()?.unwrap_or_default();
        Ok(Self { client, root: root.to_owned(), files, url })
    }

    /// The path of one of its files: leaf.pem, issuer.pem, request.der, response.der.
    pub fn file(&self, name: &str) -> String {
        self.files.path().join(name).to_string_lossy().into_owned()
    }

    /// What `openssl ocsp` says.
    ///
    /// # Errors
    /// When it cannot be run.
    pub async fn openssl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(tool("openssl")?);
        command.arg("ocsp").args(arguments);
        let output = run(command, self.files.path()).await?;
        Ok(output.stdout + &output.stderr)
    }

    /// Writes a request with more arguments for openssl, and returns it.
    ///
    /// # Errors
    /// When openssl does not write one.
    pub async fn request(&self, more: &[&str]) -> anyhow::Result<Vec<u8>> {
        let (leaf, issuer, request) =
            (self.file("leaf.pem"), self.file("issuer.pem"), self.file("request.der"));
        let about = [more, &["-issuer", &issuer, "-cert", &leaf, "-reqout", &request]].concat();
        self.openssl(&about).await?;
        Ok(std::fs::read(request)?)
    }

    /// Sends a request by POST.
    ///
    /// # Errors
    /// When the reply is no OCSP response.
    pub async fn post(&self, request: Vec<u8>) -> anyhow::Result<Reply> {
        let body = Some((REQUEST, request));
        let reply = self.client.request(Method::POST, &self.url, body).await?.expect(200)?;
        ensure!(reply.header("content-type") == Some("application/ocsp-response"), "{reply:?}");
        Ok(reply)
    }

    /// What openssl says of a response, which it must verify up to the root.
    ///
    /// # Errors
    /// When it does not verify.
    pub async fn verdict(&self, response: &Reply) -> anyhow::Result<String> {
        self.verify(response, &["-cert", &self.file("leaf.pem")]).await
    }

    /// What openssl says of a response with more arguments.
    ///
    /// # Errors
    /// When it does not verify.
    pub async fn verify(&self, response: &Reply, more: &[&str]) -> anyhow::Result<String> {
        let (root, issuer) = (self.root.to_string_lossy(), self.file("issuer.pem"));
        let file = self.file("response.der");
        std::fs::write(&file, &response.body)?;
        let trust = ["-CAfile", &root, "-issuer", &issuer, "-verify_other", &issuer];
        let said =
            self.openssl(&[&["-no_nonce", "-respin", &file], &trust[..], more].concat()).await?;
        ensure!(said.contains("Response verify OK"), "{said}");
        Ok(said)
    }
}
