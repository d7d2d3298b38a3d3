//! Looks at CAA that the signer asks for.

use std::net::UdpSocket;

use domain::{
    AccountId, ChallengeType, Evidence, FailureKind, Identifier, SubjectPublicKey, Timestamp,
    order::{
        AuthorizationPlaced, CaaCheckNeeded, ChallengePlaced, ChallengeValidated, Event,
        OrderFinalized, OrderPlaced, Retries, Status,
    },
};
use eventstore::{Context, Envelope, EventStore as _, Expected, MessageId, Sequence, Subject};
use validation::ResolverChoice;

use crate::scenario::{FIRST, Scenario, context, now, order_id, profile};

const ONE_LOOK: Retries = Retries { max_failures: 1, first_wait: std::time::Duration::ZERO };

fn enforce(settings: &mut validation::Settings) {
    settings.caa_identities = vec!["ca.example".to_owned()];
}

/// Places a finalized order for a name whose CAA is to be looked at; answers the sequence of that message.
async fn needed(scenario: &Scenario, name: &str) -> Sequence {
    needed_since(scenario, name, now()).await
}

async fn needed_since(scenario: &Scenario, name: &str, at: Timestamp) -> Sequence {
    let identifier = Identifier::Dns(name.parse().unwrap());
    let account = AccountId::from_hash(&[1; 32]);
    let challenge = ChallengeType::Http01;
    let placed = Event::OrderPlaced(OrderPlaced {
        id: order_id(1),
        profile: profile(),
        account: account.clone(),
        identifiers: vec![identifier.clone()],
        not_before: None,
        not_after: None,
        at: now(),
        expires_at: now().plus(std::time::Duration::from_secs(3600)),
        authorizations: vec![AuthorizationPlaced {
            identifier: identifier.clone(),
            wildcard: false,
            challenges: vec![ChallengePlaced { kind: challenge, token: "token".to_owned() }],
            relies_on: None,
        }],
    });
    let validated = Event::ChallengeValidated(ChallengeValidated {
        authorization: FIRST,
        challenge,
        identifier: identifier.clone(),
        at: now(),
        evidence: Evidence::default(),
    });
    let finalized = Event::OrderFinalized(OrderFinalized {
        public_key: SubjectPublicKey("key".to_owned()),
        common_name: None,
        identifiers: vec![identifier.clone()],
        not_before: None,
        not_after: None,
        account: account.clone(),
        profile: profile(),
        at: now(),
    });
    let needed = Event::CaaCheckNeeded(CaaCheckNeeded {
        authorization: FIRST,
        challenge,
        identifier,
        wildcard: false,
        account,
        profile: profile(),
    });
    let events = [placed, validated, finalized, needed];
    let envelope =
        Envelope::new(MessageId::random(), &Context { at, ..context() }, &events).unwrap();
    let subject = Subject::order(&order_id(1));
    scenario.memory.append(&subject, Expected::Last(Sequence::NONE), &envelope).await.unwrap()
}

#[tokio::test]
async fn a_look_that_is_asked_for_is_recorded_once_with_what_was_seen() {
    let mut scenario = Scenario::with(ONE_LOOK, enforce).await;
    let asked = needed(&scenario, "h.localhost").await;
    scenario.acknowledged(asked).await;
    scenario.memory.deliver_again(asked, 2);
    scenario.acknowledged(asked).await;
    let events = scenario.events(1).await;
    assert_eq!(events.len(), 5);
    match events.last() {
        Some(Event::CaaChecked(checked)) => assert!(checked.evidence.caa.is_some()),
        other => panic!("{other:?}"),
    }
    assert_eq!(scenario.status(1).await, Status::Processing);
    assert_eq!(scenario.applicant.asked(), 0);
    scenario.stop().await;
}

#[tokio::test]
async fn a_lookup_is_repeated_before_its_failure_ends_the_order() {
    // Nobody answers at a port that only listens.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let resolver = silent.local_addr().unwrap();
    let unanswered = |settings: &mut validation::Settings| {
        enforce(settings);
        settings.resolver = ResolverChoice::Address(resolver);
        settings.dns_timeout = std::time::Duration::from_millis(50);
        settings.dns_retries = 0;
    };
    let mut scenario = Scenario::with(ONE_LOOK, unanswered).await;
    let asked = needed(&scenario, "h.example").await;
    scenario.acknowledged(asked).await;
    silent.set_nonblocking(true).unwrap();
    let questions = std::iter::from_fn(|| silent.recv(&mut [0; 512]).ok()).count();
    assert_eq!(questions, 3);
    match scenario.events(1).await.last() {
        Some(Event::CaaCheckFailed(failed)) => assert_eq!(failed.failure.kind, FailureKind::Dns),
        other => panic!("{other:?}"),
    }
    assert_eq!(scenario.status(1).await, Status::Invalid);
    scenario.stop().await;
}

#[tokio::test]
async fn a_node_that_does_not_enforce_caa_leaves_the_look_to_one_that_does() {
    let mut scenario = Scenario::start().await;
    let asked = needed(&scenario, "h.localhost").await;
    scenario.given_back(asked).await;
    assert_eq!(scenario.events(1).await.len(), 4);
    scenario.stop().await;
}

#[tokio::test]
async fn an_order_fails_when_nobody_took_the_look_for_ten_minutes() {
    let mut scenario = Scenario::start().await;
    let since = now().minus(std::time::Duration::from_mins(10));
    let asked = needed_since(&scenario, "h.localhost", since).await;
    scenario.acknowledged(asked).await;
    match scenario.events(1).await.last() {
        Some(Event::CaaCheckFailed(it)) => assert_eq!(it.failure.kind, FailureKind::ServerInternal),
        other => panic!("{other:?}"),
    }
    assert_eq!(scenario.status(1).await, Status::Invalid);
    scenario.stop().await;
}
