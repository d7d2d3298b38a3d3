//! Plans an order's certificate, or says why there can be none.

use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use ca::{LeafRequest, PlanError, PlannedCertificate, SubjectName};
use domain::{
    Failure, FailureKind, Serial,
    order::{Progress, State},
};
use ring::rand::{SecureRandom as _, SystemRandom};
use tracing::warn;

use crate::{
    IssuanceError,
    desk::{Desk, now},
    issuers::Issuer,
};

/// How long an order of a profile that is not configured here waits: a new one is known to the api first, as the signer is
/// restarted last.
const PROFILE_PATIENCE: Duration = Duration::from_mins(10);

/// The certificate of an order, or with what the order fails. An error means that it is tried again.
///
/// The rules of the order's profile at this moment are pinned in the bytes to sign: a later change of the configuration
/// cannot make two certificates of one reservation (Let's Encrypt, 15 June 2023).
pub(super) fn plan(
    desk: &Desk,
    issuer: &Issuer,
    order: &State,
) -> Result<Result<PlannedCertificate, Failure>, IssuanceError> {
    let failed = |detail: &str| Ok(Err(Failure::new(FailureKind::ServerInternal, detail)));
    let Progress::Processing(finalized) = &order.progress else {
        return failed("the order is not being processed");
    };
    let Some(profile) = desk.settings.profiles.get(&order.profile) else {
        let is_known = desk.settings.disabled.contains(&order.profile);
        if !is_known && finalized.at.until(now()) < PROFILE_PATIENCE {
            return Err(IssuanceError::UnknownProfile(order.profile.clone()));
        }
        return failed("the order's profile is disabled or no longer configured");
    };
    let Ok(public_key) = BASE64_URL_SAFE_NO_PAD.decode(&finalized.public_key.0) else {
        return failed("the order's key cannot be read");
    };
    let names: Vec<SubjectName> = order.identifiers.iter().map(SubjectName::from).collect();
    if let Some(failure) = not_permitted(issuer, &names) {
        warn!(order = %order.id, failure = failure.detail, "certificate not planned");
        return Ok(Err(failure));
    }
    let serial = random_serial()?;
    let request = LeafRequest {
        names: &names,
        common_name: finalized.common_name.as_deref(),
        public_key: &public_key,
        not_before: order.not_before,
        not_after: order.not_after,
        asked_at: order.placed_at,
        now: now(),
        serial: &serial,
    };
    match ca::plan(&issuer.authority, profile, &request) {
        Ok(planned) => Ok(Ok(planned)),
        Err(error) => {
            warn!(order = %order.id, error = &error as &dyn std::error::Error, "certificate not planned");
            Ok(Err(plan_failure(&error)))
        }
    }
}

/// What is wrong with names that the issuer's own certificate forbids: nobody could verify theirs.
fn not_permitted(issuer: &Issuer, names: &[SubjectName]) -> Option<Failure> {
    let name = names.iter().find(|name| !issuer.authority.permits(name))?;
    let detail = format!("the issuer's certificate does not permit {name}");
    Some(Failure::new(FailureKind::RejectedIdentifier, &detail))
}

fn plan_failure(error: &PlanError) -> Failure {
    match error {
        PlanError::Names => Failure::new(FailureKind::RejectedIdentifier, &error.to_string()),
        PlanError::PublicKey(_) | PlanError::Validity | PlanError::BeyondIssuer { .. } => {
            Failure::new(FailureKind::Unauthorized, &error.to_string())
        }
        // Nothing a client can do, but its operator then knows whom to tell what.
        PlanError::IssuerNotValid | PlanError::AboveNotValid => {
            Failure::new(FailureKind::ServerInternal, &error.to_string())
        }
        PlanError::Build(_) | PlanError::Mismatch => {
            Failure::new(FailureKind::ServerInternal, "the certificate cannot be made")
        }
    }
}

/// A serial that no other certificate has.
pub(crate) fn random_serial() -> Result<Serial, IssuanceError> {
    let mut random = [0; 16];
    SystemRandom::new().fill(&mut random).map_err(|_| IssuanceError::Random)?;
    Ok(Serial::from_random(&random))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_of_a_serial_but_those_of_its_first_octet_is_random() {
        let made: Vec<Vec<u8>> = (0..100).map(|_| random_serial().unwrap().octets()).collect();
        for at in 1..17 {
            let octets = || made.iter().map(|serial| serial[at]);
            let (set, unset) = (octets().fold(0, |a, b| a | b), octets().fold(0xff, |a, b| a & b));
            assert_eq!((set, unset), (0xff, 0), "octet {at}");
        }
    }
}
