//! Rules about the values of one profile.

use std::{collections::BTreeSet, time::Duration};

use domain::IdentifierType;

use super::{DAY, MAX_RETRY_AFTER, MINUTE, Problems, SECOND, YEAR, between, check_caa_identities};
use crate::config::{Config, Keys, Profile, key::Key};

/// Checks a profile.
pub(super) fn check(config: &Config, profile: &Profile, problems: &mut Problems) {
    check_terms(profile, problems);
    check_challenges(profile, problems);
    check_times(profile, problems);
    check_certificates(profile, problems);
    check_keys(problems, profile, "account_keys", &profile.account_keys);
    check_keys(problems, profile, "certificate_keys", &profile.certificate_keys);
    check_validation(config, profile, problems);
}

fn check_terms(profile: &Profile, problems: &mut Problems) {
    let key = |field: &str| Key::of(&profile.name, field);
    problems.require(
        !profile.terms_required || profile.terms_of_service.is_some(),
        key("terms_required"),
        "must be false unless terms_of_service is given",
    );
    for (field, holds) in [
        ("terms_change_url", profile.terms_change_url.is_none()),
        ("terms_approval_required", !profile.terms_approval_required),
        ("terms_agreed_by_account", !profile.terms_agreed_by_account),
    ] {
        problems.require(
            holds || profile.terms_of_service.is_some(),
            key(field),
            "must not be set unless terms_of_service is given",
        );
    }
}

fn check_challenges(profile: &Profile, problems: &mut Problems) {
    let key = |field: &str| Key::of(&profile.name, field);
    let names = profile.identifier_types.contains(&IdentifierType::Dns);
    let addresses = profile.identifier_types.contains(&IdentifierType::Ip);
    problems.require(
        names || addresses,
        key("identifier_types"),
        "must have at least one of \"dns\", \"ip\"",
    );
    problems.require(
        !names || !profile.challenge_types.is_empty(),
        key("challenge_types"),
        "must have at least one of \"http-01\", \"dns-01\", \"tls-alpn-01\"",
    );
    problems.require(
        profile.ip_challenge_types.iter().all(|kind| kind.proves(IdentifierType::Ip))
            && !(addresses && profile.ip_challenge_types.is_empty()),
        key("ip_challenge_types"),
        "must have at least one of \"http-01\", \"tls-alpn-01\", and no other",
    );
    problems.require(
        !(names && profile.wildcard_allowed && profile.wildcard_challenges().is_empty()),
        key("wildcard_allowed"),
        "must be false unless challenge_types has \"dns-01\"",
    );
    problems.require(
        (1..=Profile::MAX_IDENTIFIERS).contains(&profile.max_identifiers),
        key("max_identifiers"),
        format!("must be from 1 to {}", Profile::MAX_IDENTIFIERS),
    );
}

fn check_times(profile: &Profile, problems: &mut Problems) {
    let key = |field: &str| Key::of(&profile.name, field);
    let order_validity = profile.order_validity.get();
    between(problems, key("order_validity"), order_validity, 5 * MINUTE..=30 * DAY);
    if let Some(validity) = profile.authorization_validity {
        let validity = validity.get();
        between(problems, key("authorization_validity"), validity, 5 * MINUTE..=30 * DAY);
    }
    let pre_authorization = profile.pre_authorization_validity.get();
    between(problems, key("pre_authorization_validity"), pre_authorization, SECOND..=YEAR);
    problems.require(
        profile.pre_authorizations_per_hour.is_none_or(|most| (1..=1_000_000).contains(&most)),
        key("pre_authorizations_per_hour"),
        "must be from 1 to 1000000",
    );
    if let Some(retry_after) = profile.retry_after {
        let retry_after = retry_after.get();
        between(problems, key("retry_after"), retry_after, SECOND..=MAX_RETRY_AFTER);
        let whole = retry_after.subsec_nanos() == 0;
        problems.require(whole, key("retry_after"), "must be whole seconds");
    }
}

fn check_certificates(profile: &Profile, problems: &mut Problems) {
    let key = |field: &str| Key::of(&profile.name, field);
    let validity = profile.certificate_validity.get();
    between(problems, key("certificate_validity"), validity, 5 * MINUTE..=10 * YEAR);
    between(problems, key("backdate"), profile.backdate.get(), Duration::ZERO..=DAY);
    problems.require(
        profile.backdate.get() < validity,
        key("backdate"),
        "must be less than certificate_validity",
    );
    problems.require(
        profile.min_requested_validity.get() <= validity,
        key("min_requested_validity"),
        "must not be longer than certificate_validity",
    );
    let distinct: BTreeSet<_> = profile.extended_key_usages.iter().collect();
    problems.require(
        !distinct.is_empty() && distinct.len() == profile.extended_key_usages.len(),
        key("extended_key_usages"),
        "must have at least one of \"serverAuth\", \"clientAuth\", \"codeSigning\", \"emailProtection\", \"ipsecIKE\", each once",
    );
}

fn check_keys(problems: &mut Problems, profile: &Profile, field: &str, keys: &Keys) {
    problems.require(
        !keys.types.is_empty(),
        Key::of(&profile.name, format!("{field}.types")),
        "must have at least one of \"rsa\", \"p256\", \"p384\", \"ed25519\"",
    );
    let (least, most) = (Keys::LEAST_RSA_BITS, Keys::MOST_RSA_BITS);
    problems.require(
        least <= keys.min_rsa_bits
            && keys.min_rsa_bits <= keys.max_rsa_bits
            && keys.max_rsa_bits <= most,
        Key::of(&profile.name, format!("{field}.min_rsa_bits, {field}.max_rsa_bits")),
        format!("must be from {least} to {most}, the first not above the second"),
    );
}

fn check_validation(config: &Config, profile: &Profile, problems: &mut Problems) {
    let key = |field: &str| Key::of(&profile.name, format!("validation.{field}"));
    if let Some(identities) = &profile.validation.caa_identities {
        check_caa_identities(problems, &key("caa_identities"), identities);
    }
    if let Some(ports) = &profile.validation.redirect_ports {
        problems.require(!ports.contains(&0), key("redirect_ports"), "must be from 1 to 65535");
    }
    let both = config.validation_of(profile);
    problems.require(
        profile.validation.dnssec_required != Some(true) || both.trust_anchor.is_some(),
        key("dnssec_required"),
        "must be false unless trust_anchor is set: nothing could be proven",
    );
}
