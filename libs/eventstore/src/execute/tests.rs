//! Commands on logs that refuse: which are decided again, for how long, and which append nothing.

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use domain::{
    PreAuthorizationId, Timestamp,
    pre_authorization::{List, Listing, ListingState, Overtaken},
};

use super::*;
use crate::{Actor, Stream};

/// A log that knows nothing of what was loaded before.
#[derive(Default)]
struct Emptied {
    appends: AtomicU32,
    /// How long its first append takes; what follows is stored then.
    election: Option<Duration>,
}

#[async_trait]
impl EventStore for Emptied {
    async fn append(
        &self,
        _: &Subject,
        _: Expected,
        _: &Envelope,
    ) -> Result<Sequence, AppendError> {
        let before = self.appends.fetch_add(1, Ordering::Relaxed);
        match self.election {
            Some(_) if before > 0 => return Ok(Sequence(8)),
            Some(election) => sleep(election).await,
            None => {}
        }
        Err(AppendError::Conflict)
    }

    async fn read(&self, _: &Subject, _: Sequence) -> Result<Vec<Message>, StoreError> {
        Ok(Vec::new())
    }

    async fn message(&self, _: Stream, _: Sequence) -> Result<Option<Message>, StoreError> {
        Ok(None)
    }

    async fn scan(&self, _: Stream, _: Sequence, _: usize) -> Result<Vec<Message>, StoreError> {
        Ok(Vec::new())
    }

    async fn last_sequence(&self, _: Stream) -> Result<Sequence, StoreError> {
        Ok(Sequence::NONE)
    }
}

fn list() -> List {
    List { id: PreAuthorizationId::from_random(&[1; 16]), after: None }
}

/// Lists one at sequence 7 of what was loaded.
async fn executed(
    log: &Emptied,
    state: Option<ListingState>,
) -> Result<Decided<Listing>, ExecuteError<Overtaken>> {
    let (subject, at) =
        (Subject::pre_authorization_listing(&[1; 32]), Timestamp::from_unix_seconds(1_800_000_000));
    let context = Context { actor: Actor::Signer, request_id: None, traceparent: None, at };
    let loaded = Loaded { state, sequence: Sequence(7) };
    execute::<Listing>(log, &subject, loaded, &list(), &context).await
}

#[tokio::test(start_paused = true)]
async fn a_log_that_lost_what_was_loaded_is_not_asked_without_pause() {
    let (log, began) = (Emptied::default(), Instant::now());
    let executed = executed(&log, None).await;
    assert!(matches!(executed, Err(ExecuteError::Store(StoreError::Unavailable(_)))));
    assert!((RETRY_FOR..RETRY_FOR + 2 * LONGEST_PAUSE).contains(&began.elapsed()));
    assert!(log.appends.into_inner() < 30);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_after_a_long_wait_for_the_log_is_decided_again() {
    let log = Emptied { election: Some(RETRY_FOR + LONGEST_PAUSE), ..Emptied::default() };
    assert_eq!(executed(&log, None).await.unwrap().sequence, Sequence(8));
    assert_eq!(log.appends.into_inner(), 2);
}

#[tokio::test]
async fn what_changes_nothing_is_not_appended() {
    let (log, state) = (Emptied::default(), ListingState { ids: vec![list().id] });
    let executed = executed(&log, Some(state.clone())).await.unwrap();
    assert_eq!((executed.state, executed.sequence), (state, Sequence(7)));
    assert!(executed.events.is_empty());
    assert_eq!(log.appends.into_inner(), 0);
}
