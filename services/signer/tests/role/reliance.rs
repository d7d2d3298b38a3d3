//! No certificate on a pre-authorization that was given up or ended after the order was finalized, and none for an order
//! that waited while its account was deactivated or its key blocked.

use std::{sync::Arc, time::Duration};

use ca::KeyAlgorithm;
use domain::{
    AccountKey, FailureKind, Identifier, KeyHash, OrderId, PreAuthorizationId, ProfileName, Serial,
    Thumbprint,
    account::{self, Account, AccountCreated},
    certificate::{CertRevoked, RevocationReason},
    key_use::{self, Creation, KeyUse},
    order::{AuthorizationIndex, ChallengePlaced, Command, Order, OrderPlaced, Progress},
    pre_authorization::{self, PreAuthorization, PreAuthorizationPlaced, State},
};
use eventstore::{Loaded, MessageId, Subject, execute};
use readmodel::Aggregates;
use ring::digest::{SHA256, digest};

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

async fn deactivate_account(workshop: &Workshop) {
    let (aggregates, deactivate) = (aggregates(workshop), account::Command::Deactivate);
    aggregates.execute::<Account>(&account(), None, &deactivate, &context()).await.unwrap();
}

/// Revokes a certificate that the key has elsewhere.
async fn block(workshop: &Workshop, public_key: &[u8]) {
    let hash = digest(&SHA256, public_key);
    let key = KeyHash::from_hash(hash.as_ref().try_into().unwrap());
    let revoked = CertRevoked {
        issuer: workshop.authority().id().clone(),
        serial: Serial::from_random(&[7; 16]),
        reason: RevocationReason::KeyCompromise,
        at: now(),
        not_after: now().plus(HOUR),
    };
    aggregates(workshop).revoke(revoked, Some(key), &context()).await.unwrap();
}

/// The order ends without a certificate; returns what its owner is told.
async fn is_refused(workshop: &Workshop, order: &OrderId) -> String {
    let signer = workshop.start("signer").await;
    let ended = workshop.ended(order).await;
    signer.stop().await;
    let Progress::Invalid { failure } = ended else { panic!("{ended:?}") };
    assert_eq!(failure.kind, FailureKind::Unauthorized);
    failure.detail
}

async fn is_refused_without_a_serial(workshop: &Workshop, order: &OrderId) -> String {
    let told = is_refused(workshop, order).await;
    assert_eq!(workshop.audit().await.reserved_for(order).len(), 0);
    told
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
    deactivate_account(&workshop).await;
    is_refused_without_a_serial(&workshop, &order).await;
}

#[tokio::test]
async fn an_order_that_waited_while_its_account_was_deactivated_ends_without_a_serial() {
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    make_account(&workshop).await;
    let order = workshop.finalized_at(now().minus(HOUR), &public_key()).await;
    deactivate_account(&workshop).await;
    let told = is_refused_without_a_serial(&workshop, &order).await;
    assert_eq!(told, "the account was deactivated before the certificate was made");
}

#[tokio::test]
async fn an_order_that_waited_while_its_key_was_blocked_ends_without_a_serial() {
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    make_account(&workshop).await;
    let key = public_key();
    let order = workshop.finalized_at(now().minus(HOUR), &key).await;
    block(&workshop, &key).await;
    let told = is_refused_without_a_serial(&workshop, &order).await;
    assert_eq!(told, "the key was reported as compromised before the certificate was made");
}

#[tokio::test]
async fn an_order_that_waited_while_nothing_happened_is_issued() {
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    make_account(&workshop).await;
    let order = workshop.finalized_at(now().minus(HOUR), &public_key()).await;
    let signer = workshop.start("signer").await;
    assert!(matches!(workshop.ended(&order).await, Progress::Valid { .. }));
    signer.stop().await;
}

#[tokio::test]
async fn a_serial_that_was_not_signed_when_its_account_was_deactivated_is_burned() {
    let workshop = Workshop::new(KeyAlgorithm::Ed25519);
    make_account(&workshop).await;
    let order = workshop.finalized_at(now().minus(HOUR), &public_key()).await;
    workshop.kill_after_append("signer", &order).await;
    deactivate_account(&workshop).await;
    is_refused(&workshop, &order).await;
    let audit = workshop.audit().await;
    let reserved = audit.reserved_for(&order);
    assert_eq!(reserved.len(), 1);
    assert!(audit.revoked.contains(&reserved[0].serial));
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
