//! Identifiers of our own resources, each a type of its own.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The text is not an id of the wanted kind.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a valid {0}")]
pub struct InvalidId(&'static str);

/// Defines a text id whose alphabet and length `$valid` checks, so that an id is safe in URLs, subjects and keys.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $pattern:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The id as it stands in URLs and subjects.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.into())) } else { Err(InvalidId($what)) }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

text_id!(
    /// An account: unpadded base64url of the first 16 octets of SHA-256 over its profile and its first key's thumbprint,
    /// so that creating an account twice meets at one aggregate.
    AccountId, "account id", "^[A-Za-z0-9_-]{22}$", |text| text.len() == 22 && is_base64url(text)
);
text_id!(
    /// An order: two digits that name its shard, then 128 random bits as unpadded base64url.
    OrderId, "order id", "^[0-9]{2}[A-Za-z0-9_-]{22}$",
    |text| text.len() == 24 && text.bytes().take(2).all(|b| b.is_ascii_digit()) && is_base64url(text)
);
text_id!(
    /// A pre-authorization: 128 random bits as unpadded base64url.
    PreAuthorizationId, "pre-authorization id", "^[A-Za-z0-9_-]{22}$",
    |text| text.len() == 22 && is_base64url(text)
);
text_id!(
    /// An issuing CA key: the first 8 octets of SHA-256 over its SubjectPublicKeyInfo, in lower-case hex.
    IssuerId, "issuer id", "^[0-9a-f]{16}$", |text| text.len() == 16 && is_lower_hex(text)
);
text_id!(
    /// What an operator calls an issuing CA: 1 to 40 of `a–z 0–9 -`; part of a path.
    IssuerName, "name of an issuer", "^[a-z0-9-]{1,40}$", |text| (1..=40).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
);
text_id!(
    /// A certificate's serial number: lower-case hex of its DER INTEGER value octets, 1 to 20 of them.
    Serial, "serial number", "^([0-9a-f]{2}){1,20}$",
    |text| (2..=40).contains(&text.len()) && text.len().is_multiple_of(2) && is_lower_hex(text)
);
text_id!(
    /// A public key: the SHA-256 over its SubjectPublicKeyInfo, in lower-case hex.
    KeyHash, "hash of a public key", "^[0-9a-f]{64}$", |text| text.len() == 64 && is_lower_hex(text)
);
text_id!(
    /// What an operator registered for binding accounts, a SubjectPublicKeyInfo or a certificate: the SHA-256 over its DER,
    /// in lower-case hex.
    KeyFingerprint, "fingerprint", "^[0-9a-f]{64}$", |text| text.len() == 64 && is_lower_hex(text)
);
text_id!(
    /// A key for binding accounts to those of another system, the `kid` of its bindings: 127 bits as unpadded base64url,
    /// random for a MAC key, a hash for a public key.
    ExternalKeyId, "key id", "^[A-Za-z0-9_-]{22}$", |text| text.len() == 22 && is_base64url(text)
);
text_id!(
    /// A profile's name: 1 to 250 of `A–Z a–z 0–9 - _`, case-sensitive; `directory` and `raProfile` are reserved.
    ProfileName, "profile name: expected 1 to 250 of A-Z a-z 0-9 - _, not directory or raProfile",
    "^[A-Za-z0-9_-]{1,250}$",
    |text| (1..=250).contains(&text.len()) && is_base64url(text) && !matches!(text, "directory" | "raProfile")
);

impl Default for ProfileName {
    /// The name of a profile whose configuration gives none.
    fn default() -> Self {
        Self("default".into())
    }
}

impl AccountId {
    /// Makes the id from the SHA-256 over the profile and the thumbprint.
    pub fn from_hash(hash: &[u8; 32]) -> Self {
        Self(base64url(&hash[..16]).into())
    }
}

impl KeyFingerprint {
    /// Takes the SHA-256 over the DER.
    pub fn from_hash(hash: &[u8; 32]) -> Self {
        Self(hex(hash).into())
    }
}

impl ExternalKeyId {
    /// Makes the id of a public key from the SHA-256 over the profile and the fingerprint.
    pub fn from_hash(hash: &[u8; 32]) -> Self {
        let mut bits = [0; 16];
        bits.copy_from_slice(&hash[..16]);
        Self::from_random(&bits)
    }

    /// Makes an id from 127 random bits; the first bit is not used.
    ///
    /// The id is an argument of clients' command lines, where one that began with a hyphen would be taken for a flag.
    pub fn from_random(random: &[u8; 16]) -> Self {
        let mut bits = *random;
        bits[0] &= 0x7f;
        Self(base64url(&bits).into())
    }
}

impl OrderId {
    /// How many shards an order id can name.
    pub const MAX_SHARDS: u8 = 100;

    /// Makes an id from a shard (below 100; taken modulo that) and 128 random bits.
    pub fn new(shard: u8, random: &[u8; 16]) -> Self {
        Self(format!("{:02}{}", shard % Self::MAX_SHARDS, base64url(random)).into())
    }

    /// The 128 random bits.
    pub fn random_bits(&self) -> [u8; 16] {
        let mut bits = 0u128;
        for digit in self.0.bytes().skip(2).take(21) {
            bits = bits << 6 | u128::from(base64url_value(digit));
        }
        // The last digit holds the two bits that 21 digits leave over.
        let last = self.0.bytes().last().map_or(0, base64url_value) >> 4;
        (bits << 2 | u128::from(last)).to_be_bytes()
    }

    /// The shard of the order streams that holds this order.
    pub fn shard(&self) -> u8 {
        self.0[..2].parse().unwrap_or(0)
    }
}

impl PreAuthorizationId {
    /// Makes an id from 128 random bits.
    pub fn from_random(random: &[u8; 16]) -> Self {
        Self(base64url(random).into())
    }
}

impl IssuerId {
    /// Makes the id from the SHA-256 over the issuer's SubjectPublicKeyInfo.
    pub fn from_hash(hash: &[u8; 32]) -> Self {
        Self(hex(&hash[..8]).into())
    }
}

impl KeyHash {
    /// Takes the SHA-256 over the key's SubjectPublicKeyInfo.
    pub fn from_hash(hash: &[u8; 32]) -> Self {
        Self(hex(hash).into())
    }
}

impl Serial {
    /// Makes a positive serial number of 17 octets that holds 128 random bits (RFC 5280 §4.1.2.2 allows 20).
    pub fn from_random(random: &[u8; 16]) -> Self {
        Self(format!("01{}", hex(random)).into())
    }

    /// Takes the value octets of a DER INTEGER; leading zero octets beyond the first are dropped.
    ///
    /// # Errors
    /// When there are none or more than 20 octets.
    pub fn from_octets(octets: &[u8]) -> Result<Self, InvalidId> {
        hex(octets).parse()
    }

    /// The value octets of the DER INTEGER.
    pub fn octets(&self) -> Vec<u8> {
        self.0
            .as_bytes()
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |value, &digit| value << 4 | hex_value(digit)))
            .collect()
    }

    /// The last octet, by which the ledger and large CRLs are divided.
    pub fn shard(&self) -> u8 {
        self.octets().last().copied().unwrap_or(0)
    }
}

fn is_base64url(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn base64url_value(digit: u8) -> u8 {
    match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'-' => 62,
        _ => 63,
    }
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit - b'a' + 10,
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn base64url(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    octets
        .chunks(3)
        .flat_map(|chunk| {
            let bits = chunk.iter().fold(0u32, |bits, &octet| bits << 8 | u32::from(octet));
            let bits = bits << (8 * (3 - chunk.len()));
            (0..=chunk.len())
                .map(move |i| char::from(ALPHABET[(bits >> (18 - 6 * i) & 63) as usize]))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_id_names_its_shard() {
        let id = OrderId::new(7, &[0xff; 16]);
        assert_eq!(id.as_str(), "07_____________________w");
        assert_eq!(id.shard(), 7);
        assert_eq!(id.as_str().parse(), Ok(id));
    }

    #[test]
    fn an_order_id_keeps_its_random_bits() {
        let bits = std::array::from_fn(|i| 0xf1u8.wrapping_mul(u8::try_from(i).unwrap() + 3));
        assert_eq!(OrderId::new(42, &bits).random_bits(), bits);
        assert_eq!(OrderId::new(42, &[0xff; 16]).random_bits(), [0xff; 16]);
        let hyphens = [0xfb, 0xef, 0xbe, 0xfb, 0xef, 0xbe, 0xfb, 0xef, 0xbe, 0xfb, 0xef, 0xbe];
        let hyphens = [hyphens.as_slice(), &[0xfb, 0xef, 0xbe, 0xfb]].concat().try_into().unwrap();
        assert_eq!(OrderId::new(42, &hyphens).as_str(), "42---------------------w");
        assert_eq!(OrderId::new(42, &hyphens).random_bits(), hyphens);
    }

    #[test]
    fn the_id_of_an_external_key_is_never_taken_for_a_flag() {
        assert_eq!(ExternalKeyId::from_random(&[0xff; 16]).as_str(), "f____________________w");
        assert_eq!(ExternalKeyId::from_random(&[0; 16]).as_str(), "AAAAAAAAAAAAAAAAAAAAAA");
    }

    #[test]
    fn a_serial_is_divided_by_its_last_octet() {
        let octets = std::array::from_fn(|i| u8::try_from(i).unwrap() * 0x11);
        assert_eq!(Serial::from_random(&octets).shard(), 0xff);
        assert_eq!(Serial::from_octets(&[0x7f, 0x02]).unwrap().shard(), 2);
    }

    #[test]
    fn a_random_serial_is_positive_and_keeps_its_bits() {
        let serial = Serial::from_random(&[0xff; 16]);
        assert_eq!(serial.octets()[0], 1);
        assert_eq!(serial.octets().len(), 17);
        assert_eq!(Serial::from_octets(&serial.octets()), Ok(serial));
    }

    #[test]
    fn reserved_profile_names_are_refused() {
        for name in ["directory", "raProfile", "", "a/b", "ä"] {
            assert!(name.parse::<ProfileName>().is_err(), "{name}");
        }
        assert!("Directory".parse::<ProfileName>().is_ok());
    }

    #[test]
    fn ids_of_the_wrong_length_or_alphabet_are_refused() {
        assert!("0".repeat(23).parse::<AccountId>().is_err());
        assert!("ab".repeat(12).parse::<OrderId>().is_err());
        assert!("ABCDEF0123456789".parse::<IssuerId>().is_err());
        assert!("".parse::<Serial>().is_err());
        assert!("ab".repeat(21).parse::<Serial>().is_err());
    }
}
