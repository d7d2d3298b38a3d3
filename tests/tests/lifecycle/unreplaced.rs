//! Certificates that end soon and were not replaced are counted.

use std::time::Duration;

use acceptance::{RawClient, Scene, eventually};
use serde_json::json;

/// Certificates that are in the last quarter of their validity when they are issued, and others.
const PROFILES: &str =
    r#"[{name="default", certificate_validity="20m", backdate="16m"}, {name="long"}]"#;
const METRIC: &str = "certmill_certificates_unreplaced";
/// The server looks every 15 s.
const LOOK_LIMIT: Duration = Duration::from_secs(60);

async fn shows(scene: &Scene, expected: f64) -> anyhow::Result<()> {
    eventually(&format!("{expected} certificates are unreplaced"), LOOK_LIMIT, async || {
        let shown = scene.server.metric_where(METRIC, "profile=\"default\"").await?;
        Ok((shown == expected).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_counted_until_it_is_replaced_or_revoked()
-> anyhow::Result<()> {
    let mut scene = Scene::with(|setup| setup.set("profile", PROFILES)).await?;
    scene.client.issue(&["a.localhost", "b.localhost"], &scene.web).await?;
    let second = scene.client.issue(&["c.localhost"], &scene.web).await?;
    scene.client.issue(&["d.localhost"], &scene.web).await?;
    scene.server.stop().await?;
    scene.server.start().await?;
    scene.client.forget_nonces();
    shows(&scene, 3.0).await?;

    let long = scene.server.profile_url("long");
    let other = RawClient::register(&long, &scene.server.root()).await?;
    other.issue(&["b.localhost", "a.localhost"], &scene.web).await?;
    let revoke = json!({ "certificate": second.chain.leaf_base64url()? });
    scene.client.post("revokeCert", &revoke).await?.expect(200)?;
    shows(&scene, 1.0).await
}
