//! Reads values whose own types do not say what they expect, so that a refusal does.

use std::{borrow::Cow, str::FromStr};

use serde::{Deserialize, Deserializer, de::Error as _};

const URL: &str = "a URL, such as \"https://ca.example.com\"";
const NETWORK: &str = "a network, such as \"10.0.0.0/8\" or \"2001:db8::/32\"";
const SOCKET: &str = "an address with its port, such as \"192.0.2.1:53\" or \"[2001:db8::1]:53\"";

/// A type that is read from text.
pub(super) trait Form: FromStr {
    /// What the text may be.
    const EXPECTED: &'static str;
}

impl Form for url::Url {
    const EXPECTED: &'static str = URL;
}

impl Form for ipnet::IpNet {
    const EXPECTED: &'static str = NETWORK;
}

impl Form for std::net::SocketAddr {
    const EXPECTED: &'static str = SOCKET;
}

struct Read<T>(T);

impl<'de, T: Form> Deserialize<'de> for Read<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let refused = |_| D::Error::custom(format_args!("expected {}", T::EXPECTED));
        text.parse().map(Self).map_err(refused)
    }
}

/// Reads a value.
pub(super) fn one<'de, D: Deserializer<'de>, T: Form>(deserializer: D) -> Result<T, D::Error> {
    Read::deserialize(deserializer).map(|Read(value)| value)
}

/// Reads a value that need not be there.
pub(super) fn optional<'de, D: Deserializer<'de>, T: Form>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.map(|Read(value)| value))
}

/// Reads a list of values.
pub(super) fn list<'de, D: Deserializer<'de>, T: Form>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Vec::deserialize(deserializer)?.into_iter().map(|Read(value)| value).collect())
}

/// Reads a list of values that need not be there.
pub(super) fn optional_list<'de, D: Deserializer<'de>, T: Form>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let values: Option<Vec<Read<T>>> = Option::deserialize(deserializer)?;
    Ok(values.map(|values| values.into_iter().map(|Read(value)| value).collect()))
}
