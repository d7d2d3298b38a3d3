//! One seed's run: applicants, a validator and signers, each a process that may end at any moment.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use domain::OrderId;
use eventstore::{EventStore as _, Sequence, Subject};
use tokio::task::JoinSet;

use super::{
    applicants::Applicant,
    seed::{End, Seed},
    validating,
};
use crate::{
    faults::Faults,
    faulty::Faulty,
    workshop::{Running, Workshop},
};

/// How often each process ends, at most.
const MOST_CRASHES: u64 = 4;
const MOST_ORDERS: u64 = 4;
/// Over how many streams the orders of a seed are spread.
pub(super) const ORDER_SHARDS: u8 = 16;

/// What a run consists of.
pub(crate) struct World<'a> {
    workshop: &'a Workshop,
    seed: Seed,
    signers: &'a [&'static str],
    orders: Vec<OrderId>,
    /// Set when every order has ended: from then on nothing fails.
    calm: Arc<AtomicBool>,
}

impl<'a> World<'a> {
    pub(crate) fn new(workshop: &'a Workshop, seed: Seed, signers: &'a [&'static str]) -> Self {
        let count = 1 + seed.draw("orders", MOST_ORDERS);
        let order = |n: u64| {
            let shard = seed.draw(&format!("shard-{n}"), ORDER_SHARDS.into());
            OrderId::new(u8::try_from(shard).unwrap(), &seed.bits(&format!("order-{n}")))
        };
        let orders = (0..count).map(order).collect();
        Self { workshop, seed, signers, orders, calm: Arc::default() }
    }

    /// Lets everything happen, then checks what must hold.
    pub(crate) async fn run(&self) {
        let mut applicants = JoinSet::new();
        for (n, id) in self.orders.iter().enumerate() {
            let ports = self.ports(&format!("applicant-{n}"), None, "");
            let applicant = Applicant::new(self.seed, n, id.clone(), ports.aggregates());
            applicants.spawn(applicant.run());
        }
        let mut validator =
            tokio::spawn(validating::run(self.seed, self.ports("validator", None, "")));
        let signers = all(self.signers.iter().map(|name| self.signer(name)));
        let ended = async {
            let mut ended = Vec::new();
            while let Some(applicant) = applicants.join_next().await {
                ended.push(applicant.unwrap());
            }
            self.calm.store(true, Ordering::Relaxed);
            ended
        };
        let (ended, ()) = tokio::select! {
            both = async { tokio::join!(ended, signers) } => both,
            validator = &mut validator => panic!("the validator ended: {validator:?}"),
        };
        validator.abort();
        let _ = validator.await;
        for applicant in ended {
            applicant.check(self.workshop).await;
        }
        let audit = self.workshop.audit().await;
        for id in &self.orders {
            self.workshop.outcome(&audit, id).await;
        }
        for name in self.signers {
            self.workshop.check_journal(&audit, name);
        }
    }

    /// What the log says about the orders.
    pub(crate) async fn story(&self) -> String {
        let mut story = String::new();
        for id in &self.orders {
            let messages = self.workshop.log.read(&Subject::order(id), Sequence::NONE).await;
            for message in messages.unwrap() {
                let kinds = message.envelope.event_types();
                story += &format!("\n{} {id} {kinds:?}", message.sequence);
            }
        }
        story
    }

    fn ports(&self, process: &str, end: Option<End>, consumer_suffix: &'static str) -> Faulty {
        let faults = self.seed.faults(process, end, &self.calm, consumer_suffix);
        self.workshop.ports(&faults)
    }

    /// One signer's lives, the last of which begins when all is calm, and settles what those before left.
    async fn signer(&self, name: &'static str) {
        let crashes = self.seed.draw(&format!("{name}/crashes"), MOST_CRASHES + 1);
        let mut life = 0;
        while !self.calm.load(Ordering::Relaxed) {
            let process = format!("{name}-{life}");
            let end = (life < crashes).then(|| self.seed.end(&process));
            let suffix = if self.signers.len() > 1 { name } else { "" };
            let ports = self.ports(&process, end, suffix);
            self.live(name, &ports, end).await;
            life += 1;
        }
        let ports = self.workshop.ports(&Arc::new(Faults::none()));
        Running::start(self.workshop.open(name, &ports).await.unwrap()).stop().await;
    }

    /// Starts a signer and ends it: when all is calm as an operator does, else as told.
    async fn live(&self, name: &str, ports: &Faulty, end: Option<End>) {
        let opened = tokio::select! {
            opened = self.workshop.open(name, ports) => opened,
            () = ports.faults.crashed() => return,
        };
        // What fails while it opens is tried again by whoever starts it.
        let Ok(signer) = opened else { return };
        let signer = Running::start(signer);
        tokio::select! {
            () = ports.faults.crashed() => signer.kill().await,
            () = turns(end) => signer.kill().await,
            () = self.until_calm() => signer.stop_or_crash(&ports.faults).await,
        }
    }

    async fn until_calm(&self) {
        while !self.calm.load(Ordering::Relaxed) {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
}

/// Waits until a process is to end by the number of turns of others, if it is.
async fn turns(end: Option<End>) {
    match end {
        Some(End::AfterTurns(turns)) => {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
        }
        Some(End::AtUse(_)) | None => std::future::pending().await,
    }
}

/// Waits for one or two signers.
async fn all(mut signers: impl Iterator<Item = impl Future<Output = ()>>) {
    match (signers.next(), signers.next()) {
        (Some(first), Some(second)) => {
            tokio::join!(first, second);
        }
        (Some(first), None) => first.await,
        (None, _) => {}
    }
}
