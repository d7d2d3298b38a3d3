//! Patterns of names: which names somebody may ask for.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{DnsName, Identifier, InvalidDnsName};

/// One name, or all names below one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamePattern {
    /// `www.example.com`: this name alone; `*.example.com`: this wildcard alone.
    Exact(DnsName),
    /// `.example.com`: every name below example.com, and wildcards, but not example.com itself.
    Below(Suffix),
}

/// What names can stand below: a name, or a single label such as `internal`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suffix(Box<str>);

/// The text is not a pattern of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a name, such as \"www.example.com\", or all names below one, \".example.com\" or \".internal\""
)]
pub struct InvalidNamePattern;

impl NamePattern {
    /// Whether the pattern is about the identifier.
    pub fn matches(&self, identifier: &Identifier) -> bool {
        let name = identifier.canonical();
        match self {
            Self::Exact(own) => name == own.canonical(),
            Self::Below(Suffix(suffix)) => {
                let labels = name.strip_suffix(&suffix.to_ascii_lowercase());
                labels.is_some_and(|labels| labels.ends_with('.'))
            }
        }
    }
}

impl FromStr for NamePattern {
    type Err = InvalidNamePattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pattern = match text.strip_prefix('.') {
            Some(suffix) => suffix.parse().map(Self::Below),
            None => text.parse().map(Self::Exact),
        };
        pattern.map_err(|_| InvalidNamePattern)
    }
}

impl FromStr for Suffix {
    type Err = InvalidDnsName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Any name below it has to be one.
        let _: DnsName = format!("a.{text}").parse()?;
        Ok(Self(text.into()))
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name.as_str()),
            Self::Below(base) => write!(f, ".{}", base.0),
        }
    }
}

impl Serialize for NamePattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NamePattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for NamePattern {
    fn schema_name() -> Cow<'static, str> {
        "NamePattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A name, or with a leading dot all names below one.",
            "type": "string",
            "maxLength": DnsName::MAX_BYTES + 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, name: &str, expected: bool) {
        let pattern: NamePattern = pattern.parse().unwrap();
        let identifier = Identifier::Dns(name.parse().unwrap());
        assert_eq!(pattern.matches(&identifier), expected, "{pattern} {name}");
    }

    #[test]
    fn an_exact_pattern_has_one_name_however_it_is_spelled() {
        check("www.example.com", "WWW.example.com", true);
        check("www.example.com", "a.www.example.com", false);
        check("www.example.com", "example.com", false);
        check("*.example.com", "*.example.com", true);
        check("*.example.com", "a.example.com", false);
    }

    #[test]
    fn a_suffix_has_what_is_below_at_the_border_of_a_label() {
        check(".example.com", "a.example.com", true);
        check(".Example.com", "a.b.example.COM", true);
        check(".example.com", "*.example.com", true);
        check(".example.com", "example.com", false);
        check(".example.com", "badexample.com", false);
        check(".example.com", "a.example.com.evil.org", false);
        check(".internal", "a.internal", true);
        check(".internal", "a.b.Internal", true);
        check(".internal", "a.b-internal", false);
        check(".internal", "a.internal.example.com", false);
    }

    #[test]
    fn anything_else_is_no_pattern() {
        for text in [
            "",
            ".",
            "*",
            "com",
            ".*",
            ".*.example.com",
            "..example.com",
            "192.0.2.1",
            ".1",
            "a b.c",
        ] {
            assert_eq!(text.parse::<NamePattern>(), Err(InvalidNamePattern), "{text}");
        }
    }
}
