//! What stands in the journal. These types are stored: change them only so that old lines can still be read.

use domain::{IssuerId, OrderId, Serial, Timestamp};
use serde::{Deserialize, Serialize};

/// An entry of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A serial and the bytes to sign were chosen.
    Reserved(Reservation),
    /// The certificate was signed.
    Issued(Issuance),
    /// The serial was given up.
    Burned(Burning),
}

/// A serial and the exact bytes that are to be signed under it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The serial, unique for ever.
    pub serial: Serial,
    /// The order it is for; absent for the CA's own server certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderId>,
    /// The CA key that is to sign.
    pub issuer: IssuerId,
    /// The DER TBSCertificate.
    #[serde(with = "octets")]
    pub tbs: Vec<u8>,
    /// When.
    pub at: Timestamp,
}

/// A certificate that was signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issuance {
    /// Its serial.
    pub serial: Serial,
    /// The DER certificate.
    #[serde(with = "octets")]
    pub der: Vec<u8>,
    /// When.
    pub at: Timestamp,
}

/// A serial that was given up: it counts as issued and revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Burning {
    /// The serial.
    pub serial: Serial,
    /// Why, for whoever reads the journal.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// A reservation and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What was reserved.
    pub reservation: Reservation,
    /// What the journal says last of it.
    pub outcome: Outcome,
}

/// What became of a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Neither issued nor burned.
    Pending,
    /// The certificate was signed.
    Issued(Issuance),
    /// The serial was given up.
    Burned(Burning),
}

impl Entry {
    /// The serial the entry is about.
    pub fn serial(&self) -> &Serial {
        match self {
            Self::Reserved(Reservation { serial, .. })
            | Self::Issued(Issuance { serial, .. })
            | Self::Burned(Burning { serial, .. }) => serial,
        }
    }

    /// When it was written.
    pub(super) fn at(&self) -> Timestamp {
        match self {
            Self::Reserved(Reservation { at, .. })
            | Self::Issued(Issuance { at, .. })
            | Self::Burned(Burning { at, .. }) => *at,
        }
    }
}

/// What one line says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Content {
    /// The first line of a segment file.
    Segment(SegmentStart),
    /// See [`Entry::Reserved`].
    Reserved(Reservation),
    /// See [`Entry::Issued`].
    Issued(Issuance),
    /// See [`Entry::Burned`].
    Burned(Burning),
}

/// Makes a segment readable without those before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SegmentStart {
    /// The format of the lines.
    pub(super) format: u32,
    /// The number in the file's name.
    pub(super) number: u64,
    /// The hash of the last line before, in hex.
    pub(super) previous: String,
    /// The reservations that were neither issued nor burned before.
    pub(super) pending: Vec<Reservation>,
}

impl From<Entry> for Content {
    fn from(entry: Entry) -> Self {
        match entry {
            Entry::Reserved(reservation) => Self::Reserved(reservation),
            Entry::Issued(issuance) => Self::Issued(issuance),
            Entry::Burned(burning) => Self::Burned(burning),
        }
    }
}

/// Octets as unpadded base64url.
mod octets {
    use std::borrow::Cow;

    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(octets: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&URL_SAFE_NO_PAD.encode(octets))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        URL_SAFE_NO_PAD.decode(text.as_ref()).map_err(D::Error::custom)
    }
}
