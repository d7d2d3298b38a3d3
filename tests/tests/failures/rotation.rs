//! The intermediate is replaced as docs/operations.md says, and no client notices.

use acceptance::{
    ChallengeServer, Cluster, OcspQuestion, RawClient, Setup, Surroundings, documented, verify,
    verify_with_crl,
};
use anyhow::Context as _;
use futures::future::try_join_all;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::patient::{Certificate, Met, Patient};

const CLIENTS: usize = 3;
/// Of how many certificates of each client one is revoked and one stays.
const MORE: usize = 2;

/// Names the new issuer in the signer's configuration as documented.
fn configure(cluster: &mut Cluster) -> anyhow::Result<()> {
    let [block] = &documented("Rotation of the intermediate", "toml")?[..] else {
        anyhow::bail!("one block of configuration was expected");
    };
    let documented: toml::Table = block.parse()?;
    let issuers = documented["ca"].get("issuer").context("no [[ca.issuer]]")?;
    cluster.workers.configure("ca.issuer", issuers);
    cluster.workers.configure("profile", &documented["profile"]);
    Ok(())
}

/// One certificate is revoked and is on its CRL, on which the other one is not.
async fn check_crl(
    client: &Patient,
    cluster: &Cluster,
    (revoked, kept): (&Certificate, &Certificate),
) -> anyhow::Result<()> {
    client.revoke(revoked).await?;
    let crl = client.expect_on_crl(revoked).await?;
    verify_with_crl(&kept.chain, &cluster.root(), &crl).await?;
    let refused = verify_with_crl(&revoked.chain, &cluster.root(), &crl).await;
    let refused = refused.err().context("a revoked certificate verifies")?.to_string();
    assert!(refused.contains("certificate revoked"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn the_intermediate_is_rotated_while_clients_go_on_issuing() -> anyhow::Result<()> {
    let web = ChallengeServer::start().await?;
    let setup = Setup::embedded().set("validation.http01_port", web.port());
    let mut cluster = Cluster::start(setup.set("ca.ocsp", true)).await?;
    let (directory, trust) = (cluster.directory_url(), cluster.trust());
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let client = RawClient::register(&directory, &trust).await?;
        clients.push(Patient::new(client, format!("c{number}")));
    }
    let more = async || try_join_all(clients.iter().map(|client| client.until_more(MORE))).await;
    let stop = CancellationToken::new();
    let issuing = try_join_all(clients.iter().map(|client| client.issue_until(&stop, &web)));
    let files = TempDir::new()?;
    let rotating = async {
        more().await?;
        configure(&mut cluster)?;
        for block in documented("Rotation of the intermediate", "sh")? {
            cluster.workers.follow(&block, &Surroundings::default(), files.path()).await?;
        }
        cluster.workers.stop().await?;
        cluster.workers.start().await?;
        let rotated: Vec<usize> = clients.iter().map(|it| it.certificates().len()).collect();
        more().await?;
        more().await?;
        stop.cancel();
        Ok(rotated)
    };
    let (_, rotated) = tokio::try_join!(issuing, rotating)?;

    for (client, rotated) in clients.iter().zip(rotated) {
        assert_eq!(client.met(), Met::default());
        let certificates = client.certificates();
        // One may have been under way.
        let (old, new) = (&certificates[..rotated], &certificates[rotated + 1..]);
        for certificate in old {
            assert_eq!(certificate.chain.issuers_pem(), old[0].chain.issuers_pem());
        }
        for certificate in new {
            assert_ne!(certificate.chain.issuers_pem(), old[0].chain.issuers_pem());
            assert_ne!(certificate.chain.crl_url()?, old[0].chain.crl_url()?);
        }
        for certificate in &certificates {
            client.check_certificate(certificate).await?;
            verify(&certificate.chain, &cluster.root()).await?;
        }
        check_crl(client, &cluster, (&old[0], &old[1])).await?;
        check_crl(client, &cluster, (&new[0], &new[1])).await?;
        let question = OcspQuestion::about(client.raw(), &cluster.root(), &old[1].chain)?;
        let answer = question.post(question.request(&["-no_nonce"]).await?).await?;
        let said = question.verdict(&answer).await?;
        assert!(said.contains("leaf.pem: good"), "{said}");
    }
    cluster.workers.operate(&["audit", "verify"]).await?.success()?;
    Ok(())
}
