//! Building the read model anew from the log, while traffic goes on.

use crate::{Ports, ProjectError, follower::Follower};

/// Forgets every view and index, and makes the indexes and the newest views from the log up to where it ends by now. Requests
/// fold what they miss.
///
/// # Errors
/// When log or read model are out of reach, or somebody else begins a rebuild; the command may be repeated.
pub async fn rebuild(ports: &Ports, order_shards: u8) -> Result<(), ProjectError> {
    ports.aggregates.views.clear().await.map_err(ProjectError::View)?;
    let mut follower = Follower::start(ports, order_shards).await?;
    let ends = follower.ends();
    while !follower.has_passed(&ends) {
        follower.step(ports).await?;
    }
    Ok(())
}
