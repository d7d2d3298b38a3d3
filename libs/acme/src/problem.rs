//! Problem documents (RFC 7807) with the error types of ACME (RFC 8555 §6.7).
//!
//! Which error becomes which problem is decided in the api, in one place.

mod error_type;

use domain::{Failure, Identifier};
use schemars::JsonSchema;
use serde::Serialize;

pub use error_type::ErrorType;

/// The most subproblems in one problem.
pub const MAX_SUBPROBLEMS: usize = 100;

/// A problem document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Problem {
    /// What kind of error it is.
    #[serde(rename = "type")]
    pub kind: ErrorType,
    /// What happened, for a person: printable ASCII, cut where it is long.
    detail: String,
    /// The HTTP status.
    pub status: u16,
    /// One problem for each identifier that has one (RFC 8555 §6.7.1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subproblems: Vec<Subproblem>,
    /// The supported algorithms, for badSignatureAlgorithm (RFC 8555 §6.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    algorithms: Option<Vec<&'static str>>,
    /// Where a person goes on, for userActionRequired (RFC 8555 §7.3.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
}

/// What is wrong with one identifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Subproblem {
    /// What kind of error it is.
    #[serde(rename = "type")]
    kind: ErrorType,
    /// What happened.
    detail: String,
    /// Which identifier, made printable and cut: it may be anything that somebody sent.
    identifier: ShownIdentifier,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct ShownIdentifier {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

impl Problem {
    /// Makes a problem with the usual status of its type. The detail must be ours, not text that somebody sent; it is made
    /// printable and cut all the same.
    pub fn new(kind: ErrorType, detail: &str) -> Self {
        Self {
            kind,
            detail: printable(detail),
            status: kind.status(),
            subproblems: Vec::new(),
            algorithms: None,
            instance: None,
        }
    }

    /// What happened.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Answers with another status than the type's usual one.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Lists the supported signature algorithms.
    #[must_use]
    pub fn with_algorithms(mut self) -> Self {
        self.algorithms = Some(crate::SignatureAlgorithm::names().to_vec());
        self
    }

    /// Says where a person goes on.
    #[must_use]
    pub fn with_instance(mut self, url: String) -> Self {
        self.instance = Some(url);
        self
    }

    /// Adds problems of single identifiers; those beyond [`MAX_SUBPROBLEMS`] are left out.
    #[must_use]
    pub fn with_subproblems(mut self, subproblems: impl IntoIterator<Item = Subproblem>) -> Self {
        let room = MAX_SUBPROBLEMS.saturating_sub(self.subproblems.len());
        self.subproblems.extend(subproblems.into_iter().take(room));
        self
    }
}

impl From<&Failure> for Problem {
    fn from(failure: &Failure) -> Self {
        Self::new(failure.kind.into(), &failure.detail)
    }
}

impl Subproblem {
    /// Makes the problem of an identifier.
    pub fn new(kind: ErrorType, detail: &str, identifier: &Identifier) -> Self {
        let value = identifier.to_string();
        Self::of_unchecked(kind, detail, (identifier.kind().as_str(), &value))
    }

    /// Makes the problem of an identifier that was not accepted, given as its type and value.
    pub fn of_unchecked(
        kind: ErrorType,
        detail: &str,
        (identifier_type, value): (&str, &str),
    ) -> Self {
        let identifier = ShownIdentifier { kind: shown(identifier_type), value: shown(value) };
        Self { kind, detail: printable(detail), identifier }
    }
}

fn printable(detail: &str) -> String {
    let printable = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    detail.chars().take(Failure::MAX_DETAIL_BYTES).map(printable).collect()
}

/// Makes foreign text harmless to show: short, and without characters that mean something in HTML or to a shell
/// (CVE-2023-38198 ran a server's text in a client's shell).
pub fn shown(text: &str) -> String {
    const MAX_SHOWN_BYTES: usize = 64;
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-_.*:".contains(c);
    text.chars().take(MAX_SHOWN_BYTES).map(|c| if harmless(c) { c } else { '?' }).collect()
}

/// Makes a parser's message, which may repeat foreign text, harmless to show: short, and without the characters that [`shown`]
/// replaces; only spaces and commas stay.
pub(crate) fn said(text: &str) -> String {
    const MAX_SAID_BYTES: usize = 160;
    let harmless = |c: &char| c.is_ascii_alphanumeric() || " ,-_.*:".contains(*c);
    text.chars().filter(harmless).take(MAX_SAID_BYTES).collect()
}

#[cfg(test)]
mod tests {
    use domain::FailureKind;

    use super::*;

    #[test]
    fn a_problem_has_type_detail_and_status() {
        let problem = Problem::new(ErrorType::BadNonce, "JWS has an invalid anti-replay nonce");
        assert_eq!(
            serde_json::to_string(&problem).unwrap(),
            r#"{"type":"urn:ietf:params:acme:error:badNonce","detail":"JWS has an invalid anti-replay nonce","status":400}"#
        );
    }

    #[test]
    fn everything_else_is_shown_when_it_is_there() {
        let identifier = Identifier::Dns("a.example".parse().unwrap());
        let problem = Problem::new(ErrorType::Compound, "several")
            .with_status(403)
            .with_algorithms()
            .with_instance("https://ca.example/terms".into())
            .with_subproblems([Subproblem::new(ErrorType::Caa, "forbidden", &identifier)]);
        assert_eq!(
            serde_json::to_value(&problem).unwrap(),
            serde_json::json!({
                "type": "urn:ietf:params:acme:error:compound",
                "detail": "several",
                "status": 403,
                "subproblems": [{"type": "urn:ietf:params:acme:error:caa", "detail": "forbidden",
                    "identifier": {"type": "dns", "value": "a.example"}}],
                "algorithms": ["ES256", "ES384", "RS256", "PS256", "EdDSA"],
                "instance": "https://ca.example/terms",
            })
        );
    }

    #[test]
    fn foreign_text_is_made_harmless() {
        let hostile = ("<b>", "$(id)`\r\n<script>\u{202e}");
        let subproblem = Subproblem::of_unchecked(ErrorType::Malformed, "a\r\nb", hostile);
        let json = serde_json::to_string(&subproblem).unwrap();
        assert!(!json.contains(['<', '$', '`', '\\', '(', '\u{202e}']), "{json}");
        let long = Problem::new(ErrorType::Malformed, &"ü".repeat(10_000));
        assert_eq!(long.detail().len(), 512);
    }

    #[test]
    fn a_failure_becomes_the_problem_of_its_kind() {
        let failure = Failure::new(FailureKind::IncorrectResponse, "wrong");
        assert_eq!(Problem::from(&failure), Problem::new(ErrorType::IncorrectResponse, "wrong"));
    }
}
