//! The certificate of the api's listeners is replaced on disk, as Kubernetes renews a mounted secret.

use std::time::Duration;

use acceptance::{RawClient, eventually};
use http::Method;

use crate::town::Town;

/// How soon a new certificate is shown: files are looked at every 5 s.
const RENEWAL_LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_renewed_certificate_is_shown_by_every_node_and_open_connections_stay()
-> anyhow::Result<()> {
    let town = Town::start().await?;
    let directory = town.cluster.directory_url();
    let before = RawClient::register(&directory, &town.cluster.trust()).await?;
    town.cluster.renew_certificate()?;
    for node in &town.cluster.api {
        let own = format!("https://localhost:{}/acme/directory", node.port());
        eventually("the node shows the new certificate", RENEWAL_LIMIT, async || {
            let key = acceptance::AccountKey::p256()?;
            Ok(RawClient::connect(&own, &town.cluster.trust(), key).await.ok())
        })
        .await?;
        assert_eq!(node.ops("/readyz").await?, 200);
    }
    // Its connection is older than the certificate, which it does not trust.
    before.request(Method::GET, &directory, None).await?.expect(200)?;
    before.issue(&["a.localhost"], &town.web).await?;
    Ok(())
}
