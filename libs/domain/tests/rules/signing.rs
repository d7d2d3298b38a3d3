//! Reserving, burning, issuing and failing.

use domain::order::{Command, Event, Rejection, Status};

use crate::fixtures::*;

fn reserved(number: u8) -> Event {
    Event::CertificateReserved(reservation(number))
}

fn issued(number: u8) -> Event {
    Event::CertificateIssued(issuing(number))
}

fn burned(number: u8) -> Event {
    Event::ReservationBurned(burning(number))
}

#[test]
fn one_serial_is_reserved_for_a_finalized_order() {
    let command = reserve(1);
    check(&processing_and(&[]), &command, &Ok(vec![reserved(1)]));
    check(&processing_and(&[reserved(2)]), &command, &Err(Rejection::AlreadyReserved));
    check(&processing_and(&[reserved(1)]), &command, &Err(Rejection::AlreadyReserved));
    check(&proven(), &command, &Err(Rejection::WrongStatus(Status::Pending)));
}

#[test]
fn the_certificate_of_the_reserved_serial_is_recorded_once() {
    let command = Command::RecordCertificate(issuing(1));
    check(&processing_and(&[reserved(1)]), &command, &Ok(vec![issued(1)]));
    check(&processing_and(&[reserved(1), issued(1)]), &command, &Ok(vec![]));
    let order = state(&processing_and(&[reserved(1), issued(1)])).unwrap();
    assert_eq!(order.status(at(EXPIRES * 2)), Status::Valid);
}

#[test]
fn a_second_certificate_is_refused() {
    let given = processing_and(&[reserved(1), issued(1)]);
    let valid = Err(Rejection::WrongStatus(Status::Valid));
    check(&given, &Command::RecordCertificate(issuing(2)), &valid);
    check(&given, &reserve(2), &valid);
    check(&given, &Command::RecordIssuanceFailure(giving_up()), &valid);
}

#[test]
fn a_certificate_without_its_reservation_is_refused() {
    let command = Command::RecordCertificate(issuing(1));
    check(&processing_and(&[]), &command, &Err(Rejection::NotReserved));
    check(&processing_and(&[reserved(2)]), &command, &Err(Rejection::NotReserved));
}

#[test]
fn a_burned_serial_makes_room_for_another() {
    let given = processing_and(&[reserved(1)]);
    check(&given, &Command::Burn(burning(1)), &Ok(vec![burned(1)]));
    check(&given, &Command::Burn(burning(2)), &Err(Rejection::NotReserved));
    let given = processing_and(&[reserved(1), burned(1)]);
    check(&given, &Command::RecordCertificate(issuing(1)), &Err(Rejection::NotReserved));
    check(&given, &reserve(2), &Ok(vec![reserved(2)]));
}

#[test]
fn issuance_fails_only_while_nothing_is_reserved() {
    let command = Command::RecordIssuanceFailure(giving_up());
    let failed = Event::IssuanceFailed(giving_up());
    check(&processing_and(&[]), &command, &Ok(vec![failed.clone()]));
    check(&processing_and(&[reserved(1)]), &command, &Err(Rejection::AlreadyReserved));
    let order = state(&processing_and(&[failed])).unwrap();
    assert_eq!(order.status(at(5)), Status::Invalid);
    assert_eq!(order.failure(), Some(&failure()));
}
