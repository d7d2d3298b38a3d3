//! CRLs as their readers see them: openssl, which looks for the one that a certificate names, and linters.

use std::time::Duration;

use acceptance::{Chain, Scene, eventually, lint_crl, revoked, verify, verify_with_crl};
use http::Method;
use serde_json::json;

/// How soon a revocation is to be on the CRL.
const CRL_LIMIT: Duration = Duration::from_secs(20);
/// Enough for some to be revoked and some not in most shards.
const CERTIFICATES: usize = 6;

/// What certificates say precedes a CRL's name; linters want no port in it.
const BASE: &str = "http://crl.example.com/crl";

/// The CRL that a certificate names.
async fn crl_of(scene: &Scene, chain: &Chain) -> anyhow::Result<Vec<u8>> {
    let here = format!("https://localhost:{}/crl", scene.server.port());
    let url = chain.crl_url()?.replace(BASE, &here);
    let reply = scene.client.request(Method::GET, &url, None).await?.expect(200)?;
    Ok(reply.body.to_vec())
}

/// Revokes a certificate and waits until the CRL that it names lists it.
async fn revoke(scene: &Scene, chain: &Chain) -> anyhow::Result<Vec<u8>> {
    let payload = json!({ "certificate": chain.leaf_base64url()? });
    scene.client.post("revokeCert", &payload).await?.expect(200)?;
    let serial = chain.serial()?;
    eventually("the certificate is on the CRL that it names", CRL_LIMIT, async || {
        let crl = crl_of(scene, chain).await?;
        Ok(revoked(&crl)?.contains_key(&serial).then_some(crl))
    })
    .await
}

#[tokio::test]
async fn openssl_finds_the_revoked_on_the_shards_that_certificates_name() -> anyhow::Result<()> {
    let scene =
        Scene::with(|setup| setup.set("ca.crl_base_url", BASE).set("ca.crl_shards", 2)).await?;
    let root = scene.server.root();
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for number in 0..CERTIFICATES {
        let name = format!("n{number}.localhost");
        let issued = scene.client.issue(&[&name], &scene.web).await?;
        let odd = number % 2 == 1;
        if odd { bad.push(issued.chain) } else { good.push(issued.chain) }
    }
    for chain in &bad {
        let crl = revoke(&scene, chain).await?;
        assert!(chain.crl_url()?.contains("-2-"), "{}", chain.crl_url()?);
        lint_crl(&crl).await?;
        let said = verify_with_crl(chain, &root, &crl).await.unwrap_err().to_string();
        assert!(said.contains("certificate revoked"), "{said}");
    }
    for chain in &good {
        verify_with_crl(chain, &root, &crl_of(&scene, chain).await?).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_certificate_finds_its_crl_whatever_became_of_the_number_of_shards() -> anyhow::Result<()>
{
    let mut scene = Scene::with(|setup| setup.set("ca.crl_base_url", BASE)).await?;
    let mut issued = Vec::new();
    for shards in [1, 16, 4] {
        scene.server.stop().await?;
        scene.server.configure("ca.crl_shards", shards);
        scene.server.start().await?;
        scene.client.forget_nonces();
        issued.push(scene.client.issue(&["a.localhost"], &scene.web).await?.chain);
    }
    let root = scene.server.root();
    for chain in &issued {
        verify(chain, &root).await?;
        let crl = revoke(&scene, chain).await?;
        let said = verify_with_crl(chain, &root, &crl).await.unwrap_err().to_string();
        assert!(said.contains("certificate revoked"), "{said}");
        lint_crl(&crl).await?;
    }
    // How CRLs were divided stands among the revocations, and is none.
    let exported = scene.server.operate(&["audit", "export", "--outcome", "revoked"]).await?;
    let exported = exported.success()?;
    for chain in &issued {
        assert!(exported.contains(&chain.serial()?), "{exported}");
    }
    // Whoever wants all of them takes the undivided one.
    let all = revoked(&crl_of(&scene, &issued[0]).await?)?;
    for chain in &issued {
        assert!(all.contains_key(&chain.serial()?));
    }
    Ok(())
}
