//! Values of the command line, in the forms people have them in.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use domain::{
    AccountId, InvalidId, InvalidTimestamp, OrderId, Serial, Timestamp,
    certificate::RevocationReason,
};
use eventstore::{InvalidSubject, Subject};
use runtime::Role;

/// The text names no reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of {}", reasons())]
pub(super) struct UnknownReason;

/// Reads a role's name.
pub(super) fn role() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::ALL.map(Role::as_str)).try_map(|name| name.parse::<Role>())
}

/// Reads a serial number as openssl and browsers print it: hex, perhaps with colons, capitals or `serial=`.
pub(super) fn serial(text: &str) -> Result<Serial, InvalidId> {
    let text = text.strip_prefix("serial=").unwrap_or(text);
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    let digits = digits.to_ascii_lowercase();
    let digits = digits.strip_prefix("0x").unwrap_or(&digits);
    if digits.len().is_multiple_of(2) { digits.parse() } else { format!("0{digits}").parse() }
}

/// Reads a reason's name or code.
pub(super) fn reason(text: &str) -> Result<RevocationReason, UnknownReason> {
    let named = |reason: &RevocationReason| {
        reason.name().eq_ignore_ascii_case(text) || reason.code().to_string() == text
    };
    RevocationReason::ALL.into_iter().find(named).ok_or(UnknownReason)
}

/// Reads an account's id, or its URL.
pub(super) fn account(text: &str) -> Result<AccountId, InvalidId> {
    text.rsplit('/').next().unwrap_or(text).parse()
}

/// Reads a time, or a date as its first moment in UTC.
pub(super) fn time(text: &str) -> Result<Timestamp, InvalidTimestamp> {
    text.parse().or_else(|_| format!("{text}T00:00:00Z").parse())
}

/// Reads a subject, or the id of an order or account.
pub(super) fn subject(text: &str) -> Result<Subject, InvalidSubject> {
    let order = || text.parse::<OrderId>().ok().map(|id| Subject::order(&id));
    let account = || text.parse::<AccountId>().ok().map(|id| Subject::account(&id));
    match order().or_else(account) {
        Some(subject) => Ok(subject),
        None => text.parse(),
    }
}

fn reasons() -> String {
    let names =
        RevocationReason::ALL.map(|reason| format!("{} ({})", reason.name(), reason.code()));
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_is_read_as_tools_print_it() {
        for text in ["01ab2c", "01AB2C", "01:ab:2c", "serial=1AB2C", "0x01ab2c"] {
            assert_eq!(serial(text).unwrap().as_str(), "01ab2c", "{text}");
        }
        assert!(serial("").is_err());
        assert!(serial("xyz").is_err());
    }

    #[test]
    fn a_time_may_be_a_date() {
        assert_eq!(time("2026-11-01"), "2026-11-01T00:00:00Z".parse());
        assert_eq!(time("2026-11-01T12:00:00+01:00"), "2026-11-01T11:00:00Z".parse());
        assert!(time("yesterday").is_err());
    }

    #[test]
    fn an_aggregate_is_named_by_its_subject_or_its_id() {
        let order = OrderId::new(5, &[1; 16]);
        assert_eq!(subject(order.as_str()), Ok(Subject::order(&order)));
        assert_eq!(subject(&format!("order.05.{order}")), Ok(Subject::order(&order)));
        let owner = AccountId::from_hash(&[1; 32]);
        assert_eq!(subject(owner.as_str()), Ok(Subject::account(&owner)));
        assert_eq!(account(&format!("https://ca.example/acme/p/account/{owner}")), Ok(owner));
        assert!(subject("order.>").is_err());
    }
}
