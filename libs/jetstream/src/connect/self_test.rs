//! Tries out what everything rests on: of two writers that expect the same, one wins.

use bytes::Bytes;
use eventstore::{AppendError, Expected, MessageId, Sequence};

use super::ConnectError;
use crate::{append::Publication, connection::Connection, names::Names};

/// How often two writers meet.
const ROUNDS: usize = 3;

/// Lets pairs of writers meet on a subject of a stream that exists for this, where no consumer reads.
pub(super) async fn run(connection: &Connection, names: &Names) -> Result<(), ConnectError> {
    let subject = names.self_test_subject(MessageId::random().as_str());
    let write = async |last: Sequence| {
        let publication = Publication {
            stream: names.self_test_stream(),
            subject: subject.clone(),
            expected: Expected::Last(last),
            id: &MessageId::random(),
            event_types: Vec::new(),
            payload: Bytes::new(),
        };
        publication.store(connection).await
    };
    let mut last = write(Sequence::NONE).await.map_err(ConnectError::SelfTest)?;
    for _ in 0..ROUNDS {
        last = winner(tokio::join!(write(last), write(last)))?;
    }
    Ok(())
}

type Outcome = Result<Sequence, AppendError>;

fn winner(outcomes: (Outcome, Outcome)) -> Result<Sequence, ConnectError> {
    match outcomes {
        (Ok(_), Ok(_)) => Err(ConnectError::CompareAndSetBroken),
        (Ok(sequence), Err(AppendError::Conflict)) | (Err(AppendError::Conflict), Ok(sequence)) => {
            Ok(sequence)
        }
        (Err(AppendError::Conflict), Err(error)) | (Err(error), _) | (_, Err(error)) => {
            Err(ConnectError::SelfTest(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_winners_are_refused() {
        let won = || Ok(Sequence(2));
        let lost = || Err(AppendError::Conflict);
        assert!(matches!(winner((won(), lost())), Ok(Sequence(2))));
        assert!(matches!(winner((lost(), won())), Ok(Sequence(2))));
        assert!(matches!(winner((won(), won())), Err(ConnectError::CompareAndSetBroken)));
        assert!(matches!(winner((lost(), lost())), Err(ConnectError::SelfTest(_))));
    }
}
