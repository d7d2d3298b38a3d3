//! Which adapters the configuration chooses: one data directory, or a cluster of NATS and Redis.

mod cluster;
mod embedded;
mod measured;
mod patience;

use std::{collections::BTreeSet, sync::Arc};

use acme::nonce::NonceLifetime;
use eventstore::{Calls, EventFeed, EventStore, EventTail, Wakes};
use readmodel::{Admission, Aggregates, ReadModel};
use runtime::{Config, Role, config::EventLogKind};

use crate::failure::{Explain as _, Failure};

use self::measured::Measured;
pub(crate) use self::{
    cluster::{jetstream_to_read, redis},
    embedded::{not_read, open_to_read},
    patience::Patience,
};

/// The roles that a command plays: none.
pub(crate) const NO_ROLE: BTreeSet<Role> = BTreeSet::new();

/// Every port, and what is behind them.
#[derive(Clone)]
pub(crate) struct Ports {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) feed: Arc<dyn EventFeed>,
    pub(crate) tail: Arc<dyn EventTail>,
    pub(crate) wakes: Arc<dyn Wakes>,
    pub(crate) calls: Arc<dyn Calls>,
    pub(crate) views: Arc<dyn ReadModel>,
    pub(crate) admission: Arc<dyn Admission>,
    pub(crate) log: LogAdapter,
}

/// The adapter behind the ports to the log, for the few things that the ports do not cover.
#[derive(Clone)]
pub(crate) enum LogAdapter {
    /// One data directory.
    Embedded(::embedded::Embedded),
    /// A NATS cluster.
    JetStream(::jetstream::JetStream),
}

/// How long nonces are good.
fn nonce_lifetime(config: &Config) -> Result<NonceLifetime, Failure> {
    NonceLifetime::try_from(config.api.nonce_validity.get())
        .while_doing("cannot use api.nonce_validity")
}

impl Ports {
    /// Connects to what the configuration names, and checks that its users have the rights that the roles need.
    ///
    /// # Errors
    /// When something is out of reach for too long, or must not be used; the failure names the key to change.
    pub(crate) async fn open(
        config: &Config,
        roles: &BTreeSet<Role>,
        patience: Patience,
    ) -> Result<Self, Failure> {
        let ports = match config.event_log.kind {
            EventLogKind::Embedded => embedded::open(config).await?,
            EventLogKind::Jetstream => cluster::open(config, roles, patience).await?,
        };
        Ok(Self {
            store: Arc::new(Measured(ports.store)),
            views: Arc::new(Measured(ports.views)),
            admission: Arc::new(Measured(ports.admission)),
            ..ports
        })
    }

    /// Writes what is still to be written, and lets go of the log.
    pub(crate) async fn close(&self) {
        match &self.log {
            LogAdapter::Embedded(embedded) => embedded.close().await,
            LogAdapter::JetStream(jetstream) => {
                if let Err(error) = jetstream.flush().await {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the last acknowledgements were not sent");
                }
            }
        }
    }

    /// The log and the views over it.
    pub(crate) fn aggregates(&self) -> Aggregates {
        Aggregates { store: Arc::clone(&self.store), views: Arc::clone(&self.views) }
    }

    /// What the api works with.
    pub(crate) fn api(&self) -> api::Ports {
        api::Ports {
            aggregates: self.aggregates(),
            admission: Arc::clone(&self.admission),
            wakes: Arc::clone(&self.wakes),
            calls: Arc::clone(&self.calls),
        }
    }

    /// What a validator works with.
    pub(crate) fn validator(&self) -> validator::Ports {
        validator::Ports {
            aggregates: self.aggregates(),
            feed: Arc::clone(&self.feed),
            wakes: Arc::clone(&self.wakes),
        }
    }

    /// What a signer works with.
    pub(crate) fn signer(&self) -> signer::Ports {
        signer::Ports {
            aggregates: self.aggregates(),
            feed: Arc::clone(&self.feed),
            wakes: Arc::clone(&self.wakes),
            calls: Arc::clone(&self.calls),
        }
    }

    /// What a projector works with.
    pub(crate) fn projector(&self) -> projector::Ports {
        projector::Ports { aggregates: self.aggregates(), tail: Arc::clone(&self.tail) }
    }
}
