//! Orders that are placed and read (RFC 8555 §7.4, RFC 8738).

use serde_json::{Value, json};

use super::{Script, absent};

/// Orders of one identifier: its type and value.
const IDENTIFIERS: [(&str, &str, &str); 20] = [
    ("newOrder", "dns", "one.example.com"),
    ("newOrder of a wildcard", "dns", "*.one.example.com"),
    ("newOrder of an address", "ip", "127.0.0.1"),
    ("newOrder of an IPv6 address", "ip", "2001:db8::1"),
    ("newOrder in capital letters", "dns", "ONE.Example.com"),
    ("newOrder of an A-label", "dns", "xn--bcher-kva.example.com"),
    ("newOrder of what is no A-label", "dns", "xn--a.example.com"),
    ("newOrder of a U-label", "dns", "bücher.example.com"),
    ("newOrder of an unknown type", "mail", "a@example.com"),
    ("newOrder of an empty name", "dns", ""),
    ("newOrder of a single label", "dns", "intranet"),
    ("newOrder with a dot at the end", "dns", "one.example.com."),
    ("newOrder with an underscore", "dns", "_x.example.com"),
    ("newOrder with a port", "dns", "one.example.com:443"),
    ("newOrder with an address as a name", "dns", "192.0.2.1"),
    ("newOrder with a wildcard inside", "dns", "a.*.example.com"),
    ("newOrder with two wildcards", "dns", "*.*.example.com"),
    ("newOrder with a name as an address", "ip", "one.example.com"),
    ("newOrder of an address in another spelling", "ip", "2001:DB8:0:0:0:0:0:1"),
    ("newOrder of a network", "ip", "192.0.2.0/24"),
];

impl Script<'_> {
    pub(super) async fn orders(&mut self) -> anyhow::Result<()> {
        for (name, kind, value) in IDENTIFIERS {
            let order = json!({ "identifiers": [{ "type": kind, "value": value }] });
            let reply = self.client.post("newOrder", &order).await;
            self.note(name, reply)?;
        }
        let one = json!({ "type": "dns", "value": "one.example.com" });
        let unknown = json!({ "type": "mail", "value": "a@example.com" });
        let long = json!({ "type": "dns", "value": format!("{}.example.com", "a".repeat(64)) });
        for (name, order) in [
            ("newOrder without identifiers", json!({})),
            ("newOrder of no identifiers", json!({ "identifiers": [] })),
            ("newOrder of what is no list", json!({ "identifiers": "one.example.com" })),
            ("newOrder of one name twice", json!({ "identifiers": [one, one] })),
            ("newOrder of a good and a bad one", json!({ "identifiers": [one, unknown] })),
            ("newOrder of a label that is too long", json!({ "identifiers": [long] })),
            ("newOrder with unknown members", json!({ "identifiers": [one], "unknown": 1 })),
            ("newOrder with a bad notBefore", json!({ "identifiers": [one], "notBefore": "soon" })),
            (
                "newOrder with a past notAfter",
                json!({ "identifiers": [one], "notAfter": "2001-01-01T00:00:00Z" }),
            ),
            (
                "newOrder of an unknown profile",
                json!({ "identifiers": [one], "profile": "unknown" }),
            ),
        ] {
            let reply = self.client.post("newOrder", &order).await;
            self.note(name, reply)?;
        }
        self.reading().await
    }

    async fn reading(&mut self) -> anyhow::Result<()> {
        let order = self.client.place(&["read.example.com"]).await?;
        let stranger = self.stranger().await?;
        let reply = self.client.post_as_get(&order.url).await;
        self.note("an order", reply)?;
        let reply = self.client.post(&order.url, &json!({})).await;
        self.note("an order with a payload", reply)?;
        let reply = stranger.post_as_get(&order.url).await;
        self.note("an order of somebody else", reply)?;
        let reply = self.client.post_as_get(&absent(&order.url)).await;
        self.note("an order of nobody", reply)?;
        let reply = self.client.request(http::Method::GET, &order.url, None).await;
        self.note("an order by GET", reply)?;

        let authorization = order.authorizations().remove(0);
        let reply = self.client.post_as_get(&authorization).await;
        self.note("an authorization", reply)?;
        let reply = stranger.post_as_get(&authorization).await;
        self.note("an authorization of somebody else", reply)?;
        let reply = self.client.post_as_get(&absent(&authorization)).await;
        self.note("an authorization of nobody", reply)?;
        let update = async |payload: &Value| self.client.post(&authorization, payload).await;
        let replies = [
            ("an authorization with nothing to do", update(&json!({})).await),
            ("an authorization to be valid", update(&json!({ "status": "valid" })).await),
            ("an authorization given up", update(&json!({ "status": "deactivated" })).await),
            ("an authorization given up again", update(&json!({ "status": "deactivated" })).await),
        ];
        for (name, reply) in replies {
            self.note(name, reply)?;
        }
        let reply = self.client.post_as_get(&order.url).await;
        self.note("an order whose authorization was given up", reply)?;
        Ok(())
    }
}
