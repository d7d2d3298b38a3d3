//! Asking for the certificate.

use domain::order::{Event, Rejection, Status};

use crate::fixtures::*;

const NAMES: [&str; 2] = ["a.example", "*.b.example"];

#[test]
fn a_ready_order_is_finalized() {
    check(&proven(), &finalize(&NAMES, 3), &Ok(vec![finalized()]));
    let order = state(&processing_and(&[])).unwrap();
    assert_eq!(order.status(at(3)), Status::Processing);
}

#[test]
fn a_pending_order_cannot_be_finalized() {
    check(&[placed()], &finalize(&NAMES, 3), &Err(Rejection::WrongStatus(Status::Pending)));
}

#[test]
fn an_order_is_not_finalized_twice() {
    let given = processing_and(&[]);
    check(&given, &finalize(&NAMES, 3), &Err(Rejection::WrongStatus(Status::Processing)));
}

#[test]
fn an_issued_order_is_not_finalized_again() {
    let given = processing_and(&[
        Event::CertificateReserved(reservation(1)),
        Event::CertificateIssued(issuing(1)),
    ]);
    check(&given, &finalize(&NAMES, 3), &Err(Rejection::WrongStatus(Status::Valid)));
}

#[test]
fn an_expired_order_cannot_be_finalized() {
    check(&proven(), &finalize(&NAMES, EXPIRES), &Err(Rejection::WrongStatus(Status::Invalid)));
}

#[test]
fn other_names_than_the_orders_are_refused() {
    for names in [
        &["a.example"][..],
        &["a.example", "b.example"],
        &["a.example", "*.b.example", "c.example"],
        &[],
    ] {
        check(&proven(), &finalize(names, 3), &Err(Rejection::NamesDiffer));
    }
}

#[test]
fn names_may_repeat_and_come_in_any_order() {
    let names = ["*.b.example", "a.example", "*.b.example"];
    check(&proven(), &finalize(&names, 3), &Ok(vec![finalized()]));
}
