//! A request: as it came in, and as the handlers of ACME resources take it.

use bytes::Bytes;
use domain::{OrderId, Timestamp};
use eventstore::{Actor, Context, Subject};
use http::{HeaderMap, Method};
use tokio::time::Instant;

use crate::{Api, hold::Place, settings::Profile};

/// The media type of signed requests (RFC 8555 §6.2).
pub(crate) const JOSE: &str = "application/jose+json";

/// A request over HTTP whose body has arrived.
pub(crate) struct Request {
    pub(crate) id: String,
    /// When it has to be answered.
    pub(crate) deadline: Instant,
    /// The order the request is about; for newOrder, the one it may place.
    pub(crate) order: Option<OrderId>,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A request for a resource of a profile, with what it is answered from.
pub(crate) struct AcmeRequest<'a> {
    pub(crate) api: &'a Api,
    pub(crate) profile: &'a Profile,
    pub(crate) http: &'a Request,
    /// When its body had arrived: one time for all that is decided about it, but for what goes by `now()`.
    pub(crate) now: Timestamp,
}

/// The wall clock. By it goes what may come long after a request arrived: whether its reply waits on, when to ask again, and whether
/// its claim of a key still holds.
pub(crate) fn now() -> Timestamp {
    time::OffsetDateTime::now_utc().into()
}

impl AcmeRequest<'_> {
    /// What a command that comes from this request knows about its cause.
    pub(crate) fn context(&self, actor: Actor) -> Context {
        Context {
            actor,
            request_id: Some(self.http.id.clone()),
            traceparent: runtime::telemetry::current_traceparent(),
            at: self.now,
        }
    }

    /// Takes a place among the requests that wait for news of an aggregate; `None` for an immediate reply.
    pub(crate) fn take_place(&self, subject: Subject) -> Option<Place<'_>> {
        self.api.holds.take_place(subject, self.http.deadline)
    }
}

impl Request {
    /// Whether the body says that it is a JWS (RFC 8555 §6.2); parameters do not matter.
    pub(crate) fn is_jose(&self) -> bool {
        let content_type = self.headers.get(http::header::CONTENT_TYPE);
        let media_type = content_type
            .and_then(|value| value.to_str().ok())
            .map(|value| value.split(';').next().unwrap_or_default().trim());
        media_type.is_some_and(|media| media.eq_ignore_ascii_case(JOSE))
    }

    /// Whether the body is compressed, or coded in another way (RFC 9110 §8.4).
    pub(crate) fn has_content_coding(&self) -> bool {
        let lines = self.headers.get_all(http::header::CONTENT_ENCODING).iter();
        lines.map(http::HeaderValue::as_bytes).any(|line| !line.eq_ignore_ascii_case(b"identity"))
    }
}
