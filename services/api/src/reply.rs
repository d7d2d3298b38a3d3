//! Replies to requests that succeeded.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use serde::Serialize;

use crate::problem::Refusal;

/// A reply before the headers that every reply has.
#[derive(Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    headers: Vec<(HeaderName, String)>,
    body: Bytes,
}

impl Reply {
    /// A reply without a body.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// A reply with a body of a media type.
    pub(crate) fn body(status: StatusCode, media_type: &str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: vec![(header::CONTENT_TYPE, media_type.to_owned())],
            body: body.into(),
        }
    }

    /// A reply with a resource as `application/json`.
    pub(crate) fn json(status: StatusCode, resource: &impl Serialize) -> Result<Self, Refusal> {
        let body = serde_json::to_vec(resource).map_err(|error| Refusal::Internal(error.into()))?;
        Ok(Self::body(status, "application/json", body))
    }

    /// Adds a header; the value is ours, never a client's text.
    pub(crate) fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds a header that lists methods.
    pub(crate) fn with_methods(self, name: HeaderName, methods: &[Method]) -> Self {
        let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
        self.with(name, names.join(", "))
    }

    /// Adds one link on a header line of its own: some clients split a line at `;`.
    pub(crate) fn with_link(self, relation: &str, url: &str) -> Self {
        self.with(header::LINK, format!("<{url}>;rel=\"{relation}\""))
    }

    /// Says where the resource is.
    pub(crate) fn with_location(self, url: String) -> Self {
        self.with(header::LOCATION, url)
    }

    /// Says when to ask again.
    pub(crate) fn with_retry_after(self, seconds: u64) -> Self {
        self.with(header::RETRY_AFTER, seconds.to_string())
    }

    pub(crate) fn into_response(self) -> Response<Bytes> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            match HeaderValue::from_str(&value) {
                Ok(value) => {
                    response.headers_mut().append(name, value);
                }
                Err(_) => tracing::error!(%name, "a header value of ours is not valid"),
            }
        }
        response
    }
}
