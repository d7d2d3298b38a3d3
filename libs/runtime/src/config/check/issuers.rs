//! Rules about issuing CAs and the profiles that name them.

use std::collections::BTreeSet;

use domain::IssuerName;

use super::{Ca, Config, Key, Problems, between};

pub(super) fn check(config: &Config, problems: &mut Problems) {
    let mut names = BTreeSet::new();
    for issuer in &config.ca.issuer {
        let name = &issuer.name;
        let key = |field: &str| Key::of_issuer(name, field);
        problems.require(names.insert(name), key("name"), "is used twice");
        let ca = config.ca.of(Some(name));
        // RFC 5280, ub-common-name.
        problems.require(
            (1..=64).contains(&ca.intermediate_name.chars().count()),
            key("intermediate_name"),
            "must have 1 to 64 characters",
        );
        let validity = ca.intermediate_validity.get();
        between(problems, key("intermediate_validity"), validity, Ca::VALIDITY);
    }
    let there: Vec<_> = names.iter().map(|name| name.as_str()).collect();
    for profile in &config.profiles {
        let found = profile.issuer.as_ref().is_none_or(|issuer| names.contains(issuer));
        problems.require(
            found,
            Key::of(&profile.name, "issuer"),
            match there.as_slice() {
                [] => "must be left out unless there is a [[ca.issuer]] of that name".to_owned(),
                there => format!("must be the name of a [[ca.issuer]]: {}", there.join(", ")),
            },
        );
    }
}

/// Checks the preferred roots of an issuer's profiles against those that its chains lead to.
pub(in crate::config) fn roots(
    config: &Config,
    issuer: Option<&IssuerName>,
    there: &[String],
) -> Problems {
    let mut problems = Problems::default();
    for profile in config.profiles.iter().filter(|profile| profile.issuer.as_ref() == issuer) {
        let found = profile.preferred_root.as_ref().is_none_or(|root| there.contains(root));
        problems.require(
            found,
            Key::of(&profile.name, "preferred_root"),
            format!(
                "must be the common name of a root that the chains lead to: {}",
                there.join(", ")
            ),
        );
    }
    problems
}
