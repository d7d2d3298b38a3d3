//! OCSP over HTTP (RFC 6960 §A): the signer answers, and what holds for everybody is kept until it ends.

mod caching;
mod kept;

use std::time::Instant;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use domain::Timestamp;
use eventstore::{OcspAnswer, Sequence, Service, Stream};

use self::kept::Answer;
pub(crate) use self::kept::Kept;
use crate::{
    Api,
    problem::Refusal,
    reply::Reply,
    request::{self, Request},
};

/// The longest request looked at; those of clients have about a hundred bytes.
const MAX_REQUEST_BYTES: usize = 4096;

/// Answers a request: the body of a POST, or the end of a GET's path in base64, percent-encoded. It names its issuer itself.
pub(crate) async fn respond(
    api: &Api,
    in_path: Option<&str>,
    request: &Request,
) -> Result<Reply, Refusal> {
    if !api.settings.ocsp {
        return Err(Refusal::NotFound);
    }
    let now = request::now();
    let question = match in_path {
        Some(text) => from_path(text).ok_or(Refusal::NotFound)?,
        None => request.body.to_vec(),
    };
    if question.len() > MAX_REQUEST_BYTES {
        return Err(Refusal::BodyTooLarge);
    }
    let revoked_to = revoked_to(api).await?;
    let answer = match api.kept_ocsp.find(&question, now) {
        Some(answer) => answer,
        None => ask(api, question, revoked_to, now).await?,
    };
    match in_path {
        Some(_) => caching::reply(answer, &request.headers, now),
        None => Ok(answer.into_reply()),
    }
}

/// The last revocation. The log is asked for it from time to time, because it may have come through another node or a command.
async fn revoked_to(api: &Api) -> Result<Sequence, Refusal> {
    let now = Instant::now();
    if let Some(sequence) = api.kept_ocsp.revoked_to(now) {
        return Ok(sequence);
    }
    let sequence = api.ports.aggregates.store.last_sequence(Stream::Revocations).await?;
    api.kept_ocsp.set_revoked_to(sequence, now);
    Ok(sequence)
}

async fn ask(
    api: &Api,
    question: Vec<u8>,
    revoked_to: Sequence,
    now: Timestamp,
) -> Result<Answer, Refusal> {
    let answered = api.ports.calls.call(Service::Ocsp, question.clone()).await;
    let answered = answered.map_err(|error| Refusal::Unavailable(error.into()))?;
    let Some(OcspAnswer { kept_until, der }) = OcspAnswer::from_octets(&answered) else {
        return Err(Refusal::Internal("the signer's answer is too short".into()));
    };
    let answer = Answer { der: der.into(), asked_at: now, kept_until };
    if !answer.left(now).is_zero() {
        api.kept_ocsp.keep(revoked_to, (question, answer.clone()), now);
    }
    Ok(answer)
}

/// Reads a request from a path. Clients differ in what they percent-encode of base64, and some leave its slashes as they are.
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
}
