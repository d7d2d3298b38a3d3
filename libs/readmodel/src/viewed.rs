//! Which aggregates have a view: accounts, orders and pre-authorizations.

use async_trait::async_trait;
use domain::{
    AccountId, Aggregate, OrderId, PreAuthorizationId,
    account::{self, Account},
    order::{self, Order},
    pre_authorization::{self, PreAuthorization},
};
use eventstore::{Sequence, Subject};

use crate::{ReadModel, Unavailable, View};

/// An aggregate that has a view.
#[async_trait]
pub trait Viewed: Aggregate<Command: Clone + 'static> + 'static {
    /// What names one of its kind.
    type Id: Sync;

    /// Where the log holds it.
    fn subject(id: &Self::Id) -> Subject;

    /// Which one it is.
    fn id(state: &Self::State) -> &Self::Id;

    /// Reads its view.
    async fn read(
        views: &dyn ReadModel,
        id: &Self::Id,
    ) -> Result<Option<View<Self::State>>, Unavailable>;

    /// Finds it as this process wrote it a moment ago, if that was kept; see [`ReadModel::recent_order`].
    fn recent(
        _views: &dyn ReadModel,
        _id: &Self::Id,
        _at_least: Sequence,
    ) -> Option<View<Self::State>> {
        None
    }

    /// Writes its view.
    async fn write(views: &dyn ReadModel, view: &View<Self::State>) -> Result<(), Unavailable>;
}

#[async_trait]
impl Viewed for Account {
    type Id = AccountId;

    fn subject(id: &AccountId) -> Subject {
        Subject::account(id)
    }

    fn id(state: &account::State) -> &AccountId {
        &state.id
    }

    async fn read(
        views: &dyn ReadModel,
        id: &AccountId,
    ) -> Result<Option<View<account::State>>, Unavailable> {
        views.account(id).await
    }

    async fn write(views: &dyn ReadModel, view: &View<account::State>) -> Result<(), Unavailable> {
        views.put_account(view).await
    }
}

#[async_trait]
impl Viewed for Order {
    type Id = OrderId;

    fn subject(id: &OrderId) -> Subject {
        Subject::order(id)
    }

    fn id(state: &order::State) -> &OrderId {
        &state.id
    }

    async fn read(
        views: &dyn ReadModel,
        id: &OrderId,
    ) -> Result<Option<View<order::State>>, Unavailable> {
        views.order(id).await
    }

    fn recent(
        views: &dyn ReadModel,
        id: &OrderId,
        at_least: Sequence,
    ) -> Option<View<order::State>> {
        views.recent_order(id, at_least)
    }

    async fn write(views: &dyn ReadModel, view: &View<order::State>) -> Result<(), Unavailable> {
        views.put_order(view).await
    }
}

#[async_trait]
impl Viewed for PreAuthorization {
    type Id = PreAuthorizationId;

    fn subject(id: &PreAuthorizationId) -> Subject {
        Subject::pre_authorization(id)
    }

    fn id(state: &pre_authorization::State) -> &PreAuthorizationId {
        &state.id
    }

    async fn read(
        views: &dyn ReadModel,
        id: &PreAuthorizationId,
    ) -> Result<Option<View<pre_authorization::State>>, Unavailable> {
        views.pre_authorization(id).await
    }

    async fn write(
        views: &dyn ReadModel,
        view: &View<pre_authorization::State>,
    ) -> Result<(), Unavailable> {
        views.put_pre_authorization(view).await
    }
}
