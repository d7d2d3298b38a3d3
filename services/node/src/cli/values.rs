//! Values of the command line, in the forms people have them in.

use std::net::IpAddr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use domain::{
    AccountId, DnsName, InvalidDnsName, OrderId, Serial, Timestamp, certificate::RevocationReason,
};
use eventstore::Subject;
use runtime::{
    Role,
    config::{Ca, HumanDuration, InvalidDuration},
};

/// The text has another form than people were told of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub(super) struct Unexpected(&'static str);

/// The text names no reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of {}", reasons())]
pub(super) struct UnknownReason;

/// Why a length of time is no validity of a CA.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidCaValidity {
    /// It is no length of time.
    #[error(transparent)]
    Duration(#[from] InvalidDuration),
    /// It is too short or too long.
    #[error("must be from 1d to 18250d")]
    Bounds,
}

/// Why a length of time is not how long something is good for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidLifetime {
    /// It is no length of time.
    #[error(transparent)]
    Duration(#[from] InvalidDuration),
    /// It is over as soon as it begins.
    #[error("must be longer than nothing")]
    Zero,
}

/// Reads a role's name.
pub(super) fn role() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::ALL.map(Role::as_str)).try_map(|name| name.parse::<Role>())
}

/// Reads a serial number as openssl and browsers print it: hex, perhaps with colons, capitals or `serial=`.
pub(super) fn serial(text: &str) -> Result<Serial, Unexpected> {
    let expected = "hex digits, as `openssl x509 -noout -serial` prints them";
    let text = text.strip_prefix("serial=").unwrap_or(text);
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    let digits = digits.to_ascii_lowercase();
    let digits = digits.strip_prefix("0x").unwrap_or(&digits);
    let parsed =
        if digits.len().is_multiple_of(2) { digits.parse() } else { format!("0{digits}").parse() };
    parsed.map_err(|_| Unexpected(expected))
}

/// Reads a reason's name or code.
pub(super) fn reason(text: &str) -> Result<RevocationReason, UnknownReason> {
    let named = |reason: &RevocationReason| {
        reason.name().eq_ignore_ascii_case(text) || reason.code().to_string() == text
    };
    RevocationReason::ALL.into_iter().find(named).ok_or(UnknownReason)
}

/// Reads an account's id, or its URL.
pub(super) fn account(text: &str) -> Result<AccountId, Unexpected> {
    let id = text.rsplit('/').next().unwrap_or(text);
    id.parse().map_err(|_| Unexpected("an id as `certmill account list` prints it, or its URL"))
}

/// Reads a time, or a date as its first moment in UTC.
pub(super) fn time(text: &str) -> Result<Timestamp, Unexpected> {
    let day = || format!("{text}T00:00:00Z").parse();
    let expected = "a time such as 2026-11-01T12:00:00Z, or a date such as 2026-11-01";
    text.parse().or_else(|_| day()).map_err(|_| Unexpected(expected))
}

/// Reads a name, an address, or what names below one end with, in the form in which they are compared.
pub(super) fn name_or_below(text: &str) -> Result<String, Unexpected> {
    let name = text.strip_prefix('.').unwrap_or(text);
    match (name.parse::<DnsName>(), text.parse::<IpAddr>()) {
        (_, Ok(address)) => Ok(address.to_string()),
        // The server's own certificate may have one label.
        (Ok(_) | Err(InvalidDnsName::SingleLabel), Err(_)) => Ok(text.to_ascii_lowercase()),
        (Err(_), Err(_)) => Err(Unexpected("a name or address, or .example.com for all below")),
    }
}

/// Reads a subject, or the id of an order or account.
pub(super) fn subject(text: &str) -> Result<Subject, Unexpected> {
    let order = || text.parse::<OrderId>().ok().map(|id| Subject::order(&id));
    let account = || text.parse::<AccountId>().ok().map(|id| Subject::account(&id));
    match order().or_else(account) {
        Some(subject) => Ok(subject),
        None => text.parse().map_err(|_| {
            Unexpected("a subject as `certmill events` prints it, or the id of an order or account")
        }),
    }
}

/// Reads a country's code.
pub(super) fn country(text: &str) -> Result<String, Unexpected> {
    let is_code = text.len() == 2 && text.bytes().all(|octet| octet.is_ascii_uppercase());
    is_code.then(|| text.to_owned()).ok_or(Unexpected("two capital letters, such as DE"))
}

/// Reads how long a CA's certificate is valid.
pub(super) fn ca_validity(text: &str) -> Result<HumanDuration, InvalidCaValidity> {
    let validity: HumanDuration = text.parse()?;
    match Ca::VALIDITY.contains(&validity.get()) {
        true => Ok(validity),
        false => Err(InvalidCaValidity::Bounds),
    }
}

/// Reads how long something is good for.
pub(super) fn lifetime(text: &str) -> Result<HumanDuration, InvalidLifetime> {
    let lifetime: HumanDuration = text.parse()?;
    if lifetime == HumanDuration::ZERO { Err(InvalidLifetime::Zero) } else { Ok(lifetime) }
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
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(time("2026-11-01"), Ok(at("2026-11-01T00:00:00Z")));
        assert_eq!(time("2026-11-01T12:00:00+01:00"), Ok(at("2026-11-01T11:00:00Z")));
        assert!(time("yesterday").is_err());
    }

    #[test]
    fn a_name_that_no_certificate_can_have_is_not_looked_for() {
        for (text, name) in [
            ("A.example", "a.example"),
            ("*.a.example", "*.a.example"),
            (".Example", ".example"),
            ("localhost", "localhost"),
            ("2001:0DB8::1", "2001:db8::1"),
        ] {
            assert_eq!(name_or_below(text).as_deref(), Ok(name));
        }
        for text in ["", ".", "https://a.example", "a.example.", "a.example:443", "b\u{fc}.example"]
        {
            assert!(name_or_below(text).is_err(), "{text}");
        }
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

    #[test]
    fn a_ca_is_valid_as_long_as_the_configuration_allows_it_too() {
        for text in ["1d", "3650d", "18250d"] {
            assert_eq!(ca_validity(text), Ok(text.parse().unwrap()));
        }
        for text in ["0", "23h", "18251d"] {
            assert_eq!(ca_validity(text), Err(InvalidCaValidity::Bounds), "{text}");
        }
    }

    #[test]
    fn nothing_is_made_that_has_ended() {
        assert_eq!(lifetime("1ms"), Ok("1ms".parse().unwrap()));
        for text in ["0", "0s", "0d 0h"] {
            assert_eq!(lifetime(text), Err(InvalidLifetime::Zero), "{text}");
        }
        assert!(matches!(lifetime("soon"), Err(InvalidLifetime::Duration(_))));
    }

    #[test]
    fn a_country_has_two_capital_letters() {
        assert_eq!(country("DE").as_deref(), Ok("DE"));
        for text in ["de", "D", "DEU", "D1", ""] {
            assert!(country(text).is_err(), "{text}");
        }
    }
}
