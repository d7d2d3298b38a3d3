//! What a server says of a stream: where it ends, and who keeps it.

use std::time::Duration;

use serde::Deserialize;

/// How long ago a leader may have heard from those who follow it. They say something every second, and wait for four before
/// they elect another.
const LONGEST_SILENCE: Duration = Duration::from_secs(3);

#[derive(Deserialize)]
pub(crate) struct StreamInfo {
    state: State,
    #[serde(flatten)]
    pub(crate) leadership: Leadership,
}

#[derive(Deserialize)]
struct State {
    last_seq: u64,
}

/// Who leads, as the one says that answers for a stream or for the account.
#[derive(Deserialize)]
pub(crate) struct Leadership {
    /// Absent where the server is alone, and from what is said of the account.
    cluster: Option<Group>,
}

#[derive(Deserialize)]
struct Group {
    leader: Option<String>,
    /// The others, as the one that answers sees them.
    #[serde(default)]
    replicas: Vec<Replica>,
}

#[derive(Deserialize)]
struct Replica {
    /// Nanoseconds since it was last heard.
    active: u64,
}

impl StreamInfo {
    /// The API's subject that it is asked for on.
    pub(crate) fn subject(stream: &str) -> String {
        format!("STREAM.INFO.{stream}")
    }

    pub(crate) fn last_sequence(&self) -> u64 {
        self.state.last_seq
    }
}

impl Leadership {
    /// Whether the one that answered leads, and has heard from enough others not to have been replaced.
    pub(crate) fn is_held(&self) -> bool {
        self.cluster.as_ref().is_none_or(Group::is_led)
    }
}

impl Group {
    fn is_led(&self) -> bool {
        let is_heard = |replica: &&Replica| Duration::from_nanos(replica.active) < LONGEST_SILENCE;
        let heard = self.replicas.iter().filter(is_heard).count();
        self.leader.is_some() && heard >= self.replicas.len().div_ceil(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_led(group: &str) -> bool {
        serde_json::from_str::<Group>(group).unwrap().is_led()
    }

    #[test]
    fn a_leader_leads_while_it_hears_from_a_majority() {
        assert!(is_led(r#"{"leader":"a"}"#));
        assert!(is_led(
            r#"{"leader":"a","replicas":[{"active":999000000},{"active":9000000000}]}"#
        ));
        let (heard, lost) = (r#"{"active":1}"#, r#"{"active":3000000000}"#);
        assert!(!is_led(&format!(r#"{{"leader":"a","replicas":[{lost},{lost}]}}"#)));
        assert!(!is_led(&format!(r#"{{"replicas":[{heard},{heard},{heard}]}}"#)));
        assert!(is_led(&format!(r#"{{"leader":"a","replicas":[{heard},{lost},{heard},{lost}]}}"#)));
        assert!(!is_led(&format!(r#"{{"leader":"a","replicas":[{lost},{lost},{heard},{lost}]}}"#)));
    }
}
