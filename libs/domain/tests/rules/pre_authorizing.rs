//! Pre-authorizations, and orders that rely on them.

use domain::{
    Aggregate as _, PreAuthorizationId, Thumbprint,
    order::{
        self, AuthorizationDeactivated, AuthorizationPlaced, AuthorizationStatus, ChallengeFailed,
        ChallengePlaced, ChallengeReady, ChallengeValidated, OrderPlaced, ReliedOn, Status,
    },
    pre_authorization::{
        Command, Event, PreAuthorization, PreAuthorizationPlaced, Rejection, State,
    },
};
use proptest::{collection::vec, prelude::*};

use crate::{fixtures::*, retrying::RETRIES};

fn pre_authorization() -> PreAuthorizationPlaced {
    let challenge = |kind| ChallengePlaced { kind, token: "token-A.example".into() };
    PreAuthorizationPlaced {
        id: PreAuthorizationId::from_random(&[5; 16]),
        profile: "default".parse().unwrap(),
        account: account(),
        identifier: name("A.example"),
        challenges: [HTTP, DNS].map(challenge).into(),
        at: at(0),
        expires_at: at(EXPIRES),
    }
}

fn begun() -> Event {
    Event::PreAuthorizationPlaced(pre_authorization())
}

fn response(seconds: i64) -> Command {
    let thumbprint = Thumbprint("thumb".into());
    Command::RespondToChallenge { challenge: HTTP, thumbprint, now: at(seconds) }
}

fn asked() -> Event {
    Event::ChallengeReady(ChallengeReady {
        authorization: index(0),
        challenge: HTTP,
        identifier: name("A.example"),
        wildcard: false,
        round: 1,
        token: "token-A.example".into(),
        key_authorization: "token-A.example.thumb".into(),
        account: account(),
        profile: "default".parse().unwrap(),
    })
}

fn proof() -> ChallengeValidated {
    challenge_validated(0, HTTP)
}

fn failure_of() -> ChallengeFailed {
    challenge_failed(0, HTTP)
}

fn given_up() -> Event {
    Event::AuthorizationDeactivated(AuthorizationDeactivated { authorization: index(0) })
}

fn proven_before() -> Vec<Event> {
    vec![begun(), asked(), Event::ChallengeValidated(proof())]
}

fn fold(given: &[Event]) -> Option<State> {
    PreAuthorization::fold(None, given)
}

fn decided(given: &[Event], when: &Command, then: &Result<Vec<Event>, Rejection>) {
    assert_eq!(&PreAuthorization::decide(fold(given).as_ref(), when), then);
}

fn status(given: &[Event], seconds: i64) -> AuthorizationStatus {
    fold(given).unwrap().status(at(seconds))
}

#[test]
fn a_pre_authorization_is_made_once() {
    decided(&[], &Command::Place(pre_authorization()), &Ok(vec![begun()]));
    decided(&[begun()], &Command::Place(pre_authorization()), &Err(Rejection::AlreadyExists));
    decided(&[], &response(1), &Err(Rejection::NotFound));
}

#[test]
fn a_wildcard_is_not_authorized_before_an_order() {
    let wild = PreAuthorizationPlaced { identifier: name("*.a.example"), ..pre_authorization() };
    decided(&[], &Command::Place(wild), &Err(Rejection::Incomplete));
    let unprovable = PreAuthorizationPlaced { challenges: vec![], ..pre_authorization() };
    decided(&[], &Command::Place(unprovable), &Err(Rejection::Incomplete));
}

#[test]
fn a_pre_authorization_that_ends_as_it_begins_is_refused() {
    let ended = PreAuthorizationPlaced { expires_at: at(0), ..pre_authorization() };
    decided(&[], &Command::Place(ended), &Err(Rejection::Incomplete));
}

#[test]
fn a_pre_authorization_is_proven_as_an_orders_is() {
    decided(&[begun()], &response(1), &Ok(vec![asked()]));
    decided(&[begun(), asked()], &response(1), &Ok(vec![]));
    let seen = Command::RecordValidation(proof());
    decided(&[begun(), asked()], &seen, &Ok(vec![Event::ChallengeValidated(proof())]));
    decided(&proven_before(), &seen, &Ok(vec![]));
    assert_eq!(status(&[begun()], 1), AuthorizationStatus::Pending);
    assert_eq!(status(&proven_before(), 3), AuthorizationStatus::Valid);
    assert_eq!(status(&proven_before(), EXPIRES), AuthorizationStatus::Expired);
}

#[test]
fn a_failure_is_final_unless_it_is_worth_looking_again() {
    let given = [begun(), asked()];
    let fail = |retries| Command::RecordFailure { failed: failure_of(), retries };
    let failed = Event::ChallengeFailed(failure_of());
    decided(&given, &fail(None), &Ok(vec![failed.clone()]));
    let again = PreAuthorization::decide(fold(&given).as_ref(), &fail(Some(RETRIES))).unwrap();
    assert!(matches!(again.as_slice(), [Event::ChallengeAttemptFailed(_)]), "{again:?}");
    let lost = [begun(), asked(), failed];
    assert_eq!(status(&lost, 3), AuthorizationStatus::Invalid);
    decided(&lost, &Command::Deactivate { now: at(3) }, &Err(Rejection::Ended));
}

#[test]
fn what_ended_is_not_proven() {
    let now = EXPIRES;
    decided(&[begun()], &response(now), &Err(Rejection::NotPending));
    let seen = Command::RecordValidation(proof());
    decided(&[begun(), asked(), given_up()], &seen, &Ok(vec![]));
    decided(&[begun()], &seen, &Err(Rejection::NotPending));
    let other = ChallengeValidated { identifier: name("b.example"), ..proof() };
    let other = Command::RecordValidation(other);
    decided(&[begun(), asked()], &other, &Err(Rejection::WrongIdentifier));
}

#[test]
fn a_pre_authorization_is_given_up_once_and_for_ever() {
    let give_up = Command::Deactivate { now: at(3) };
    decided(&proven_before(), &give_up, &Ok(vec![given_up()]));
    let after = [proven_before(), vec![given_up()]].concat();
    decided(&after, &give_up, &Ok(vec![]));
    assert_eq!(status(&after, 3), AuthorizationStatus::Deactivated);
    assert_eq!(fold(&after).unwrap().as_proof(at(3)), None);
}

#[test]
fn a_valid_pre_authorization_is_a_proof_until_it_ends() {
    let state = fold(&proven_before()).unwrap();
    let proof = state.as_proof(at(3)).unwrap();
    assert_eq!(proof.challenges.iter().map(|it| it.kind).collect::<Vec<_>>(), [HTTP]);
    assert_eq!(proof.relies_on.unwrap().validated_at, at(2));
    assert_eq!(state.as_proof(at(EXPIRES)), None);
    assert_eq!(fold(&[begun(), asked()]).unwrap().as_proof(at(3)), None);
}

/// An order whose first name was proven before.
fn relying() -> OrderPlaced {
    let mut placed = order_placed();
    placed.authorizations[0] = fold(&proven_before()).unwrap().as_proof(at(3)).unwrap();
    placed
}

fn placed_relying() -> order::Event {
    order::Event::OrderPlaced(relying())
}

fn relied_on(change: impl FnOnce(&mut AuthorizationPlaced, &mut ReliedOn)) -> OrderPlaced {
    let mut placed = relying();
    let authorization = &mut placed.authorizations[0];
    let mut relied_on = authorization.relies_on.take().unwrap();
    change(authorization, &mut relied_on);
    authorization.relies_on = Some(relied_on);
    placed
}

#[test]
fn an_order_that_relies_on_a_proof_is_ready_when_the_rest_is_proven() {
    check(&[], &order::Command::Place(relying()), &Ok(vec![placed_relying()]));
    let given = [placed_relying()];
    assert_eq!(state(&given).unwrap().status(at(3)), Status::Pending);
    let given = [placed_relying(), ready(1, DNS), validated(1, DNS)];
    assert_eq!(state(&given).unwrap().status(at(3)), Status::Ready);
    check(&given, &finalize(&["a.example", "*.b.example"], 3), &Ok(vec![finalized()]));
    // What was proven by itself is found by itself.
    assert_eq!(state(&given).unwrap().proven(at(3)).collect::<Vec<_>>(), ["*.b.example"]);
}

#[test]
fn an_order_loses_what_was_given_up() {
    let lost = order::Event::AuthorizationDeactivated(AuthorizationDeactivated {
        authorization: index(0),
    });
    let given = [placed_relying(), ready(1, DNS), validated(1, DNS)];
    let give_up = order::Command::DeactivateAuthorization { authorization: index(0), now: at(3) };
    check(&given, &give_up, &Ok(vec![lost.clone()]));
    let given = [given.as_slice(), &[lost]].concat();
    let refused = order::Rejection::WrongStatus(Status::Invalid);
    check(&given, &finalize(&["a.example", "*.b.example"], 3), &Err(refused));
}

#[test]
fn an_order_relies_on_nothing_that_could_end_before_it() {
    let outlived = relied_on(|_, relied_on| relied_on.expires_at = at(EXPIRES - 1));
    let wild = {
        let mut placed = relying();
        placed.identifiers.swap(0, 1);
        placed.authorizations.swap(0, 1);
        placed.authorizations[0].relies_on = placed.authorizations[1].relies_on.take();
        placed
    };
    let alternatives = relied_on(|authorization, _| {
        authorization.challenges.push(ChallengePlaced { kind: DNS, token: "token".into() });
    });
    let proven_too_late = relied_on(|_, relied_on| relied_on.validated_at = at(EXPIRES));
    for refused in [outlived, wild, alternatives, proven_too_late] {
        check(&[], &order::Command::Place(refused), &Err(order::Rejection::Incomplete));
    }
}

#[test]
fn the_age_of_the_look_at_caa_is_that_of_the_pre_authorization() {
    let looked_at = relied_on(|_, relied_on| relied_on.caa_checked_at = Some(at(2)));
    let order = state(&[order::Event::OrderPlaced(looked_at)]).unwrap();
    assert!(!order.authorizations[0].is_caa_stale(at(2)));
    assert!(order.authorizations[0].is_caa_stale(at(3)));
    assert!(state(&[placed_relying()]).unwrap().authorizations[0].is_caa_stale(at(0)));
}

/// Any command at any time, right or wrong.
fn command() -> impl Strategy<Value = (Command, i64)> {
    let seconds = prop_oneof![4 => 0..EXPIRES, 1 => EXPIRES..EXPIRES * 2];
    (seconds, 0..6u8, any::<bool>()).prop_map(|(seconds, which, retried)| {
        let retries = retried.then_some(RETRIES);
        let command = match which {
            0 => Command::Place(pre_authorization()),
            1 | 2 => response(seconds),
            3 => Command::RecordValidation(proof()),
            4 => Command::RecordFailure { failed: failure_of(), retries },
            _ => Command::Deactivate { now: at(seconds) },
        };
        (command, seconds)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_has_ended_never_becomes_a_proof_again(mut commands in vec(command(), 1..40)) {
        commands.sort_by_key(|(_, seconds)| *seconds);
        let (mut state, mut ended) = (None, false);
        for (command, seconds) in commands {
            if let Ok(events) = PreAuthorization::decide(state.as_ref(), &command) {
                state = PreAuthorization::fold(state, &events);
            }
            let Some(state) = &state else { continue };
            let valid = match state.status(at(seconds)) {
                AuthorizationStatus::Pending => false,
                AuthorizationStatus::Valid => true,
                AuthorizationStatus::Invalid
                | AuthorizationStatus::Deactivated
                | AuthorizationStatus::Expired => {
                    ended = true;
                    false
                }
            };
            assert!(!(valid && ended), "{state:?}");
            assert_eq!(state.as_proof(at(seconds)).is_some(), valid);
        }
    }
}
