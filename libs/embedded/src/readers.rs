//! Connections that read, beside the one that writes.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use eventstore::StoreError;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::{error::ReadError, schema};

/// How many queries run at once.
const CONNECTIONS: usize = 4;

/// A few connections, opened when first needed and used on threads that may block.
#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    /// Connections to a database that exists.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::default(), permits: Arc::new(Semaphore::new(CONNECTIONS)) }
    }

    /// Runs a query.
    pub(crate) async fn query<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit =
            Arc::clone(&self.permits).acquire_owned().await.map_err(StoreError::unavailable)?;
        let readers = Arc::clone(self);
        let running = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let connection = readers.take()?;
            let found = query(&connection);
            readers.give_back(connection);
            found
        });
        running.await.map_err(StoreError::unavailable)?.map_err(Into::into)
    }

    /// Closes the connections that are not in use and refuses further queries.
    pub(crate) fn close(&self) {
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn take(&self) -> Result<Connection, ReadError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(connection) => Ok(connection),
            None => Ok(schema::open_reader(&self.path)?),
        }
    }

    fn give_back(&self, connection: Connection) {
        if !self.permits.is_closed() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
    }
}
