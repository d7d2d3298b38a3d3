//! The events of a key for external accounts.

use domain::external_key::{
    Event, ExternalKeyCreated, ExternalKeyDisabled, ExternalKeyRegistered, ExternalKeyUsed,
    SealedSecret, Uses,
};
use domain::{KeyFingerprint, SubjectPublicKey};

use super::{EventSchema, event, samples};
use crate::failure::Failure;

pub(super) fn events() -> Vec<Result<EventSchema, Failure>> {
    let created = ExternalKeyCreated {
        id: samples::external_key(),
        profile: samples::profile(),
        secret: SealedSecret(samples::TOKEN.to_owned()),
        uses: Uses::OneAccount,
        expires_at: Some(samples::days(30)),
        names: samples::names(),
        at: samples::at(0),
    };
    let registered = ExternalKeyRegistered {
        id: samples::external_key(),
        profile: samples::profile(),
        key: SubjectPublicKey(samples::DER.to_owned()),
        fingerprint: KeyFingerprint::from_hash(&[0x66; 32]),
        uses: Uses::AnyNumber,
        expires_at: Some(samples::days(365)),
        names: samples::names(),
        at: samples::at(0),
    };
    let used = ExternalKeyUsed { account: samples::account(), at: samples::at(0) };
    vec![
        event(Event::ExternalKeyCreated, created),
        event(Event::ExternalKeyRegistered, registered),
        event(Event::ExternalKeyUsed, used),
        event(Event::ExternalKeyDisabled, ExternalKeyDisabled {}),
    ]
}
