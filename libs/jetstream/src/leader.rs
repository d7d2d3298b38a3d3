//! Who leads a stream, and whether that is still so.
//!
//! A leader that was cut off from the other servers answers reads until it notices, for up to ten seconds; they elect
//! another before that, but not sooner than four seconds after they last heard of it.

use std::time::Duration;

use serde::Deserialize;

use crate::{
    connection::{ApiError, Connection},
    election::Election,
};

/// How long ago a leader may have heard from those who follow it. They say something every second, and wait for four before
/// they elect another.
const LONGEST_SILENCE: Duration = Duration::from_secs(3);

/// The leader of a stream.
pub(crate) struct Leader<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) stream: String,
}

#[derive(Deserialize)]
struct Info {
    state: State,
    /// Absent where the server is alone.
    cluster: Option<Group>,
}

#[derive(Deserialize)]
struct State {
    last_seq: u64,
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

impl Leader<'_> {
    /// The last sequence of the stream, said by a leader that still leads.
    pub(crate) async fn last_sequence(&self) -> Result<u64, ApiError> {
        let mut info = self.info().await?;
        let mut election = Election::awaited();
        while !info.is_led() {
            if !election.goes_on().await {
                return Err(ApiError::CutOff);
            }
            info = self.info().await?;
        }
        Ok(info.state.last_seq)
    }

    /// Whether what a leader just said is true, that there is nothing or nothing more; otherwise the one that leads is to be
    /// asked instead. `losses` is how often the connection had been lost when it was asked. It may have been deposed if it
    /// hears too few of the others, or if the connection was lost since, perhaps to a server that is cut off like it.
    pub(crate) async fn is_believed(&self, losses: u64) -> Result<bool, ApiError> {
        let is_led = self.info().await?.is_led();
        Ok(is_led && self.connection.losses() == losses)
    }

    async fn info(&self) -> Result<Info, ApiError> {
        self.connection.look_up(&format!("STREAM.INFO.{}", self.stream), &()).await
    }
}

impl Info {
    fn is_led(&self) -> bool {
        self.cluster.as_ref().is_none_or(Group::is_led)
    }
}

impl Group {
    /// Whether the one that leads has heard from enough others not to have been replaced.
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
