//! Who leads a stream, and whether that is still so.
//!
//! A leader that was cut off from the other servers answers reads until it notices, for up to ten seconds; they elect
//! another before that, but not sooner than four seconds after they last heard of it. One that was cut off from some of
//! them only may be replaced sooner, but hears so within a second.

use crate::{
    connection::{ApiError, Connection},
    election::Election,
    stream_info::StreamInfo,
};

/// The leader of a stream.
pub(crate) struct Leader<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) stream: String,
}

impl Leader<'_> {
    /// The last sequence of the stream, said by a leader that still leads.
    pub(crate) async fn last_sequence(&self) -> Result<u64, ApiError> {
        let mut info = self.info().await?;
        let mut election = Election::awaited();
        while !info.leadership.is_held() {
            if !self.awaits_next(&mut election).await {
                return Err(ApiError::CutOff);
            }
            info = self.info().await?;
        }
        Ok(info.last_sequence())
    }

    /// Whether what a leader just said is true, that there is nothing or nothing more; otherwise the one that leads is to be
    /// asked instead. `losses` is how often the connection had been lost when it was asked. It may have been deposed if it
    /// hears too few of the others, or if the connection was lost since, perhaps to a server that is cut off like it.
    pub(crate) async fn is_believed(&self, losses: u64) -> Result<bool, ApiError> {
        let is_led = self.info().await?.leadership.is_held();
        Ok(is_led && self.connection.losses() == losses)
    }

    /// Waits a moment before the next leader is asked, and says whether to, as [`Connection::awaits_leader`].
    pub(crate) async fn awaits_next(&self, election: &mut Election) -> bool {
        self.connection.awaits_leader(&StreamInfo::subject(&self.stream), election).await
    }

    async fn info(&self) -> Result<StreamInfo, ApiError> {
        self.connection.look_up(&StreamInfo::subject(&self.stream), &()).await
    }
}
