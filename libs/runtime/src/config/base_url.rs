//! The URL under which clients reach the server; every URL the server hands out starts with it.

use std::{borrow::Cow, fmt, str::FromStr};

use domain::{AccountId, ProfileName};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use url::Url;

/// The start of every base URL. An http directory would let anyone on the way answer in the CA's name (RFC 8555 §6.1).
const SCHEME: &str = "https://";

/// An https URL of a host and perhaps a port, written without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(Box<str>);

/// The text is not such a URL.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected an https URL without path, query or user, such as \"https://ca.example.com\"")]
pub struct InvalidBaseUrl;

impl BaseUrl {
    /// The host's name or address as it stands in the URL; an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        let authority = self.0.strip_prefix(SCHEME).unwrap_or(&self.0);
        match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => authority.split_once(':').map_or(authority, |(host, _)| host),
        }
    }

    /// The URL of an account, which CAA records name (RFC 8657 §3): it never changes.
    pub fn account_url(&self, profile: &ProfileName, account: &AccountId) -> String {
        format!("{}/acme/{profile}/account/{account}", self.0)
    }

    /// The URL without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for BaseUrl {
    fn default() -> Self {
        Self("https://localhost:14000".into())
    }
}

impl FromStr for BaseUrl {
    type Err = InvalidBaseUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|_| InvalidBaseUrl)?;
        let user = !url.username().is_empty() || url.password().is_some();
        let more = url.path() != "/" || url.query().is_some() || url.fragment().is_some();
        if user || more {
            return Err(InvalidBaseUrl);
        }
        let url = url.as_str().trim_end_matches('/');
        if url.starts_with(SCHEME) { Ok(Self(url.into())) } else { Err(InvalidBaseUrl) }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for BaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for BaseUrl {
    fn schema_name() -> Cow<'static, str> {
        "BaseUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An https URL without path, query or user, such as \"https://ca.example.com\".",
            "type": "string",
            "format": "uri",
            "pattern": "^https://[^/?#@]+/?$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_written_without_its_slash() {
        let url: BaseUrl = "https://CA.example.com:14000/".parse().unwrap();
        assert_eq!(url.to_string(), "https://ca.example.com:14000");
        assert_eq!(url.host(), "ca.example.com");
        assert_eq!("https://[::1]:1".parse::<BaseUrl>().unwrap().host(), "::1");
    }

    #[test]
    fn the_default_is_a_base_url() {
        assert_eq!(BaseUrl::default().as_str().parse(), Ok(BaseUrl::default()));
        assert_eq!(BaseUrl::default().host(), "localhost");
    }

    #[test]
    fn what_is_not_https_or_has_more_than_a_host_is_refused() {
        for text in
            ["http://a.test", "a.test", "https://a.test/ca", "https://a.test?q", "https://u@a.test"]
        {
            assert_eq!(text.parse::<BaseUrl>(), Err(InvalidBaseUrl), "{text}");
        }
    }
}
