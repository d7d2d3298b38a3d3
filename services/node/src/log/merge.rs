//! Several streams as one, ordered by time.

use std::collections::VecDeque;

use eventstore::{EventStore, Message, Sequence, Stream};

use super::PAGE;
use crate::failure::Failure;

/// Streams that are read side by side.
pub(crate) struct Merge<'a> {
    store: &'a dyn EventStore,
    cursors: Vec<Cursor>,
}

struct Cursor {
    stream: Stream,
    after: Sequence,
    waiting: VecDeque<Message>,
    at_end: bool,
}

impl<'a> Merge<'a> {
    /// Begins each stream after a place.
    pub(super) fn new(
        store: &'a dyn EventStore,
        places: impl IntoIterator<Item = (Stream, Sequence)>,
    ) -> Self {
        let cursor =
            |(stream, after)| Cursor { stream, after, waiting: VecDeque::new(), at_end: false };
        Self { store, cursors: places.into_iter().map(cursor).collect() }
    }

    /// The next messages, at most a page; none when every stream is at its end. The next call looks there again.
    pub(super) async fn next(&mut self) -> Result<Vec<Message>, Failure> {
        let mut page = Vec::new();
        while page.len() < PAGE {
            self.fill().await?;
            let oldest = self
                .cursors
                .iter_mut()
                .filter(|cursor| !cursor.waiting.is_empty())
                .min_by_key(|cursor| cursor.waiting.front().map(|message| message.envelope.at));
            let Some(message) = oldest.and_then(|cursor| cursor.waiting.pop_front()) else { break };
            page.push(message);
        }
        if page.is_empty() {
            self.cursors.iter_mut().for_each(|cursor| cursor.at_end = false);
        }
        Ok(page)
    }

    async fn fill(&mut self) -> Result<(), Failure> {
        for cursor in &mut self.cursors {
            if cursor.at_end || !cursor.waiting.is_empty() {
                continue;
            }
            let page = self.store.scan(cursor.stream, cursor.after, PAGE).await?;
            match page.last() {
                Some(last) => cursor.after = last.sequence,
                None => cursor.at_end = true,
            }
            cursor.waiting.extend(page);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[tokio::test]
    async fn streams_are_merged_by_time_and_go_on_after_their_end() {
        let dir = tempfile::tempdir().unwrap();
        let log = fixtures::log(dir.path());
        let first = ["AccountCreated", "OrderPlaced", "SerialReserved", "OrderFinalized"];
        fixtures::append(&log, &first).await;
        let shard = fixtures::order().shard();
        let streams = [Stream::Ledger, Stream::Orders(shard), Stream::Accounts];
        let mut merge = Merge::new(&log, streams.map(|stream| (stream, Sequence::NONE)));
        let kinds = |page: Vec<Message>| -> Vec<String> {
            page.iter().flat_map(|message| message.envelope.event_types()).collect()
        };
        assert_eq!(kinds(merge.next().await.unwrap()), first);
        assert!(merge.next().await.unwrap().is_empty());
        fixtures::append(&log, &["AccountUpdated"]).await;
        assert_eq!(kinds(merge.next().await.unwrap()), ["AccountUpdated"]);
    }
}
