//! A client that sends whatever a test wants, good or bad, and shows what came back; the reply must be one that the OpenAPI
//! document describes.

use std::{
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use http::Method;
use serde_json::{Value, json};

use crate::{AccountKey, Reply, openapi};

/// The media type of signed requests.
const JOSE: &str = "application/jose+json";
/// What clients must send (RFC 8555 §6.1).
const USER_AGENT: &str = "acceptance";
/// A server that has not answered by then is stuck; replies may be held for 25 s at most.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// A client of one directory with one account key.
pub struct RawClient {
    http: reqwest::Client,
    directory: Value,
    key: Arc<AccountKey>,
    account: Option<String>,
    nonces: Mutex<Vec<String>>,
    confidential: Confidential,
    node: Option<Node>,
}

/// What passed between a client and its servers, and is nobody else's business: of which kind, and the text.
type Confidential = Arc<Mutex<Vec<(&'static str, String)>>>;

/// One of several servers behind a base URL: reached at a port of its own, while requests are signed for the base URL.
struct Node {
    base: String,
    own: String,
}

impl RawClient {
    /// Reads the directory; there is no account yet. Connections are kept.
    ///
    /// # Errors
    /// When there is no directory.
    pub async fn connect(directory: &str, root: &Path, key: AccountKey) -> anyhow::Result<Self> {
        Self::with_http(https(root, usize::MAX)?, directory, key).await
    }

    /// Reads the directory and uses a new connection for each request, which the next backend of a proxy gets.
    ///
    /// # Errors
    /// When there is no directory.
    pub async fn connect_each_time(
        directory: &str,
        root: &Path,
        key: AccountKey,
    ) -> anyhow::Result<Self> {
        Self::with_http(https(root, 0)?, directory, key).await
    }

    fn new(http: reqwest::Client, key: Arc<AccountKey>) -> Self {
        Self {
            http,
            directory: Value::Null,
            key,
            account: None,
            nonces: Mutex::default(),
            confidential: Confidential::default(),
            node: None,
        }
    }

    async fn with_http(
        http: reqwest::Client,
        directory: &str,
        key: AccountKey,
    ) -> anyhow::Result<Self> {
        let mut client = Self::new(http, key.into());
        let reply = client.request(Method::GET, directory, None).await?.expect(200)?;
        client.directory = reply.json()?;
        Ok(client)
    }

    /// Reads the directory and makes an account with a new key.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn register(directory: &str, root: &Path) -> anyhow::Result<Self> {
        Self::connect(directory, root, AccountKey::p256()?).await?.with_account().await
    }

    /// Makes an account with the client's key.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn with_account(mut self) -> anyhow::Result<Self> {
        let payload = json!({ "termsOfServiceAgreed": true });
        let reply = self.post("newAccount", &payload).await?.expect(201)?;
        self.account = Some(reply.location()?);
        Ok(self)
    }

    /// The account that was made at a URL with the client's key.
    #[must_use]
    pub fn with_account_at(mut self, url: String) -> Self {
        self.account = Some(url);
        self
    }

    /// The same account through one of the servers behind the base URL, with nonces of its own.
    ///
    /// # Errors
    /// When the directory has no URLs.
    pub fn at_node(&self, port: u16) -> anyhow::Result<Self> {
        let url = self.url("newNonce")?;
        let (base, _) = url.split_once("/acme/").context("the URL has no path")?;
        Ok(Self {
            http: self.http.clone(),
            directory: self.directory.clone(),
            key: Arc::clone(&self.key),
            account: self.account.clone(),
            nonces: Mutex::default(),
            confidential: Arc::clone(&self.confidential),
            node: Some(Node { base: base.to_owned(), own: format!("https://localhost:{port}") }),
        })
    }

    /// The same account as it is asked with another key.
    pub fn with_key(&self, key: AccountKey) -> Self {
        Self {
            http: self.http.clone(),
            directory: self.directory.clone(),
            key: Arc::new(key),
            account: self.account.clone(),
            nonces: Mutex::default(),
            confidential: Arc::clone(&self.confidential),
            node: None,
        }
    }

    /// What a new key signs so that the account changes to it (RFC 8555 §7.3.5).
    ///
    /// # Errors
    /// When there is no account, or the key cannot sign.
    pub fn key_change(&self, new: &AccountKey) -> anyhow::Result<Value> {
        let url = self.url("keyChange")?;
        let protected = json!({ "alg": new.algorithm(), "jwk": new.jwk(), "url": url });
        let change = json!({ "account": self.account()?, "oldKey": self.key.jwk() });
        new.sign(&protected, change.to_string().as_bytes())
    }

    /// Changes the account's key, and is the account with the new key from then on.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn change_key(&self, new: AccountKey) -> anyhow::Result<Self> {
        self.post("keyChange", &self.key_change(&new)?).await?.expect(200)?;
        Ok(self.with_key(new))
    }

    /// The account's URL.
    ///
    /// # Errors
    /// When there is no account.
    pub fn account(&self) -> anyhow::Result<&str> {
        self.account.as_deref().context("the client has no account")
    }

    /// The account's key.
    pub fn key(&self) -> &AccountKey {
        &self.key
    }

    /// The directory.
    pub fn directory(&self) -> &Value {
        &self.directory
    }

    /// The URL of a member of the directory, or the text itself where it is a URL.
    ///
    /// # Errors
    /// When the directory has no such member.
    pub fn url(&self, resource: &str) -> anyhow::Result<String> {
        if resource.starts_with("https://") {
            return Ok(resource.to_owned());
        }
        let url = self.directory[resource].as_str();
        Ok(url.with_context(|| format!("the directory has no {resource}"))?.to_owned())
    }

    /// A nonce that was not used yet.
    ///
    /// # Errors
    /// When the server gives none.
    pub async fn nonce(&self) -> anyhow::Result<String> {
        if let Some(nonce) = self.lock_nonces().pop() {
            return Ok(nonce);
        }
        let url = self.url("newNonce")?;
        let reply = self.request(Method::HEAD, &url, None).await?.expect(200)?;
        let kept = self.lock_nonces().pop();
        kept.with_context(|| format!("newNonce gave no nonce: {reply:?}"))
    }

    /// Whether an earlier reply left a nonce.
    pub fn has_nonce(&self) -> bool {
        !self.lock_nonces().is_empty()
    }

    /// The protected header of a good request: with the account's URL, or with the key where that is wanted.
    ///
    /// # Errors
    /// When there is no nonce.
    pub async fn protected(&self, url: &str) -> anyhow::Result<Value> {
        let mut protected = json!({
            "alg": self.key.algorithm(),
            "nonce": self.nonce().await?,
            "url": url,
        });
        let by_key = Some(url) == self.directory["newAccount"].as_str();
        match &self.account {
            Some(account) if !by_key => protected["kid"] = json!(account),
            Some(_) | None => protected["jwk"] = self.key.jwk().clone(),
        }
        Ok(protected)
    }

    /// Posts JSON, signed as it should be.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post(&self, resource: &str, payload: &Value) -> anyhow::Result<Reply> {
        self.post_bytes(resource, payload.to_string().as_bytes()).await
    }

    /// Reads a resource (RFC 8555 §6.3).
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post_as_get(&self, resource: &str) -> anyhow::Result<Reply> {
        self.post_bytes(resource, b"").await
    }

    /// Posts any payload, signed as it should be.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post_bytes(&self, resource: &str, payload: &[u8]) -> anyhow::Result<Reply> {
        let url = self.url(resource)?;
        let protected = self.protected(&url).await?;
        self.send_jws(&url, &self.key.sign(&protected, payload)?).await
    }

    /// Sends a JWS as it is.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send_jws(&self, url: &str, jws: &Value) -> anyhow::Result<Reply> {
        for part in ["protected", "payload", "signature"] {
            if let Some(text) = jws[part].as_str() {
                self.note(part, text);
            }
        }
        self.send_body(url, jws.to_string().into_bytes()).await
    }

    /// Sends any body as if it were a JWS.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send_body(&self, url: &str, body: Vec<u8>) -> anyhow::Result<Reply> {
        self.request(Method::POST, url, Some((JOSE, body))).await
    }

    /// Sends any request.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn request(
        &self,
        method: Method,
        url: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> anyhow::Result<Reply> {
        let mut request = self.http.request(method, self.target(url));
        if let Some((content_type, body)) = body {
            request = request.header("content-type", content_type).body(body);
        }
        self.send(request, url).await
    }

    /// Reads a resource in the form that an Accept header asks for.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post_as_get_accepting(&self, url: &str, accept: &str) -> anyhow::Result<Reply> {
        let jws = self.key.sign(&self.protected(url).await?, b"")?.to_string();
        let request = self.http.post(self.target(url)).header("accept", accept);
        self.send(request.header("content-type", JOSE).body(jws), url).await
    }

    /// Sends a JWS that is said to have a content coding.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send_coded(&self, url: &str, coding: &str, jws: &Value) -> anyhow::Result<Reply> {
        let request = self.http.post(self.target(url)).header("content-encoding", coding);
        self.send(request.header("content-type", JOSE).body(jws.to_string()), url).await
    }

    /// Where a URL is reached.
    fn target(&self, url: &str) -> String {
        let rest = self.node.as_ref().and_then(|node| Some((node, url.strip_prefix(&node.base)?)));
        rest.map_or_else(|| url.to_owned(), |(node, rest)| node.own.clone() + rest)
    }

    async fn send(&self, request: reqwest::RequestBuilder, url: &str) -> anyhow::Result<Reply> {
        let request = request.build()?;
        let method = request.method().clone();
        let response = self.http.execute(request).await;
        let response = response.with_context(|| format!("no answer from {url}"))?;
        let reply = Reply {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await?.to_vec(),
        };
        openapi::check(&method, url, &reply)?;
        if let Some(nonce) = reply.header("replay-nonce") {
            self.note("nonce", nonce);
            self.lock_nonces().push(nonce.to_owned());
        }
        Ok(reply)
    }

    /// Forgets the nonces of earlier replies, so that the next one is new.
    pub fn forget_nonces(&self) {
        self.lock_nonces().clear();
    }

    /// The nonces that the client was given and the parts of each JWS that it sent, with any key and at any node.
    pub fn confidential(&self) -> Vec<(&'static str, String)> {
        self.confidential.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, kind: &'static str, text: &str) {
        let mut noted = self.confidential.lock().unwrap_or_else(PoisonError::into_inner);
        noted.push((kind, text.to_owned()));
    }

    fn lock_nonces(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.nonces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client for plain HTTP.
pub(crate) fn http() -> anyhow::Result<&'static reqwest::Client> {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    if let Some(client) = CLIENT.get() {
        return Ok(client);
    }
    let client = builder().tls_certs_only([]).build()?;
    Ok(CLIENT.get_or_init(|| client))
}

/// A client for HTTPS that trusts one root.
pub(crate) fn https(root: &Path, idle_connections: usize) -> anyhow::Result<reqwest::Client> {
    let pem = std::fs::read(root).with_context(|| format!("no root at {}", root.display()))?;
    let roots = reqwest::Certificate::from_pem_bundle(&pem)?;
    Ok(builder().tls_certs_only(roots).pool_max_idle_per_host(idle_connections).build()?)
}

fn builder() -> reqwest::ClientBuilder {
    // Only the first of all clients installs it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .user_agent(USER_AGENT)
        .timeout(REQUEST_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
}
