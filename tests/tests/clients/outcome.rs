//! What a client must have achieved.

use std::path::Path;

use acceptance::{Chain, Site, lint, verify};
use anyhow::{Context as _, ensure};

/// The certificate that a client wrote to a file: verified, linted, and with exactly these names.
pub(crate) async fn issued(site: &Site, file: &Path, names: &[&str]) -> anyhow::Result<Chain> {
    let pem = std::fs::read_to_string(file).with_context(|| format!("no {}", file.display()))?;
    check(site, Chain::parse(&pem)?, names).await
}

/// The same for a chain that is at hand.
pub(crate) async fn check(site: &Site, chain: Chain, names: &[&str]) -> anyhow::Result<Chain> {
    let mut expected = names.to_vec();
    expected.sort_unstable();
    assert_eq!(chain.names()?, expected);
    verify(&chain, &site.root()).await?;
    lint(&chain).await?;
    Ok(chain)
}

/// A renewed certificate is another one.
pub(crate) fn renewed(before: &Chain, after: &Chain) -> anyhow::Result<()> {
    ensure!(before.serial()? != after.serial()?, "the certificate was not renewed");
    Ok(())
}

/// The log says that the certificate is revoked.
pub(crate) async fn revoked(site: &Site, chain: &Chain) -> anyhow::Result<()> {
    let serial = chain.serial()?;
    let events = site.operator().events().await?;
    let revoked = events
        .iter()
        .any(|event| event["type"] == "CertRevoked" && event["data"]["serial"] == serial.as_str());
    ensure!(revoked, "{serial} is not revoked");
    Ok(())
}
