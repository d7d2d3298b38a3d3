//! Two issuing CAs in a cluster, whose signer is killed in between.

use std::time::Duration;

use acceptance::{RawClient, eventually, revoked, verify};
use http::Method;
use serde_json::json;

use crate::town::Town;

/// How soon a revocation is to be on the CRL.
const CRL_LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn each_issuers_revocations_are_on_its_crl_after_the_signer_was_killed() -> anyhow::Result<()>
{
    let profiles = r#"[{name="first"}, {name="second", issuer="second"}]"#;
    let mut town = Town::configured(|setup| {
        setup
            .set("ca.issuer", r#"[{name="second", key_type="p384"}]"#)
            .set("ca.crl_shards", 2)
            .set("profile", profiles)
            .set("default_profile", "first")
    })
    .await?;
    let root = town.cluster.root();
    let at_second = town.cluster.directory_url().replace("/acme/", "/acme/second/");
    let second = RawClient::register(&at_second, &town.cluster.trust()).await?;
    let first = &town.at[0];
    let kept = second.issue(&["kept.localhost"], &town.web).await?.chain;
    let by_first = first.issue(&["a.localhost"], &town.web).await?.chain;
    let names = ["b.localhost"];
    let order = second.ready_order(&names, &town.web).await?;
    // The signer dies while the order is under way.
    let (finalized, killed) = tokio::join!(second.finalize(&order, &names), async {
        town.cluster.workers.kill().await?;
        town.cluster.workers.start().await
    });
    killed?;
    let issued = [by_first, finalized?.chain];
    for (client, chain) in [first, &second].into_iter().zip(&issued) {
        verify(chain, &root).await?;
        let payload = json!({ "certificate": chain.leaf_base64url()? });
        client.post("revokeCert", &payload).await?.expect(200)?;
    }
    let crl_of = |url: &str| url.rsplit('/').next().map(|file| file[..16].to_owned());
    assert_ne!(crl_of(&issued[0].crl_url()?), crl_of(&issued[1].crl_url()?));
    assert_eq!(crl_of(&kept.crl_url()?), crl_of(&issued[1].crl_url()?));
    for chain in &issued {
        let (url, serial) = (chain.crl_url()?, chain.serial()?);
        let listed = eventually("the certificate is on its CRL", CRL_LIMIT, async || {
            let reply = first.request(Method::GET, &url, None).await?.expect(200)?;
            let listed = revoked(&reply.body)?;
            Ok(listed.contains_key(&serial).then_some(listed))
        })
        .await?;
        assert!(!listed.contains_key(&kept.serial()?));
    }
    Ok(())
}
