//! Whether CAA records permit an issuance: a pure function of both.

use std::fmt;

use domain::ChallengeType;

use super::issue_value::IssueValue;

/// One CAA record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Property {
    /// All eight flags.
    pub(crate) flags: u8,
    /// The property's name.
    pub(crate) tag: String,
    /// What it says.
    pub(crate) value: Vec<u8>,
}

/// The issuance that is to be permitted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Issuance<'a> {
    /// The names of this CA.
    pub(super) identities: &'a [String],
    /// Whether every name below is asked for.
    pub(super) wildcard: bool,
    /// How control was proven.
    pub(super) challenge: ChallengeType,
    /// The URL of the account that asks.
    pub(super) account_url: &'a str,
}

/// Why records do not permit an issuance; the messages repeat nothing of them.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Forbidden {
    #[error("they have a critical property that this CA does not know")]
    UnknownCritical,
    #[error("none of them names this CA")]
    OtherIssuer,
    #[error("they permit this CA for another account")]
    OtherAccount,
    #[error("they permit this CA by another validation method")]
    OtherMethod,
    #[error("the one that names this CA has parameters that cannot be understood")]
    Parameters,
}

/// The issuer has to understand a property before it may issue (RFC 8659 §4.1).
const CRITICAL: u8 = 0x80;
const ISSUE: &str = "issue";
const ISSUE_WILD: &str = "issuewild";
/// The properties that are understood: two that restrict us, one that asks for mail we need not send (§4.4), and those for other
/// kinds of certificates (RFC 9495 and its like).
const KNOWN: [&str; 5] = [ISSUE, ISSUE_WILD, "iodef", "issuemail", "issuevmc"];

/// Checks the relevant records of a name (RFC 8659 §3).
pub(super) fn permitted(properties: &[Property], issuance: Issuance<'_>) -> Result<(), Forbidden> {
    let known = |property: &Property| KNOWN.iter().any(|tag| property.is(tag));
    if properties.iter().any(|property| property.flags & CRITICAL != 0 && !known(property)) {
        return Err(Forbidden::UnknownCritical);
    }
    // RFC 8659 §4.3: issuewild, where there is any, decides alone about wildcards, and about nothing else.
    let wild = issuance.wildcard && properties.iter().any(|property| property.is(ISSUE_WILD));
    let deciding = if wild { ISSUE_WILD } else { ISSUE };
    let mut verdict = Ok(());
    for property in properties.iter().filter(|property| property.is(deciding)) {
        match property.permits(issuance) {
            Ok(()) => return Ok(()),
            // Why a record that names us does not permit says more than that another names others.
            Err(Forbidden::OtherIssuer) if verdict.is_err() => {}
            Err(reason) => verdict = Err(reason),
        }
    }
    verdict
}

impl Property {
    /// Tags are compared without case (RFC 8659 §4.1).
    fn is(&self, tag: &str) -> bool {
        self.tag.eq_ignore_ascii_case(tag)
    }

    fn permits(&self, issuance: Issuance<'_>) -> Result<(), Forbidden> {
        let value = IssueValue::parse(&self.value).ok_or(Forbidden::OtherIssuer)?;
        let ours = |identity: &String| identity.eq_ignore_ascii_case(value.issuer);
        if value.issuer.is_empty() || !issuance.identities.iter().any(ours) {
            return Err(Forbidden::OtherIssuer);
        }
        let account = value.parameter("accounturi").map_err(|_| Forbidden::Parameters)?;
        // RFC 8657 §3: compared as strings, character by character.
        if account.is_some_and(|account| account != issuance.account_url) {
            return Err(Forbidden::OtherAccount);
        }
        let methods = value.parameter("validationmethods").map_err(|_| Forbidden::Parameters)?;
        match methods {
            Some(methods) if !methods.split(',').all(is_method) => Err(Forbidden::Parameters),
            Some(methods) if methods.split(',').all(|it| it != issuance.challenge.as_str()) => {
                Err(Forbidden::OtherMethod)
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// A label of RFC 8657 §4.
fn is_method(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} \"{}\"", self.flags, self.tag, String::from_utf8_lossy(&self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "https://ca.example/acme/default/account/1";

    fn property(text: &str) -> Property {
        let mut words = text.splitn(3, ' ');
        let mut word = || words.next().unwrap();
        let flags = word().parse().unwrap();
        Property { flags, tag: word().to_owned(), value: word().as_bytes().to_vec() }
    }

    fn check(records: &[&str], wildcard: bool, expected: Result<(), Forbidden>) {
        let properties: Vec<Property> = records.iter().map(|text| property(text)).collect();
        let identities = ["ca.example".to_owned(), "old.ca.example".to_owned()];
        let issuance = Issuance {
            identities: &identities,
            wildcard,
            challenge: ChallengeType::Dns01,
            account_url: ACCOUNT,
        };
        assert_eq!(permitted(&properties, issuance), expected, "{records:?} {wildcard}");
    }

    #[test]
    fn a_record_that_names_this_ca_permits_names_and_wildcards() {
        for records in [
            &["0 issue ca.example"][..],
            &["0 issue CA.Example"],
            &["0 ISSUE old.ca.example"],
            &["128 issue ca.example"],
            &["0 issue other.example", "0 issue ca.example"],
            &["0 issue ;", "0 issue ca.example"],
            &["0 issue ca.example; unknown=1"],
        ] {
            check(records, false, Ok(()));
            check(records, true, Ok(()));
        }
    }

    #[test]
    fn records_that_name_only_others_or_nobody_forbid() {
        for records in [
            &["0 issue other.example"][..],
            &["0 issue ;"],
            &["0 issue "],
            &["0 issue a.ca.example"],
            &["0 issue ca.example."],
            &["0 issue %%%%"],
            &["0 issue ca.example; broken"],
        ] {
            check(records, false, Err(Forbidden::OtherIssuer));
            check(records, true, Err(Forbidden::OtherIssuer));
        }
    }

    #[test]
    fn issuewild_decides_about_wildcards_alone() {
        let only_wild = ["0 issue ;", "0 issuewild ca.example"];
        check(&only_wild, true, Ok(()));
        check(&only_wild, false, Err(Forbidden::OtherIssuer));
        let never_wild = ["0 issue ca.example", "0 issuewild ;"];
        check(&never_wild, true, Err(Forbidden::OtherIssuer));
        check(&never_wild, false, Ok(()));
        check(&["0 issuewild ;"], false, Ok(()));
    }

    #[test]
    fn records_that_restrict_no_issuer_permit() {
        check(&["0 iodef mailto:a@b.example"], false, Ok(()));
        check(&["128 iodef mailto:a@b.example", "128 issuemail ;"], true, Ok(()));
        check(&["0 future x"], false, Ok(()));
        check(&["127 future x"], false, Ok(()));
    }

    #[test]
    fn an_unknown_critical_property_forbids_whatever_else_is_there() {
        let records = ["0 issue ca.example", "128 future x"];
        check(&records, false, Err(Forbidden::UnknownCritical));
        check(&["255 future x"], true, Err(Forbidden::UnknownCritical));
    }

    #[test]
    fn an_account_is_compared_character_by_character() {
        let of = |account: &str| format!("0 issue ca.example; accounturi={account}");
        check(&[&of(ACCOUNT)], false, Ok(()));
        for other in [&ACCOUNT.to_uppercase(), "", &format!("{ACCOUNT}2"), &format!("{ACCOUNT}/")] {
            check(&[&of(other)], false, Err(Forbidden::OtherAccount));
        }
        check(&[&of("other"), &of(ACCOUNT)], false, Ok(()));
        let twice = format!("{}; accounturi={ACCOUNT}", of(ACCOUNT));
        check(&[&twice], false, Err(Forbidden::Parameters));
    }

    #[test]
    fn a_validation_method_must_be_among_those_listed() {
        let by = |methods: &str| format!("0 issue ca.example; validationmethods={methods}");
        check(&[&by("dns-01")], false, Ok(()));
        check(&[&by("http-01,dns-01")], false, Ok(()));
        check(&[&by("http-01")], false, Err(Forbidden::OtherMethod));
        check(&[&by("DNS-01")], false, Err(Forbidden::OtherMethod));
        for broken in ["", "dns-01,", ",dns-01", "dns_01", "dns-01,a/b"] {
            check(&[&by(broken)], false, Err(Forbidden::Parameters));
        }
        let twice = format!("{}; ValidationMethods=dns-01", by("dns-01"));
        check(&[&twice], false, Err(Forbidden::Parameters));
        let both = format!("{}; accounturi=other", by("dns-01"));
        check(&[&both], false, Err(Forbidden::OtherAccount));
    }
}
