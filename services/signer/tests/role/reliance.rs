//! No certificate on a pre-authorization that was given up or ended after the order was finalized.

use std::{sync::Arc, time::Duration};

use ca::KeyAlgorithm;
use domain::{
    AccountKey, FailureKind, Identifier, OrderId, PreAuthorizationId, ProfileName, Thumbprint,
    account::{self, Account, AccountCreated},
    key_use::{self, Creation, KeyUse},
    order::{AuthorizationIndex, ChallengePlaced, Command, Order, OrderPlaced, Progress},
    pre_authorization::{self, PreAuthorization, PreAuthorizationPlaced, State},
};
use eventstore::{Loaded, MessageId, Subject, execute};
use readmodel::Aggregates;

use crate::{
    applicant::{account, challenge_validated, context, finalize, new_order_id, public_key},
    workshop::{Workshop, now, until},
};

const NAME: &str = "www.example.org";
const HOUR: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_millis(500);

fn aggregates(workshop: &Workshop) -> Aggregates {
    Aggregates { store: Arc::new(workshop.log.clone()), views: Arc::clone(&workshop.views) }
}

async fn make_account(workshop: &Workshop) {
    let account = AccountCreated {
        id: account(),
        profile: ProfileName::default(),
        key: AccountKey { jwk: "{}".into(), thumbprint: Thumbprint("thumbprint".into()) },
        contact: vec![],
        terms_of_service_agreed: false,
        at: now(),
    };
    let (subject, loaded) = (Subject::account(&account.id), Loaded::default());
    let create: key_use::Command = Creation::from(account).into();
    execute::<KeyUse>(&workshop.log, &subject, loaded, &create, &context()).await.unwrap();
}

async fn lead(
    workshop: &Workshop,
    id: &PreAuthorizationId,
    command: pre_authorization::Command,
) -> State {
    let (aggregates, context) = (aggregates(workshop), context());
    let led = aggregates.execute::<PreAuthorization>(id, None, &command, &context).await;
    Arc::unwrap_or_clone(led.unwrap().state)
}

/// A pre-authorization that is valid for a while.
async fn proven(workshop: &Workshop, validity: Duration) -> State {
    let id: PreAuthorizationId = MessageId::random().as_str().parse().unwrap();
    let identifier = Identifier::Dns(NAME.parse().unwrap());
    let validated = challenge_validated(AuthorizationIndex::FIRST, identifier.clone());
    let placed = PreAuthorizationPlaced {
        id: id.clone(),
        profile: ProfileName::default(),
        account: account(),
        identifier,
        challenges: vec![ChallengePlaced { kind: validated.challenge, token: "token".into() }],
        at: now(),
        expires_at: now().plus(validity),
    };
    let respond = pre_authorization::Command::RespondToChallenge {
        challenge: validated.challenge,
        thumbprint: Thumbprint("thumbprint".into()),
        now: now(),
    };
    lead(workshop, &id, pre_authorization::Command::Place(placed)).await;
    lead(workshop, &id, respond).await;
    lead(workshop, &id, pre_authorization::Command::RecordValidation(validated)).await
}

/// A finalized order that relies on it.
async fn relying(workshop: &Workshop, proven: &State) -> OrderId {
    let id = new_order_id();
    let placed = Command::Place(OrderPlaced {
        id: id.clone(),
        profile: ProfileName::default(),
        account: account(),
        identifiers: vec![proven.authorization.identifier.clone()],
        not_before: None,
        not_after: None,
        at: now(),
        expires_at: proven.expires_at,
        authorizations: vec![proven.as_proof(now()).unwrap()],
    });
    let aggregates = aggregates(workshop);
    for command in [placed, finalize(&[NAME], &public_key())] {
        aggregates.execute::<Order>(&id, None, &command, &context()).await.unwrap();
    }
    id
}

async fn give_up(workshop: &Workshop, proven: &State) {
    let give_up = pre_authorization::Command::Deactivate { now: now() };
    lead(workshop, &proven.id, give_up).await;
}

/// The order ends without a certificate.
async fn is_refused(workshop: &Workshop, order: &OrderId) {
    let signer = workshop.start("signer").await;
    match workshop.ended(order).await {
        Progress::Invalid { failure } => assert_eq!(failure.kind, FailureKind::Unauthorized),
        other => panic!("{other:?}"),
    }
    signer.stop().await;
}

async fn is_refused_without_a_serial(workshop: &Workshop, order: &OrderId) {
    is_refused(workshop, order).await;
    assert_eq!(workshop.audit().await.reserved_for(order).len(), 0);
}

#[tokio::test]
async fn a_valid_pre_authorization_is_relied_on() {
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    make_account(&workshop).await;
    let order = relying(&workshop, &proven(&workshop, HOUR).await).await;
    let signer = workshop.start("signer").await;
    assert!(matches!(workshop.ended(&order).await, Progress::Valid { .. }));
    signer.stop().await;
}

#[tokio::test]
async fn an_order_whose_pre_authorization_was_given_up_meanwhile_ends_without_a_serial() {
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    make_account(&workshop).await;
    let proven = proven(&workshop, HOUR).await;
    let order = relying(&workshop, &proven).await;
    give_up(&workshop, &proven).await;
    is_refused_without_a_serial(&workshop, &order).await;
}

#[tokio::test]
async fn an_order_whose_pre_authorization_expired_meanwhile_ends_without_a_serial() {
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    make_account(&workshop).await;
    let proven = proven(&workshop, SOON).await;
    let order = relying(&workshop, &proven).await;
    until("it has expired", async || (now() >= proven.expires_at).then_some(())).await;
    is_refused_without_a_serial(&workshop, &order).await;
}

#[tokio::test]
async fn an_order_whose_account_was_deactivated_meanwhile_relies_on_nothing() {
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    make_account(&workshop).await;
    let order = relying(&workshop, &proven(&workshop, HOUR).await).await;
    let deactivate = account::Command::Deactivate;
    let aggregates = aggregates(&workshop);
    aggregates.execute::<Account>(&account(), None, &deactivate, &context()).await.unwrap();
    is_refused_without_a_serial(&workshop, &order).await;
}

#[tokio::test]
async fn a_serial_that_was_not_signed_when_its_pre_authorization_was_given_up_is_burned() {
    let workshop = Workshop::new(KeyAlgorithm::Ed25519);
    make_account(&workshop).await;
    let proven = proven(&workshop, HOUR).await;
    let order = relying(&workshop, &proven).await;
    workshop.kill_after_append("signer", &order).await;
    give_up(&workshop, &proven).await;
    is_refused(&workshop, &order).await;
    assert_eq!(workshop.audit().await.reserved_for(&order).len(), 1);
}
