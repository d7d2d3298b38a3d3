//! OCSP over HTTP (RFC 6960 §A): the signer answers, and what holds for everybody is kept until it ends.

mod caching;

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use domain::Timestamp;
use eventstore::{OcspAnswer, Sequence, Service, Stream};
use http::StatusCode;

use crate::{Api, problem::Refusal, reply::Reply, request::Request};

/// The longest request looked at; those of clients have about a hundred bytes.
const MAX_REQUEST_BYTES: usize = 4096;
/// How many responses are kept.
const MAX_KEPT: usize = 10_000;
/// The longest request whose response is kept: one certificate is named by less, with whichever hash.
const MAX_KEPT_REQUEST_BYTES: usize = 256;
/// For how long it is taken for granted that nothing was revoked: a kept response is out of date no longer than this.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Responses that are asked for again, by the request; all of them hold for what is revoked up to one place in the log.
#[derive(Default)]
pub(crate) struct Kept(Mutex<State>);

#[derive(Default)]
struct State {
    answers: HashMap<Vec<u8>, Answer>,
    /// The last revocation there was.
    revoked_to: Sequence,
    /// When that was looked at.
    looked_at: Option<Instant>,
}

impl State {
    /// Forgets what has ended, and where that is little, every other one: anybody may ask for anything, and what clients ask
    /// for is asked for again.
    fn make_room(&mut self, now: Timestamp) {
        self.answers.retain(|_, answer| !answer.left(now).is_zero());
        if self.answers.len() > MAX_KEPT / 2 {
            let mut stays = false;
            self.answers.retain(|_, _| {
                stays = !stays;
                stays
            });
        }
    }
}

#[derive(Clone)]
struct Answer {
    der: Bytes,
    asked_at: Timestamp,
    kept_until: Option<Timestamp>,
}

impl Answer {
    /// How long it may still be kept. What is from the future holds for nobody: the clock was ahead.
    fn left(&self, now: Timestamp) -> Duration {
        match self.kept_until {
            Some(kept_until) if self.asked_at <= now => now.until(kept_until),
            Some(_) | None => Duration::ZERO,
        }
    }

    fn into_reply(self) -> Reply {
        Reply::body(StatusCode::OK, "application/ocsp-response", self.der)
    }
}

impl Kept {
    /// Up to which revocation what is kept holds, unless that was looked at too long ago.
    fn revoked_to(&self, now: Instant) -> Option<Sequence> {
        let state = self.lock();
        (now.duration_since(state.looked_at?) < LOOK_INTERVAL).then_some(state.revoked_to)
    }

    /// Takes what the log says is the last revocation; what was kept before another one is forgotten.
    fn look(&self, sequence: Sequence, now: Instant) {
        let mut state = self.lock();
        if state.revoked_to != sequence {
            state.answers.clear();
        }
        (state.revoked_to, state.looked_at) = (sequence, Some(now));
    }

    fn find(&self, request: &[u8], now: Timestamp) -> Option<Answer> {
        let state = self.lock();
        let answer = state.answers.get(request);
        answer.filter(|answer| !answer.left(now).is_zero()).cloned()
    }

    /// Keeps the answer to a request that was made when `asked_at` was the last revocation, if that is still so.
    fn keep(&self, asked_at: Sequence, (request, answer): (Vec<u8>, Answer), now: Timestamp) {
        let mut state = self.lock();
        if state.revoked_to != asked_at || request.len() > MAX_KEPT_REQUEST_BYTES {
            return;
        }
        if state.answers.len() >= MAX_KEPT {
            state.make_room(now);
        }
        state.answers.insert(request, answer);
    }

    /// Has the next request look into the log: something was revoked.
    pub(crate) fn look_again(&self) {
        self.lock().looked_at = None;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    let revoked_to = revoked_to(api).await?;
    let answer = match api.kept_ocsp.find(&question, request.now) {
        Some(answer) => answer,
        None => ask(api, question, revoked_to, request.now).await?,
    };
    match in_path {
        Some(_) => caching::reply(answer, &request.headers, request.now),
        None => Ok(answer.into_reply()),
    }
}

/// The last revocation, as the log says every moment: whichever node or command it went through.
async fn revoked_to(api: &Api) -> Result<Sequence, Refusal> {
    let now = Instant::now();
    if let Some(sequence) = api.kept_ocsp.revoked_to(now) {
        return Ok(sequence);
    }
    let sequence = api.ports.aggregates.store.last_sequence(Stream::Revocations).await?;
    api.kept_ocsp.look(sequence, now);
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

    fn kept_at(sequence: u64) -> Kept {
        let kept = Kept::default();
        kept.look(Sequence(sequence), Instant::now());
        kept
    }

    fn answer() -> (Vec<u8>, Answer) {
        let kept_until = Some(Timestamp::from_unix_seconds(20));
        let asked_at = Timestamp::from_unix_seconds(10);
        let answer = Answer { der: Bytes::from_static(b"response"), asked_at, kept_until };
        (b"request".to_vec(), answer)
    }

    #[test]
    fn a_kept_answer_ends_in_time_and_with_the_next_revocation() {
        let (kept, at) = (kept_at(7), Timestamp::from_unix_seconds);
        kept.keep(Sequence(7), answer(), at(10));
        assert!(kept.find(b"request", at(19)).is_some());
        assert!(kept.find(b"request", at(20)).is_none());
        kept.look(Sequence(7), Instant::now());
        assert!(kept.find(b"request", at(11)).is_some());
        kept.look(Sequence(8), Instant::now());
        assert!(kept.find(b"request", at(11)).is_none());
    }

    #[test]
    fn an_answer_from_a_clock_that_was_ahead_is_not_given_once_it_is_right() {
        let (kept, at) = (kept_at(7), Timestamp::from_unix_seconds);
        kept.keep(Sequence(7), answer(), at(10));
        assert!(kept.find(b"request", at(9)).is_none());
        let (request, answer) = answer();
        let right = Answer { asked_at: at(5), kept_until: Some(at(15)), ..answer };
        kept.keep(Sequence(7), (request, right), at(5));
        assert_eq!(kept.find(b"request", at(9)).unwrap().asked_at, at(5));
    }

    #[test]
    fn an_answer_that_a_revocation_overtook_is_not_kept() {
        let (kept, at) = (kept_at(7), Timestamp::from_unix_seconds);
        kept.look(Sequence(8), Instant::now());
        kept.keep(Sequence(7), answer(), at(10));
        assert!(kept.find(b"request", at(11)).is_none());
    }

    #[test]
    fn the_answers_kept_are_bounded_and_those_that_ended_make_room() {
        let (kept, at) = (kept_at(7), Timestamp::from_unix_seconds);
        for number in 0..MAX_KEPT {
            kept.keep(Sequence(7), (number.to_be_bytes().to_vec(), answer().1), at(10));
        }
        assert!(kept.find(&0usize.to_be_bytes(), at(19)).is_some());
        let (request, answer) = answer();
        let longer = Answer { kept_until: Some(at(30)), ..answer };
        kept.keep(Sequence(7), (request, longer), at(20));
        assert!(kept.find(b"request", at(20)).is_some());
        assert_eq!(kept.lock().answers.len(), 1);
    }

    #[test]
    fn who_asks_for_very_much_takes_nobody_the_room() {
        let (kept, at) = (kept_at(7), Timestamp::from_unix_seconds);
        for number in 0..3 * MAX_KEPT {
            kept.keep(Sequence(7), (number.to_be_bytes().to_vec(), answer().1), at(10));
            assert!(kept.find(&number.to_be_bytes(), at(10)).is_some());
            assert!(kept.lock().answers.len() <= MAX_KEPT);
        }
        kept.keep(Sequence(7), answer(), at(10));
        assert!(kept.find(b"request", at(10)).is_some());
        let long = vec![0; MAX_KEPT_REQUEST_BYTES + 1];
        kept.keep(Sequence(7), (long.clone(), answer().1), at(10));
        assert!(kept.find(&long, at(10)).is_none());
    }

    #[test]
    fn the_log_is_looked_at_again_after_a_moment_and_after_a_revocation() {
        let (kept, now) = (kept_at(7), Instant::now());
        assert_eq!(kept.revoked_to(now), Some(Sequence(7)));
        assert_eq!(kept.revoked_to(now + LOOK_INTERVAL * 2), None);
        kept.look_again();
        assert_eq!(kept.revoked_to(now), None);
    }
}
