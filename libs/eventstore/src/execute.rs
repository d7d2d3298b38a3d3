//! Load, decide, append; on a conflict or a lost acknowledgement re-read and decide again.

use std::{mem, time::Duration};

use domain::Aggregate;
use tokio::time::{Instant, sleep};

use crate::{
    AppendError, Context, DecodeError, Envelope, EventStore, Expected, Message, MessageId,
    NewMessage, Pair, Sequence, StoreError, Subject,
};

/// How long a command is decided again after its first conflict. Bounded by time, not by count: the validations of one order of
/// 100 names all meet at one subject.
const RETRY_FOR: Duration = Duration::from_secs(10);
/// The first pause between appends while the log refuses and shows nothing new; each further one is twice as long. Where the
/// state was loaded from a log that was lost or purged since, every append ends so.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// The longest of these pauses.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// An aggregate's state and the sequence of the last message folded into it.
#[derive(Clone, Debug)]
pub struct Loaded<S> {
    /// The state; `None` when the aggregate does not exist.
    pub state: Option<S>,
    /// The last message folded.
    pub sequence: Sequence,
}

impl<S> Default for Loaded<S> {
    fn default() -> Self {
        Self { state: None, sequence: Sequence::NONE }
    }
}

/// Why an aggregate cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The log is out of reach or damaged, or what was loaded could not be kept where others see it; try again later.
    #[error("the event log failed")]
    Store(#[source] StoreError),
    /// An event of the aggregate cannot be read by this release.
    #[error("an event cannot be read")]
    Decode(#[source] DecodeError),
}

/// What became of a command.
#[derive(Clone, Debug)]
pub struct Decided<A: Aggregate> {
    /// The state after the command.
    pub state: A::State,
    /// The last message folded into it.
    pub sequence: Sequence,
    /// What the command caused; empty when it changed nothing.
    pub events: Vec<A::Event>,
}

/// What the rules say to a command.
pub enum Verdict<A: Aggregate> {
    /// It took effect, or nothing was left to do.
    Decided(Decided<A>),
    /// It is forbidden in this state, which may be newer than the one that the caller gave.
    Rejected(A::Rejection, Loaded<A::State>),
}

/// Why a command had no effect.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<R: std::error::Error + 'static> {
    /// The rules forbid it.
    #[error("the command is refused")]
    Rejected(#[source] R),
    /// The log is out of reach or damaged; nothing is known to have happened.
    #[error("the event log failed")]
    Store(#[source] StoreError),
    /// An event of the aggregate cannot be read.
    #[error("an event cannot be read")]
    Decode(#[source] DecodeError),
    /// The command's events do not fit into a message.
    #[error("the command causes too much")]
    TooLarge,
}

impl<A: Aggregate> Verdict<A> {
    fn into_result(self) -> Result<Decided<A>, ExecuteError<A::Rejection>> {
        match self {
            Self::Decided(decided) => Ok(decided),
            Self::Rejected(rejection, _) => Err(ExecuteError::Rejected(rejection)),
        }
    }
}

impl<R: std::error::Error> From<LoadError> for ExecuteError<R> {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Store(source) => Self::Store(source),
            LoadError::Decode(source) => Self::Decode(source),
        }
    }
}

/// Folds an aggregate from the log, going on from what is already known of it.
///
/// # Errors
/// See [`LoadError`].
pub async fn load<A: Aggregate>(
    store: &dyn EventStore,
    subject: &Subject,
    known: Loaded<A::State>,
) -> Result<Loaded<A::State>, LoadError> {
    let messages = store.read(subject, known.sequence).await.map_err(LoadError::Store)?;
    fold::<A>(known, &messages)
}

fn fold<A: Aggregate>(
    known: Loaded<A::State>,
    messages: &[Message],
) -> Result<Loaded<A::State>, LoadError> {
    messages.iter().try_fold(known, |loaded, message| {
        let events: Vec<A::Event> = message.envelope.decode().map_err(LoadError::Decode)?;
        Ok(Loaded { state: A::fold(loaded.state, &events), sequence: message.sequence })
    })
}

/// Executes a command: decides from the loaded state, which may be stale, and appends what follows.
///
/// A conflict re-reads the subject and decides again. So does a lost acknowledgement, after looking whether the lost
/// message is there: no command takes effect twice.
///
/// # Errors
/// See [`ExecuteError`].
pub async fn execute<A: Aggregate>(
    store: &dyn EventStore,
    subject: &Subject,
    loaded: Loaded<A::State>,
    command: &A::Command,
    context: &Context,
) -> Result<Decided<A>, ExecuteError<A::Rejection>> {
    execute_to_verdict::<A>(store, subject, loaded, command, context).await?.into_result()
}

/// Executes a command as [`execute`] does, and says what state a refusal is about.
///
/// # Errors
/// See [`ExecuteError`]; never that the rules forbid it.
pub async fn execute_to_verdict<A: Aggregate>(
    store: &dyn EventStore,
    subject: &Subject,
    loaded: Loaded<A::State>,
    command: &A::Command,
    context: &Context,
) -> Result<Verdict<A>, ExecuteError<A::Rejection>> {
    Execution { store, subject, command, context, id: MessageId::random() }.run(loaded).await
}

/// Records a message and executes a command that names its place; both in one write where the log is on one disk.
///
/// The record stays whatever becomes of the command, which is decided again after a conflict as [`execute`] does.
///
/// # Errors
/// What became of the record, and then nothing is known of the command; else, as the second result, what became of that.
pub async fn execute_after<A: Aggregate>(
    store: &dyn EventStore,
    record: NewMessage,
    subject: &Subject,
    loaded: Loaded<A::State>,
    command: impl Fn(Sequence) -> A::Command + Clone + Send + 'static,
    context: &Context,
) -> Result<(Sequence, Result<Decided<A>, ExecuteError<A::Rejection>>), AppendError> {
    let id = MessageId::random();
    let dependent = {
        let (state, command) = (loaded.state.clone(), command.clone());
        let (subject, expected) = (subject.clone(), Expected::Last(loaded.sequence));
        let (id, context) = (id.clone(), context.clone());
        move |sequence| {
            // What is refused here is refused again below, and told there.
            let events = A::decide(state.as_ref(), &command(sequence));
            let events = events.map_err(AppendError::unavailable)?;
            if events.is_empty() {
                return Err(AppendError::unavailable("the command changes nothing"));
            }
            let envelope = Envelope::new(id, &context, &events);
            let envelope = envelope.map_err(AppendError::unavailable)?;
            Ok(NewMessage { subject, expected, envelope })
        }
    };
    let Pair { first, second } = store.append_pair(record, Box::new(dependent)).await?;
    let command = command(first);
    let executed = match (second, A::decide(loaded.state.as_ref(), &command)) {
        (Ok(sequence), Ok(events)) => decided(A::fold(loaded.state, &events), sequence, events),
        _ => Execution::<A> { store, subject, command: &command, context, id }
            .run(loaded)
            .await
            .and_then(Verdict::into_result),
    };
    Ok((first, executed))
}

/// What became of an append that did not fail for good.
enum Appended {
    Stored(Sequence),
    /// A conflict, or the acknowledgement was lost: the subject has to be read again.
    Undecided(AppendError),
}

/// A command that is being executed, and the message that its events go into.
struct Execution<'a, A: Aggregate> {
    store: &'a dyn EventStore,
    subject: &'a Subject,
    command: &'a A::Command,
    context: &'a Context,
    /// The message with this id may be in the log already, when an acknowledgement was lost.
    id: MessageId,
}

impl<A: Aggregate> Execution<'_, A> {
    /// Decides and appends until it is known what became of the command: after a conflict or a lost acknowledgement, reads what
    /// the log has since, and decides again unless the command's own message is there.
    async fn run(
        &self,
        mut loaded: Loaded<A::State>,
    ) -> Result<Verdict<A>, ExecuteError<A::Rejection>> {
        let (mut deadline, mut pause) = (None, FIRST_PAUSE);
        loop {
            let events = match self.decide(&mut loaded).await? {
                Ok(events) if !events.is_empty() => events,
                Ok(none) => {
                    return decided(loaded.state, loaded.sequence, none).map(Verdict::Decided);
                }
                Err(rejection) => return Ok(Verdict::Rejected(rejection, loaded)),
            };
            let failed = match self.append(&events, loaded.sequence).await? {
                Appended::Stored(sequence) => {
                    let state = A::fold(loaded.state, &events);
                    return decided(state, sequence, events).map(Verdict::Decided);
                }
                Appended::Undecided(failed) => failed,
            };
            let news = self.store.read(self.subject, loaded.sequence).await;
            let news = news.map_err(ExecuteError::Store)?;
            loaded = fold::<A>(loaded, &news)?;
            if let Some(own) = news.iter().find(|message| message.envelope.id == self.id) {
                let events = own.envelope.decode().map_err(ExecuteError::Decode)?;
                return decided(loaded.state, loaded.sequence, events).map(Verdict::Decided);
            }
            // Before this it may have waited for the log.
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + RETRY_FOR);
            if Instant::now() >= deadline {
                return Err(ExecuteError::Store(StoreError::unavailable(failed)));
            }
            if news.is_empty() {
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Decides. The loaded state may be stale, a view behind the log, so before the command is refused or found to change
    /// nothing, newer messages are folded in, until the log has none.
    async fn decide(
        &self,
        loaded: &mut Loaded<A::State>,
    ) -> Result<Result<Vec<A::Event>, A::Rejection>, LoadError> {
        loop {
            let decision = A::decide(loaded.state.as_ref(), self.command);
            if decision.as_ref().is_ok_and(|events| !events.is_empty()) {
                return Ok(decision);
            }
            let known = loaded.sequence;
            *loaded = load::<A>(self.store, self.subject, mem::take(loaded)).await?;
            if loaded.sequence == known {
                return Ok(decision);
            }
        }
    }

    async fn append(
        &self,
        events: &[A::Event],
        after: Sequence,
    ) -> Result<Appended, ExecuteError<A::Rejection>> {
        let envelope = Envelope::new(self.id.clone(), self.context, events)
            .map_err(|error| ExecuteError::Decode(DecodeError::Malformed(error)))?;
        match self.store.append(self.subject, Expected::Last(after), &envelope).await {
            Ok(sequence) => Ok(Appended::Stored(sequence)),
            Err(failed @ (AppendError::Conflict | AppendError::Unknown(_))) => {
                Ok(Appended::Undecided(failed))
            }
            Err(AppendError::TooLarge) => Err(ExecuteError::TooLarge),
            Err(AppendError::Unavailable(source)) => {
                Err(ExecuteError::Store(StoreError::Unavailable(source)))
            }
        }
    }
}

fn decided<A: Aggregate>(
    state: Option<A::State>,
    sequence: Sequence,
    events: Vec<A::Event>,
) -> Result<Decided<A>, ExecuteError<A::Rejection>> {
    let lost = || ExecuteError::Store(StoreError::damaged("events leave no aggregate"));
    Ok(Decided { state: state.ok_or_else(lost)?, sequence, events })
}

#[cfg(test)]
mod tests;
