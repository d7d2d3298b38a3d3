//! What a user may not publish. Servers report it apart from the request, which is then never answered.

use std::{collections::HashMap, sync::Arc};

use tokio::{sync::watch, time::Instant};

/// How many subjects are remembered: more than a user is denied who has the rights of another role.
const MAX_SUBJECTS: usize = 1024;
/// How a server begins to say it; the subject follows in quotes.
const DENIED: &str = "Permissions Violation for Publish to ";

/// When which subject was denied last. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Denials(Arc<watch::Sender<HashMap<String, Instant>>>);

impl Denials {
    /// Notes what a server says, if it is that.
    pub(super) fn note(&self, said: &str) {
        let Some((_, subject)) = said.split_once(DENIED) else { return };
        let subject = subject.trim_matches('"').to_owned();
        self.0.send_modify(|denied| {
            if denied.len() >= MAX_SUBJECTS {
                denied.clear();
            }
            denied.insert(subject, Instant::now());
        });
    }

    /// Waits until the servers deny a subject at or after a moment; mostly for ever.
    pub(super) async fn of(&self, subject: &str, since: Instant) {
        let mut denied = self.0.subscribe();
        let is_denied = |denied: &HashMap<String, Instant>| {
            denied.get(subject).is_some_and(|last| *last >= since)
        };
        // The sender lives in `self`, so the channel is open.
        let _ = denied.wait_for(is_denied).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SAID: &str = r#"nats: Permissions Violation for Publish to "a.b""#;

    #[tokio::test(start_paused = true)]
    async fn only_what_is_denied_from_now_on_ends_the_wait() {
        let denials = Denials::default();
        denials.note(SAID);
        tokio::time::advance(Duration::from_secs(1)).await;
        let since = Instant::now();
        let moment = Duration::from_secs(1);
        assert!(tokio::time::timeout(moment, denials.of("a.b", since)).await.is_err());
        denials.note("nats: something else");
        denials.note(SAID);
        assert!(tokio::time::timeout(moment, denials.of("a", since)).await.is_err());
        denials.of("a.b", since).await;
    }
}
