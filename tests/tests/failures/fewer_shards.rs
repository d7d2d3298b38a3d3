//! An embedded server that is started again with fewer order shards, as by a release with another default.

use acceptance::Scene;
use anyhow::Context as _;

#[tokio::test]
async fn orders_of_shards_that_new_ones_are_not_given_go_on() -> anyhow::Result<()> {
    let mut scene = Scene::with(|setup| setup.set("event_log.order_shards", 100)).await?;
    let mut orders = Vec::new();
    for names in [["a.localhost"], ["b.localhost"], ["c.localhost"], ["d.localhost"]] {
        orders.push((scene.client.place(&names).await?, names));
    }
    scene.server.stop().await?;
    scene.server.configure("event_log.order_shards", 1);
    scene.server.start().await?;
    scene.client.forget_nonces();
    for (order, names) in orders {
        let order = scene.client.prove(&order, &scene.web).await?;
        scene.client.finalize(&order, &names).await.context("an order of another shard")?;
    }
    Ok(())
}
