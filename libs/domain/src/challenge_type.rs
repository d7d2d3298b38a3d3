//! The ways to prove control of an identifier.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::IdentifierType;

/// A way to prove control of an identifier (RFC 8555 §8).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum ChallengeType {
    /// RFC 8555 §8.3.
    #[serde(rename = "http-01")]
    Http01,
    /// RFC 8555 §8.4.
    #[serde(rename = "dns-01")]
    Dns01,
    /// RFC 8737 §3.
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

impl ChallengeType {
    /// Every type there is.
    pub const ALL: [Self; 3] = [Self::Http01, Self::Dns01, Self::TlsAlpn01];

    /// The type's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }

    /// Whether the type can prove control of identifiers of a kind; there is no dns-01 for addresses (RFC 8738 §7).
    pub fn proves(self, kind: IdentifierType) -> bool {
        match (self, kind) {
            (Self::Http01 | Self::Dns01 | Self::TlsAlpn01, IdentifierType::Dns)
            | (Self::Http01 | Self::TlsAlpn01, IdentifierType::Ip) => true,
            (Self::Dns01, IdentifierType::Ip) => false,
        }
    }

    /// Whether the type proves control of every name below one (RFC 8555 §8.3, §8.4; RFC 8737 §3).
    pub fn proves_wildcards(self) -> bool {
        match self {
            Self::Http01 | Self::TlsAlpn01 => false,
            Self::Dns01 => true,
        }
    }
}

impl fmt::Display for ChallengeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ChallengeType {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_proves_what_its_rfc_says() {
        // The type, and whether it proves names, addresses and wildcards.
        for (text, proves) in [
            ("http-01", (true, true, false)),
            ("dns-01", (true, false, true)),
            ("tls-alpn-01", (true, true, false)),
        ] {
            let kind: ChallengeType = text.parse().unwrap();
            let (name, address) =
                (kind.proves(IdentifierType::Dns), kind.proves(IdentifierType::Ip));
            assert_eq!((name, address, kind.proves_wildcards()), proves, "{text}");
            assert_eq!(kind.to_string(), text);
        }
        assert!("http-02".parse::<ChallengeType>().is_err());
    }
}
