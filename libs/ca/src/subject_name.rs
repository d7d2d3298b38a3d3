//! What a leaf certificate names: DNS names and addresses.

use std::{fmt, net::IpAddr, str::FromStr};

use domain::Identifier;
use rcgen::SanType;

/// A name in a leaf's subject alternative name extension.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SubjectName {
    /// A DNS name in lower case, perhaps with a leading `*.` label.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

/// The text is no host name and no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a host name or address")]
pub struct InvalidSubjectName;

impl SubjectName {
    /// How rcgen and x509-parser see the name: its text or its octets.
    pub(crate) fn octets(&self) -> Vec<u8> {
        match self {
            Self::Dns(name) => name.as_bytes().to_vec(),
            Self::Ip(IpAddr::V4(address)) => address.octets().to_vec(),
            Self::Ip(IpAddr::V6(address)) => address.octets().to_vec(),
        }
    }

    pub(crate) fn rcgen(&self) -> Result<SanType, rcgen::Error> {
        match self {
            Self::Dns(name) => Ok(SanType::DnsName(name.as_str().try_into()?)),
            Self::Ip(address) => Ok(SanType::IpAddress(*address)),
        }
    }
}

impl fmt::Display for SubjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

impl From<&Identifier> for SubjectName {
    fn from(identifier: &Identifier) -> Self {
        match identifier {
            Identifier::Dns(name) => Self::Dns(name.canonical()),
            Identifier::Ip(address) => Self::Ip(address.address()),
        }
    }
}

/// Reads the host of the CA's own URL, which unlike an order's identifiers may be `localhost` or an address.
impl FromStr for SubjectName {
    type Err = InvalidSubjectName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const MAX_BYTES: usize = domain::DnsName::MAX_BYTES;
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse() {
            return Ok(Self::Ip(address));
        }
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text.len() > MAX_BYTES || !text.split('.').all(is_label) {
            return Err(InvalidSubjectName);
        }
        Ok(Self::Dns(text.to_ascii_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_certified_in_lower_case() {
        let identifier = Identifier::Dns("*.Example.COM".parse().unwrap());
        assert_eq!(SubjectName::from(&identifier), SubjectName::Dns("*.example.com".to_owned()));
    }

    #[test]
    fn the_host_of_our_own_url_may_be_local() {
        assert_eq!("Localhost".parse(), Ok(SubjectName::Dns("localhost".to_owned())));
        assert_eq!("[::1]".parse(), Ok(SubjectName::Ip(IpAddr::from([0u16, 0, 0, 0, 0, 0, 0, 1]))));
        for text in ["", "a b", "a..b", "-a", "ä", "*.example.com"] {
            assert_eq!(text.parse::<SubjectName>(), Err(InvalidSubjectName), "{text}");
        }
    }
}
