//! What is told of tasks that cannot be done.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};

use crate::scenario::Scenario;

/// Counts what is warned of.
struct Warnings(Arc<AtomicU32>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn each_cause_is_told_once_however_many_challenges_wait_for_it() {
    let warnings = Arc::new(AtomicU32::new(0));
    let _guard = tracing::subscriber::set_default(Warnings(Arc::clone(&warnings)));
    let mut scenario = Scenario::start().await;
    for (id, profile, told) in [(1, "a", 1), (2, "a", 1), (3, "b", 2), (4, "a", 2)] {
        let ready = scenario.ready(id, "token", profile.parse().unwrap()).await;
        scenario.given_back(ready).await;
        assert_eq!(warnings.load(Ordering::Relaxed), told, "after {id}");
    }
    scenario.stop().await;
}
