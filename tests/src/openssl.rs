//! openssl as a judge of certificates, and of servers that have them.

use std::{net::IpAddr, path::Path};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use tokio::process::Command;

use crate::{Chain, run, tool};

/// Verifies a certificate as a TLS server's, strictly, with a root as the only anchor.
///
/// # Errors
/// When openssl refuses it, with what it says.
pub async fn verify(chain: &Chain, root: &Path) -> anyhow::Result<()> {
    verify_with(chain, root, None).await
}

/// As [`verify`], and looks for the certificate on a DER CRL, which has to be the one for it.
///
/// # Errors
/// When openssl refuses it, with what it says, such as that it is revoked.
pub async fn verify_with_crl(chain: &Chain, root: &Path, crl: &[u8]) -> anyhow::Result<()> {
    verify_with(chain, root, Some(crl)).await
}

/// The chain that the TLS server at a port of this machine presents for a name.
///
/// # Errors
/// When it presents none, or one that openssl does not trust for the name.
pub async fn presented(port: u16, name: &str, root: &Path) -> anyhow::Result<Chain> {
    let files = TempDir::new()?;
    let mut command = Command::new(tool("openssl")?);
    command
        .args(["s_client", "-showcerts", "-connect", &format!("127.0.0.1:{port}")])
        .args(["-servername", name, "-verify_hostname", name, "-verify_return_error"])
        .arg("-no-CApath")
        .arg("-CAfile")
        .arg(root);
    Chain::printed(&run(command, files.path()).await?.success()?)
}

async fn verify_with(chain: &Chain, root: &Path, crl: Option<&[u8]>) -> anyhow::Result<()> {
    let files = TempDir::new()?;
    let (leaf, issuers) = (files.path().join("leaf.pem"), files.path().join("issuers.pem"));
    std::fs::write(&leaf, chain.leaf_pem())?;
    std::fs::write(&issuers, chain.issuers_pem())?;
    let name = chain.names()?.into_iter().next().context("a certificate without names")?;
    let check = match name.parse::<IpAddr>() {
        Ok(_) => "-verify_ip",
        Err(_) => "-verify_hostname",
    };
    let mut command = Command::new(tool("openssl")?);
    command.arg("verify");
    if let Some(crl) = crl {
        let file = files.path().join("list.crl");
        std::fs::write(&file, pem::encode(&pem::Pem::new("X509 CRL", crl)))?;
        command.arg("-crl_check").arg("-CRLfile").arg(file);
    }
    command
        .args(["-x509_strict", "-purpose", "sslserver", "-check_ss_sig"])
        .args([check, &name.replacen('*', "any", 1)])
        .arg("-no-CApath")
        .arg("-CAfile")
        .arg(root)
        .arg("-untrusted")
        .arg(issuers)
        .arg(leaf);
    let printed = run(command, files.path()).await?.success()?;
    ensure!(printed.trim_end().ends_with(": OK"), "openssl verify says {printed}");
    Ok(())
}
