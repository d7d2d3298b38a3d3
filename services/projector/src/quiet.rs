//! Sees what no message tells: that nothing more at the end of a stream is to be indexed, and that the read model forgot while
//! nothing happened.

use std::collections::BTreeMap;

use eventstore::{Sequence, Stream};
use readmodel::Unavailable;

use crate::{Ports, ProjectError};

/// How far each stream is indexed, and where it ended.
#[derive(Default)]
pub(crate) struct Quiet {
    streams: BTreeMap<Stream, Place>,
}

struct Place {
    /// Up to where everything is in the index.
    marked: Sequence,
    /// Where the stream ended when it was looked at last.
    end: Sequence,
}

impl Quiet {
    /// Begins with a stream's marker and its end.
    pub(crate) fn begin(&mut self, stream: Stream, marked: Sequence, end: Sequence) {
        self.streams.insert(stream, Place { marked, end });
    }

    /// Notes what was indexed and marked.
    pub(crate) fn passed(&mut self, ends: BTreeMap<Stream, Sequence>) {
        for (stream, end) in ends {
            if let Some(place) = self.streams.get_mut(&stream) {
                place.marked = place.marked.max(end);
            }
        }
    }

    /// Up to where everything of a stream is in the index.
    pub(crate) fn marked(&self, stream: Stream) -> Sequence {
        self.streams.get(&stream).map_or(Sequence::NONE, |place| place.marked)
    }

    /// Where the streams ended when they were looked at last.
    pub(crate) fn ends(&self) -> Vec<(Stream, Sequence)> {
        self.streams.iter().map(|(stream, place)| (*stream, place.end)).collect()
    }

    /// Moves the markers of streams to their end where the messages up to there are gone or were published by others: whoever
    /// waits until the index is complete would wait for ever.
    ///
    /// # Errors
    /// When log or read model are out of reach, or the read model has forgotten a marker, so that all is to be indexed again.
    pub(crate) async fn look(&mut self, ports: &Ports) -> Result<(), ProjectError> {
        let (store, views) = (&ports.aggregates.store, &ports.aggregates.views);
        for (stream, place) in &mut self.streams {
            let marker = views.complete_to(*stream).await.map_err(ProjectError::View)?;
            if marker < place.marked {
                return Err(ProjectError::View(Unavailable::MemoryLost));
            }
            // Where it ended a while ago: by now each server that may be asked has stored what was there.
            let end = place.end;
            place.end = store.last_sequence(*stream).await.map_err(ProjectError::Store)?;
            if end <= place.marked {
                continue;
            }
            let next = store.scan(*stream, place.marked, 1).await.map_err(ProjectError::Store)?;
            if next.first().is_none_or(|message| message.sequence > end) {
                views.mark_complete(*stream, end).await.map_err(ProjectError::View)?;
                place.marked = end;
            }
        }
        Ok(())
    }
}
