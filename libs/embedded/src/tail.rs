//! Following the log: the newest messages from memory, older ones from the disk.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use async_trait::async_trait;
use eventstore::{EventTail, Message, Sequence, StoreError, Stream, Tail};

use crate::{Embedded, queries, shared::Shared};

/// How many places are looked at at once.
const PAGE: usize = 256;

struct LogTail {
    shared: Arc<Shared>,
    from: HashMap<Stream, Sequence>,
    /// The last message of the log that was looked at.
    cursor: Sequence,
    waiting: VecDeque<Arc<Message>>,
}

#[async_trait]
impl EventTail for Embedded {
    async fn follow(&self, from: &[(Stream, Sequence)]) -> Result<Box<dyn Tail>, StoreError> {
        let from: HashMap<_, _> = from.iter().copied().collect();
        let cursor = from.values().min().copied().unwrap_or(Sequence::NONE);
        let shared = Arc::clone(self.shared());
        Ok(Box::new(LogTail { shared, from, cursor, waiting: VecDeque::new() }))
    }
}

#[async_trait]
impl Tail for LogTail {
    async fn next(&mut self) -> Result<Arc<Message>, StoreError> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Ok(message);
            }
            let shared = Arc::clone(&self.shared);
            let news = shared.feeds.news();
            tokio::pin!(news);
            // From here on no news is missed.
            news.as_mut().enable();
            if shared.is_closed() {
                return Err(StoreError::unavailable("the store is closed"));
            }
            if self.cursor < shared.recent.last() {
                self.read_on().await?;
            } else {
                news.await;
            }
        }
    }
}

impl LogTail {
    async fn read_on(&mut self) -> Result<(), StoreError> {
        let after = self.cursor;
        let (page, end) = match self.shared.recent.after(after, PAGE) {
            Some(page) => {
                let end = page.last().map_or(after, |message| message.sequence);
                (page, end)
            }
            None => {
                let query = self.shared.readers.query(move |c| queries::page(c, after, PAGE));
                let page = query.await?;
                (page.messages.into_iter().map(Arc::new).collect(), page.end)
            }
        };
        self.cursor = end;
        let from = &self.from;
        let is_wanted = |message: &Arc<Message>| {
            from.get(&message.subject.stream()).is_some_and(|place| message.sequence > *place)
        };
        self.waiting.extend(page.into_iter().filter(is_wanted));
        Ok(())
    }
}
