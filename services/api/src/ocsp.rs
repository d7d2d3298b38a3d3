//! OCSP over HTTP (RFC 6960 §A): the signer answers, and what holds for everybody is kept until it ends.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use domain::Timestamp;
use eventstore::Service;
use http::{StatusCode, header};

use crate::{Api, problem::Refusal, reply::Reply, request::Request};

/// The longest request looked at; those of clients have about a hundred bytes.
const MAX_REQUEST_BYTES: usize = 4096;
/// How many responses are kept.
const MAX_KEPT: usize = 10_000;
/// What stands before a response: until which second it may be kept.
const KEPT_UNTIL_BYTES: usize = size_of::<i64>();

/// Responses that are asked for again, by the request.
#[derive(Default)]
pub(crate) struct Kept(Mutex<HashMap<Vec<u8>, Answer>>);

#[derive(Clone)]
struct Answer {
    der: Bytes,
    kept_until: i64,
}

impl Kept {
    fn find(&self, request: &[u8], now: Timestamp) -> Option<Answer> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(request).filter(|answer| answer.kept_until > now.unix_seconds()).cloned()
    }

    fn keep(&self, request: Vec<u8>, answer: Answer, now: Timestamp) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT {
            kept.retain(|_, answer| answer.kept_until > now.unix_seconds());
        }
        if kept.len() < MAX_KEPT {
            kept.insert(request, answer);
        }
    }

    /// Forgets everything: something was revoked.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Answers a request, which names its issuer itself, in the body of a POST or, base64 and percent-encoded, at the end of a GET's path.
pub(crate) async fn respond(
    api: &Api,
    in_path: Option<&str>,
    request: &Request,
) -> Result<Reply, Refusal> {
    if !api.settings.ocsp {
        return Err(Refusal::NotFound);
    }
    let question = match in_path {
        Some(text) => from_path(text).ok_or(Refusal::NotFound)?,
        None => request.body.to_vec(),
    };
    if question.len() > MAX_REQUEST_BYTES {
        return Err(Refusal::BodyTooLarge);
    }
    let answer = match api.kept_ocsp.find(&question, request.now) {
        Some(answer) => answer,
        None => ask(api, question, request.now).await?,
    };
    let reply = Reply::body(StatusCode::OK, "application/ocsp-response", answer.der);
    let left = answer.kept_until - request.now.unix_seconds();
    Ok(match in_path {
        Some(_) if left > 0 => reply.with(
            header::CACHE_CONTROL,
            format!("max-age={left}, public, no-transform, must-revalidate"),
        ),
        Some(_) | None => reply,
    })
}

async fn ask(api: &Api, question: Vec<u8>, now: Timestamp) -> Result<Answer, Refusal> {
    let answered = api.ports.calls.call(Service::Ocsp, question.clone()).await;
    let answered = answered.map_err(|error| Refusal::Unavailable(error.into()))?;
    let Some((kept_until, der)) = answered.split_first_chunk::<KEPT_UNTIL_BYTES>() else {
        return Err(Refusal::Internal("the signer's answer is too short".into()));
    };
    let kept_until = i64::from_be_bytes(*kept_until);
    let answer = Answer { der: Bytes::copy_from_slice(der), kept_until };
    if kept_until > now.unix_seconds() {
        api.kept_ocsp.keep(question, answer.clone(), now);
    }
    Ok(answer)
}

/// Clients differ in what they percent-encode of base64, and some leave its slashes as they are.
fn from_path(text: &str) -> Option<Vec<u8>> {
    let mut base64 = Vec::with_capacity(text.len());
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        base64.push(match octet {
            b'%' => {
                let digits = [octets.next()?, octets.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            octet => octet,
        });
    }
    BASE64_STANDARD.decode(base64).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_in_a_path_is_read_however_it_is_encoded() {
        let request = [0xfb, 0xff, 0xfe, 0x01];
        for text in ["+//+AQ==", "%2B%2F%2f%2BAQ%3D%3D", "+/%2f+AQ%3d="] {
            assert_eq!(from_path(text).as_deref(), Some(&request[..]), "{text}");
        }
        for text in ["%", "%4", "%zz", "+//+AQ", "*"] {
            assert_eq!(from_path(text), None, "{text}");
        }
    }

    #[test]
    fn a_kept_answer_ends_in_time() {
        let (kept, at) = (Kept::default(), Timestamp::from_unix_seconds);
        let answer = Answer { der: Bytes::from_static(b"response"), kept_until: 20 };
        kept.keep(b"request".to_vec(), answer, at(10));
        assert!(kept.find(b"request", at(19)).is_some());
        assert!(kept.find(b"request", at(20)).is_none());
        kept.clear();
        assert!(kept.find(b"request", at(11)).is_none());
    }
}
