//! Measures what is asked of the log and the read model, and how long it takes.

use std::{sync::Arc, time::Instant};

use acme::{Nonces, NoncesUnavailable, Redeemed};
use domain::{
    AccountId, CrlName, OrderId, PreAuthorizationId, ProfileName, Serial, account, order,
    pre_authorization,
};
use eventstore::{
    AppendError, Dependent, Envelope, EventStore, Expected, Message, NewMessage, Pair, Sequence,
    StoreError, Stream, Subject,
};
use metrics::{counter, histogram};
use readmodel::{
    Admission, Admitted, CertificateEntry, Crl, Lookup, OrderEntry, OrdersPage, OrdersQuery,
    ReadModel, Unavailable, View,
};
use runtime::{metrics::names, telemetry::DETAIL};
use tracing::{Instrument as _, debug_span};

/// Views by name.
const ACCOUNT: &str = "account";
const ORDER: &str = "order";

/// A port that is measured.
pub(super) struct Measured<T: ?Sized>(pub(super) Arc<T>);

/// Measures a command that was sent to Redis.
pub(super) fn redis_command(asked: &redis_store::Asked) {
    let outcome = if asked.answered { "answered" } else { "failed" };
    histogram!(names::REDIS_COMMAND_SECONDS, "command" => asked.command, "outcome" => outcome)
        .record(asked.took.as_secs_f64());
}

/// Runs an operation of the read model and measures it.
async fn timed<T>(operation: &'static str, running: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let answer = running.await;
    histogram!(names::READ_MODEL_SECONDS, "operation" => operation)
        .record(started.elapsed().as_secs_f64());
    answer
}

/// Runs an append and measures it.
async fn appended<T>(
    running: impl Future<Output = Result<T, AppendError>>,
) -> Result<T, AppendError> {
    let started = Instant::now();
    let answer = running.instrument(debug_span!(target: DETAIL, "append")).await;
    if answer.is_ok() {
        histogram!(names::APPEND_SECONDS).record(started.elapsed().as_secs_f64());
    }
    count(answer.as_ref().err());
    answer
}

fn count(error: Option<&AppendError>) {
    let outcome = match error {
        None => "stored",
        Some(AppendError::Conflict) => "conflict",
        Some(AppendError::Unknown(_) | AppendError::Unavailable(_) | AppendError::TooLarge) => {
            "failed"
        }
    };
    counter!(names::APPENDS, "outcome" => outcome).increment(1);
}

/// Counts a view that was asked for.
fn viewed<T, E>(view: &'static str, answer: Result<Option<T>, E>) -> Result<Option<T>, E> {
    count_view(view, answer.as_ref().map(Option::is_some).ok());
    answer
}

/// Counts whether a view was there; `None` while that cannot be known.
fn count_view(view: &'static str, there: Option<bool>) {
    let outcome = match there {
        Some(true) => "hit",
        Some(false) => "miss",
        None => "failed",
    };
    counter!(names::VIEW_READS, "view" => view, "outcome" => outcome).increment(1);
}

/// Counts a nonce that was presented; `None` while its memory is out of reach.
fn count_nonce(redeemed: Option<Redeemed>) {
    let outcome = match redeemed {
        Some(Redeemed::Fresh) => "redeemed",
        Some(Redeemed::Replayed | Redeemed::Unknown) => "refused",
        None => "failed",
    };
    counter!(names::NONCES, "outcome" => outcome).increment(1);
}

#[async_trait::async_trait]
impl EventStore for Measured<dyn EventStore> {
    async fn append(
        &self,
        subject: &Subject,
        expected: Expected,
        envelope: &Envelope,
    ) -> Result<Sequence, AppendError> {
        appended(self.0.append(subject, expected, envelope)).await
    }

    async fn append_pair(&self, first: NewMessage, second: Dependent) -> Result<Pair, AppendError> {
        let pair = appended(self.0.append_pair(first, second)).await?;
        count(pair.second.as_ref().err());
        Ok(pair)
    }

    async fn read(&self, subject: &Subject, after: Sequence) -> Result<Vec<Message>, StoreError> {
        self.0.read(subject, after).await
    }

    async fn are_empty(&self, subjects: &[Subject]) -> Result<bool, StoreError> {
        self.0.are_empty(subjects).await
    }

    async fn message(
        &self,
        stream: Stream,
        sequence: Sequence,
    ) -> Result<Option<Message>, StoreError> {
        self.0.message(stream, sequence).await
    }

    async fn scan(
        &self,
        stream: Stream,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError> {
        self.0.scan(stream, after, limit).await
    }

    async fn last_sequence(&self, stream: Stream) -> Result<Sequence, StoreError> {
        self.0.last_sequence(stream).await
    }
}

#[async_trait::async_trait]
impl ReadModel for Measured<dyn ReadModel> {
    async fn account(&self, id: &AccountId) -> Result<Option<View<account::State>>, Unavailable> {
        viewed(ACCOUNT, timed("read", self.0.account(id)).await)
    }

    async fn put_account(&self, account: &View<account::State>) -> Result<(), Unavailable> {
        timed("write", self.0.put_account(account)).await
    }

    async fn order(&self, id: &OrderId) -> Result<Option<View<order::State>>, Unavailable> {
        viewed(ORDER, timed("read", self.0.order(id)).await)
    }

    fn recent_order(&self, id: &OrderId, at_least: Sequence) -> Option<View<order::State>> {
        self.0.recent_order(id, at_least)
    }

    async fn put_order(&self, order: &View<order::State>) -> Result<(), Unavailable> {
        timed("write", self.0.put_order(order)).await
    }

    async fn pre_authorization(
        &self,
        id: &PreAuthorizationId,
    ) -> Result<Option<View<pre_authorization::State>>, Unavailable> {
        viewed("pre_authorization", timed("read", self.0.pre_authorization(id)).await)
    }

    async fn put_pre_authorization(
        &self,
        pre_authorization: &View<pre_authorization::State>,
    ) -> Result<(), Unavailable> {
        timed("write", self.0.put_pre_authorization(pre_authorization)).await
    }

    async fn certificate(&self, serial: &Serial) -> Result<Lookup<CertificateEntry>, Unavailable> {
        timed("index", self.0.certificate(serial)).await
    }

    async fn put_certificates(&self, entries: &[CertificateEntry]) -> Result<(), Unavailable> {
        timed("write", self.0.put_certificates(entries)).await
    }

    async fn orders_page(&self, query: &OrdersQuery<'_>) -> Result<OrdersPage, Unavailable> {
        timed("index", self.0.orders_page(query)).await
    }

    async fn put_order_entries(&self, entries: &[OrderEntry]) -> Result<(), Unavailable> {
        timed("write", self.0.put_order_entries(entries)).await
    }

    async fn complete_to(&self, stream: Stream) -> Result<Sequence, Unavailable> {
        self.0.complete_to(stream).await
    }

    async fn mark_complete(&self, stream: Stream, sequence: Sequence) -> Result<(), Unavailable> {
        self.0.mark_complete(stream, sequence).await
    }

    async fn crl(&self, name: &CrlName) -> Result<Option<Arc<Crl>>, Unavailable> {
        self.0.crl(name).await
    }

    async fn put_crl(&self, name: &CrlName, crl: &Crl) -> Result<(), Unavailable> {
        self.0.put_crl(name, crl).await
    }

    async fn clear(&self) -> Result<(), Unavailable> {
        self.0.clear().await
    }
}

#[async_trait::async_trait]
impl Nonces for Measured<dyn Admission> {
    async fn issue(&self, profile: &ProfileName) -> Result<String, NoncesUnavailable> {
        self.0.issue(profile).await
    }

    async fn redeem(
        &self,
        profile: &ProfileName,
        nonce: &str,
    ) -> Result<Redeemed, NoncesUnavailable> {
        let answer = timed("admit", self.0.redeem(profile, nonce)).await;
        count_nonce(answer.as_ref().ok().copied());
        answer
    }
}

#[async_trait::async_trait]
impl Admission for Measured<dyn Admission> {
    async fn admit(
        &self,
        nonce: (&ProfileName, &str),
        account: Option<&AccountId>,
        order: Option<&OrderId>,
    ) -> Result<Admitted, NoncesUnavailable> {
        let answer = timed("admit", self.0.admit(nonce, account, order)).await;
        count_nonce(answer.as_ref().ok().map(|admitted| admitted.nonce));
        let (mut accounts, mut orders) = (None, None);
        if let Ok(admitted) = &answer {
            // The views are not looked at for a nonce that is refused.
            if admitted.nonce != Redeemed::Fresh {
                return answer;
            }
            (accounts, orders) = (Some(admitted.account.is_some()), Some(admitted.order.is_some()));
        }
        if account.is_some() {
            count_view(ACCOUNT, accounts);
        }
        if order.is_some() {
            count_view(ORDER, orders);
        }
        answer
    }
}
