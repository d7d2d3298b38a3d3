//! What a client must have achieved.

use std::{path::Path, time::Duration};

use acceptance::{Chain, Site, eventually, lint, presented as presented_at, verify};
use anyhow::{Context as _, ensure};

/// How long a server may take to get a certificate by itself and to present it.
const LIMIT: Duration = Duration::from_secs(60);

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

/// The certificate for a name that the web server at a port presents, as soon as it has another one than `known`.
pub(crate) async fn presented(
    site: &Site,
    port: u16,
    name: &str,
    known: Option<&Chain>,
) -> anyhow::Result<Chain> {
    let root = site.root();
    let chain = eventually("the server has a certificate", LIMIT, async || {
        let Ok(chain) = presented_at(port, name, &root).await else { return Ok(None) };
        let is_known = known.is_some_and(|known| known.leaf_pem() == chain.leaf_pem());
        Ok((!is_known).then_some(chain))
    });
    check(site, chain.await?, &[name]).await
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
