//! What no sequence of commands may reach.

use domain::{
    Aggregate as _, Timestamp,
    order::{AuthorizationStatus, Command, Event, Order, State, Status},
};
use proptest::{collection::vec, prelude::*};

use crate::{caa, fixtures::*, retrying::RETRIES};

/// Any command at any time, right or wrong.
fn command() -> impl Strategy<Value = (Command, i64)> {
    let place = 0..3u16;
    let kind = prop_oneof![Just(HTTP), Just(DNS)];
    let seconds = prop_oneof![4 => 0..EXPIRES, 1 => EXPIRES..EXPIRES * 2];
    let number = 0..3u8;
    let names = prop_oneof![
        3 => Just(vec!["a.example", "*.b.example"]),
        1 => Just(vec!["a.example"]),
        1 => Just(vec!["a.example", "b.example"]),
    ];
    (place, kind, seconds, number, names, 0..13u8).prop_map(
        |(place, kind, seconds, number, names, which)| {
            let known = place.min(1);
            let command = match which {
                0 => Command::Place(order_placed()),
                1 | 2 => respond(place, kind, seconds),
                3 | 4 => Command::RecordValidation(challenge_validated(known, kind)),
                5 => Command::RecordFailure {
                    failed: challenge_failed(known, kind),
                    retries: (number > 0).then_some(RETRIES),
                },
                6 => finalize(&names, seconds),
                7 => Command::Reserve {
                    reserved: reservation(number),
                    caa_since: (number == 2).then_some(at(seconds)),
                },
                11 => Command::RecordCertificate(issuing(number)),
                8 => Command::RequestCaaCheck { since: at(seconds) },
                9 => Command::RecordCaa(caa::checked(known, seconds)),
                10 if number == 0 => Command::RecordCaaFailure(caa::check_failed(known, seconds)),
                _ if number == 0 => Command::RecordIssuanceFailure(giving_up()),
                _ if number == 1 => Command::DeactivateAuthorization {
                    authorization: index(place),
                    now: at(seconds),
                },
                _ => Command::Burn(burning(number)),
            };
            (command, seconds)
        },
    )
}

/// How far a status is along its way; a status may only move to a higher one.
fn rank(status: Status) -> u8 {
    match status {
        Status::Pending => 0,
        Status::Ready => 1,
        Status::Processing => 2,
        Status::Valid | Status::Invalid => 3,
    }
}

fn all_authorizations_valid(order: &State, seconds: i64) -> bool {
    order.authorizations.iter().all(|authorization| {
        order.authorization_status(authorization, at(seconds)) == AuthorizationStatus::Valid
    })
}

/// Runs commands in the order of their times, handing each step's states and events to the check.
fn run(
    given: &[Event],
    mut commands: Vec<(Command, i64)>,
    mut check: impl FnMut(Option<&State>, &State, &[Event], i64),
) {
    commands.sort_by_key(|(_, seconds)| *seconds);
    let mut order = state(given);
    for (command, seconds) in commands {
        let Ok(events) = Order::decide(order.as_ref(), &command) else { continue };
        let before = order.clone();
        order = Order::fold(order, &events);
        if let Some(after) = &order {
            check(before.as_ref(), after, &events, seconds);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_order_is_finalized_without_every_authorization_valid(
        from_proven in any::<bool>(), commands in vec(command(), 1..60),
    ) {
        let given = if from_proven { proven() } else { vec![placed()] };
        run(&given, commands, |before, after, events, seconds| {
            if events.iter().any(|event| matches!(event, Event::OrderFinalized(_))) {
                assert!(all_authorizations_valid(before.unwrap(), seconds));
            }
            if matches!(after.status(at(seconds)), Status::Processing | Status::Valid) {
                assert!(all_authorizations_valid(after, 0), "{after:?}");
            }
        });
    }

    #[test]
    fn no_order_gets_a_second_certificate(commands in vec(command(), 1..60)) {
        let mut certificates = 0;
        run(&processing_and(&[]), commands, |_, _, events, _| {
            certificates += events.iter().filter(|e| matches!(e, Event::CertificateIssued(_))).count();
            assert!(certificates <= 1);
        });
    }

    #[test]
    fn no_serial_is_reserved_on_a_look_at_caa_that_is_too_long_ago(commands in vec(command(), 1..60)) {
        let since: Vec<(Event, Timestamp)> = commands
            .iter()
            .filter_map(|(command, _)| match command {
                Command::Reserve { reserved, caa_since: Some(since) } => {
                    Some((Event::CertificateReserved(reserved.clone()), *since))
                }
                _ => None,
            })
            .collect();
        run(&processing_and(&[]), commands, |before, _, events, seconds| {
            for (reserved, since) in &since {
                if *since == at(seconds) && events.contains(reserved) {
                    assert!(!before.unwrap().is_caa_stale(*since));
                }
            }
        });
    }

    #[test]
    fn no_status_steps_back(from_proven in any::<bool>(), commands in vec(command(), 1..60)) {
        let given = if from_proven { proven() } else { vec![] };
        let mut last: Option<Status> = None;
        run(&given, commands, |_, after, _, seconds| {
            let status = after.status(at(seconds));
            if let Some(last) = last {
                assert!(rank(status) > rank(last) || status == last, "{last:?} to {status:?}");
            }
            last = Some(status);
        });
    }
}
