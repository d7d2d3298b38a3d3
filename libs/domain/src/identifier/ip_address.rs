//! IP addresses as identifiers (RFC 8738).

use std::{borrow::Cow, fmt, net::IpAddr, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// An IPv4 or IPv6 address that a certificate may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpAddress(IpAddr);

/// Why a text is not an address we issue for.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidIpAddress {
    /// Not an address.
    #[error("the value is not an IP address")]
    Syntax,
    /// An address in another spelling than the one RFC 8738 §3 asks for.
    #[error("the address is not in its canonical form (RFC 5952 for IPv6)")]
    NotCanonical,
    /// An IPv4 address in IPv6 clothes: two texts for one machine.
    #[error("an IPv4-mapped address is not accepted; give the IPv4 address")]
    Mapped,
}

impl IpAddress {
    /// The longest text that is looked at; addresses have up to 45 characters.
    const MAX_BYTES: usize = 64;

    /// The address.
    pub fn address(self) -> IpAddr {
        self.0
    }

    /// The name under which DNS keeps the address: what tls-alpn-01 sends as the server's name (RFC 8738 §6).
    pub fn reverse_name(self) -> String {
        match self.0 {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                format!("{d}.{c}.{b}.{a}.in-addr.arpa")
            }
            IpAddr::V6(address) => {
                let octets = address.octets().into_iter().rev();
                let nibbles = octets.flat_map(|octet| [octet & 15, octet >> 4]);
                nibbles.map(|nibble| format!("{nibble:x}.")).collect::<String>() + "ip6.arpa"
            }
        }
    }
}

impl TryFrom<IpAddr> for IpAddress {
    type Error = InvalidIpAddress;

    fn try_from(address: IpAddr) -> Result<Self, Self::Error> {
        if address.to_canonical() == address {
            Ok(Self(address))
        } else {
            Err(InvalidIpAddress::Mapped)
        }
    }
}

impl FromStr for IpAddress {
    type Err = InvalidIpAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidIpAddress::Syntax);
        }
        let address: IpAddr = text.parse().map_err(|_| InvalidIpAddress::Syntax)?;
        let address = Self::try_from(address)?;
        if address.to_string() == text { Ok(address) } else { Err(InvalidIpAddress::NotCanonical) }
    }
}

impl fmt::Display for IpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for IpAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for IpAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for IpAddress {
    fn schema_name() -> Cow<'static, str> {
        "IpAddress".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 45 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(), InvalidIpAddress>) {
        assert_eq!(text.parse::<IpAddress>().map(|_| ()), expected, "{text}");
    }

    #[test]
    fn canonical_addresses_are_accepted() {
        for text in ["192.0.2.1", "2001:db8::1", "::1", "2001:db8:0:1:1:1:1:1", "fd00::a:b"] {
            check(text, Ok(()));
        }
    }

    #[test]
    fn other_spellings_of_an_address_are_refused() {
        for text in ["2001:DB8::1", "2001:db8:0:0:0:0:0:1", "2001:0db8::1", "2001:db8::0:1"] {
            check(text, Err(InvalidIpAddress::NotCanonical));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in
            ["", "192.0.2", "192.0.2.01", "0x7f.1", "[::1]", "::1%1", "192.0.2.1/32", " ::1", "a.b"]
        {
            check(text, Err(InvalidIpAddress::Syntax));
        }
        check(&"1".repeat(65), Err(InvalidIpAddress::Syntax));
    }

    #[test]
    fn an_ipv4_address_has_one_form_only() {
        check("::ffff:192.0.2.1", Err(InvalidIpAddress::Mapped));
        check("::ffff:c000:201", Err(InvalidIpAddress::Mapped));
    }

    #[test]
    fn the_reverse_names_are_those_of_the_rfc() {
        let name = |text: &str| text.parse::<IpAddress>().unwrap().reverse_name();
        assert_eq!(name("192.0.2.1"), "1.2.0.192.in-addr.arpa");
        let nibbles = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
        assert_eq!(name("2001:db8::1"), nibbles);
    }
}
