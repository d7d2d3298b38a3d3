//! A profile that is switched off: as if it did not exist for clients, while what it issued is still accounted for.

use acceptance::{RawClient, Scene, eventually, revoked};
use http::Method;
use serde_json::{Value, json};

fn profiles(other: &str) -> String {
    format!(r#"[{{name="default"}}, {{name="other", {other}}}]"#)
}

/// Starts the server again with `other` switched off.
async fn disable_other(scene: &mut Scene) -> anyhow::Result<()> {
    scene.server.stop().await?;
    scene.server.configure("profile", profiles("enabled=false"));
    scene.server.start().await
}

async fn scene() -> anyhow::Result<(Scene, RawClient)> {
    let two = profiles("enabled=true");
    let scene =
        Scene::with(|setup| setup.set("profile", two).set("default_profile", "default")).await?;
    let member =
        RawClient::register(&scene.server.profile_url("other"), &scene.server.root()).await?;
    Ok((scene, member))
}

/// The problem that a request is answered with; the same for all that does not exist.
async fn absent(client: &RawClient, method: Method, url: &str) -> anyhow::Result<Value> {
    let body = (method == Method::POST).then(|| ("application/jose+json", b"{}".to_vec()));
    client.request(method, url, body).await?.expect(404)?.problem()
}

#[tokio::test]
async fn all_of_a_disabled_profile_is_as_if_it_did_not_exist() -> anyhow::Result<()> {
    let (mut scene, member) = scene().await?;
    let issued = member.issue(&["a.localhost"], &scene.web).await?;
    disable_other(&mut scene).await?;

    let origin = scene.server.directory_url().replace("/directory", "");
    let directories =
        ["other/directory", "raProfile/other/directory", "directory?configurationId=other"];
    for directory in directories {
        let url = format!("{origin}/{directory}");
        let found = absent(&member, Method::GET, &url).await?;
        let unknown = absent(&member, Method::GET, &url.replace("other", "unknown")).await?;
        assert_eq!(found, unknown);
    }
    let nonce = member.url("newNonce")?;
    assert_eq!(member.request(Method::HEAD, &nonce, None).await?.status, 404);
    let resources = [
        nonce,
        member.url("newAccount")?,
        member.url("newOrder")?,
        member.url("revokeCert")?,
        member.url("keyChange")?,
        member.account()?.to_owned(),
        issued.order.url.clone(),
        issued.order.finalize()?,
        issued.order.authorizations()[0].clone(),
        issued.order.certificate()?,
    ];
    for url in resources {
        let found = absent(&member, Method::POST, &url).await?;
        let unknown = url.replace("/acme/other/", "/acme/unknown/");
        assert_eq!(found, absent(&member, Method::POST, &unknown).await?, "{url}");
    }
    // The other profile goes on.
    scene.client.forget_nonces();
    scene.client.issue(&["b.localhost"], &scene.web).await?;
    Ok(())
}

#[tokio::test]
async fn a_disabled_profile_keeps_its_accounts_and_certificates() -> anyhow::Result<()> {
    let (mut scene, member) = scene().await?;
    let issued = member.issue(&["a.localhost"], &scene.web).await?;
    disable_other(&mut scene).await?;

    let account = member.account()?.rsplit('/').next().unwrap_or_default().to_owned();
    let events = scene.server.events().await?;
    let made =
        |event: &Value| event["type"] == "AccountCreated" && event.to_string().contains(&account);
    assert!(events.iter().any(made), "the account is in the log");

    // Its certificates are still taken back, and on the CRL that they name.
    let (url, serial) = (issued.chain.crl_url()?, issued.chain.serial()?);
    scene.server.operate(&["revoke", &serial, "--reason", "superseded"]).await?.success()?;
    eventually("it is on the CRL", std::time::Duration::from_secs(20), async || {
        let reply = scene.client.request(Method::GET, &url, None).await?.expect(200)?;
        Ok(revoked(&reply.body)?.contains_key(&serial).then_some(()))
    })
    .await?;

    // Enabled again, it knows its account and its order.
    scene.server.stop().await?;
    scene.server.configure("profile", profiles("enabled=true"));
    scene.server.start().await?;
    member.forget_nonces();
    member.post("newAccount", &json!({})).await?.expect(200)?;
    assert_eq!(member.read(&issued.order.url).await?.status(), "valid");
    Ok(())
}

#[tokio::test]
async fn a_default_profile_that_is_disabled_leaves_no_default() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    scene.server.stop().await?;
    scene.server.configure("profile", r#"[{name="default", enabled=false}]"#);
    scene.server.start().await?;
    absent(&scene.client, Method::GET, &scene.server.directory_url()).await?;
    Ok(())
}
