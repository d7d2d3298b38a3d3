//! What was issued, revoked and refused, as an auditor takes it away.

use std::time::Duration;

use acceptance::{Scene, eventually};
use serde_json::{Value, json};

/// A scene in which a certificate was issued and stays, one was revoked, and one could not be issued.
async fn scene() -> anyhow::Result<Scene> {
    let scene = Scene::with(|setup| setup.set("validation.attempts", 1)).await?;
    scene.client.issue(&["a.localhost", "b.localhost"], &scene.web).await?;
    let stranger = scene.stranger().await?;
    let revoked = stranger.issue(&["c.localhost"], &scene.web).await?;
    let payload = json!({ "certificate": revoked.chain.leaf_base64url()?, "reason": 4 });
    stranger.post("revokeCert", &payload).await?.expect(200)?;
    let refused = scene.client.place(&["d.localhost"]).await?;
    let authorization = &refused.authorizations()[0];
    let challenge = scene.client.challenge(authorization, "http-01").await?;
    let url = challenge["url"].as_str().unwrap_or_default();
    scene.client.post(url, &json!({})).await?.expect(200)?;
    scene.client.expect_status(&refused.url, "invalid").await?;
    Ok(scene)
}

async fn export(scene: &Scene, arguments: &[&str]) -> anyhow::Result<Vec<Value>> {
    let arguments = [&["audit", "export", "--json"], arguments].concat();
    let printed = scene.server.operate(&arguments).await?.success()?;
    Ok(printed.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

#[tokio::test]
async fn an_audit_lists_what_was_issued_revoked_and_refused() -> anyhow::Result<()> {
    let scene = scene().await?;
    let lines = eventually("all of it is listed", Duration::from_secs(10), async || {
        let lines = export(&scene, &["--profile", "default"]).await?;
        Ok((lines.len() == 4).then_some(lines))
    })
    .await?;
    let outcomes: Vec<_> = lines.iter().map(|line| line["outcome"].as_str()).collect();
    assert_eq!(outcomes, ["issued", "issued", "revoked", "failed"].map(Some));
    assert_eq!(lines[0]["names"], json!(["a.localhost", "b.localhost"]));
    assert_eq!(lines[1]["serial"], lines[2]["serial"]);
    assert_eq!(lines[2]["names"], json!(["c.localhost"]));
    assert_eq!(lines[2]["reason"], "superseded");
    assert_eq!(lines[3]["names"], json!(["d.localhost"]));
    let reason = lines[3]["reason"].as_str().unwrap_or_default();
    assert!(
        reason.starts_with("incorrectResponse: ") || reason.starts_with("unauthorized: "),
        "{reason}"
    );

    let account = lines[1]["account"].as_str().unwrap_or_default();
    assert_eq!(export(&scene, &["--account", account]).await?.len(), 2);
    assert_eq!(export(&scene, &["--name", "A.localhost"]).await?.len(), 1);
    assert_eq!(export(&scene, &["--name", ".localhost"]).await?.len(), 4);
    assert_eq!(export(&scene, &["--outcome", "revoked", "--outcome", "failed"]).await?.len(), 2);
    assert_eq!(export(&scene, &["--profile", "other"]).await?.len(), 0);
    let at = lines[2]["at"].as_str().unwrap_or_default();
    assert_eq!(export(&scene, &["--profile", "default", "--since", at]).await?.len(), 2);
    assert_eq!(export(&scene, &["--profile", "default", "--until", at]).await?.len(), 2);
    assert_eq!(export(&scene, &["--until", "2020-01-01"]).await?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn an_audit_is_a_table_for_spreadsheets() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost", "b.localhost"], &scene.web).await?;
    let filter = ["audit", "export", "--name", "a.localhost"];
    let table = scene.server.operate(&filter).await?.success()?;
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    assert!(
        lines[0].starts_with("at,outcome,serial,issuer,profile,account,order,names,"),
        "{table}"
    );
    let serial = issued.chain.serial()?;
    assert!(lines[1].contains(&format!(",issued,{serial},")), "{table}");
    assert!(lines[1].contains(",a.localhost b.localhost,"), "{table}");
    let wrong = scene.server.operate(&["audit", "export", "--since", "soon"]).await?;
    assert!(wrong.stderr.contains("--since"), "{}", wrong.stderr);
    Ok(())
}
