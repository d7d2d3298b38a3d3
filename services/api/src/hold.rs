//! Held replies: a request whose outcome is under way waits for it instead of being polled.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use eventstore::{LoadError, Sequence, Subject, Wake};
use readmodel::{Aggregates, View, Viewed};
use runtime::metrics::names;
use tokio::{
    sync::{broadcast, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{Api, problem::Refusal};

/// How long before a request's deadline holding ends, so that there is time for the last look and the reply.
const LAST_LOOK: Duration = Duration::from_millis(500);

/// The requests of this node that wait for news of an order or pre-authorization.
pub(crate) struct Holds {
    duration: Duration,
    max_held: usize,
    waiting: Mutex<Waiting>,
    stop: CancellationToken,
}

#[derive(Default)]
struct Waiting {
    held: usize,
    subjects: HashMap<Subject, Bell>,
}

/// Rings when there is news, and says of which message, if that is known; each of its receivers notices whether it rang since the
/// receiver was made.
struct Bell {
    bell: watch::Sender<Option<Sequence>>,
    waiters: usize,
}

/// A place among the requests that wait for one aggregate. It is taken before the aggregate is read, so that no news is missed.
pub(crate) struct Place<'a> {
    holds: &'a Holds,
    subject: Subject,
    news: watch::Receiver<Option<Sequence>>,
    deadline: Instant,
}

impl Holds {
    /// Holds replies until the token is cancelled; then those that wait are given at once.
    pub(crate) fn new(duration: Duration, max_held: usize, stop: CancellationToken) -> Self {
        Self { duration, max_held, waiting: Mutex::default(), stop }
    }

    /// Takes a place for a request that has to be answered by a time; `None`, for an immediate reply, when replies are not held or
    /// too many are.
    pub(crate) fn take_place(&self, subject: Subject, answer_by: Instant) -> Option<Place<'_>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.duration.is_zero() || waiting.held >= self.max_held || self.stop.is_cancelled() {
            return None;
        }
        waiting.held += 1;
        let bell = waiting
            .subjects
            .entry(subject.clone())
            .or_insert_with(|| Bell { bell: watch::Sender::new(None), waiters: 0 });
        bell.waiters += 1;
        let news = bell.bell.subscribe();
        let now = Instant::now();
        let deadline = (now + self.duration).min(answer_by.checked_sub(LAST_LOOK).unwrap_or(now));
        Some(Place { holds: self, subject, news, deadline })
    }

    fn ring(&self, wake: &Wake) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = waiting.subjects.get(&wake.subject) {
            bell.bell.send_replace(Some(wake.sequence));
        }
    }

    fn ring_all(&self) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for bell in waiting.subjects.values() {
            bell.bell.send_replace(None);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = self.holds.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.held -= 1;
        if let Some(bell) = waiting.subjects.get_mut(&self.subject) {
            bell.waiters -= 1;
            if bell.waiters == 0 {
                waiting.subjects.remove(&self.subject);
            }
        }
    }
}

impl Place<'_> {
    /// Waits while work is under way, at most for the configured moment, and returns the newest view.
    ///
    /// A wake may be lost, so the view is read once more at the end.
    async fn hold<A: Viewed>(
        mut self,
        aggregates: &Aggregates,
        mut view: View<A::State>,
        under_way: impl Fn(&View<A::State>) -> bool,
    ) -> Result<View<A::State>, Refusal> {
        let _held = Held::count();
        while under_way(&view) {
            let over = tokio::select! {
                // The sender lives as long as this place.
                _ = self.news.changed() => false,
                () = sleep_until(self.deadline) => true,
                () = self.holds.stop.cancelled() => true,
            };
            let told = if over { None } else { *self.news.borrow() };
            view = newest::<A>(aggregates, view, told).await?;
            if over {
                break;
            }
        }
        Ok(view)
    }
}

/// Waits at the place while work is under way; without a place, returns the view as it is.
pub(crate) async fn hold<A: Viewed>(
    place: Option<Place<'_>>,
    api: &Api,
    view: View<A::State>,
    under_way: impl Fn(&View<A::State>) -> bool,
) -> Result<View<A::State>, Refusal> {
    match place {
        Some(place) => place.hold::<A>(&api.ports.aggregates, view, under_way).await,
        None => Ok(view),
    }
}

/// Counts a reply as held while it lives.
struct Held;

impl Held {
    fn count() -> Self {
        metrics::gauge!(names::REPLIES_HELD).increment(1.0);
        Self
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        metrics::gauge!(names::REPLIES_HELD).decrement(1.0);
    }
}

/// The newest view there is, or one of the message that this was told of; never an older one than is known: the read model may
/// have lost its memory between two reads.
///
/// Where neither read model nor log can be read, the known view is shown instead of a failure: the request was carried out, and
/// its client asks again.
async fn newest<A: Viewed>(
    aggregates: &Aggregates,
    known: View<A::State>,
    told: Option<Sequence>,
) -> Result<View<A::State>, Refusal> {
    let id = A::id(&known.state);
    // One that is known already may have come late, in the place of a newer one.
    let loaded = match told.filter(|told| *told > known.sequence) {
        Some(told) => aggregates.load_told::<A>(id, told).await,
        None => aggregates.load::<A>(id).await,
    };
    match loaded {
        Ok(Some(view)) if view.sequence > known.sequence => Ok(view),
        Ok(Some(_) | None) => Ok(known),
        Err(LoadError::Store(error)) => {
            let error = &error as &dyn std::error::Error;
            warn!(error, "held reply is given as it was last read");
            Ok(known)
        }
        Err(error @ LoadError::Decode(_)) => Err(error.into()),
    }
}

/// Passes wakes on to the requests that wait; ends with the sender.
pub(crate) async fn listen(holds: Arc<Holds>, mut wakes: broadcast::Receiver<Wake>) {
    loop {
        match wakes.recv().await {
            Ok(wake) => holds.ring(&wake),
            Err(broadcast::error::RecvError::Lagged(_)) => holds.ring_all(),
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::OrderId;
    use eventstore::Sequence;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[test]
    fn places_are_bounded_and_given_back() {
        let holds = Holds::new(Duration::from_secs(1), 2, CancellationToken::new());
        let order = || Subject::order(&OrderId::new(0, &[1; 16]));
        let first = holds.take_place(order(), soon());
        let second = holds.take_place(order(), soon());
        assert!(first.is_some() && second.is_some());
        assert!(holds.take_place(order(), soon()).is_none());
        drop(first);
        assert!(holds.take_place(order(), soon()).is_some());
        drop(second);
        assert!(holds.waiting.lock().unwrap().subjects.is_empty());
    }

    #[tokio::test]
    async fn whoever_waits_looks_again_when_wakes_were_missed() {
        let order = |n| Subject::order(&OrderId::new(0, &[n; 16]));
        let holds = Arc::new(Holds::new(Duration::from_secs(1), 2, CancellationToken::new()));
        let mut place = holds.take_place(order(1), soon()).unwrap();
        let wake = |n| Wake { subject: order(n), sequence: Sequence(1) };
        holds.ring(&wake(1));
        assert_eq!(*place.news.borrow_and_update(), Some(Sequence(1)));
        let (sender, wakes) = broadcast::channel(1);
        for n in [1, 2] {
            sender.send(wake(n)).unwrap();
        }
        drop(sender);
        listen(Arc::clone(&holds), wakes).await;
        assert!(place.news.has_changed().unwrap());
        assert_eq!(*place.news.borrow(), None, "nobody knows which message was missed");
    }

    #[test]
    fn nothing_is_held_when_holding_is_off() {
        let holds = Holds::new(Duration::ZERO, 2, CancellationToken::new());
        assert!(holds.take_place(Subject::order(&OrderId::new(0, &[1; 16])), soon()).is_none());
    }

    #[test]
    fn a_request_that_arrived_slowly_is_held_for_what_is_left_of_its_time() {
        let holds = Holds::new(Duration::from_secs(25), 2, CancellationToken::new());
        let order = Subject::order(&OrderId::new(0, &[1; 16]));
        let answer_by = Instant::now() + Duration::from_secs(10);
        let place = holds.take_place(order, answer_by).unwrap();
        assert_eq!(place.deadline, answer_by.checked_sub(LAST_LOOK).unwrap());
    }
}
