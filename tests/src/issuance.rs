//! An issuance step by step, so that a test can stop or repeat any of them.

use std::{net::IpAddr, time::Duration};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use crate::{CertificateKey, Chain, ChallengeServer, DnsServer, RawClient, csr, eventually};

/// How long a validation or a signature may take.
const WORK_LIMIT: Duration = Duration::from_secs(30);

/// An order as it was last seen.
#[derive(Clone, Debug)]
pub struct Order {
    /// Where it is.
    pub url: String,
    /// What it showed.
    pub body: Value,
}

/// A certificate that was issued.
pub struct Issued {
    /// Its order.
    pub order: Order,
    /// The certificate and those above it.
    pub chain: Chain,
    /// Its key.
    pub key: CertificateKey,
}

impl Order {
    /// The URLs of its authorizations.
    pub fn authorizations(&self) -> Vec<String> {
        let urls = self.body["authorizations"].as_array().into_iter().flatten();
        urls.filter_map(|url| url.as_str().map(str::to_owned)).collect()
    }

    /// Where it is finalized.
    ///
    /// # Errors
    /// When it does not say so.
    pub fn finalize(&self) -> anyhow::Result<String> {
        text(&self.body["finalize"])
    }

    /// Where its certificate is.
    ///
    /// # Errors
    /// When it has none.
    pub fn certificate(&self) -> anyhow::Result<String> {
        text(&self.body["certificate"])
    }

    /// Its status.
    pub fn status(&self) -> &str {
        self.body["status"].as_str().unwrap_or_default()
    }
}

impl RawClient {
    /// Places an order for names and addresses.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn place(&self, names: &[&str]) -> anyhow::Result<Order> {
        let identifiers: Vec<Value> =
            names.iter().map(|name| json!({ "type": kind(name), "value": name })).collect();
        let reply = self.post("newOrder", &json!({ "identifiers": identifiers })).await?;
        let reply = reply.expect(201)?;
        Ok(Order { url: reply.location()?, body: reply.json()? })
    }

    /// Asks to prove a name or address before an order; answers the URL of the authorization.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn pre_authorize(&self, name: &str) -> anyhow::Result<String> {
        let payload = json!({ "identifier": { "type": kind(name), "value": name } });
        self.post("newAuthz", &payload).await?.expect(201)?.location()
    }

    /// Proves a name or address by http-01 before an order; answers the URL of the authorization, which is valid.
    ///
    /// # Errors
    /// When the server or the proof is refused.
    pub async fn prove_before(&self, name: &str, web: &ChallengeServer) -> anyhow::Result<String> {
        let authorization = self.pre_authorize(name).await?;
        self.prove_by_http(&authorization, web).await?;
        Ok(authorization)
    }

    /// Proves an authorization by http-01.
    ///
    /// # Errors
    /// When the proof is refused.
    pub async fn prove_by_http(
        &self,
        authorization: &str,
        web: &ChallengeServer,
    ) -> anyhow::Result<()> {
        let challenge = self.challenge(authorization, "http-01").await?;
        let token = text(&challenge["token"])?;
        web.answer(&token, &self.key().key_authorization(&token))?;
        self.respond(authorization, &challenge).await
    }

    /// Reads an order.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn read(&self, url: &str) -> anyhow::Result<Order> {
        let reply = self.post_as_get(url).await?.expect(200)?;
        Ok(Order { url: url.to_owned(), body: reply.json()? })
    }

    /// The challenge of a type that an authorization offers.
    ///
    /// # Errors
    /// When it does not offer it.
    pub async fn challenge(&self, authorization: &str, kind: &str) -> anyhow::Result<Value> {
        let authorization = self.post_as_get(authorization).await?.expect(200)?.json()?;
        let challenges = authorization["challenges"].as_array().context("no challenges")?;
        let challenge = challenges.iter().find(|challenge| challenge["type"] == kind);
        Ok(challenge.with_context(|| format!("no {kind} in {authorization}"))?.clone())
    }

    /// Proves every identifier of an order by http-01 and returns the order, which is ready.
    ///
    /// # Errors
    /// When a proof is refused.
    pub async fn prove(&self, order: &Order, web: &ChallengeServer) -> anyhow::Result<Order> {
        for authorization in order.authorizations() {
            self.prove_by_http(&authorization, web).await?;
        }
        self.expect_status(&order.url, "ready").await
    }

    /// Proves the only identifier of an order by dns-01 and returns the order, which is ready.
    ///
    /// # Errors
    /// When the proof is refused.
    pub async fn prove_by_dns(&self, order: &Order, dns: &DnsServer) -> anyhow::Result<Order> {
        for authorization in order.authorizations() {
            let challenge = self.challenge(&authorization, "dns-01").await?;
            let token = text(&challenge["token"])?;
            let body = self.post_as_get(&authorization).await?.expect(200)?.json()?;
            let name = format!("_acme-challenge.{}", text(&body["identifier"]["value"])?);
            dns.set_txt(&name, &[&self.key().txt_value(&token)])?;
            self.respond(&authorization, &challenge).await?;
        }
        self.expect_status(&order.url, "ready").await
    }

    /// Says that a challenge is ready and waits until its authorization is decided.
    ///
    /// # Errors
    /// When it is decided otherwise than `valid`.
    pub async fn respond(&self, authorization: &str, challenge: &Value) -> anyhow::Result<()> {
        self.post(&text(&challenge["url"])?, &json!({})).await?.expect(200)?;
        let decided = eventually("the authorization is decided", WORK_LIMIT, async || {
            let body = self.post_as_get(authorization).await?.expect(200)?.json()?;
            Ok((body["status"] != "pending").then_some(body))
        })
        .await?;
        ensure!(decided["status"] == "valid", "the authorization is {decided}");
        Ok(())
    }

    /// Waits until an order has a status.
    ///
    /// # Errors
    /// When it becomes invalid instead, or nothing.
    pub async fn expect_status(&self, url: &str, status: &str) -> anyhow::Result<Order> {
        eventually(&format!("the order is {status}"), WORK_LIMIT, async || {
            let order = self.read(url).await?;
            if order.status() == "invalid" && status != "invalid" {
                bail!("the order is {}", order.body);
            }
            Ok((order.status() == status).then_some(order))
        })
        .await
    }

    /// Places an order and proves all of it by http-01.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn ready_order(
        &self,
        names: &[&str],
        web: &ChallengeServer,
    ) -> anyhow::Result<Order> {
        let order = self.place(names).await?;
        self.prove(&order, web).await
    }

    /// Finalizes an order that is ready and downloads the certificate.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn finalize(&self, order: &Order, names: &[&str]) -> anyhow::Result<Issued> {
        self.finalize_with(order, csr(names)?).await
    }

    /// Finalizes an order that is ready with a CSR for a key, and downloads the certificate.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn finalize_with(
        &self,
        order: &Order,
        (key, csr): (CertificateKey, String),
    ) -> anyhow::Result<Issued> {
        self.post(&order.finalize()?, &json!({ "csr": csr })).await?.expect(200)?;
        let order = self.expect_status(&order.url, "valid").await?;
        let chain = self.download(&order).await?;
        Ok(Issued { order, chain, key })
    }

    /// Downloads the certificate of an order that is valid.
    ///
    /// # Errors
    /// When there is none.
    pub async fn download(&self, order: &Order) -> anyhow::Result<Chain> {
        let reply = self.post_as_get(&order.certificate()?).await?.expect(200)?;
        ensure!(reply.header("content-type") == Some("application/pem-certificate-chain"));
        Chain::parse(&reply.text())
    }

    /// Goes the whole way by http-01.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn issue(&self, names: &[&str], web: &ChallengeServer) -> anyhow::Result<Issued> {
        let order = self.ready_order(names, web).await?;
        self.finalize(&order, names).await
    }
}

/// What kind of identifier a text is.
fn kind(name: &str) -> &'static str {
    if name.parse::<IpAddr>().is_ok() { "ip" } else { "dns" }
}

fn text(value: &Value) -> anyhow::Result<String> {
    Ok(value.as_str().with_context(|| format!("{value} is no text"))?.to_owned())
}
