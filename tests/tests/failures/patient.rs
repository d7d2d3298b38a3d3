//! Clients as they are in the wild: they come again when they are told to, and here they remember why they had to.

use std::{
    ops::Sub,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use acceptance::{Chain, ChallengeServer, Order, RawClient, Reply, csr, eventually, revoked};
use anyhow::{Context as _, ensure};
use http::Method;
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::load::rank;

/// How long a client comes again with one request, or waits for one status.
const PATIENCE: Duration = Duration::from_secs(60);
/// How soon a client connects again after a connection was refused or closed.
const RECONNECT: Duration = Duration::from_millis(100);

/// A client that goes on issuing while parts of the CA come and go.
pub(crate) struct Patient {
    client: RawClient,
    name: String,
    met: Mutex<Met>,
    orders: Mutex<Vec<Order>>,
    certificates: Mutex<Vec<Certificate>>,
    issued: watch::Sender<usize>,
}

/// A certificate that a client got.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    pub(crate) order: String,
    pub(crate) chain: Chain,
}

/// What a client met instead of answers, all of which a client survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Met {
    /// Refused nonces; the nonce of each refusal was good.
    pub(crate) bad_nonces: u32,
    /// 503 with Retry-After.
    pub(crate) unavailable: u32,
    /// Connections that were refused, or closed before the first byte of an answer.
    pub(crate) unanswered: u32,
}

impl Sub for Met {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            bad_nonces: self.bad_nonces - before.bad_nonces,
            unavailable: self.unavailable - before.unavailable,
            unanswered: self.unanswered - before.unanswered,
        }
    }
}

impl Patient {
    pub(crate) fn new(client: RawClient, name: String) -> Self {
        Self {
            client,
            name,
            met: Mutex::default(),
            orders: Mutex::default(),
            certificates: Mutex::default(),
            issued: watch::Sender::new(0),
        }
    }

    /// Issues one certificate after the other until told to stop, and then finishes what was begun.
    pub(crate) async fn issue_until(
        &self,
        stop: &CancellationToken,
        web: &ChallengeServer,
    ) -> anyhow::Result<()> {
        for number in 0.. {
            if stop.is_cancelled() {
                break;
            }
            let name = format!("{}-{number}.localhost", self.name);
            self.issue(&name, web).await.with_context(|| name.clone())?;
            self.issued.send_modify(|count| *count += 1);
        }
        Ok(())
    }

    /// Waits until so many more certificates were issued.
    pub(crate) async fn until_more(&self, more: usize) -> anyhow::Result<()> {
        let mut issued = self.issued.subscribe();
        let target = *issued.borrow_and_update() + more;
        issued.wait_for(|count| *count >= target).await?;
        Ok(())
    }

    pub(crate) fn met(&self) -> Met {
        *lock(&self.met)
    }

    /// Checks every order that the client knows of: it is valid and its certificate is there. Returns their serials.
    pub(crate) async fn check_orders(&self) -> anyhow::Result<Vec<String>> {
        let orders = lock(&self.orders).clone();
        let mut serials = Vec::new();
        for known in orders {
            let order = self.read(&known.url).await?;
            ensure!(order.status() == "valid", "{} was lost: {}", known.url, order.body);
            serials.push(self.download(&order).await?.serial()?);
        }
        Ok(serials)
    }

    /// All certificates that the client got.
    pub(crate) fn certificates(&self) -> Vec<Certificate> {
        lock(&self.certificates).clone()
    }

    /// Checks that a certificate is still what its order answers with.
    pub(crate) async fn check_certificate(&self, known: &Certificate) -> anyhow::Result<()> {
        let order = self.read(&known.order).await?;
        ensure!(order.status() == "valid", "{} was lost: {}", known.order, order.body);
        ensure!(self.download(&order).await?.pem() == known.chain.pem(), "{} changed", known.order);
        Ok(())
    }

    /// Revokes a certificate of this client's.
    pub(crate) async fn revoke(&self, certificate: &Certificate) -> anyhow::Result<()> {
        let payload = json!({ "certificate": certificate.chain.leaf_base64url()? });
        self.post("revokeCert", Some(&payload), 200).await.map(drop)
    }

    /// The client itself, for what needs no patience.
    pub(crate) fn raw(&self) -> &RawClient {
        &self.client
    }

    /// Waits until a certificate is on the CRL that it names, and returns that.
    pub(crate) async fn expect_on_crl(&self, certificate: &Certificate) -> anyhow::Result<Vec<u8>> {
        let (url, serial) = (certificate.chain.crl_url()?, certificate.chain.serial()?);
        eventually("the certificate is on its CRL", PATIENCE, async || {
            let crl = async || self.client.request(Method::GET, &url, None).await;
            let crl = self.ask(200, crl).await?;
            Ok(revoked(&crl.body)?.contains_key(&serial).then_some(crl.body))
        })
        .await
    }

    pub(crate) async fn issue(&self, name: &str, web: &ChallengeServer) -> anyhow::Result<()> {
        let identifiers = json!({ "identifiers": [{ "type": "dns", "value": name }] });
        let reply = self.post("newOrder", Some(&identifiers), 201).await?;
        let order = Order { url: reply.location()?, body: reply.json()? };
        lock(&self.orders).push(order.clone());
        for authorization in order.authorizations() {
            self.prove(&authorization, web).await?;
        }
        let order = self.expect_status(order, "ready").await?;
        let request = json!({ "csr": csr(&[name])?.1 });
        let reply = self.post(&order.finalize()?, Some(&request), 200).await?;
        let order = Order { url: order.url, body: reply.json()? };
        let order = self.expect_status(order, "valid").await?;
        let chain = self.download(&order).await?;
        ensure!(chain.names()? == [name]);
        lock(&self.certificates).push(Certificate { order: order.url, chain });
        Ok(())
    }

    async fn prove(&self, authorization: &str, web: &ChallengeServer) -> anyhow::Result<()> {
        let body = self.post(authorization, None, 200).await?.json()?;
        let offered = body["challenges"].as_array().context("no challenges")?;
        let challenge = offered.iter().find(|challenge| challenge["type"] == "http-01");
        let challenge = challenge.context("no http-01")?;
        let token = challenge["token"].as_str().context("no token")?;
        web.answer(token, &self.client.key().key_authorization(token))?;
        let url = challenge["url"].as_str().context("no URL")?;
        self.post(url, Some(&json!({})), 200).await?;
        eventually("the authorization is valid", PATIENCE, async || {
            let body = self.post(authorization, None, 200).await?.json()?;
            let status = &body["status"];
            ensure!(status == "pending" || status == "valid", "the authorization is {body}");
            Ok((status == "valid").then_some(()))
        })
        .await
    }

    /// Waits until an order has a status; it must never step back on the way.
    async fn expect_status(&self, mut last: Order, status: &str) -> anyhow::Result<Order> {
        eventually(&format!("the order is {status}"), PATIENCE, async || {
            let order = self.read(&last.url).await?;
            let steps_on = rank(&order).is_some() && rank(&order) >= rank(&last);
            ensure!(steps_on, "{} became {}", last.body, order.body);
            last = order.clone();
            Ok((order.status() == status).then_some(order))
        })
        .await
    }

    async fn read(&self, url: &str) -> anyhow::Result<Order> {
        let body = self.post(url, None, 200).await?.json()?;
        Ok(Order { url: url.to_owned(), body })
    }

    async fn download(&self, order: &Order) -> anyhow::Result<Chain> {
        Chain::parse(&self.post(&order.certificate()?, None, 200).await?.text())
    }

    /// Posts until the answer has the status expected; without a payload it is a POST-as-GET.
    async fn post(
        &self,
        resource: &str,
        payload: Option<&Value>,
        status: u16,
    ) -> anyhow::Result<Reply> {
        self.ask(status, async || {
            if !self.client.has_nonce() {
                let url = self.client.url("newNonce")?;
                let nonce = async || self.client.request(Method::HEAD, &url, None).await;
                self.ask(200, nonce).await?;
            }
            match payload {
                Some(payload) => self.client.post(resource, payload).await,
                None => self.client.post_as_get(resource).await,
            }
        })
        .await
    }

    /// Asks again whenever the client is told to, or finds nobody; any other answer is a failure.
    async fn ask(
        &self,
        status: u16,
        attempt: impl AsyncFn() -> anyhow::Result<Reply>,
    ) -> anyhow::Result<Reply> {
        let deadline = Instant::now() + PATIENCE;
        let mut has_fresh_nonce = false;
        loop {
            ensure!(Instant::now() < deadline, "no answer in {PATIENCE:?}");
            let reply = match attempt().await {
                Ok(reply) => reply,
                Err(error) if is_unanswered(&error) => {
                    lock(&self.met).unanswered += 1;
                    sleep(RECONNECT).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            match reply.status {
                answered if answered == status => return Ok(reply),
                503 => {
                    let seconds = reply.header("retry-after").context("503 without Retry-After")?;
                    lock(&self.met).unavailable += 1;
                    sleep(Duration::from_secs(seconds.parse()?)).await;
                    has_fresh_nonce = false;
                }
                _ => {
                    reply.refused((400, "badNonce"))?;
                    ensure!(!has_fresh_nonce, "the nonce of a refusal is refused as well");
                    lock(&self.met).bad_nonces += 1;
                    has_fresh_nonce = true;
                }
            }
        }
    }
}

/// Whether nobody was there, or hung up before it began to answer. An answer that is cut off in the middle is neither.
fn is_unanswered(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<reqwest::Error>();
    error.is_some_and(|error| !error.is_timeout() && (error.is_connect() || error.is_request()))
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
