//! Clients that issue until the server is gone, and remember what it acknowledged.

use std::{collections::BTreeMap, sync::Mutex};

use acceptance::{ChallengeServer, Order, RawClient, csr};
use serde_json::json;
use tokio::sync::watch;

/// The statuses of an order that goes well, in their order.
const STATUSES: [&str; 4] = ["pending", "ready", "processing", "valid"];

/// What the server acknowledged last of each order.
#[derive(Default)]
pub(crate) struct Acknowledged {
    orders: Mutex<BTreeMap<String, Order>>,
    count: watch::Sender<usize>,
}

impl Acknowledged {
    fn note(&self, order: &Order) {
        let mut orders = self.orders.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        orders.insert(order.url.clone(), order.clone());
        drop(orders);
        self.count.send_modify(|count| *count += 1);
    }

    /// Every order with what was acknowledged last.
    pub(crate) fn orders(&self) -> Vec<Order> {
        let orders = self.orders.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        orders.values().cloned().collect()
    }

    /// Waits until so much more was acknowledged.
    pub(crate) async fn until_more(&self, more: usize) -> anyhow::Result<()> {
        let mut count = self.count.subscribe();
        let target = *count.borrow_and_update() + more;
        count.wait_for(|count| *count >= target).await?;
        Ok(())
    }
}

/// Issues one certificate after the other until a request fails.
pub(crate) async fn issue_until_it_fails(
    client: &RawClient,
    web: &ChallengeServer,
    (acknowledged, prefix): (&Acknowledged, &str),
) {
    for number in 0.. {
        let name = format!("{prefix}-{number}.localhost");
        if issue(client, web, acknowledged, &name).await.is_err() {
            return;
        }
    }
}

async fn issue(
    client: &RawClient,
    web: &ChallengeServer,
    acknowledged: &Acknowledged,
    name: &str,
) -> anyhow::Result<()> {
    let order = client.place(&[name]).await?;
    acknowledged.note(&order);
    let order = client.prove(&order, web).await?;
    acknowledged.note(&order);
    let payload = json!({ "csr": csr(&[name])?.1 });
    let reply = client.post(&order.finalize()?, &payload).await?.expect(200)?;
    acknowledged.note(&Order { url: order.url.clone(), body: reply.json()? });
    let order = client.expect_status(&order.url, "valid").await?;
    acknowledged.note(&order);
    Ok(())
}

/// How far an order came.
pub(crate) fn rank(order: &Order) -> Option<usize> {
    STATUSES.iter().position(|status| *status == order.status())
}
