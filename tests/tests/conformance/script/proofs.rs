//! Challenges that are met and missed (RFC 8555 §7.5).

use std::time::Duration;

use acceptance::{Order, Reply, eventually};
use serde_json::{Value, json};

use super::{Script, absent};

/// How long a validation may take.
const LIMIT: Duration = Duration::from_secs(30);

impl Script<'_> {
    pub(super) async fn proofs(&mut self) -> anyhow::Result<()> {
        self.missed().await?;
        let order = self.client.place(&["proof.example.com"]).await?;
        let authorization = order.authorizations().remove(0);
        let challenge = self.client.challenge(&authorization, "http-01").await?;
        let url = text(&challenge["url"]);
        let stranger = self.stranger().await?;
        let reply = self.client.post_as_get(&url).await;
        self.note("a challenge", reply)?;
        let reply = stranger.post_as_get(&url).await;
        self.note("a challenge of somebody else", reply)?;
        let reply = stranger.post(&url, &json!({})).await;
        self.note("a response to a challenge of somebody else", reply)?;
        let reply = self.client.post(&absent(&url), &json!({})).await;
        self.note("a response to a challenge of nobody", reply)?;

        let token = text(&challenge["token"]);
        self.web.answer(&token, &self.client.key().key_authorization(&token))?;
        let reply = self.client.post(&url, &json!({ "unknown": 1 })).await;
        self.note_head("a response with unknown members", reply)?;
        let decided = self.decided(&authorization).await;
        self.note("an authorization that is valid", decided)?;
        let reply = self.client.post_as_get(&url).await;
        self.note("a challenge that is valid", reply)?;
        let reply = self.client.post(&url, &json!({})).await;
        self.note("a response to a challenge that is valid", reply)?;
        self.client.expect_status(&order.url, "ready").await?;
        let reply = self.client.post_as_get(&order.url).await;
        self.note("an order that is ready", reply)?;
        Ok(())
    }

    async fn missed(&mut self) -> anyhow::Result<()> {
        let Order { url, body } = self.client.place(&["missed.example.com"]).await?;
        let authorization = text(&body["authorizations"][0]);
        let challenge = self.client.challenge(&authorization, "http-01").await?;
        let response = text(&challenge["url"]);
        let reply = self.client.post(&response, &json!({})).await;
        self.note_head("a response", reply)?;
        let decided = self.decided(&authorization).await;
        self.note("an authorization that is invalid", decided)?;
        self.client.expect_status(&url, "invalid").await?;
        let reply = self.client.post_as_get(&url).await;
        self.note("an order that is invalid", reply)?;
        let reply = self.client.post(&response, &json!({})).await;
        self.note("a response to a challenge that is invalid", reply)?;
        let csr = acceptance::csr(&["missed.example.com"])?.1;
        let reply = self.client.post(&text(&body["finalize"]), &json!({ "csr": csr })).await;
        self.note("finalize of an order that is invalid", reply)?;
        Ok(())
    }

    /// The authorization once it is no longer pending.
    async fn decided(&self, authorization: &str) -> anyhow::Result<Reply> {
        eventually("the authorization is decided", LIMIT, async || {
            let reply = self.client.post_as_get(authorization).await?.expect(200)?;
            Ok((reply.json()?["status"] != "pending").then_some(reply))
        })
        .await
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
