//! What a certificate is asked for: names as they were sent, compared as DNS compares them, and addresses.

mod ip_address;

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

pub use self::ip_address::{InvalidIpAddress, IpAddress};

/// An identifier of an order (RFC 8555 §7.1.3, RFC 8738 §3).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "value", rename_all = "lowercase")]
pub enum Identifier {
    /// A DNS name, perhaps with a leading `*.` label.
    Dns(DnsName),
    /// An IP address.
    Ip(IpAddress),
}

/// The kinds of identifiers (RFC 8555 §9.7.7, RFC 8738 §8.1).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum IdentifierType {
    /// DNS names.
    Dns,
    /// IP addresses.
    Ip,
}

impl IdentifierType {
    /// The type's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Ip => "ip",
        }
    }
}

impl Identifier {
    /// What kind of identifier it is.
    pub fn kind(&self) -> IdentifierType {
        match self {
            Self::Dns(_) => IdentifierType::Dns,
            Self::Ip(_) => IdentifierType::Ip,
        }
    }

    /// The identifier in the form that compares equal for equal identifiers: lower case.
    ///
    /// No name has the form of an address, so the forms of the two kinds never meet.
    pub fn canonical(&self) -> String {
        match self {
            Self::Dns(name) => name.canonical(),
            Self::Ip(address) => address.to_string(),
        }
    }

    /// The identifier whose control is to be proven: the name without a leading `*.`.
    #[must_use]
    pub fn authorized(&self) -> Self {
        match self {
            Self::Dns(name) => Self::Dns(name.base()),
            Self::Ip(address) => Self::Ip(*address),
        }
    }

    /// Whether the identifier asks for every name below its own.
    pub fn is_wildcard(&self) -> bool {
        match self {
            Self::Dns(name) => name.is_wildcard(),
            Self::Ip(_) => false,
        }
    }
}

/// The identifier's text as it was sent.
impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => name.fmt(f),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

/// A fully qualified DNS host name in its ASCII form, spelled as it was sent; a leading `*.` is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DnsName(Box<str>);

/// Why a text is not a DNS name we issue for.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidDnsName {
    /// Empty, or longer than 253 octets, or a label longer than 63.
    #[error("the name or one of its labels is empty or too long")]
    Length,
    /// A character other than letters, digits and inner hyphens.
    #[error("the name has characters other than letters, digits and hyphens")]
    Character,
    /// A `*` that is not the whole first label.
    #[error("a wildcard must be the whole first label")]
    Wildcard,
    /// Fewer than two labels.
    #[error("the name has only one label")]
    SingleLabel,
    /// An IP address where a name was expected.
    #[error("the name is an IP address")]
    IpAddress,
    /// A label that looks like an A-label but does not decode (RFC 5891 §4.4).
    #[error("the name is not a valid internationalized name")]
    Idna,
}

impl DnsName {
    /// The longest name in text form without its trailing dot (RFC 1035 §2.3.4).
    pub const MAX_BYTES: usize = 253;

    /// The name as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in lower case.
    pub fn canonical(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// Whether the first label is `*`.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }

    /// The name without a leading `*.`.
    #[must_use]
    pub fn base(&self) -> Self {
        Self(self.0.strip_prefix("*.").unwrap_or(&self.0).into())
    }
}

impl FromStr for DnsName {
    type Err = InvalidDnsName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let base = text.strip_prefix("*.").unwrap_or(text);
        if text.is_empty() || text.len() > Self::MAX_BYTES {
            return Err(InvalidDnsName::Length);
        }
        let labels: Vec<&str> = base.split('.').collect();
        labels.iter().try_for_each(|label| check_label(label))?;
        match labels.as_slice() {
            [] | [_] => Err(InvalidDnsName::SingleLabel),
            [.., last] if is_number(last) => Err(InvalidDnsName::IpAddress),
            _ if has_invalid_a_label(base, &labels) => Err(InvalidDnsName::Idna),
            _ => Ok(Self(text.into())),
        }
    }
}

fn check_label(label: &str) -> Result<(), InvalidDnsName> {
    if label.is_empty() || label.len() > 63 {
        return Err(InvalidDnsName::Length);
    }
    if label.contains('*') {
        return Err(InvalidDnsName::Wildcard);
    }
    let inner = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !inner || label.starts_with('-') || label.ends_with('-') {
        return Err(InvalidDnsName::Character);
    }
    Ok(())
}

/// Whether a last label makes an IPv4 address of the whole name, as everybody reads it who reads URLs: `127.0.0.0x1` is
/// 127.0.0.1 there, whatever DNS says (WHATWG URL, "ends in a number").
fn is_number(label: &str) -> bool {
    match label.strip_prefix("0x").or_else(|| label.strip_prefix("0X")) {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_hexdigit()),
        None => label.bytes().all(|b| b.is_ascii_digit()),
    }
}

/// Labels with hyphens in the third and fourth place are reserved (RFC 5890 §2.3.1); only valid A-labels may use them.
fn has_invalid_a_label(name: &str, labels: &[&str]) -> bool {
    let reserved =
        |label: &&str| label.len() >= 4 && label.is_char_boundary(2) && &label[2..4] == "--";
    if !labels.iter().any(reserved) {
        return false;
    }
    let all_ace = labels
        .iter()
        .filter(|label| reserved(label))
        .all(|label| label[..2].eq_ignore_ascii_case("xn"));
    let lower = name.to_ascii_lowercase();
    let (unicode, decoded) = idna::domain_to_unicode(&lower);
    let back = idna::domain_to_ascii_strict(&unicode);
    !all_ace || decoded.is_err() || back.is_err() || back.is_ok_and(|ascii| ascii != lower)
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for DnsName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for DnsName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for DnsName {
    fn schema_name() -> Cow<'static, str> {
        "DnsName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 253 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(), InvalidDnsName>) {
        assert_eq!(text.parse::<DnsName>().map(|_| ()), expected, "{text}");
    }

    #[test]
    fn host_names_and_wildcards_are_accepted() {
        check("example.com", Ok(()));
        check("*.Example.com", Ok(()));
        check("xn--bcher-kva.example", Ok(()));
        check("h1.localhost", Ok(()));
        check(&format!("{}.com", "a".repeat(63)), Ok(()));
    }

    #[test]
    fn names_that_are_no_host_names_are_refused() {
        check("", Err(InvalidDnsName::Length));
        check("example.com.", Err(InvalidDnsName::Length));
        check(&format!("{}.com", "a".repeat(64)), Err(InvalidDnsName::Length));
        check(&vec!["a"; 127].join("."), Ok(()));
        check(&vec!["a"; 128].join("."), Err(InvalidDnsName::Length));
        check("a_b.example", Err(InvalidDnsName::Character));
        check("-a.example", Err(InvalidDnsName::Character));
        check("a.example:80", Err(InvalidDnsName::Character));
        check("user@a.example", Err(InvalidDnsName::Character));
        check("bücher.example", Err(InvalidDnsName::Character));
        check("a.*.example", Err(InvalidDnsName::Wildcard));
        check("*.*.example", Err(InvalidDnsName::Wildcard));
        check("w*.example", Err(InvalidDnsName::Wildcard));
        check("*", Err(InvalidDnsName::Wildcard));
        check("localhost", Err(InvalidDnsName::SingleLabel));
        check("*.com", Err(InvalidDnsName::SingleLabel));
        check("192.0.2.1", Err(InvalidDnsName::IpAddress));
        check("192.0.2.0x1", Err(InvalidDnsName::IpAddress));
        check("*.a.0X1f", Err(InvalidDnsName::IpAddress));
        check("a.0x", Err(InvalidDnsName::IpAddress));
        check("0x1.0x1g", Ok(()));
        check("xn--a.example", Err(InvalidDnsName::Idna));
        check("ab--c.example", Err(InvalidDnsName::Idna));
    }

    #[test]
    fn spelling_is_kept_and_comparison_ignores_case() {
        let name: DnsName = "ExAmple.com".parse().unwrap();
        assert_eq!(name.as_str(), "ExAmple.com");
        assert_eq!(name.canonical(), "example.com");
    }
}
