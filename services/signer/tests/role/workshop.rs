//! A CA on disk, an embedded log, and signers that are started, stopped and killed over them.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use ca::{Authority, CaDirectory, CaRequest, CaSubject, KeyAlgorithm};
use domain::{IssuerName, OrderId, Timestamp, order};
use embedded::{Embedded, Options};
use eventstore::{
    EventStore as _, EventTail as _, Expected, Loaded, Message, Sequence, Stream, Subject, load,
};
use readmodel::{Aggregates, ReadModel};
use runtime::{Config, Health};
use signer::{Authorities, OpenError, Settings, Signer, SignerError};
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    faults::{Fate, Faults, Port},
    faulty::Faulty,
};

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// More than any log here holds.
const MOST_MESSAGES: usize = 10_000;
/// Where Linux keeps files in memory.
const IN_MEMORY: &str = "/dev/shm";
/// Old enough to have made a certificate that is due.
const CA_AGE: Duration = Duration::from_hours(100 * 24);
const CA_VALIDITY: Duration = Duration::from_hours(5 * 365 * 24);

/// What signers share.
pub(crate) struct Workshop {
    pub(crate) dir: TempDir,
    pub(crate) log: Embedded,
    /// Apart from the log, as in a cluster.
    pub(crate) views: Arc<dyn ReadModel>,
    pub(crate) config: Config,
    ca: CaDirectory,
    named: Vec<(IssuerName, CaDirectory)>,
    lost_logs: u32,
}

/// A signer at work.
pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), SignerError>>,
}

pub(crate) fn now() -> Timestamp {
    time::OffsetDateTime::now_utc().into()
}

impl Workshop {
    pub(crate) fn new(algorithm: KeyAlgorithm) -> Self {
        // No power fails here: what is lost without an fsync would not be noticed, and waiting for disks takes long.
        let dir = tempfile::tempdir_in(IN_MEMORY).or_else(|_| tempfile::tempdir()).unwrap();
        let open =
            |name: &str| Embedded::open(&dir.path().join(name), &Options::default()).unwrap();
        let (log, views) = (open("log"), Arc::new(open("views")));
        let ca = make_ca(&dir.path().join("ca"), algorithm);
        let config = Config::load(None, [], &[]).unwrap();
        Self { dir, log, views, config, ca, named: Vec::new(), lost_logs: 0 }
    }

    /// Has another CA issue from now on.
    pub(crate) fn replace_ca(&mut self, algorithm: KeyAlgorithm) {
        self.ca = make_ca(&self.dir.path().join("next-ca"), algorithm);
    }

    /// Has the CA's key and name go on with a certificate below another root.
    pub(crate) fn move_ca_below_another_root(&mut self) {
        let ca = CaDirectory::new(self.dir.path().join("moved-ca"), None);
        let key = self.dir.path().join("ca/keys/intermediate.key");
        ca.import_intermediate_key(&std::fs::read_to_string(key).unwrap()).unwrap();
        let algorithm = KeyAlgorithm::Ed25519;
        ca.create_root(algorithm, &request("Another root", CA_VALIDITY)).unwrap();
        ca.create_intermediate(algorithm, &request("Issuing", CA_VALIDITY)).unwrap();
        self.ca = ca;
    }

    /// Has a CA issue that is not valid any more, below a root that is.
    pub(crate) fn end_ca(&mut self) {
        self.ca = CaDirectory::new(self.dir.path().join("ended-ca"), None);
        let algorithm = KeyAlgorithm::EcdsaP256;
        self.ca.create_root(algorithm, &request("Root", CA_VALIDITY)).unwrap();
        self.ca.create_intermediate(algorithm, &request("Ended", CA_AGE / 2)).unwrap();
    }

    /// Adds an issuer of that name below the root of the first, for the profiles that name it.
    pub(crate) fn add_issuer_below(&mut self, name: &str) -> Authority {
        let ca = CaDirectory::new(self.dir.path().join(name), None);
        let (root, request) = (self.ca.open_root().unwrap(), request("Below", CA_VALIDITY / 2));
        let authority = ca.create_intermediate_below(&root, KeyAlgorithm::EcdsaP256, &request);
        self.named.push((name.parse().unwrap(), ca));
        authority.unwrap()
    }

    /// Adds an issuer of that name, for the profiles that name it.
    pub(crate) fn add_issuer(&mut self, name: &str, algorithm: KeyAlgorithm) -> Authority {
        let ca = make_ca(&self.dir.path().join(name), algorithm);
        let authority = ca.open().unwrap();
        self.named.push((name.parse().unwrap(), ca));
        authority
    }

    /// Gives the first issuer a name as well.
    pub(crate) fn repeat_issuer(&mut self, name: &str) {
        let same = CaDirectory::new(self.dir.path().join("ca"), None);
        self.named.push((name.parse().unwrap(), same));
    }

    fn authorities(&self) -> Authorities {
        let mut authorities = Authorities::from(self.authority());
        for (name, ca) in &self.named {
            authorities.add(name.clone(), ca.open().unwrap());
        }
        authorities
    }

    /// Goes on with a log that knows nothing.
    pub(crate) fn lose_log(&mut self) {
        self.lost_logs += 1;
        let path = self.dir.path().join(format!("log-{}", self.lost_logs));
        self.log = Embedded::open(&path, &Options::default()).unwrap();
    }

    /// All messages of the log, oldest first.
    pub(crate) async fn messages(&self) -> Vec<Message> {
        let mut messages = Vec::new();
        for stream in Stream::all(self.config.event_log.order_shards) {
            messages.extend(self.log.scan(stream, Sequence::NONE, MOST_MESSAGES).await.unwrap());
        }
        messages.sort_by_key(|message| message.sequence);
        messages
    }

    /// Goes on with a log that holds only these messages, and a read model that knows nothing.
    pub(crate) async fn restore_log(&mut self, kept: impl IntoIterator<Item = &Message>) {
        self.lose_log();
        for Message { subject, envelope, .. } in kept {
            self.log.append(subject, Expected::Anything, envelope).await.unwrap();
        }
        self.views = self.empty_views(&format!("views-{}", self.lost_logs));
    }

    /// A read model that knows nothing.
    pub(crate) fn empty_views(&self, name: &str) -> Arc<dyn ReadModel> {
        Arc::new(Embedded::open(&self.dir.path().join(name), &Options::default()).unwrap())
    }

    pub(crate) fn authority(&self) -> Authority {
        self.ca.open().unwrap()
    }

    /// What a signer of that name keeps.
    pub(crate) fn data_dir(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn settings(&self, name: &str) -> Settings {
        let mut config = self.config.clone();
        config.data_dir = self.data_dir(name);
        Settings::from_config(&config).unwrap()
    }

    pub(crate) fn ports(&self, faults: &Arc<Faults>) -> Faulty {
        let (log, views) = (self.log.clone(), Arc::clone(&self.views));
        Faulty {
            log,
            views,
            faults: Arc::clone(faults),
            calls: Arc::default(),
            recent: Arc::default(),
        }
    }

    /// Opens the signer of that name, once the one before has let go of its journal.
    pub(crate) async fn open(&self, name: &str, ports: &Faulty) -> Result<Signer, OpenError> {
        let opening = async {
            loop {
                let settings = self.settings(name);
                match Signer::open(settings, self.authorities(), ports.signer_ports()).await {
                    Err(OpenError::Journal(ca::journal::OpenError::Locked(_))) => {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    opened => return opened,
                }
            }
        };
        timeout(PATIENCE, opening).await.expect("the journal is free in time")
    }

    /// Starts the signer of that name over ports that do not fail.
    pub(crate) async fn start(&self, name: &str) -> Running {
        self.start_with(name, &Arc::new(Faults::none())).await
    }

    /// Starts the signer of that name.
    pub(crate) async fn start_with(&self, name: &str, faults: &Arc<Faults>) -> Running {
        Running::start(self.open(name, &self.ports(faults)).await.unwrap())
    }

    /// Starts the signer of that name and kills it as soon as it has appended to the order.
    pub(crate) async fn kill_after_append(&self, name: &str, order: &OrderId) {
        let id = order.to_string();
        let faults = Arc::new(Faults::new(move |port, key| match port {
            Port::Append if key == id => Fate::CrashAfter,
            _ => Fate::Done,
        }));
        let running = self.start_with(name, &faults).await;
        faults.crashed().await;
        running.kill().await;
    }

    /// The order as the log has it.
    pub(crate) async fn order(&self, id: &OrderId) -> order::State {
        let subject = Subject::order(id);
        let loaded = load::<order::Order>(&self.log, &subject, Loaded::default()).await;
        loaded.unwrap().state.expect("the order exists")
    }

    /// Has the view of an order show what the log says.
    pub(crate) async fn refresh(&self, id: &OrderId) {
        let (store, views) = (Arc::new(self.log.clone()), Arc::clone(&self.views));
        Aggregates { store, views }.fold::<order::Order>(id).await.unwrap();
    }

    /// Waits until an order is valid or invalid.
    pub(crate) async fn ended(&self, id: &OrderId) -> order::Progress {
        let ended = async {
            let from = (Subject::order(id).stream(), Sequence::NONE);
            let mut news = self.log.follow(&[from]).await.unwrap();
            loop {
                match self.order(id).await.progress {
                    order::Progress::Open | order::Progress::Processing(_) => {
                        news.next().await.unwrap();
                    }
                    ended @ (order::Progress::Valid { .. } | order::Progress::Invalid { .. }) => {
                        return ended;
                    }
                }
            }
        };
        timeout(PATIENCE, ended).await.expect("the order ends in time")
    }
}

impl Running {
    pub(crate) fn start(signer: Signer) -> Self {
        let stop = CancellationToken::new();
        let health = Health::new().register("signer");
        let task = tokio::spawn(signer.run(health, stop.clone()));
        Self { stop, task }
    }

    /// Ends it as an operator does.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.ended().await.unwrap();
    }

    /// Ends it as an operator does, unless it comes to a crash.
    pub(crate) async fn stop_or_crash(mut self, faults: &Faults) {
        self.stop.cancel();
        tokio::select! {
            ended = &mut self.task => ended.unwrap().unwrap(),
            () = faults.crashed() => self.kill().await,
        }
    }

    /// Ends it as a power failure does.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(self) -> Result<(), SignerError> {
        timeout(PATIENCE, self.task).await.expect("the signer ends in time").unwrap()
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

fn make_ca(dir: &Path, algorithm: KeyAlgorithm) -> CaDirectory {
    let ca = CaDirectory::new(dir, None);
    ca.create_root(KeyAlgorithm::Ed25519, &request("Root", CA_VALIDITY)).unwrap();
    if algorithm == KeyAlgorithm::Rsa {
        ca.import_intermediate_key(&rsa_key()).unwrap();
    }
    ca.create_intermediate(algorithm, &request("Issuing", CA_VALIDITY)).unwrap();
    ca
}

fn request(name: &str, validity: Duration) -> CaRequest {
    let subject = CaSubject { common_name: name.into(), organization: None, country: None };
    CaRequest { subject, extended_key_usages: vec![], validity, now: now().minus(CA_AGE) }
}

/// ring makes no RSA keys.
fn rsa_key() -> String {
    let args = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
    let made = Command::new("openssl").args(args).output().expect("openssl runs");
    String::from_utf8(made.stdout).expect("a key is text")
}
