//! CRLs as their readers see them: openssl, which looks for the one that a certificate names, and linters.

use std::{path::PathBuf, time::Duration};

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

/// What is measured of when the first of the CRLs ends.
const FIRST_END: &str = "certmill_crl_next_update_timestamp_seconds";

#[tokio::test]
async fn a_crl_that_cannot_be_renewed_is_measured_beside_those_that_are() -> anyhow::Result<()> {
    let mut scene = Scene::with(|setup| setup.set("ca.crl_shards", 2)).await?;
    let measured = async |scene: &Scene| {
        eventually("CRLs are measured", CRL_LIMIT, async || {
            Ok(scene.server.metric(FIRST_END).await.ok().filter(|end| *end > 0.0))
        })
        .await
    };
    let first_end = measured(&scene).await?;
    // One that cannot be kept any more, and then all.
    let kept = kept_crls(&scene)?;
    assert_eq!(kept.len(), 3, "{kept:?}");
    for stuck in [&kept[..1], &kept[1..]] {
        scene.server.stop().await?;
        for file in stuck {
            std::fs::remove_file(file)?;
            std::fs::create_dir(file)?;
        }
        // The others are made anew, and end later.
        scene.server.configure("ca.crl_validity", "30d");
        scene.server.start().await?;
        assert_eq!(measured(&scene).await?, first_end, "{stuck:?} is what ends first");
    }
    Ok(())
}

/// The files of the CRLs that were published last.
fn kept_crls(scene: &Scene) -> anyhow::Result<Vec<PathBuf>> {
    let files = std::fs::read_dir(scene.server.data_dir().join("signer"))?;
    let files = files.map(|file| Ok(file?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    let is_crl = |file: &PathBuf| file.extension().is_some_and(|it| it == "crl");
    Ok(files.into_iter().filter(is_crl).collect())
}
