//! Rules about names, as an operator writes them: a name, all names below one, or a regular expression.

use std::{borrow::Cow, fmt, str::FromStr};

use regex::{Regex, RegexBuilder};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{DnsName, Identifier, NamePattern};

/// The longest regular expression, in octets.
const MAX_REGEX_BYTES: usize = 1024;
/// How much memory a compiled one may take, in octets: what repeats itself a thousand times is refused.
const MAX_COMPILED_BYTES: usize = 256 * 1024;

/// Which names a rule is about.
#[derive(Clone, Debug)]
pub enum NameRule {
    /// A name, or all names below one.
    Pattern(NamePattern),
    /// `/web-[0-9]+\.example\.com/`: every name that the expression has as a whole, in whatever case.
    Regex {
        /// The expression as it was written.
        text: Box<str>,
        /// The expression for whole names.
        whole: Regex,
    },
}

/// The text is no rule about names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a name, such as \"www.example.com\", all names below one, \".example.com\" or \".internal\", or a regular \
     expression of at most 1024 characters between slashes, \"/web-[0-9]+\\.example\\.com/\""
)]
pub struct InvalidNameRule;

impl NameRule {
    /// Whether the rule is about the identifier; a regular expression sees a wildcard as it is written, `*.example.com`.
    pub fn matches(&self, identifier: &Identifier) -> bool {
        match (self, identifier) {
            (_, Identifier::Ip(_)) => false,
            (Self::Pattern(pattern), Identifier::Dns(_)) => pattern.matches(identifier),
            (Self::Regex { whole, .. }, Identifier::Dns(name)) => whole.is_match(name.as_str()),
        }
    }

    /// Whether the rule is about the identifier, or about a name that the identifier, a wildcard, stands for. Whether a regular
    /// expression is about such a name cannot be told, and is taken to be false.
    pub(crate) fn touches(&self, identifier: &Identifier) -> bool {
        let stands_for_it = match (self, identifier) {
            (Self::Pattern(NamePattern::Exact(name)), Identifier::Dns(wildcard)) => {
                wildcard.is_wildcard() && is_directly_below(name, &wildcard.base())
            }
            (Self::Pattern(_) | Self::Regex { .. }, Identifier::Dns(_) | Identifier::Ip(_)) => {
                false
            }
        };
        stands_for_it || self.matches(identifier)
    }
}

fn is_directly_below(name: &DnsName, base: &DnsName) -> bool {
    name.canonical().split_once('.').is_some_and(|(_, parent)| parent == base.canonical())
}

impl FromStr for NameRule {
    type Err = InvalidNameRule;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(rest) = text.strip_prefix('/') else {
            return text.parse().map(Self::Pattern).map_err(|_| InvalidNameRule);
        };
        let expression =
            rest.strip_suffix('/').filter(|it| (1..=MAX_REGEX_BYTES).contains(&it.len()));
        let expression = expression.ok_or(InvalidNameRule)?;
        // By itself first: a stray parenthesis must not end the group that holds the expression to whole names.
        compile(expression)?;
        let whole = compile(&format!(r"\A(?:{expression})\z"))?;
        Ok(Self::Regex { text: expression.into(), whole })
    }
}

fn compile(expression: &str) -> Result<Regex, InvalidNameRule> {
    let mut builder = RegexBuilder::new(expression);
    builder.case_insensitive(true).size_limit(MAX_COMPILED_BYTES);
    builder.dfa_size_limit(MAX_COMPILED_BYTES).build().map_err(|_| InvalidNameRule)
}

/// Rules are equal that are written alike.
impl PartialEq for NameRule {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl fmt::Display for NameRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(pattern) => pattern.fmt(f),
            Self::Regex { text, .. } => write!(f, "/{text}/"),
        }
    }
}

impl Serialize for NameRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NameRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for NameRule {
    fn schema_name() -> Cow<'static, str> {
        "NameRule".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A name, with a leading dot all names below one, or between slashes a regular expression for whole names.",
            "type": "string",
            "maxLength": MAX_REGEX_BYTES + 2,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Identifier {
        Identifier::Dns(text.parse().unwrap())
    }

    fn check(rule: &str, text: &str, expected: bool) {
        let rule: NameRule = rule.parse().unwrap();
        assert_eq!(rule.matches(&name(text)), expected, "{rule} {text}");
    }

    #[test]
    fn an_expression_has_whole_names_in_whatever_case() {
        check(r"/web-[0-9]+\.example\.com/", "web-7.example.com", true);
        check(r"/web-[0-9]+\.example\.com/", "WEB-7.Example.com", true);
        check(r"/web-[0-9]+\.example\.com/", "web-7.example.com.evil.org", false);
        check(r"/web-[0-9]+\.example\.com/", "a.web-7.example.com", false);
        check(r"/a\.example\.com|b\.example\.com/", "a.example.com.evil.org", false);
        check(r"/a\.example\.com|b\.example\.com/", "evil.b.example.com", false);
        check(r"/.*\.example\.com/", "*.example.com", true);
    }

    #[test]
    fn a_rule_touches_the_wildcard_that_stands_for_its_name() {
        let rule: NameRule = "secret.example.com".parse().unwrap();
        for (text, touched) in [
            ("secret.example.com", true),
            ("*.Example.com", true),
            ("*.secret.example.com", false),
            ("*.com", false),
            ("other.example.com", false),
        ] {
            // A wildcard below a single label is no name here.
            let Ok(dns) = text.parse() else { continue };
            assert_eq!(rule.touches(&Identifier::Dns(dns)), touched, "{text}");
        }
        let below: NameRule = ".secret.example.com".parse().unwrap();
        assert!(below.touches(&name("*.secret.example.com")));
        assert!(!below.touches(&name("*.example.com")), "it stands for one label only");
    }

    #[test]
    fn what_cannot_be_held_to_whole_names_is_no_rule() {
        let long = format!("/{}/", "a".repeat(MAX_REGEX_BYTES + 1));
        for text in
            ["", "/", "//", "/a", "/(/", "/a)|(?:b/", "/(?x)a #/", "/(a{1000}){1000}/", &long]
        {
            assert!(text.parse::<NameRule>().is_err(), "{text:.40}");
        }
    }

    #[test]
    fn a_rule_survives_its_text() {
        for text in ["www.example.com", ".example.com", r"/[a-z]+\.example\.com/"] {
            assert_eq!(text.parse::<NameRule>().unwrap().to_string(), text);
            assert_eq!(text.parse::<NameRule>(), text.parse());
        }
        assert_ne!("www.example.com".parse::<NameRule>(), ".www.example.com".parse());
    }
}
