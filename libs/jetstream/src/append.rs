//! Storing a message by compare-and-set.

use std::{collections::BTreeSet, time::Duration};

use async_nats::{
    HeaderMap, RequestError, RequestErrorKind,
    client::Request,
    header::{NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_EXPECTED_STREAM, NATS_MESSAGE_ID},
    jetstream::{self, ErrorCode, publish::PublishAck, response::Response},
};
use bytes::Bytes;
use eventstore::{AppendError, Envelope, Expected, MessageId, Sequence};
use tokio::time::sleep;

use crate::{
    connection::{ApiError, Connection},
    election::Election,
    stream_info::StreamInfo,
};

/// The header that names the types of a message's events, so that a worker can skip what is not its own unread.
const EVENTS_HEADER: &str = "Certmill-Events";

/// What headers add to a message at most: the id, the expectation, and each of a few dozen event types once.
pub(crate) const MAX_HEADER_BYTES: usize = 8 * 1024;

/// Another message of the subject is being stored; the client library does not know this code. Servers were seen to
/// answer so even a moment after that message was acknowledged, and so to writers that expect it.
const ANOTHER_IN_FLIGHT: ErrorCode = ErrorCode(10164);
/// A message with the same id is being stored.
const DUPLICATE_IN_FLIGHT: ErrorCode = ErrorCode(10158);

/// The wait for the other message: pauses that double, 31 ms in all.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(16);

/// A message on its way to a stream.
pub(crate) struct Publication<'a> {
    pub(crate) stream: String,
    pub(crate) subject: String,
    pub(crate) expected: Expected,
    pub(crate) id: &'a MessageId,
    pub(crate) event_types: Vec<String>,
    pub(crate) payload: Bytes,
}

impl<'a> Publication<'a> {
    /// Makes the stored form of an envelope.
    pub(crate) fn of(
        envelope: &'a Envelope,
        stream: String,
        subject: String,
        expected: Expected,
    ) -> Result<Self, AppendError> {
        let payload = serde_json::to_vec(envelope).map_err(AppendError::unavailable)?;
        if payload.len() > Envelope::MAX_BYTES {
            return Err(AppendError::TooLarge);
        }
        let types: BTreeSet<String> = envelope.event_types().into_iter().collect();
        Ok(Self {
            stream,
            subject,
            expected,
            id: &envelope.id,
            event_types: types.into_iter().collect(),
            payload: payload.into(),
        })
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, self.id.as_str());
        headers.insert(NATS_EXPECTED_STREAM, self.stream.as_str());
        if let Expected::Last(Sequence(last)) = self.expected {
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, last.to_string().as_str());
        }
        if !self.event_types.is_empty() {
            headers.insert(EVENTS_HEADER, self.event_types.join(",").as_str());
        }
        headers
    }

    /// Publishes the message and waits until it is stored, also while the stream gets another leader.
    pub(crate) async fn store(&self, connection: &Connection) -> Result<Sequence, AppendError> {
        let (mut pause, mut election) = (FIRST_PAUSE, Election::awaited());
        loop {
            match self.publish(connection).await {
                Err(Failed::AnotherInFlight) if pause <= LONGEST_PAUSE => {
                    // Whether this is a conflict shows when the other message is stored, or not.
                    sleep(pause).await;
                    pause *= 2;
                }
                Err(Failed::AnotherInFlight) => return Err(AppendError::Conflict),
                Err(Failed::NoLeader(error)) => {
                    let question = StreamInfo::subject(&self.stream);
                    if !connection.awaits_leader(&question, &mut election).await {
                        return Err(error);
                    }
                }
                Err(Failed::Finally(error)) => return Err(error),
                Ok(sequence) => return Ok(sequence),
            }
        }
    }

    async fn publish(&self, connection: &Connection) -> Result<Sequence, Failed> {
        let request = Request::new().headers(self.headers()).payload(self.payload.clone());
        connection.wait_until_up().await.map_err(AppendError::unavailable)?;
        let subject = self.subject.clone();
        let answer = connection.client.send_request(subject, request);
        let answer = connection.answered_on(&self.subject, answer).await.map_err(lost)?;
        if let Err(error) = &answer
            && error.kind() == RequestErrorKind::MaxPayloadExceeded
        {
            connection.renew().await;
        }
        let message = answer.map_err(unanswered)?;
        match serde_json::from_slice(&message.payload).map_err(AppendError::unknown)? {
            Response::Ok(ack) => acknowledged(self.expected, &ack).map_err(Failed::Finally),
            Response::Err { error } => Err(refused(error)),
        }
    }
}

/// Why one attempt to store a message failed.
enum Failed {
    /// Nothing was stored, but the expectation may yet turn out right.
    AnotherInFlight,
    /// Nothing was stored, because nobody leads the stream, or the server asked has not heard who does.
    NoLeader(AppendError),
    Finally(AppendError),
}

impl From<AppendError> for Failed {
    fn from(error: AppendError) -> Self {
        Self::Finally(error)
    }
}

fn acknowledged(expected: Expected, ack: &PublishAck) -> Result<Sequence, AppendError> {
    match expected {
        // An earlier attempt was stored: only reading tells whether it said the same as this one.
        Expected::Last(_) if ack.duplicate => {
            Err(AppendError::unknown("an earlier attempt to store the message is known"))
        }
        Expected::Last(_) | Expected::Anything => Ok(Sequence(ack.sequence)),
    }
}

fn lost(error: ApiError) -> AppendError {
    match error {
        // The server took nothing.
        ApiError::Forbidden { .. } => AppendError::unavailable(error),
        error => AppendError::unknown(error),
    }
}

fn unanswered(error: RequestError) -> Failed {
    match error.kind() {
        // Nobody received the message.
        RequestErrorKind::NoResponders => Failed::NoLeader(AppendError::unavailable(error)),
        // It was not sent. No message is larger than servers must take: one that takes less was changed.
        RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded => {
            Failed::Finally(AppendError::unavailable(error))
        }
        RequestErrorKind::TimedOut | RequestErrorKind::Other => {
            Failed::Finally(AppendError::unknown(error))
        }
    }
}

fn refused(error: jetstream::Error) -> Failed {
    let failed = match error.error_code() {
        ANOTHER_IN_FLIGHT => return Failed::AnotherInFlight,
        ErrorCode::STREAM_WRONG_LAST_SEQUENCE => AppendError::Conflict,
        DUPLICATE_IN_FLIGHT => AppendError::unknown(error),
        // All others say that the message was not stored: overload (10167), no leader (10008), no room (10023, 10077), a
        // stream that was set to take less (10054) or nothing at all (10109).
        _ => AppendError::unavailable(error),
    };
    Failed::Finally(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u64) -> Failed {
        let json = format!(r#"{{"code":400,"err_code":{code},"description":"no"}}"#);
        refused(serde_json::from_str(&json).unwrap())
    }

    #[test]
    fn both_codes_for_a_wrong_last_sequence_are_understood() {
        assert!(matches!(answer(10071), Failed::Finally(AppendError::Conflict)));
        assert!(matches!(answer(10164), Failed::AnotherInFlight));
    }

    #[test]
    fn the_same_message_on_its_way_is_not_said_not_to_be_stored() {
        assert!(matches!(answer(10158), Failed::Finally(AppendError::Unknown(_))));
    }

    #[test]
    fn overload_missing_leaders_and_changed_streams_say_that_nothing_was_stored() {
        for code in [10167, 10008, 10023, 10077, 10054, 10109] {
            assert!(matches!(answer(code), Failed::Finally(AppendError::Unavailable(_))), "{code}");
        }
    }

    #[test]
    fn a_server_that_knows_no_leader_is_asked_again() {
        let nobody = unanswered(RequestError::new(RequestErrorKind::NoResponders));
        assert!(matches!(nobody, Failed::NoLeader(AppendError::Unavailable(_))));
    }

    #[test]
    fn a_known_message_id_does_not_pass_for_a_decision() {
        let ack = PublishAck { sequence: 7, duplicate: true, ..PublishAck::default() };
        let decision = acknowledged(Expected::Last(Sequence(7)), &ack);
        assert!(matches!(decision, Err(AppendError::Unknown(_))));
        assert!(matches!(acknowledged(Expected::Anything, &ack), Ok(Sequence(7))));
    }
}
