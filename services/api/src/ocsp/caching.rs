//! What HTTP caches are told of answers to GET (RFC 5019 §6.2).

use domain::Timestamp;
use http::{HeaderMap, StatusCode, header};
use ring::digest::{SHA256, digest};
use time::{format_description::StaticFormatDescription, macros::format_description};

use super::Answer;
use crate::{problem::Refusal, reply::Reply};

/// A date as HTTP writes it (RFC 9110 §5.6.7).
const HTTP_DATE: StaticFormatDescription = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// Tells caches how long they may keep the answer, and sends no body to one that has it already (RFC 5019 §6.2).
pub(super) fn reply(answer: Answer, headers: &HeaderMap, now: Timestamp) -> Result<Reply, Refusal> {
    let (left, kept_until) = match answer.kept_until {
        Some(kept_until) if answer.left(now).as_secs() > 0 => (answer.left(now), kept_until),
        Some(_) | None => return Ok(answer.into_reply()),
    };
    let expires = kept_until.to_offset_date_time().format(HTTP_DATE);
    let expires = expires.map_err(|error| Refusal::Internal(error.into()))?;
    let tag = entity_tag(&answer.der);
    let lines = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    let is_there = lines.flat_map(|line| line.split(',')).any(|known| is_of(known.trim(), &tag));
    let reply = match is_there {
        true => Reply::empty(StatusCode::NOT_MODIFIED),
        false => answer.into_reply(),
    };
    let max_age = format!("max-age={}, public, no-transform, must-revalidate", left.as_secs());
    Ok(reply
        .with(header::CACHE_CONTROL, max_age)
        .with(header::EXPIRES, expires)
        .with(header::ETAG, tag))
}

/// Whether an entity tag that a client has is this one; whether it is weak does not matter (RFC 9110 §13.1.2).
fn is_of(known: &str, tag: &str) -> bool {
    known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
}

/// The hash of a response (RFC 9110 §8.8.3).
fn entity_tag(der: &[u8]) -> String {
    let hash = digest(&SHA256, der);
    let hex: String = hash.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
    format!("\"{hex}\"")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn kept_until(seconds: Option<i64>) -> Answer {
        let kept_until = seconds.map(Timestamp::from_unix_seconds);
        let asked_at = Timestamp::from_unix_seconds(8);
        Answer { der: Bytes::from_static(b"response"), asked_at, kept_until }
    }

    #[test]
    fn caches_are_told_until_when_and_send_for_nothing_that_they_have() {
        let at = Timestamp::from_unix_seconds(8);
        let reply = |known: &str| {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, known.parse().unwrap())]);
            super::reply(kept_until(Some(20)), &headers, at).unwrap().into_response()
        };
        let first = reply("\"another\"");
        assert_eq!(first.status(), StatusCode::OK);
        let said = |name| first.headers()[name].to_str().unwrap();
        assert!(said("cache-control").starts_with("max-age=12, public"));
        assert_eq!(said("expires"), "Thu, 01 Jan 1970 00:00:20 GMT");

        // A proxy that compresses makes a weak tag of it.
        for sent in
            [format!("\"another\", {}", said("etag")), format!("W/{}", said("etag")), "*".into()]
        {
            let known = reply(&sent);
            assert_eq!(known.status(), StatusCode::NOT_MODIFIED, "{sent}");
            assert!(known.body().is_empty());
            for name in ["cache-control", "expires", "etag"] {
                assert_eq!(known.headers()[name], said(name), "{name}");
            }
        }
    }

    #[test]
    fn what_is_for_one_client_alone_is_not_cached() {
        let at = Timestamp::from_unix_seconds(8);
        let reply = super::reply(kept_until(None), &HeaderMap::new(), at).unwrap().into_response();
        for name in ["cache-control", "expires", "etag"] {
            assert!(!reply.headers().contains_key(name), "{name}");
        }
    }
}
