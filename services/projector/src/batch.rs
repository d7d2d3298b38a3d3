//! What some messages of the log ask of the read model: one look at each aggregate, however many of them are about it.

use std::collections::{BTreeMap, HashMap};

use domain::{
    AccountId, OrderId, PreAuthorizationId, Timestamp, account::Account, order::Order,
    pre_authorization::PreAuthorization,
};
use eventstore::{LoadError, Message, Sequence, Stream};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use readmodel::Viewed;
use tracing::error;

use crate::{Ports, ProjectError, index::Entries};

/// How many views are looked at at once: each waits for an answer.
const AT_ONCE: usize = 8;

/// Some messages, by what is to be done for them.
#[derive(Default)]
pub(crate) struct Batch {
    messages: usize,
    oldest: Option<Timestamp>,
    orders: HashMap<OrderId, Sequence>,
    pre_authorizations: HashMap<PreAuthorizationId, Sequence>,
    accounts: HashMap<AccountId, Sequence>,
    entries: Entries,
    ends: BTreeMap<Stream, Sequence>,
}

impl Batch {
    /// How many messages it stands for.
    pub(crate) fn len(&self) -> usize {
        self.messages
    }

    /// When the first of them was appended.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.oldest
    }

    /// Adds a message; those of one stream come in order. The view of its aggregate is looked at if it stands behind
    /// `views_after`.
    pub(crate) fn add(
        &mut self,
        message: &Message,
        views_after: Sequence,
    ) -> Result<(), ProjectError> {
        let (subject, sequence) = (&message.subject, message.sequence);
        self.entries.add(message)?;
        if sequence > views_after {
            self.orders.extend(subject.order_id().map(|order| (order, sequence)));
            let pre_authorization = subject.pre_authorization_id();
            self.pre_authorizations.extend(pre_authorization.map(|id| (id, sequence)));
            self.accounts.extend(subject.account_id().map(|account| (account, sequence)));
        }
        self.ends.insert(subject.stream(), sequence);
        self.messages += 1;
        let at = message.envelope.at;
        self.oldest = Some(self.oldest.map_or(at, |oldest| oldest.min(at)));
        Ok(())
    }

    /// Makes every view at least as new as its messages and writes every entry, then moves the markers. Returns how far each
    /// stream is marked.
    pub(crate) async fn apply(
        self,
        ports: &Ports,
    ) -> Result<BTreeMap<Stream, Sequence>, ProjectError> {
        let views = &ports.aggregates.views;
        self.entries.write(views.as_ref()).await.map_err(ProjectError::View)?;
        refresh::<Account>(ports, self.accounts).await?;
        refresh::<Order>(ports, self.orders).await?;
        refresh::<PreAuthorization>(ports, self.pre_authorizations).await?;
        for (stream, end) in &self.ends {
            views.mark_complete(*stream, *end).await.map_err(ProjectError::View)?;
        }
        Ok(self.ends)
    }
}

/// Makes each view at least as new as a message.
async fn refresh<A: Viewed>(
    ports: &Ports,
    wanted: HashMap<A::Id, Sequence>,
) -> Result<(), ProjectError>
where
    A::Id: std::fmt::Display + Send,
{
    let refreshed = stream::iter(wanted).map(|(id, sequence)| async move {
        match ports.aggregates.load_at_least::<A>(&id, sequence).await {
            Ok(_) => Ok(()),
            Err(LoadError::Decode(source)) => {
                // Whoever wrote it is a newer release and writes its view, too: this one can do no better.
                error!(%id, error = &source as &dyn std::error::Error, "an event cannot be read; is this release too old?");
                Ok(())
            }
            Err(error @ LoadError::Store(_)) => Err(ProjectError::Load(error)),
        }
    });
    refreshed.buffer_unordered(AT_ONCE).try_collect().await
}
