//! Whether the process is ready for work, as the sum of what its parts say.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Serialize, Serializer, ser::SerializeMap};
use tokio::sync::watch;
use tracing::{info, warn};

/// Why a part that has just been registered is not ready.
pub(crate) const STARTING: &str = "starting";
/// Why nothing is ready any more once the process stops.
pub(crate) const STOPPING: &str = "stopping";

/// The readiness of the process; clones share it.
#[derive(Clone, Debug)]
pub struct Health(watch::Sender<Readiness>);

/// What the parts of the process said last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Readiness {
    stopping: bool,
    parts: BTreeMap<&'static str, PartState>,
}

/// Whether one part of the process can do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PartState {
    /// It can.
    Ready,
    /// It cannot.
    NotReady {
        /// Why, for the operator.
        reason: Cow<'static, str>,
    },
}

/// The voice of one part of the process.
#[derive(Clone, Debug)]
pub struct Check {
    health: Health,
    name: &'static str,
}

impl Health {
    /// Makes the health of a process none of whose parts is registered; it is not ready.
    pub fn new() -> Self {
        Self(watch::Sender::new(Readiness::default()))
    }

    /// Registers a part, which is not ready until it says so.
    pub fn register(&self, name: &'static str) -> Check {
        let check = Check { health: self.clone(), name };
        self.0.send_modify(|readiness| {
            readiness.parts.insert(name, PartState::NotReady { reason: STARTING.into() });
        });
        check
    }

    /// What the parts said last.
    pub(crate) fn readiness(&self) -> Readiness {
        self.0.borrow().clone()
    }

    /// Shows whatever the parts say from now on, and what they said last.
    pub(crate) fn changes(&self) -> watch::Receiver<Readiness> {
        let mut changes = self.0.subscribe();
        changes.mark_changed();
        changes
    }

    /// Waits until every part is ready.
    pub async fn until_ready(&self) {
        // The sender lives in `self`, so the channel is open.
        let _ = self.0.subscribe().wait_for(Readiness::is_ready).await;
    }

    /// Ends readiness for good, so that no more work is sent here.
    pub(crate) fn stop(&self) {
        self.0.send_modify(|readiness| readiness.stopping = true);
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Check {
    /// Says that the part can do its work.
    pub fn ready(&self) {
        if self.set(PartState::Ready) {
            info!(part = self.name, "ready");
        }
    }

    /// Says that the part cannot do its work, and why.
    pub fn not_ready(&self, reason: impl Into<Cow<'static, str>>) {
        let reason = reason.into();
        if self.set(PartState::NotReady { reason: reason.clone() }) {
            warn!(part = self.name, %reason, "not ready");
        }
    }

    /// Sets the state; answers whether it is another one than before.
    fn set(&self, state: PartState) -> bool {
        self.health.0.send_if_modified(|readiness| {
            let changed = readiness.parts.get(self.name) != Some(&state);
            readiness.parts.insert(self.name, state);
            changed
        })
    }
}

impl Readiness {
    /// Whether the process can do its work: it does not stop, has parts and all of them are ready.
    pub(crate) fn is_ready(&self) -> bool {
        let all = self.parts.values().all(|state| *state == PartState::Ready);
        !self.stopping && !self.parts.is_empty() && all
    }

    /// Whether the process stops.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// What each part said last, by name.
    pub(crate) fn parts(&self) -> &BTreeMap<&'static str, PartState> {
        &self.parts
    }
}

impl Serialize for Readiness {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("ready", &self.is_ready())?;
        if self.stopping {
            map.serialize_entry("reason", STOPPING)?;
        }
        map.serialize_entry("parts", &self.parts)?;
        map.end()
    }
}

impl Serialize for PartState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("ready", &(*self == Self::Ready))?;
        if let Self::NotReady { reason } = self {
            map.serialize_entry("reason", reason)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_process_without_parts_is_not_ready() {
        assert!(!Health::new().readiness().is_ready());
    }

    #[test]
    fn a_process_is_ready_while_all_its_parts_are() {
        let health = Health::new();
        let (log, signer) = (health.register("log"), health.register("signer"));
        log.ready();
        assert!(!health.readiness().is_ready());
        signer.ready();
        assert!(health.readiness().is_ready());
        log.not_ready("connection lost");
        assert!(!health.readiness().is_ready());
    }

    #[test]
    fn a_stopping_process_is_not_ready_whatever_its_parts_say() {
        let health = Health::new();
        let log = health.register("log");
        health.stop();
        log.ready();
        assert!(!health.readiness().is_ready());
    }

    #[test]
    fn the_detail_names_each_part_and_its_reason() {
        let health = Health::new();
        health.register("log").ready();
        health.register("signer").not_ready("no CA key");
        let expected = json!({
            "ready": false,
            "parts": { "log": { "ready": true }, "signer": { "ready": false, "reason": "no CA key" } }
        });
        assert_eq!(serde_json::to_value(health.readiness()).unwrap(), expected);
    }

    #[tokio::test]
    async fn whoever_waits_for_readiness_is_woken() {
        let health = Health::new();
        let log = health.register("log");
        let waiting = tokio::spawn({
            let health = health.clone();
            async move { health.until_ready().await }
        });
        log.ready();
        waiting.await.unwrap();
        health.stop();
        assert!(!health.readiness().is_ready());
    }
}
