//! Loading and changing aggregates: the view first, the log when in doubt, the view written before anyone is told.

use std::{sync::Arc, time::Duration};

use eventstore::{
    AppendError, Context, Decided, EventStore, ExecuteError, LoadError, Loaded, NewMessage,
    Sequence, StoreError, Stream, Subject, Verdict, execute_after, execute_to_verdict, load,
};
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::{ReadModel, Unavailable, View, Viewed, to_completion::ToCompletion};

/// How long a server of the log that is read from may lag behind the one that delivered a message; mostly it is milliseconds.
const LONGEST_LAG: Duration = Duration::from_secs(1);
/// How often such a server is asked again.
const LAG_PAUSE: Duration = Duration::from_millis(10);

/// The event log and the views over it.
#[derive(Clone)]
pub struct Aggregates {
    /// The truth.
    pub store: Arc<dyn EventStore>,
    /// The cache of folds.
    pub views: Arc<dyn ReadModel>,
}

impl Aggregates {
    /// Loads an aggregate: from its view, or folded from the log after a miss or while the view cannot be read.
    ///
    /// # Errors
    /// When the log had to be asked and failed, or the view could not be written.
    pub async fn load<A: Viewed>(&self, id: &A::Id) -> Result<Option<View<A::State>>, LoadError> {
        match self.view::<A>(id).await {
            Some(view) => Ok(Some(view)),
            None => self.fold::<A>(id).await,
        }
    }

    /// Loads an aggregate as the log has it now, folding on from its view: an account may have a long history, which anybody
    /// can have loaded.
    ///
    /// # Errors
    /// When the log failed, or the view could not be written.
    pub async fn load_newest<A: Viewed>(
        &self,
        id: &A::Id,
    ) -> Result<Option<View<A::State>>, LoadError> {
        let known = self.view::<A>(id).await.map(loaded);
        self.fold_from::<A>(id, known.unwrap_or_default()).await
    }

    /// The view, if there is one that can be read.
    async fn view<A: Viewed>(&self, id: &A::Id) -> Option<View<A::State>> {
        A::read(self.views.as_ref(), id).await.unwrap_or_else(|error| {
            warn!(error = &error as &dyn std::error::Error, "view not read, folding from the log");
            None
        })
    }

    /// Loads an aggregate for whoever is to show it and was told of a message: its writer tells once others can read it.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub async fn load_told<A: Viewed>(
        &self,
        id: &A::Id,
        told: Sequence,
    ) -> Result<Option<View<A::State>>, LoadError> {
        let recent = A::recent(self.views.as_ref(), id, told);
        match recent.filter(|view| view.sequence == told) {
            Some(view) => Ok(Some(view)),
            None => self.load::<A>(id).await,
        }
    }

    /// Loads an aggregate for a worker that was delivered one of its messages, as [`load_at_least`](Self::load_at_least). While
    /// something is to be decided on it, perhaps before others can read it: what is decided is written then. A worker that has
    /// nothing to decide acknowledges the message, and nobody else may write the view.
    ///
    /// # Errors
    /// As [`load_at_least`](Self::load_at_least).
    pub async fn load_delivered<A: Viewed>(
        &self,
        id: &A::Id,
        sequence: Sequence,
        is_open: impl Fn(&A::State) -> bool,
    ) -> Result<Option<View<A::State>>, LoadError> {
        match A::recent(self.views.as_ref(), id, sequence).filter(|view| is_open(&view.state)) {
            Some(view) => Ok(Some(view)),
            None => self.load_at_least::<A>(id, sequence).await,
        }
    }

    /// Loads an aggregate for whoever was delivered one of its messages: with this message folded into it, and perhaps later
    /// ones, and its view written.
    ///
    /// The view may not be written yet; then the aggregate is folded from the log. Where the log has several servers, the one
    /// that is read from may not have the message yet; then it is asked again, for up to a second.
    ///
    /// # Errors
    /// When the log had to be asked and failed or does not show the message yet, or the view could not be written.
    pub async fn load_at_least<A: Viewed>(
        &self,
        id: &A::Id,
        sequence: Sequence,
    ) -> Result<Option<View<A::State>>, LoadError> {
        let is_behind = |found: &Option<View<A::State>>| {
            found.as_ref().is_none_or(|view| view.sequence < sequence)
        };
        let mut found = self.load::<A>(id).await?;
        let deadline = Instant::now() + LONGEST_LAG;
        while is_behind(&found) {
            found = match found {
                Some(older) => self.fold_from::<A>(id, loaded(older)).await?,
                // Only a server that has the message can say that the aggregate is gone.
                None if self.reaches(A::subject(id).stream(), sequence).await? => {
                    return self.fold::<A>(id).await;
                }
                None => None,
            };
            if is_behind(&found) {
                if Instant::now() >= deadline {
                    let behind = "the log does not show yet what it delivered";
                    return Err(LoadError::Store(StoreError::unavailable(behind)));
                }
                sleep(LAG_PAUSE).await;
            }
        }
        Ok(found)
    }

    /// Whether the server of the log that is read from has a message of a stream.
    async fn reaches(&self, stream: Stream, sequence: Sequence) -> Result<bool, LoadError> {
        let last = self.store.last_sequence(stream).await.map_err(LoadError::Store)?;
        Ok(last >= sequence)
    }

    /// Folds an aggregate from the log and writes its view, so that the next read finds it. `None`: it does not exist.
    ///
    /// # Errors
    /// When the log failed, or the view could not be written: whoever answered with a state that is newer than what
    /// other nodes show would let a status step back.
    pub async fn fold<A: Viewed>(&self, id: &A::Id) -> Result<Option<View<A::State>>, LoadError> {
        self.fold_from::<A>(id, Loaded::default()).await
    }

    /// Folds on from what is known.
    async fn fold_from<A: Viewed>(
        &self,
        id: &A::Id,
        known: Loaded<A::State>,
    ) -> Result<Option<View<A::State>>, LoadError> {
        let subject = A::subject(id);
        let loaded = load::<A>(self.store.as_ref(), &subject, known).await?;
        let Some(state) = loaded.state else { return Ok(None) };
        let view = View { state: Arc::new(state), sequence: loaded.sequence };
        self.put::<A>(view).await.map(Some).map_err(LoadError::Store)
    }

    /// Executes a command, starting from a view if the caller has one, and writes the new view through. A refusal reveals a
    /// state as well: where that is newer than the view, it is written through before the refusal is returned.
    ///
    /// Once begun, this runs to completion though the caller leaves, as when a client hangs up. Otherwise the command could be
    /// appended and the view stay as it was, and an account that was deactivated would be believed until the projector comes.
    ///
    /// # Errors
    /// [`ExecuteError::Store`] also when the view could not be written: the command took effect, but answering with a
    /// state that other nodes do not show would let a status step back; the client tries again.
    pub async fn execute<A: Viewed>(
        &self,
        id: &A::Id,
        known: Option<View<A::State>>,
        command: &A::Command,
        context: &Context,
    ) -> Result<View<A::State>, ExecuteError<A::Rejection>> {
        let (aggregates, subject) = (self.clone(), A::subject(id));
        let (command, context) = (command.clone(), context.clone());
        let executing = async move {
            aggregates.execute_and_write::<A>((&subject, known), &command, &context).await
        };
        ToCompletion::new(executing).await
    }

    async fn execute_and_write<A: Viewed>(
        &self,
        (subject, known): (&Subject, Option<View<A::State>>),
        command: &A::Command,
        context: &Context,
    ) -> Result<View<A::State>, ExecuteError<A::Rejection>> {
        let loaded = known.map(loaded).unwrap_or_default();
        let shown = loaded.sequence;
        let store = self.store.as_ref();
        match execute_to_verdict::<A>(store, subject, loaded, command, context).await? {
            Verdict::Decided(decided) => self.write(decided).await,
            Verdict::Rejected(rejection, Loaded { state: Some(state), sequence })
                if sequence > shown =>
            {
                let view = View { state: Arc::new(state), sequence };
                self.put::<A>(view).await.map_err(ExecuteError::Store)?;
                Err(ExecuteError::Rejected(rejection))
            }
            Verdict::Rejected(rejection, _) => Err(ExecuteError::Rejected(rejection)),
        }
    }

    /// Records a message and executes a command that names its place, starting from a view. The caller has to
    /// [write](Self::write) the new view.
    ///
    /// # Errors
    /// See [`eventstore::execute_after`].
    pub async fn execute_after<A: Viewed>(
        &self,
        record: NewMessage,
        id: &A::Id,
        known: View<A::State>,
        command: impl Fn(Sequence) -> A::Command + Clone + Send + 'static,
        context: &Context,
    ) -> Result<(Sequence, Result<Decided<A>, ExecuteError<A::Rejection>>), AppendError> {
        let (store, subject) = (self.store.as_ref(), A::subject(id));
        execute_after::<A>(store, record, &subject, loaded(known), command, context).await
    }

    /// Writes through the view of a state just decided, and returns it.
    ///
    /// # Errors
    /// [`ExecuteError::Store`] when the read model does not take it; see [`execute`](Self::execute).
    pub async fn write<A: Viewed>(
        &self,
        decided: Decided<A>,
    ) -> Result<View<A::State>, ExecuteError<A::Rejection>> {
        let view = View { state: Arc::new(decided.state), sequence: decided.sequence };
        self.put::<A>(view).await.map_err(ExecuteError::Store)
    }

    /// Writes through the view of what the caller has just read or appended, and returns it. Where the read model lost its memory
    /// since, it may have held a newer view: then that is read from the log, written and returned.
    ///
    /// # Errors
    /// When the read model does not take it; see [`execute`](Self::execute).
    pub async fn put<A: Viewed>(&self, view: View<A::State>) -> Result<View<A::State>, StoreError> {
        let view = match A::write(self.views.as_ref(), &view).await {
            Ok(()) => return Ok(view),
            Err(Unavailable::MemoryLost) => self.newest::<A>(view).await?,
            Err(error @ Unavailable::OutOfReach(_)) => return Err(StoreError::unavailable(error)),
        };
        A::write(self.views.as_ref(), &view).await.map_err(StoreError::unavailable)?;
        Ok(view)
    }

    /// What the log says now.
    async fn newest<A: Viewed>(&self, known: View<A::State>) -> Result<View<A::State>, StoreError> {
        let subject = A::subject(A::id(&known.state));
        let newest = load::<A>(self.store.as_ref(), &subject, loaded(known)).await;
        let newest = newest.map_err(StoreError::unavailable)?;
        let state = newest.state.ok_or_else(|| StoreError::damaged("a view is of nothing"))?;
        Ok(View { state: Arc::new(state), sequence: newest.sequence })
    }
}

fn loaded<S: Clone>(view: View<S>) -> Loaded<S> {
    Loaded { sequence: view.sequence, state: Some(Arc::unwrap_or_clone(view.state)) }
}
