//! Whoever changed an account's key is the account at every node.

use acceptance::AccountKey;

use crate::town::Town;

#[tokio::test]
async fn a_new_key_is_accepted_though_the_read_model_does_not_know_of_the_change()
-> anyhow::Result<()> {
    let mut town = Town::start().await?;
    // It would write the view.
    town.cluster.projector.stop().await?;
    let account = town.at[0].account()?.to_owned();
    let id = account.rsplit('/').next().unwrap_or_default();
    let (view, kept) = (format!("certmill:account:{id}"), "kept-by-the-test");
    town.cluster.redis.copy(&view, kept).await?;
    let changed = town.at[0].change_key(AccountKey::p256()?).await?;

    // As if the node that changed the key had ended before it was written there.
    town.cluster.redis.copy(kept, &view).await?;
    changed.post_as_get(&account).await?.expect(200)?;
    for node in &town.at {
        node.post_as_get(&account).await?.refused((400, "unauthorized"))?;
    }
    Ok(())
}
