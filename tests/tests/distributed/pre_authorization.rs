//! What was proven before an order is known to every node, and so is that it was given up.

use acceptance::{Cluster, csr};
use serde_json::json;

use crate::town::Town;

const NAME: &str = "a.localhost";
const ALLOWED: &str = r#"[{name="default", pre_authorization_allowed=true}]"#;

async fn town() -> anyhow::Result<Town> {
    Town::with(async |setup| Cluster::start(setup.set("profile", ALLOWED)).await).await
}

#[tokio::test]
async fn what_one_node_was_proven_another_orders_and_the_first_issues() -> anyhow::Result<()> {
    let mut town = town().await?;
    // Nobody depends on it.
    town.cluster.projector.stop().await?;
    let [a, b] = &town.at;
    let authorization = a.prove_before(NAME, &town.web).await?;
    let order = b.place(&[NAME]).await?;
    assert_eq!((order.status(), order.authorizations()), ("ready", vec![authorization.clone()]));
    a.finalize(&order, &[NAME]).await?;

    let lost = b.place(&[NAME]).await?;
    b.post(&authorization, &json!({ "status": "deactivated" })).await?.expect(200)?;
    let payload = json!({ "csr": csr(&[NAME])?.1 });
    a.post(&lost.finalize()?, &payload).await?.refused((403, "orderNotReady"))?;
    assert_eq!(b.read(&lost.url).await?.status(), "invalid");
    assert_eq!(a.place(&[NAME]).await?.status(), "pending");
    Ok(())
}

#[tokio::test]
async fn what_was_proven_survives_the_loss_of_the_read_model() -> anyhow::Result<()> {
    let town = town().await?;
    let [a, b] = &town.at;
    let authorization = a.prove_before(NAME, &town.web).await?;
    town.cluster.workers.operate(&["rebuild"]).await?.success()?;
    // As every client does after `badNonce`, each node's asks once more.
    for node in &town.at {
        node.forget_nonces();
        node.post_as_get(&authorization).await?;
    }
    let shown = b.post_as_get(&authorization).await?.expect(200)?.json()?;
    assert_eq!(shown["status"], "valid");
    let order = a.place(&[NAME]).await?;
    assert_eq!((order.status(), order.authorizations()), ("ready", vec![authorization]));
    b.finalize(&order, &[NAME]).await?;
    Ok(())
}

#[tokio::test]
async fn an_order_is_shown_though_what_it_relied_on_was_given_up_while_it_was_finalized()
-> anyhow::Result<()> {
    let mut town = town().await?;
    // It would write the view.
    town.cluster.projector.stop().await?;
    let [a, b] = &town.at;
    let authorization = a.prove_before(NAME, &town.web).await?;
    let order = a.place(&[NAME]).await?;
    let id = order.url.rsplit('/').next().unwrap_or_default();
    let (view, kept) = (format!("certmill:order:{id}"), "kept-by-the-test");
    town.cluster.redis.copy(&view, kept).await?;
    let payload = json!({ "csr": csr(&[NAME])?.1 });
    a.post(&order.finalize()?, &payload).await?.expect(200)?;
    a.expect_status(&order.url, "valid").await?;
    a.post(&authorization, &json!({ "status": "deactivated" })).await?.expect(200)?;

    // As a request has it that read the order just before it was finalized.
    town.cluster.redis.copy(kept, &view).await?;
    assert_eq!(b.read(&order.url).await?.status(), "valid");
    town.cluster.redis.copy(kept, &view).await?;
    let repeated = b.post(&order.finalize()?, &payload).await?.expect(200)?.json()?;
    assert_eq!(repeated["status"], "valid");
    Ok(())
}
