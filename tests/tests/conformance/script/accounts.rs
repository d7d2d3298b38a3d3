//! Accounts that are made, found, changed and given up (RFC 8555 §7.3).

use acceptance::{AccountKey, RawClient};
use serde_json::{Value, json};

use super::{Script, absent};

/// Contacts of accounts to be.
const CONTACTS: [(&str, &str); 6] = [
    ("newAccount with an address", "mailto:a@example.com"),
    ("newAccount with a telephone", "tel:+123456789"),
    ("newAccount with header fields", "mailto:a@example.com?subject=x"),
    ("newAccount with two addresses in one", "mailto:a@example.com,b@example.com"),
    ("newAccount with no address", "mailto:nobody"),
    ("newAccount with an empty contact", ""),
];

impl Script<'_> {
    pub(super) async fn accounts(&mut self) -> anyhow::Result<()> {
        let newcomer = self.newcomer().await?;
        let new = async |payload: &Value| newcomer.post("newAccount", payload).await;
        let reply = new(&json!({ "onlyReturnExisting": true })).await;
        self.note("onlyReturnExisting of no account", reply)?;
        let reply = new(&json!({})).await;
        self.note("newAccount without agreement", reply)?;
        let agreed = json!({
            "termsOfServiceAgreed": true,
            "status": "deactivated",
            "orders": "https://localhost/orders",
            "unknown": 1,
        });
        let reply = self.note("newAccount with unknown members", new(&agreed).await)?;
        let account = reply.location()?;
        self.note("newAccount of a key that has one", new(&agreed).await)?;
        let reply = new(&json!({ "onlyReturnExisting": true })).await;
        self.note("onlyReturnExisting of an account", reply)?;
        for (name, contact) in CONTACTS {
            let payload = json!({ "termsOfServiceAgreed": true, "contact": [contact] });
            let reply = self.newcomer().await?.post("newAccount", &payload).await;
            self.note(name, reply)?;
        }
        let rsa = AccountKey::rsa(2048).await?;
        let rsa = RawClient::connect(&self.directory, &self.trust, rsa).await?;
        let url = rsa.url("newAccount")?;
        let mut protected = rsa.protected(&url).await?;
        let modulus = protected["jwk"]["n"].as_str().unwrap_or_default().to_owned();
        protected["jwk"]["n"] = json!(&modulus[..172]);
        let reply = rsa.send_jws(&url, &rsa.key().sign(&protected, b"{}")?).await;
        self.note("newAccount with an RSA key of 1024 bits", reply)?;
        self.updates(newcomer.with_account_at(account)).await
    }

    async fn updates(&mut self, client: RawClient) -> anyhow::Result<()> {
        let url = client.account()?.to_owned();
        let reply = client.post_as_get(&url).await;
        let orders = self.note("an account", reply)?.json()?["orders"].clone();
        for (name, update) in [
            ("an update of nothing", json!({})),
            ("an update of the contact", json!({ "contact": ["mailto:b@example.com"] })),
            ("an update with a bad contact", json!({ "contact": ["tel:+123456789"] })),
            ("an update to no contact", json!({ "contact": [] })),
            ("an update of the agreement", json!({ "termsOfServiceAgreed": false })),
            ("an update of unknown members", json!({ "orders": "x", "unknown": 1 })),
            ("an update to another status", json!({ "status": "revoked" })),
        ] {
            let reply = client.post(&url, &update).await;
            self.note(name, reply)?;
        }
        let reply = self.client.post_as_get(&url).await;
        self.note("an account of somebody else", reply)?;
        let reply = self.client.post_as_get(&absent(&url)).await;
        self.note("an account of nobody", reply)?;
        let orders = orders.as_str().unwrap_or_default();
        let reply = client.post_as_get(orders).await;
        self.note("a list of no orders", reply)?;
        client.place(&["listed.example.com"]).await?;
        let reply = client.post_as_get(orders).await;
        self.note("a list of orders", reply)?;
        let reply = self.client.post_as_get(orders).await;
        self.note("a list of somebody else's orders", reply)?;

        let reply = client.post(&url, &json!({ "status": "deactivated" })).await;
        self.note("a deactivation", reply)?;
        let reply = client.post_as_get(&url).await;
        self.note("a deactivated account", reply)?;
        let order = json!({ "identifiers": [{ "type": "dns", "value": "a.example.com" }] });
        let reply = client.post("newOrder", &order).await;
        self.note("newOrder of a deactivated account", reply)?;
        let reply = client.post("newAccount", &json!({ "termsOfServiceAgreed": true })).await;
        self.note("newAccount with the key of a deactivated one", reply)?;
        Ok(())
    }
}
