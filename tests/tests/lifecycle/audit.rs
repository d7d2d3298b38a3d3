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
    // As long as that it is on CRLs.
    assert_eq!(lines[2]["not_after"], lines[1]["not_after"]);
    assert!(lines[1]["not_after"].is_string());
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
    assert_eq!(export(&scene, &["--name", "localhost"]).await?.len(), 1, "the server's own");
    assert_eq!(export(&scene, &["--outcome", "revoked", "--outcome", "failed"]).await?.len(), 2);
    let at = lines[2]["at"].as_str().unwrap_or_default();
    assert_eq!(export(&scene, &["--profile", "default", "--since", at]).await?.len(), 2);
    assert_eq!(export(&scene, &["--profile", "default", "--until", at]).await?.len(), 2);
    assert_eq!(export(&scene, &["--until", "2020-01-01"]).await?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn an_audit_of_what_is_not_there_fails_instead_of_being_empty() -> anyhow::Result<()> {
    let two = r#"[{name="default"},{name="idle"}]"#;
    let mut scene =
        Scene::with(|setup| setup.set("profile", two).set("default_profile", "default")).await?;
    scene.client.issue(&["a.localhost"], &scene.web).await?;
    let nobody = "A".repeat(22);
    for (arguments, told) in [
        (["--profile", "defualt"].as_slice(), "no profile defualt"),
        (&["--account", &nobody], "no account"),
        (&["--since", "2026-01-02", "--until", "2026-01-01"], "--until must be after --since"),
        (&["--since", "2026-01-01", "--until", "2026-01-01"], "--until must be after --since"),
        (&["--name", "https://a.localhost"], "--name"),
    ] {
        let command = [&["audit", "export"], arguments].concat();
        let refused = scene.server.operate(&command).await?;
        assert!(!refused.status.success(), "{arguments:?}");
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    }
    let missing = ["events", "--aggregate", &nobody];
    let refused = scene.server.operate(&missing).await?;
    assert!(refused.stderr.contains("no event of account"), "{}", refused.stderr);

    let account = scene.client.account()?.rsplit('/').next().unwrap_or_default();
    let quiet = ["events", "--aggregate", account, "--since", "2100-01-01"];
    assert_eq!(scene.server.operate(&quiet).await?.success()?, "", "it is known");

    // Who has no certificate yet is known, and so is a profile that only the log knows.
    assert_eq!(export(&scene, &["--profile", "idle"]).await?.len(), 0);
    scene.server.configure("profile", r#"[{name="idle"}]"#);
    scene.server.configure("default_profile", "idle");
    assert_eq!(export(&scene, &["--profile", "default"]).await?.len(), 1);
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
