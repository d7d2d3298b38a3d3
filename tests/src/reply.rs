//! What a server answered.

use anyhow::{Context as _, ensure};
use http::HeaderMap;
use serde_json::Value;

/// What the types of ACME problems begin with (RFC 8555 §6.7).
const ERROR_NAMESPACE: &str = "urn:ietf:params:acme:error:";

/// A whole response.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The targets of the links of a relation, each on a header line of its own.
    pub fn links(&self, relation: &str) -> Vec<String> {
        let ending = format!(">;rel=\"{relation}\"");
        let lines = self.headers.get_all("link").iter().filter_map(|line| line.to_str().ok());
        lines
            .filter_map(|line| line.strip_prefix('<')?.strip_suffix(&ending).map(str::to_owned))
            .collect()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is something else.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("no JSON: {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The same reply, if it has the status expected.
    ///
    /// # Errors
    /// When it has another one, with all that the server said.
    pub fn expect(self, status: u16) -> anyhow::Result<Self> {
        let answered = self.status;
        ensure!(answered == status, "{answered} instead of {status}: {}", self.text());
        Ok(self)
    }

    /// The URL of the resource that was made or found.
    ///
    /// # Errors
    /// When there is none.
    pub fn location(&self) -> anyhow::Result<String> {
        Ok(self.header("location").context("the reply has no Location")?.to_owned())
    }

    /// The problem document, checked for what holds of every one.
    ///
    /// # Errors
    /// When the reply is no problem, or one that clients cannot use or that says too much.
    pub fn problem(&self) -> anyhow::Result<Value> {
        let said = self.text();
        let content_type = self.header("content-type");
        ensure!(
            content_type == Some("application/problem+json"),
            "{content_type:?} is no problem document: {} {said}",
            self.status
        );
        let problem = self.json()?;
        let detail = problem["detail"].as_str().context("the problem has no detail")?;
        ensure!(problem["status"] == self.status, "two statuses: {} and {said}", self.status);
        ensure!(detail.len() <= 512, "the detail is too long: {said}");
        let printable = detail.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        ensure!(printable && !detail.contains('<'), "the detail is not plain text: {said}");
        Ok(problem)
    }

    /// The type of the problem without its namespace.
    ///
    /// # Errors
    /// When the reply is no problem of ACME's.
    pub fn problem_type(&self) -> anyhow::Result<String> {
        let problem = self.problem()?;
        let kind = problem["type"].as_str().and_then(|kind| kind.strip_prefix(ERROR_NAMESPACE));
        Ok(kind.with_context(|| format!("not an ACME problem: {problem}"))?.to_owned())
    }
}
