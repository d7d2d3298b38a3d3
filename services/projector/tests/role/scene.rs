//! A log that somebody else writes to, and projectors over it.

use std::{path::Path, sync::Arc, time::Duration};

use domain::{
    AccountId, AccountKey, ChallengeType, Identifier, IssuerId, OrderId, PreAuthorizationId,
    Serial, Thumbprint, Timestamp,
    account::AccountCreated,
    certificate::{CertificateSigned, LedgerEvent},
    key_use::{self, KeyUse},
    order::{self, AuthorizationIndex, AuthorizationPlaced, ChallengePlaced, Order, OrderPlaced},
    pre_authorization::{self, PreAuthorization, PreAuthorizationPlaced},
};
use embedded::{Embedded, Options};
use eventstore::{
    Actor, Context, Envelope, EventStore as _, Expected, Loaded, MessageId, Sequence, Subject,
    execute,
};
use projector::Ports;
use readmodel::{Aggregates, Lookup, ReadModel};
use runtime::Health;
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const SHARDS: u8 = 4;

/// The log and the read model.
pub(crate) struct Scene {
    _dir: TempDir,
    pub(crate) log: Embedded,
    pub(crate) views: Embedded,
}

/// A projector at work.
pub(crate) struct Running {
    pub(crate) health: Health,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000 + seconds)
}

pub(crate) fn context() -> Context {
    Context { actor: Actor::Signer, request_id: None, traceparent: None, at: at(0) }
}

pub(crate) fn order_id(n: u8) -> OrderId {
    OrderId::new(n % SHARDS, &[n; 16])
}

pub(crate) fn pre_authorization_id(n: u8) -> PreAuthorizationId {
    PreAuthorizationId::from_random(&[n; 16])
}

pub(crate) fn account_id(n: u8) -> AccountId {
    AccountId::from_hash(&[n; 32])
}

pub(crate) fn serial(n: u32) -> Serial {
    let mut bits = [0; 16];
    bits[..4].copy_from_slice(&n.to_be_bytes());
    // The last octet says in which part of the ledger it is.
    bits[15] = n.to_be_bytes()[3];
    Serial::from_random(&bits)
}

impl Scene {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let open = |name: &str| open(&dir.path().join(name));
        let (log, views) = (open("log"), open("views"));
        Self { _dir: dir, log, views }
    }

    /// Ports with a read model in place of the scene's.
    pub(crate) fn ports(&self, views: Arc<dyn ReadModel>) -> Ports {
        let store = Arc::new(self.log.clone());
        let tail = store.clone();
        Ports { aggregates: Aggregates { store, views }, tail }
    }

    pub(crate) fn start(&self) -> Running {
        Running::start(self.ports(Arc::new(self.views.clone())))
    }

    /// Places an order whose view nobody writes.
    pub(crate) async fn place(&self, n: u8) -> Sequence {
        let identifier = Identifier::Dns("www.example.org".parse().unwrap());
        let challenge = ChallengePlaced { kind: ChallengeType::Dns01, token: "token".to_owned() };
        let placed = OrderPlaced {
            id: order_id(n),
            profile: "default".parse().unwrap(),
            account: account_id(n),
            identifiers: vec![identifier.clone()],
            not_before: None,
            not_after: None,
            at: at(0),
            expires_at: at(3600),
            authorizations: vec![AuthorizationPlaced {
                identifier,
                wildcard: false,
                challenges: vec![challenge],
                relies_on: None,
            }],
        };
        self.command(n, &order::Command::Place(placed)).await
    }

    /// Goes on with an order, again without a view.
    pub(crate) async fn respond(&self, n: u8) -> Sequence {
        let respond = order::Command::RespondToChallenge {
            authorization: AuthorizationIndex(0),
            challenge: ChallengeType::Dns01,
            thumbprint: Thumbprint("thumbprint".to_owned()),
            now: at(1),
        };
        self.command(n, &respond).await
    }

    async fn command(&self, n: u8, command: &order::Command) -> Sequence {
        let (subject, loaded) = (Subject::order(&order_id(n)), Loaded::default());
        let decided = execute::<Order>(&self.log, &subject, loaded, command, &context()).await;
        decided.unwrap().sequence
    }

    pub(crate) async fn create_account(&self, n: u8) -> Sequence {
        let account = AccountCreated {
            id: account_id(n),
            profile: "default".parse().unwrap(),
            key: AccountKey { jwk: "{}".into(), thumbprint: Thumbprint("thumbprint".into()) },
            contact: vec![],
            terms_of_service_agreed: false,
            at: at(0),
        };
        let create = key_use::Creation::from(account).into();
        let (subject, loaded) = (Subject::account(&account_id(n)), Loaded::default());
        let decided = execute::<KeyUse>(&self.log, &subject, loaded, &create, &context()).await;
        decided.unwrap().sequence
    }

    /// Makes a pre-authorization; answers where the log holds it.
    pub(crate) async fn pre_authorize(&self, n: u8) -> Sequence {
        let id = pre_authorization_id(n);
        let place = pre_authorization::Command::Place(PreAuthorizationPlaced {
            id: id.clone(),
            profile: "default".parse().unwrap(),
            account: account_id(n),
            identifier: Identifier::Dns("www.example.org".parse().unwrap()),
            challenges: vec![ChallengePlaced {
                kind: ChallengeType::Dns01,
                token: "token".to_owned(),
            }],
            at: at(0),
            expires_at: at(3600),
        });
        let (subject, loaded) = (Subject::pre_authorization(&id), Loaded::default());
        let decided =
            execute::<PreAuthorization>(&self.log, &subject, loaded, &place, &context()).await;
        decided.unwrap().sequence
    }

    /// Puts a certificate into the ledger.
    pub(crate) async fn sign(&self, n: u32) -> Sequence {
        let (issuer, serial) = (IssuerId::from_hash(&[1; 32]), serial(n));
        let subject = Subject::ledger(&issuer, &serial);
        let signed = LedgerEvent::CertificateSigned(CertificateSigned {
            issuer,
            serial,
            order: Some(order_id(1)),
            account: Some(account_id(1)),
            profile: None,
            certificate: String::new(),
            chain: vec![],
            alternates: vec![],
            not_after: at(1_000_000_000),
        });
        let envelope = Envelope::new(MessageId::random(), &context(), &[signed]).unwrap();
        self.log.append(&subject, Expected::Anything, &envelope).await.unwrap()
    }

    pub(crate) async fn has_certificate(&self, n: u32) -> bool {
        match self.views.certificate(&serial(n)).await.unwrap() {
            Lookup::Found(_) => true,
            Lookup::Missing { .. } => false,
        }
    }

    /// Waits until an order's view is as new as a message.
    pub(crate) async fn shows(&self, n: u8, sequence: Sequence) {
        until("the view", async || {
            let view = self.views.order(&order_id(n)).await.unwrap()?;
            (view.sequence >= sequence).then_some(())
        })
        .await;
    }
}

pub(crate) fn open(path: &Path) -> Embedded {
    Embedded::open(path, &Options::default()).unwrap()
}

impl Running {
    pub(crate) fn start(ports: Ports) -> Self {
        let stop = CancellationToken::new();
        let health = Health::new();
        let check = health.register("projector");
        let task = tokio::spawn(projector::run(ports, SHARDS, check, stop.clone()));
        Self { health, stop, task }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.task).await.expect("it stops in time").unwrap();
    }
}

/// Waits until something holds.
pub(crate) async fn until<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = found().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}
