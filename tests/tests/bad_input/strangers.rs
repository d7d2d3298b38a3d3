//! What belongs to someone else answers like what does not exist.

use acceptance::{RawClient, Reply, Scene};
use serde_json::{Value, json};

/// All that a stranger could learn from a refusal.
fn shown(reply: &Reply) -> anyhow::Result<(u16, Value)> {
    Ok((reply.status, reply.problem()?))
}

/// An id like the real one, of something that does not exist.
fn another_id(url: &str) -> String {
    let flip = |c: char| if c == 'A' { 'B' } else { 'A' };
    let (before, after) = url.split_at(url.len() - 10);
    let changed: String =
        after.chars().map(|c| if c.is_ascii_alphabetic() { flip(c) } else { c }).collect();
    format!("{before}{changed}")
}

async fn ask(client: &RawClient, url: &str, payload: Option<&Value>) -> anyhow::Result<Reply> {
    match payload {
        Some(payload) => client.post(url, payload).await,
        None => client.post_as_get(url).await,
    }
}

#[tokio::test]
async fn a_strangers_resources_look_as_if_they_did_not_exist() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let stranger = scene.stranger().await?;
    scene
        .unimpressed(async |_| {
            let order = issued.order.url.clone();
            let id = order.rsplit('/').next().unwrap_or_default().to_owned();
            let other_id = format!("{}{}", &id[..2], &another_id(&id)[2..]);
            let urls = [
                (order.clone(), None),
                (
                    issued.order.finalize()?,
                    Some(json!({ "csr": acceptance::csr(&["a.localhost"])?.1 })),
                ),
                (issued.order.authorizations()[0].clone(), None),
                (order.replace("/order/", "/challenge/") + "/0/http-01", None),
                (order.replace("/order/", "/challenge/") + "/0/http-01", Some(json!({}))),
            ];
            for (url, payload) in urls {
                let existing = ask(&stranger, &url, payload.as_ref()).await?;
                let absent = ask(&stranger, &url.replace(&id, &other_id), payload.as_ref()).await?;
                assert_eq!(existing.status, 404, "{url}");
                assert_eq!(shown(&existing)?, shown(&absent)?, "{url}");
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_strangers_certificate_looks_as_if_it_did_not_exist() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let stranger = scene.stranger().await?;
    scene
        .unimpressed(async |_| {
            let url = issued.order.certificate()?;
            let (before, _) = url.rsplit_once('/').unwrap_or_default();
            let absent = [
                format!("{before}/999999-{}", "01".repeat(17)),
                url.replace("/certificate/", "/certificate/9"),
            ];
            let existing = shown(&stranger.post_as_get(&url).await?)?;
            assert_eq!(existing.0, 404);
            for url in absent {
                assert_eq!(existing, shown(&stranger.post_as_get(&url).await?)?, "{url}");
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_strangers_account_looks_as_if_it_did_not_exist() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let stranger = scene.stranger().await?;
    scene
        .unimpressed(async |scene| {
            let url = scene.client.account()?;
            let existing = shown(&stranger.post_as_get(url).await?)?;
            let absent = shown(&stranger.post_as_get(&another_id(url)).await?)?;
            assert_eq!(existing, absent);
            assert!(existing.0 >= 400);
            Ok(())
        })
        .await
}
