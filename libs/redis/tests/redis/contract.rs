//! The suites every adapter runs.

use std::sync::Arc;

use crate::server::on_each;

#[tokio::test(flavor = "multi_thread")]
async fn redis_keeps_the_contract_of_read_models() {
    on_each(&[], async |server| {
        readmodel::contract::read_model(Arc::new(server.store().await)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_keeps_the_contract_of_nonces() {
    on_each(&[], async |server| {
        acme::nonce::contract::check(Arc::new(server.store().await)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_keeps_the_contract_of_admissions() {
    on_each(&[], async |server| {
        let store = Arc::new(server.store().await);
        readmodel::contract::admission(Arc::clone(&store) as _, store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_with_every_write_on_disk() {
    on_each(&["--appendonly", "yes", "--appendfsync", "always"], async |server| {
        let store = Arc::new(server.store().await);
        readmodel::contract::read_model(Arc::clone(&store) as _).await;
        readmodel::contract::admission(Arc::clone(&store) as _, store).await;
    })
    .await;
}
