//! Names of CRLs: the whole one of an issuer, or one of the shards it is divided into by serial.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{IssuerId, Serial};

/// A CRL of an issuer; its text is the name of its file, `{issuer}` or `{issuer}-{shards}-{index}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CrlName {
    issuer: IssuerId,
    shards: CrlShards,
    index: u16,
}

/// Into how many CRLs an issuer's revocations are divided: a power of two, 1 for undivided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct CrlShards(u16);

/// The text is no name of a CRL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a CRL")]
pub struct InvalidCrlName;

/// The number cannot be that of shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1, 2, 4, 8, 16, 32, 64, 128 or 256")]
pub struct InvalidCrlShards;

impl CrlShards {
    /// One CRL for all.
    pub const UNDIVIDED: Self = Self(1);
    /// As many as one octet of a serial can tell apart.
    const MAX: u16 = 256;
}

impl CrlName {
    /// The CRL with all revocations of an issuer.
    pub fn whole(issuer: IssuerId) -> Self {
        Self { issuer, shards: CrlShards::UNDIVIDED, index: 0 }
    }

    /// The CRL that lists a serial once it is revoked; the same for ever, because certificates name it.
    pub fn listing(issuer: IssuerId, serial: &Serial, shards: CrlShards) -> Self {
        Self { issuer, shards, index: u16::from(serial.shard()) % shards.0 }
    }

    /// The CRLs that together list all revocations of an issuer.
    pub fn all(issuer: &IssuerId, shards: CrlShards) -> impl Iterator<Item = Self> {
        (0..shards.0).map(move |index| Self { issuer: issuer.clone(), shards, index })
    }

    /// The CA key that signs it.
    pub fn issuer(&self) -> &IssuerId {
        &self.issuer
    }

    /// Into how many the revocations are divided of which it lists a part.
    pub fn shards(&self) -> CrlShards {
        self.shards
    }

    /// Whether it lists the serial once that is revoked.
    pub fn lists(&self, serial: &Serial) -> bool {
        self.lists_shard(serial.shard())
    }

    /// Whether it lists the serials with that last octet once they are revoked.
    pub fn lists_shard(&self, octet: u8) -> bool {
        u16::from(octet) % self.shards.0 == self.index
    }
}

impl TryFrom<u16> for CrlShards {
    type Error = InvalidCrlShards;

    fn try_from(number: u16) -> Result<Self, InvalidCrlShards> {
        let good = number.is_power_of_two() && number <= Self::MAX;
        if good { Ok(Self(number)) } else { Err(InvalidCrlShards) }
    }
}

impl From<CrlShards> for u16 {
    fn from(shards: CrlShards) -> Self {
        shards.0
    }
}

impl JsonSchema for CrlShards {
    fn schema_name() -> Cow<'static, str> {
        "CrlShards".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "enum": [1, 2, 4, 8, 16, 32, 64, 128, 256] })
    }
}

impl fmt::Display for CrlName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shards {
            CrlShards::UNDIVIDED => self.issuer.fmt(f),
            CrlShards(shards) => write!(f, "{}-{shards}-{}", self.issuer, self.index),
        }
    }
}

impl FromStr for CrlName {
    type Err = InvalidCrlName;

    fn from_str(text: &str) -> Result<Self, InvalidCrlName> {
        let mut parts = text.splitn(3, '-');
        let issuer = parts.next().and_then(|issuer| issuer.parse().ok()).ok_or(InvalidCrlName)?;
        let mut number = |otherwise: u16| match parts.next() {
            Some(digits) => digits.parse::<u16>().map_err(|_| InvalidCrlName),
            None => Ok(otherwise),
        };
        let (shards, index) = (number(1)?, number(0)?);
        let shards = shards.try_into().map_err(|_| InvalidCrlName)?;
        let name = Self { issuer, shards, index };
        // One CRL has one name: no leading zeros, no plus sign, no shard of the undivided.
        if index < shards.0 && name.to_string() == text { Ok(name) } else { Err(InvalidCrlName) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer() -> IssuerId {
        IssuerId::from_hash(&[1; 32])
    }

    #[test]
    fn every_serial_is_listed_once_by_each_division() {
        for shards in [1, 2, 16, 256].map(|number| CrlShards::try_from(number).unwrap()) {
            for octet in 0..=u8::MAX {
                let serial = Serial::from_random(&[octet; 16]);
                let listing: Vec<_> =
                    CrlName::all(&issuer(), shards).filter(|name| name.lists(&serial)).collect();
                assert_eq!(listing, [CrlName::listing(issuer(), &serial, shards)]);
            }
        }
    }

    #[test]
    fn a_name_survives_its_text_and_has_one_spelling() {
        for shards in [1, 2, 256] {
            for name in CrlName::all(&issuer(), CrlShards(shards)) {
                assert_eq!(name.to_string().parse(), Ok(name));
            }
        }
        let issuer = issuer();
        for rest in ["-", "-2", "-2-2", "-3-1", "-02-1", "-2-+1", "-512-1", "-2-1-1", "-1-0", "-1"]
        {
            assert_eq!(format!("{issuer}{rest}").parse::<CrlName>(), Err(InvalidCrlName), "{rest}");
        }
    }

    #[test]
    fn shards_are_a_power_of_two_that_an_octet_tells_apart() {
        let good: Vec<u16> = (0..=512).filter(|n| CrlShards::try_from(*n).is_ok()).collect();
        assert_eq!(good, [1, 2, 4, 8, 16, 32, 64, 128, 256]);
    }
}
