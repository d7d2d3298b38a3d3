//! What the role does with deliveries.

use std::{sync::Arc, time::Duration};

use domain::{
    AccountId, ChallengeType, FailureKind, Identifier, OrderId, ProfileName, Thumbprint, Timestamp,
    order::{
        AuthorizationIndex, AuthorizationPlaced, ChallengePlaced, Command, Event, Order,
        OrderPlaced, Retries, Status,
    },
};
use eventstore::{Actor, Context, Envelope, EventStore, Expected, Sequence, Subject, Wake, Wakes};
use readmodel::Aggregates;
use runtime::Health;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use validation::{NetworkPolicy, ResolverChoice};
use validator::{Group, Ports, Settings};

use crate::{
    applicant::{Applicant, THUMBPRINT},
    memory::{Memory, Settled},
};

pub(crate) const FIRST: AuthorizationIndex = AuthorizationIndex(0);
const ONE_LOOK: Retries = Retries { max_failures: 1, first_wait: Duration::ZERO };
const REQUEST: &str = "request-1";

/// A running validator node, its log and its applicant.
pub(crate) struct Scenario {
    pub(crate) memory: Memory,
    settled: mpsc::UnboundedReceiver<Settled>,
    pub(crate) applicant: Applicant,
    health: Health,
    stop: CancellationToken,
    role: JoinHandle<Result<(), validation::SettingsError>>,
}

pub(crate) fn profile() -> ProfileName {
    "default".parse().unwrap()
}

pub(crate) fn order_id(n: u8) -> OrderId {
    OrderId::new(0, &[n; 16])
}

pub(crate) fn now() -> Timestamp {
    time::OffsetDateTime::now_utc().into()
}

pub(crate) fn context() -> Context {
    let actor = Actor::Account { id: AccountId::from_hash(&[0; 32]) };
    Context { actor, request_id: Some(REQUEST.to_owned()), traceparent: None, at: now() }
}

impl Scenario {
    /// A node at which the first failure is final.
    pub(crate) async fn start() -> Self {
        Self::with(ONE_LOOK, |_| {}).await
    }

    pub(crate) async fn with(
        retries: Retries,
        change: impl FnOnce(&mut validation::Settings),
    ) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let applicant = Applicant::start().await;
        let (memory, settled) = Memory::new();
        let mut validation = validation::Settings {
            http01_port: applicant.port,
            resolver: ResolverChoice::System,
            localhost_to_loopback: true,
            policy: NetworkPolicy::allowing(vec!["127.0.0.0/8".parse().unwrap()]),
            ..validation::Settings::default()
        };
        change(&mut validation);
        let settings = Settings {
            retries,
            base_url: "https://ca.example".parse().unwrap(),
            groups: vec![Group { profiles: vec![profile()], validation }],
            concurrency: 2,
            order_shards: 1,
        };
        let ports = Ports {
            aggregates: aggregates(&memory),
            feed: Arc::new(memory.clone()),
            wakes: Arc::new(memory.clone()),
        };
        let stop = CancellationToken::new();
        let health = Health::new();
        let check = health.register("validator");
        let role = tokio::spawn(validator::run(settings, ports, check, stop.clone()));
        Self { memory, settled, applicant, health, stop, role }
    }

    /// Places an order for one name and says that its challenge is ready; answers the sequence of that message.
    pub(crate) async fn ready(&self, id: u8, token: &str, profile: ProfileName) -> Sequence {
        self.place(id, token, profile).await;
        self.respond(id).await
    }

    /// The same for an order of the account that another order has.
    pub(crate) async fn ready_for(&self, account: u8, id: u8, token: &str) -> Sequence {
        self.place_for(account, id, token, profile()).await;
        self.respond(id).await
    }

    async fn place(&self, id: u8, token: &str, profile: ProfileName) {
        self.place_for(id, id, token, profile).await;
    }

    async fn place_for(&self, account: u8, id: u8, token: &str, profile: ProfileName) {
        let identifier = Identifier::Dns("h.localhost".parse().unwrap());
        let challenge = ChallengePlaced { kind: ChallengeType::Http01, token: token.to_owned() };
        let placed = OrderPlaced {
            id: order_id(id),
            profile,
            account: AccountId::from_hash(&[account; 32]),
            identifiers: vec![identifier.clone()],
            not_before: None,
            not_after: None,
            at: now(),
            expires_at: now().plus(Duration::from_secs(3600)),
            authorizations: vec![AuthorizationPlaced {
                identifier,
                wildcard: false,
                challenges: vec![challenge],
                relies_on: None,
            }],
        };
        let aggregates = aggregates(&self.memory);
        let placed = Command::Place(placed);
        aggregates.execute::<Order>(&order_id(id), None, &placed, &context()).await.unwrap();
    }

    /// Says that an order's challenge is ready; answers the sequence of that message.
    pub(crate) async fn respond(&self, id: u8) -> Sequence {
        self.respond_in(id, &context()).await
    }

    async fn respond_in(&self, id: u8, context: &Context) -> Sequence {
        let respond = Command::RespondToChallenge {
            authorization: FIRST,
            challenge: ChallengeType::Http01,
            thumbprint: Thumbprint(THUMBPRINT.to_owned()),
            now: now(),
        };
        let aggregates = aggregates(&self.memory);
        let view = aggregates.execute::<Order>(&order_id(id), None, &respond, context).await;
        view.unwrap().sequence
    }

    /// Waits until a delivery is settled for good.
    pub(crate) async fn acknowledged(&mut self, sequence: Sequence) {
        self.settled(&Settled::Acknowledged(sequence)).await;
    }

    /// Waits until a delivery is to come again.
    pub(crate) async fn given_back(&mut self, sequence: Sequence) {
        self.settled(&Settled::Again(sequence)).await;
    }

    /// Waits until it is said of a delivery that work on it goes on.
    pub(crate) async fn kept(&mut self, sequence: Sequence) {
        self.settled(&Settled::Kept(sequence)).await;
    }

    async fn settled(&mut self, wanted: &Settled) {
        let seen = async { while self.settled.recv().await.unwrap() != *wanted {} };
        timeout(Duration::from_secs(10), seen).await.unwrap();
    }

    pub(crate) async fn events(&self, id: u8) -> Vec<Event> {
        let messages = self.memory.read(&Subject::order(&order_id(id)), Sequence::NONE).await;
        messages.unwrap().iter().flat_map(|m| m.envelope.decode::<Event>().unwrap()).collect()
    }

    pub(crate) async fn status(&self, id: u8) -> Status {
        status_in(&self.memory, id).await
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        timeout(Duration::from_secs(10), self.role).await.unwrap().unwrap().unwrap();
    }
}

pub(crate) async fn status_in(memory: &Memory, id: u8) -> Status {
    let order = aggregates(memory).load::<Order>(&order_id(id)).await.unwrap().unwrap();
    order.state.status(now())
}

pub(crate) fn aggregates(memory: &Memory) -> Aggregates {
    Aggregates { store: Arc::new(memory.clone()), views: Arc::new(memory.clone()) }
}

#[tokio::test]
async fn a_fulfilled_challenge_makes_the_order_ready_and_wakes_who_waits() {
    let mut scenario = Scenario::start().await;
    let mut wakes = Wakes::subscribe(&scenario.memory);
    let ready = scenario.ready(1, "token", profile()).await;
    scenario.acknowledged(ready).await;
    assert_eq!(scenario.status(1).await, Status::Ready);
    let message = scenario.memory.messages().pop().unwrap();
    let woken = Wake { subject: message.subject.clone(), sequence: message.sequence };
    assert_eq!(wakes.recv().await, Ok(woken));
    assert_eq!(message.envelope.actor, Actor::Validator);
    assert_eq!(message.envelope.request_id.as_deref(), Some(REQUEST));
    match scenario.events(1).await.pop() {
        Some(Event::ChallengeValidated(event)) => assert_eq!(event.evidence.hops.len(), 1),
        other => panic!("{other:?}"),
    }
    scenario.stop().await;
}

#[tokio::test]
async fn a_challenge_that_is_not_fulfilled_makes_the_order_invalid() {
    let mut scenario = Scenario::start().await;
    let ready = scenario.ready(1, "wrong", profile()).await;
    scenario.acknowledged(ready).await;
    assert_eq!(scenario.status(1).await, Status::Invalid);
    match scenario.events(1).await.pop() {
        Some(Event::ChallengeFailed(event)) => {
            assert_eq!(event.failure.kind, FailureKind::IncorrectResponse);
            assert_eq!(event.evidence.hops[0].status, Some(200));
        }
        other => panic!("{other:?}"),
    }
    scenario.stop().await;
}

#[tokio::test]
async fn every_message_is_acknowledged_whether_there_is_work_in_it_or_not() {
    let mut scenario = Scenario::start().await;
    let ready = scenario.ready(1, "token", profile()).await;
    // The order's own message, the challenge's, and the outcome's.
    scenario.acknowledged(Sequence(ready.0 - 1)).await;
    scenario.acknowledged(Sequence(ready.0 + 1)).await;
    scenario.stop().await;
}

#[tokio::test]
async fn a_challenge_delivered_twice_is_validated_and_recorded_once() {
    let mut scenario = Scenario::start().await;
    let ready = scenario.ready(1, "token", profile()).await;
    scenario.acknowledged(ready).await;
    scenario.memory.deliver_again(ready, 2);
    scenario.acknowledged(ready).await;
    assert_eq!(scenario.applicant.asked(), 1);
    // A redelivery that looks like a first one is validated, but changes nothing.
    scenario.memory.deliver_again(ready, 1);
    scenario.acknowledged(ready).await;
    assert_eq!(scenario.applicant.asked(), 2);
    assert_eq!(scenario.events(1).await.len(), 3);
    scenario.stop().await;
}

#[tokio::test]
async fn a_consumer_that_was_lost_does_not_have_decided_challenges_validated_again() {
    let mut scenario = Scenario::start().await;
    scenario.place(1, "token", profile()).await;
    let at = now().minus(Duration::from_mins(2));
    let ready = scenario.respond_in(1, &Context { at, ..context() }).await;
    scenario.acknowledged(ready).await;
    assert_eq!(scenario.status(1).await, Status::Ready);
    // What takes its place delivers all from the beginning, and does not know that it was delivered before.
    scenario.memory.deliver_again(ready, 1);
    scenario.acknowledged(ready).await;
    assert_eq!(scenario.applicant.asked(), 1);
    scenario.stop().await;
}

#[tokio::test]
async fn an_outcome_the_log_did_not_take_is_recorded_later() {
    let mut scenario = Scenario::start().await;
    let ready = scenario.ready(1, "token", profile()).await;
    scenario.memory.fail_appends(1);
    scenario.given_back(ready).await;
    scenario.acknowledged(ready).await;
    assert_eq!(scenario.status(1).await, Status::Ready);
    scenario.stop().await;
}

#[tokio::test]
async fn a_challenge_waits_while_no_file_can_be_opened_to_look_at_it() {
    let mut scenario = Scenario::start().await;
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..before }).unwrap();
    let ready = scenario.ready(1, "token", profile()).await;
    scenario.given_back(ready).await;
    assert_eq!(scenario.events(1).await.len(), 2);
    setrlimit(Resource::Nofile, before).unwrap();
    scenario.acknowledged(ready).await;
    assert_eq!(scenario.status(1).await, Status::Ready);
    scenario.stop().await;
}

#[tokio::test]
async fn a_challenge_of_an_unknown_profile_waits_for_a_node_that_knows_it() {
    let mut scenario = Scenario::start().await;
    let ready = scenario.ready(1, "token", "other".parse().unwrap()).await;
    scenario.given_back(ready).await;
    assert_eq!(scenario.status(1).await, Status::Pending);
    scenario.stop().await;
}

#[tokio::test]
async fn a_challenge_that_only_a_newer_release_can_read_waits_for_a_node_that_can() {
    let mut scenario = Scenario::start().await;
    let ready = scenario.ready(1, "token", profile()).await;
    scenario.acknowledged(ready).await;
    scenario.place(2, "token", profile()).await;
    let known = &scenario.memory.messages()[usize::try_from(ready.0).unwrap() - 1].envelope;
    let newer = serde_json::to_string(known).unwrap().replace("\"version\":", "\"version\":9");
    let newer: Envelope = serde_json::from_str(&newer).unwrap();
    let subject = Subject::order(&order_id(2));
    let sequence = scenario.memory.append(&subject, Expected::Anything, &newer).await.unwrap();
    scenario.given_back(sequence).await;
    assert_eq!(scenario.applicant.asked(), 1);
    scenario.stop().await;
}

#[tokio::test]
async fn many_orders_of_many_accounts_all_become_ready() {
    let mut scenario = Scenario::start().await;
    let mut last = Vec::new();
    for id in 1..=20 {
        last.push(scenario.ready(id, "token", profile()).await);
    }
    let mut missing = last;
    while !missing.is_empty() {
        let settled = timeout(Duration::from_secs(10), scenario.settled.recv()).await.unwrap();
        missing.retain(|sequence| settled != Some(Settled::Acknowledged(*sequence)));
    }
    for id in 1..=20 {
        assert_eq!(scenario.status(id).await, Status::Ready);
    }
    scenario.stop().await;
}

#[tokio::test]
async fn several_accounts_whose_validations_hang_keep_no_other_waiting() {
    let hang = Duration::from_millis(500);
    let mut scenario = Scenario::with(ONE_LOOK, |settings| settings.total_timeout = hang).await;
    for id in 1..=40 {
        scenario.ready_for(100 + id % 2, id, "hanging").await;
    }
    let ready = scenario.ready(41, "token", profile()).await;
    scenario.acknowledged(ready).await;
    assert_eq!(scenario.status(41).await, Status::Ready);
    assert_eq!(scenario.status(20).await, Status::Pending);
    scenario.stop().await;
}

#[tokio::test]
async fn a_log_that_confirms_late_what_one_account_has_given_back_keeps_no_other_waiting() {
    let hang = Duration::from_millis(500);
    let mut scenario = Scenario::with(ONE_LOOK, |settings| settings.total_timeout = hang).await;
    scenario.memory.confirm_after(Duration::from_secs(1));
    for id in 1..=40 {
        scenario.ready_for(100, id, "hanging").await;
    }
    let ready = scenario.ready(41, "token", profile()).await;
    scenario.acknowledged(ready).await;
    assert_eq!(scenario.status(41).await, Status::Ready);
    scenario.stop().await;
}

#[tokio::test]
async fn after_an_outage_the_node_is_ready_before_anything_is_delivered() {
    let scenario = Scenario::start().await;
    scenario.health.until_ready().await;
    scenario.memory.interrupt();
    while scenario.memory.is_interrupted() {
        tokio::task::yield_now().await;
    }
    let ready = timeout(Duration::from_secs(20), scenario.health.until_ready()).await;
    ready.expect("the node is ready again");
    scenario.stop().await;
}
