//! Starts the roles of a process: each gets its settings, its ports and the stage it stops with.

use std::{collections::BTreeSet, convert::Infallible, sync::Arc};

use eventstore::{Sequence, Stream};
use runtime::{Config, Health, Process, Role, Stop};
use signer::{ServerCertificateError, Signer};
use tokio::net::TcpListener;

use super::keeping;
use crate::{
    block_lists, ca_files, clock,
    failure::{Explain as _, Failure},
    operator_key,
    ports::{LogAdapter, Ports},
    signer_settings,
    tls::{self, Certificates},
};

/// What roles are started with.
pub(super) struct Roles<'a> {
    pub(super) config: &'a Config,
    pub(super) ports: &'a Ports,
    pub(super) stages: &'a Stages,
    pub(super) health: &'a Health,
}

/// The stages of the process: what is started in one stops with it.
pub(super) struct Stages {
    listeners: Stop,
    workers: Stop,
    background: Stop,
}

impl Stages {
    pub(super) fn of(process: &Process) -> Self {
        Self {
            listeners: process.listeners().clone(),
            workers: process.workers().clone(),
            background: process.background().clone(),
        }
    }
}

impl Roles<'_> {
    /// Starts the roles; the api last, when whatever it waits for works.
    ///
    /// # Errors
    /// When one cannot start.
    pub(super) async fn start(
        &self,
        roles: &BTreeSet<Role>,
        api: Option<TcpListener>,
    ) -> Result<(), Failure> {
        // Mistakes in files are told before anything is started that would have to stop again.
        let validator = match roles.contains(&Role::Validator) {
            true => Some(validator::Settings::from_config(self.config)?),
            false => None,
        };
        let api = match api {
            Some(listener) => Some((listener, self.api_settings().await?)),
            None => None,
        };
        let signer = match roles.contains(&Role::Signer) {
            true => Some(self.open_signer().await?),
            false => None,
        };
        let certificates = match &api {
            Some(_) => Some(self.certificates(signer.as_ref()).await?),
            None => None,
        };
        if roles.contains(&Role::Projector) {
            self.start_projector();
        }
        if let Some(settings) = validator {
            self.start_validator(settings);
        }
        if let Some(signer) = signer {
            self.start_signer(signer);
        }
        if let (Some((listener, settings)), Some(certificates)) = (api, certificates) {
            self.start_api(listener, settings, certificates);
        }
        Ok(())
    }

    async fn open_signer(&self) -> Result<Signer, Failure> {
        let settings = signer_settings::read(self.config)?;
        if !ca_files::is_begun(self.config) {
            self.refuse_a_second_ca().await?;
        }
        let config = self.config.clone();
        // Deriving a key from a passphrase takes a while, and so do files.
        let opening = move || ca_files::open_or_create(&config, clock::now());
        let authorities = tokio::task::spawn_blocking(opening).await??;
        Ok(Signer::open(settings, authorities, self.ports.signer()).await?)
    }

    /// Refuses to make a CA where the ledger holds certificates of another one: its clients would not trust the new CA,
    /// and its CRLs would end.
    async fn refuse_a_second_ca(&self) -> Result<(), Failure> {
        let last = self.ports.store.last_sequence(Stream::Ledger).await;
        if last.while_doing("cannot see whether the log has certificates")? == Sequence::NONE {
            return Ok(());
        }
        let dir = ca_files::path(self.config);
        let lost = format!("the log holds certificates, but their CA is not in {}", dir.display());
        Err(Failure::new(lost)).advise(
            "Restore the signer's data_dir from its newest copy, or check that it is mounted. \
             To use another CA with this log, create it with `certmill ca root` and `certmill ca intermediate`.",
        )
    }

    /// The certificate from files, where configured, else the signer's.
    async fn certificates(&self, signer: Option<&Signer>) -> Result<Certificates, Failure> {
        let stop = &self.stages.background;
        if let Some(files) = tls::Files::configured(self.config) {
            return files.watch(stop);
        }
        let signer = signer
            .ok_or_else(|| Failure::new("nothing in this process issues the server's certificate"))
            .advise(
                "Set api.tls_certificate and api.tls_key, or run the signer in this process.",
            )?;
        let issued = signer.server_certificate().await;
        let issued = issued.map_err(|error| match &error {
            ServerCertificateError::Plan(_) => Failure::from(error).advise(format!(
                "The clock says {}; `certmill ca show` shows when the CA is valid.",
                clock::now()
            )),
            ServerCertificateError::Files(_)
            | ServerCertificateError::Key(_)
            | ServerCertificateError::Revocation(_)
            | ServerCertificateError::Issue(_) => error.into(),
        })?;
        tls::from_signer(issued, stop)
    }

    /// The embedded read model needs no projector: its index is part of each append, its views are folded on demand.
    fn start_projector(&self) {
        self.watch_unreplaced();
        let health = self.health.register("projector");
        let LogAdapter::JetStream(log) = &self.ports.log else { return health.ready() };
        keeping::start(log.clone(), self.health.register("streams"), &self.stages.workers);
        let ports = self.ports.projector();
        let (workers, shards) = (&self.stages.workers, self.config.event_log.order_shards);
        let stop = workers.token();
        workers.spawn("projector", async move {
            projector::run(ports, shards, health, stop).await;
            Ok::<_, Infallible>(())
        });
    }

    /// Counts certificates that end soon, where that is wanted.
    fn watch_unreplaced(&self) {
        let within = self.config.telemetry.unreplaced_within.get();
        if within.is_zero() {
            return;
        }
        let validities = self.config.profiles.iter().map(|of| of.certificate_validity.get());
        let longest_validity = validities.max().unwrap_or_default();
        let which = projector::Unreplaced { within, longest_validity };
        let (store, workers) = (Arc::clone(&self.ports.store), &self.stages.workers);
        let stop = workers.token();
        workers.spawn("unreplaced certificates", async move {
            projector::watch_unreplaced(store, which, stop).await;
            Ok::<_, Infallible>(())
        });
    }

    fn start_validator(&self, settings: validator::Settings) {
        let (ports, health) = (self.ports.validator(), self.health.register("validator"));
        let workers = &self.stages.workers;
        workers.spawn("validator", validator::run(settings, ports, health, workers.token()));
    }

    fn start_signer(&self, signer: Signer) {
        let (health, workers) = (self.health.register("signer"), &self.stages.workers);
        if let Some(watch) = signer.key_watch() {
            let health = self.health.register("CA keys");
            workers.spawn("watch over CA keys", watch.run(health, workers.token()));
        }
        workers.spawn("signer", signer.run(health, workers.token()));
    }

    async fn api_settings(&self) -> Result<api::Settings, Failure> {
        let lists = &self.config.key_block_lists;
        let blocked_keys = block_lists::watch(lists, &self.stages.background).await?;
        let operator_key = operator_key::read(self.config)?;
        Ok(api::Settings::from_config(self.config, operator_key, blocked_keys))
    }

    fn start_api(
        &self,
        listener: TcpListener,
        settings: api::Settings,
        certificates: Certificates,
    ) {
        let certificate = api::ServerCertificate::new(certificates);
        let (ports, listeners) = (self.ports.api(), &self.stages.listeners);
        // Connections are taken from now on: they wait in the listener's queue until the task runs.
        self.health.register("api").ready();
        listeners.spawn("api", api::run(settings, ports, certificate, listener, listeners.token()));
    }
}
