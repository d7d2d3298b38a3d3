//! What is told of tasks that cannot be done.

use std::{fs, sync::Arc};

use tracing::Level;

use crate::scenario::Scenario;

#[tokio::test]
async fn each_cause_is_told_once_however_many_challenges_wait_for_it() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let lines = tracing_subscriber::fmt().with_writer(Arc::new(log.reopen().unwrap()));
    let warnings = lines.with_max_level(Level::WARN).finish();
    let _guard = tracing::subscriber::set_default(warnings);
    let mut scenario = Scenario::start().await;
    for (id, profile, told) in [(1, "a", 1), (2, "a", 1), (3, "b", 2), (4, "a", 2)] {
        let ready = scenario.ready(id, "token", profile.parse().unwrap()).await;
        scenario.given_back(ready).await;
        let warnings = fs::read_to_string(log.path()).unwrap();
        assert_eq!(warnings.lines().count(), told, "after {id}: {warnings}");
    }
    scenario.stop().await;
}
