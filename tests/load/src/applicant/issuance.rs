//! One certificate, from placing the order to holding the chain (RFC 8555 §7.4, §7.5, §8.3).

use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;

use super::{
    certificate::CertificateKey,
    client::{Client, Payload},
    fence::Fence,
    responder::Responder,
    wire::{Authorization, Challenge, Finalize, Identifier, NewOrder, Order, Status},
};
use crate::{
    options::Waits,
    samples::{Samples, Step},
};

/// A resource that is not final after so many polls never will be.
const MAX_POLLS: u32 = 500;

/// Who asks for certificates: an account, a key and a way to answer challenges.
pub(crate) struct Applicant {
    client: Client,
    certificate_key: CertificateKey,
    responder: Responder,
    waits: Waits,
    fence: Fence,
    thumbprint: String,
}

/// A certificate as it was received.
#[derive(Debug)]
pub(crate) struct Issued {
    /// The name that was asked for.
    pub(crate) name: String,
    /// The chain.
    pub(crate) pem: Bytes,
}

impl Applicant {
    /// An applicant with a new key for its certificates.
    pub(crate) fn new(
        client: Client,
        responder: Responder,
        waits: Waits,
        fence: Fence,
    ) -> anyhow::Result<Self> {
        let thumbprint = client.key().thumbprint()?;
        let certificate_key = CertificateKey::generate()?;
        Ok(Self { client, certificate_key, responder, waits, fence, thumbprint })
    }

    /// Checks a certificate that was received.
    ///
    /// # Errors
    /// When it is not what was asked for.
    pub(crate) fn check(&self, issued: &Issued) -> anyhow::Result<()> {
        self.certificate_key
            .check(&issued.name, &issued.pem)
            .with_context(|| format!("the certificate for {}", issued.name))
    }

    /// Throws the nonce away, so that the next issuance shows what fetching one costs.
    pub(crate) fn forget_nonce(&mut self) {
        self.client.forget_nonce();
    }

    /// Hands over what was measured since the last time.
    pub(crate) fn take_samples(&mut self) -> (Samples, super::Counters) {
        self.client.take_samples()
    }

    /// Gets a certificate for the name.
    ///
    /// # Errors
    /// When any step fails, with the step.
    pub(crate) async fn issue(&mut self, name: String) -> anyhow::Result<Issued> {
        // Making the request is no part of what the server needs.
        let csr = self.certificate_key.request(&name)?;
        let start = Instant::now();
        let (order_url, order) = self.place_order(&name).await.context("newOrder")?;
        self.authorize(&order_url, &order).await?;
        let order = self.finalize(&order_url, &order, &csr).await?;
        let url = order.certificate.context("a valid order without a certificate")?;
        let chain = self.client.post(Some(Step::Download), &url, &Payload::None).await;
        let chain = chain.context("download")?;
        self.client.record(Step::Issuance, start);
        Ok(Issued { name, pem: chain.body })
    }

    async fn place_order(&mut self, name: &str) -> anyhow::Result<(String, Order)> {
        let identifier = Identifier { r#type: "dns", value: name };
        let payload = Payload::of(&NewOrder { identifiers: [identifier] })?;
        let url = self.client.new_order_url().to_owned();
        let _turn = self.fence.place_order().await;
        let reply = self.client.post(Some(Step::NewOrder), &url, &payload).await?;
        let order_url = reply.header("location").context("no order URL")?.to_owned();
        Ok((order_url, serde_json::from_slice(&reply.body)?))
    }

    async fn authorize(&mut self, order_url: &str, order: &Order) -> anyhow::Result<()> {
        let [url] = order.authorizations.as_slice() else {
            bail!("one name, {} authorizations", order.authorizations.len());
        };
        let authorization = self.fetch_authorization(url).await.context("authorization")?;
        // A reused authorization would make one server's certificates cheaper than another's.
        ensure!(authorization.status == Status::Pending, "the authorization is not new");
        let challenge = authorization.challenges.iter().find(|it| it.r#type == "http-01");
        let challenge = challenge.context("no http-01 challenge")?;
        let token = challenge.token.as_deref().context("a challenge without a token")?;

        self.responder.answer(token, &self.thumbprint);
        let outcome = self.answer(order_url, challenge).await;
        self.responder.forget(token);
        outcome
    }

    async fn fetch_authorization(&mut self, url: &str) -> anyhow::Result<Authorization> {
        let _turn = self.fence.fetch_authorization().await;
        let reply = self.client.post(Some(Step::Authorization), url, &Payload::None).await?;
        Ok(serde_json::from_slice(&reply.body)?)
    }

    async fn answer(&mut self, order_url: &str, challenge: &Challenge) -> anyhow::Result<()> {
        let empty = Payload::Json("{}".to_owned());
        let reply = self.client.post(Some(Step::Challenge), &challenge.url, &empty).await;
        let answered: Challenge = serde_json::from_slice(&reply.context("challenge")?.body)?;
        // Held until the outcome is known, and this order has no other name to wait for.
        if answered.status == Status::Valid {
            return Ok(());
        }
        // The order and not the authorization, which would need the fence again.
        let start = Instant::now();
        self.poll(order_url, Status::Ready).await.context("validation")?;
        self.client.record(Step::ValidationPoll, start);
        Ok(())
    }

    async fn finalize(&mut self, url: &str, order: &Order, csr: &str) -> anyhow::Result<Order> {
        let payload = Payload::of(&Finalize { csr })?;
        let reply = self.client.post(Some(Step::Finalize), &order.finalize, &payload).await;
        let order: Order = serde_json::from_slice(&reply.context("finalize")?.body)?;
        if order.status == Status::Valid {
            return Ok(order);
        }
        let start = Instant::now();
        let order = self.poll(url, Status::Valid).await.context("issuance")?;
        self.client.record(Step::IssuancePoll, start);
        Ok(order)
    }

    /// Asks for the order until it has the status.
    async fn poll(&mut self, url: &str, wanted: Status) -> anyhow::Result<Order> {
        let mut wait = self.waits.first;
        for _ in 0..MAX_POLLS {
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(self.waits.longest);
            self.client.count_poll();
            let reply = self.client.post(None, url, &Payload::None).await?;
            let order: Order = serde_json::from_slice(&reply.body)?;
            if order.status == wanted {
                return Ok(order);
            }
            ensure!(
                matches!(order.status, Status::Pending | Status::Processing | Status::Ready),
                "it failed: {}",
                String::from_utf8_lossy(&reply.body)
            );
        }
        bail!("not final after {MAX_POLLS} polls")
    }
}
