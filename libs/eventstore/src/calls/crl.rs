//! What [`Service::Crl`](super::Service::Crl) answers to the name of a CRL.

/// Whether certificates may name a CRL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrlAnswer {
    /// The signer publishes it, again in a moment where it was lost.
    Published,
    /// The signer publishes none of that name.
    Unknown,
}

impl CrlAnswer {
    /// The answer as it is sent.
    pub fn to_octets(self) -> Vec<u8> {
        match self {
            Self::Published => b"published".to_vec(),
            Self::Unknown => b"unknown".to_vec(),
        }
    }

    /// Reads an answer; absent when it is none.
    pub fn from_octets(octets: &[u8]) -> Option<Self> {
        match octets {
            b"published" => Some(Self::Published),
            b"unknown" => Some(Self::Unknown),
            _ => None,
        }
    }
}
