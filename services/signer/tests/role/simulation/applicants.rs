//! An applicant that leads one order to its end, tries again what failed, and remembers what it was told.

use std::time::Duration;

use domain::{
    OrderId, Timestamp,
    order::{Command, Event, Order, Rejection, State, Status},
};
use eventstore::{EventStore as _, ExecuteError, Sequence, Subject};
use readmodel::Aggregates;

use super::seed::Seed;
use crate::{
    applicant::{NAMES, context, finalize, place, public_key, respond},
    workshop::{Workshop, now},
};

const RETRY_DELAY: Duration = Duration::from_millis(1);

/// An applicant with its order.
pub(crate) struct Applicant {
    id: OrderId,
    names: Vec<&'static str>,
    aggregates: Aggregates,
    /// The newest state it was ever shown.
    seen: Option<(Sequence, Status)>,
    acknowledged: Vec<&'static str>,
}

impl Applicant {
    pub(crate) fn new(seed: Seed, n: usize, id: OrderId, aggregates: Aggregates) -> Self {
        let count = 1 + seed.draw(&format!("names-{n}"), NAMES.len() as u64);
        let names = NAMES.into_iter().take(usize::try_from(count).unwrap()).collect();
        Self { id, names, aggregates, seen: None, acknowledged: Vec::new() }
    }

    /// Places, responds and finalizes, and waits for the end.
    pub(crate) async fn run(mut self) -> Self {
        let placed = place(&self.id, &self.names);
        self.give("OrderPlaced", &placed).await;
        for index in 0..self.names.len() {
            self.give("ChallengeReady", &respond(index)).await;
        }
        let status = self.status_after(Status::Pending).await;
        if status == Status::Ready {
            self.give("OrderFinalized", &finalize(&self.names, &public_key())).await;
            self.status_after(Status::Processing).await;
        }
        self
    }

    /// Gives a command until it is acknowledged, or refused because it took effect before or never will.
    async fn give(&mut self, event: &'static str, command: &Command) {
        loop {
            let known = self.aggregates.load::<Order>(&self.id).await.ok().flatten();
            let aggregates = &self.aggregates;
            match aggregates.execute::<Order>(&self.id, known, command, &context()).await {
                Ok(view) => {
                    self.see(&view.state, view.sequence);
                    return self.acknowledged.push(event);
                }
                Err(ExecuteError::Rejected(rejection)) => {
                    assert!(!matches!(rejection, Rejection::NotFound), "an order never vanishes");
                    return;
                }
                Err(_) => tokio::time::sleep(RETRY_DELAY).await,
            }
        }
    }

    /// Polls until the order is beyond a status.
    async fn status_after(&mut self, waiting: Status) -> Status {
        loop {
            if let Ok(view) = self.aggregates.load::<Order>(&self.id).await {
                let view = view.expect("an order never vanishes");
                let status = self.see(&view.state, view.sequence);
                if rank(status) > rank(waiting) {
                    return status;
                }
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    /// No reply shows an older state than one before.
    fn see(&mut self, state: &State, sequence: Sequence) -> Status {
        let status = state.status(now());
        if let Some((last, before)) = self.seen.replace((sequence, status)) {
            assert!(last <= sequence, "{}: a view stepped back from {last} to {sequence}", self.id);
            assert!(rank(before) <= rank(status), "{}: {before:?}, then {status:?}", self.id);
        }
        status
    }

    /// Checks that whatever was acknowledged is in the log, once, and that the order came to its end.
    pub(crate) async fn check(&self, workshop: &Workshop) {
        let messages = workshop.log.read(&Subject::order(&self.id), Sequence::NONE).await.unwrap();
        let kinds: Vec<String> =
            messages.iter().flat_map(|message| message.envelope.event_types()).collect();
        let count = |wanted: &str| kinds.iter().filter(|kind| *kind == wanted).count();
        for event in ["OrderPlaced", "OrderFinalized", "CertificateIssued"] {
            assert!(count(event) < 2, "{event} is written once: {kinds:?}");
        }
        for event in &self.acknowledged {
            assert!(count(event) > 0, "{event} was acknowledged: {kinds:?}");
        }
        assert!(count("ChallengeReady") <= self.names.len(), "{kinds:?}");
        let state = workshop.order(&self.id).await;
        let status = state.status(Timestamp::from_unix_seconds(0));
        assert_eq!(status == Status::Valid, count("CertificateIssued") == 1, "{kinds:?}");
        match status {
            Status::Valid => {}
            Status::Invalid => assert!(count("ChallengeFailed") > 0, "{kinds:?}"),
            Status::Pending | Status::Ready | Status::Processing => panic!("{kinds:?}"),
        }
        for message in messages {
            let _: Vec<Event> = message.envelope.decode().unwrap();
        }
    }
}

/// How far an order came (RFC 8555 §7.1.6).
fn rank(status: Status) -> u8 {
    match status {
        Status::Pending => 0,
        Status::Ready => 1,
        Status::Processing => 2,
        Status::Valid => 3,
        Status::Invalid => 4,
    }
}
