//! The OCSP responses that are kept, as long as nothing was revoked since they were made.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use domain::Timestamp;
use eventstore::Sequence;
use http::StatusCode;

use crate::reply::Reply;

/// How many responses are kept.
const MAX_KEPT: usize = 10_000;
/// The longest request whose response is kept: one certificate is named by less, with whichever hash.
const MAX_KEPT_REQUEST_BYTES: usize = 256;
/// For how long the log is not asked again whether something was revoked: a kept response is out of date no longer than this.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The responses that are kept, by their requests; all of them know the revocations up to one place in the log.
#[derive(Default)]
pub(crate) struct Kept(Mutex<State>);

#[derive(Default)]
struct State {
    answers: HashMap<Vec<u8>, Answer>,
    /// The last revocation there was.
    revoked_to: Sequence,
    /// When the log was asked for it.
    looked_at: Option<Instant>,
}

impl State {
    /// Forgets the responses that have ended, and where few have, every other one that is left: anybody may have filled the
    /// room, and what clients really ask for is soon asked for again.
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

/// A signed response to a request.
#[derive(Clone)]
pub(super) struct Answer {
    /// The DER OCSPResponse.
    pub(super) der: Bytes,
    /// When the signer was asked.
    pub(super) asked_at: Timestamp,
    /// Until when others who ask the same may have it; `None` when it is for one client alone.
    pub(super) kept_until: Option<Timestamp>,
}

impl Answer {
    /// How long it may still be kept: not at all where it is from the future, because then the clock was ahead.
    pub(super) fn left(&self, now: Timestamp) -> Duration {
        match self.kept_until {
            Some(kept_until) if self.asked_at <= now => now.until(kept_until),
            Some(_) | None => Duration::ZERO,
        }
    }

    pub(super) fn into_reply(self) -> Reply {
        Reply::body(StatusCode::OK, "application/ocsp-response", self.der)
    }
}

impl Kept {
    /// The last revocation that the responses know, if the log was asked for it just now.
    pub(super) fn revoked_to(&self, now: Instant) -> Option<Sequence> {
        let state = self.lock();
        (now.duration_since(state.looked_at?) < LOOK_INTERVAL).then_some(state.revoked_to)
    }

    /// Notes the last revocation as the log has it; where there is a new one, all responses are forgotten.
    pub(super) fn set_revoked_to(&self, sequence: Sequence, now: Instant) {
        let mut state = self.lock();
        if state.revoked_to != sequence {
            state.answers.clear();
        }
        (state.revoked_to, state.looked_at) = (sequence, Some(now));
    }

    /// The kept response to a request, if it has not ended.
    pub(super) fn find(&self, request: &[u8], now: Timestamp) -> Option<Answer> {
        let state = self.lock();
        let answer = state.answers.get(request);
        answer.filter(|answer| !answer.left(now).is_zero()).cloned()
    }

    /// Keeps the answer to a request that was made when `revoked_to` was the last revocation, if it still is.
    pub(super) fn keep(
        &self,
        revoked_to: Sequence,
        (request, answer): (Vec<u8>, Answer),
        now: Timestamp,
    ) {
        let mut state = self.lock();
        if state.revoked_to != revoked_to || request.len() > MAX_KEPT_REQUEST_BYTES {
            return;
        }
        if state.answers.len() >= MAX_KEPT {
            state.make_room(now);
        }
        state.answers.insert(request, answer);
    }

    /// Has the next request ask the log for the last revocation, because there is a new one.
    pub(crate) fn forget_revoked_to(&self) {
        self.lock().looked_at = None;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept_at(sequence: u64) -> Kept {
        let kept = Kept::default();
        kept.set_revoked_to(Sequence(sequence), Instant::now());
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
        kept.set_revoked_to(Sequence(7), Instant::now());
        assert!(kept.find(b"request", at(11)).is_some());
        kept.set_revoked_to(Sequence(8), Instant::now());
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
        kept.set_revoked_to(Sequence(8), Instant::now());
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
        kept.forget_revoked_to();
        assert_eq!(kept.revoked_to(now), None);
    }
}
