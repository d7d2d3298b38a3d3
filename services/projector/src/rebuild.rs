//! Building the read model anew from the log, while traffic goes on.

use eventstore::{Sequence, Stream};

use crate::{Ports, ProjectError, followed, follower::Follower};

/// Forgets every view and index, and makes the indexes and the newest views from the log up to where it ends by now. Requests
/// fold what they miss.
///
/// # Errors
/// When log or read model are out of reach, or somebody else begins a rebuild; the command may be repeated.
pub async fn rebuild(ports: &Ports, order_shards: u8) -> Result<(), ProjectError> {
    let streams = followed(order_shards);
    // Whoever may not follow the log is told so before anything is forgotten.
    let from: Vec<_> = streams.iter().map(|stream| (*stream, Sequence::NONE)).collect();
    drop(ports.tail.follow(&from).await.map_err(ProjectError::Store)?);
    ports.aggregates.views.clear().await.map_err(ProjectError::View)?;
    // A message of an order that cannot be read keeps nobody from the certificates of all years.
    let (ledger, others): (Vec<_>, Vec<_>) =
        streams.into_iter().partition(|stream| *stream == Stream::Ledger);
    build(ports, &ledger).await?;
    build(ports, &others).await
}

async fn build(ports: &Ports, streams: &[Stream]) -> Result<(), ProjectError> {
    // Projectors that run meanwhile may have moved the markers.
    let mut follower = Follower::start(ports, streams).await?.with_newest_views();
    let ends = follower.ends();
    while !follower.has_passed(&ends) {
        follower.step(ports).await?;
    }
    Ok(())
}
