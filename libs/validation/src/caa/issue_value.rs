//! The value of an `issue` or `issuewild` property (RFC 8659 §4.2).

/// Who may issue, and under which conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IssueValue<'a> {
    /// The CA's domain name; empty for nobody.
    pub(super) issuer: &'a str,
    /// Its conditions, as tags and values in the order in which they stand.
    pub(super) parameters: Vec<(&'a str, &'a str)>,
}

/// The spaces of the grammar: WSP (RFC 5234).
const SPACES: [char; 2] = [' ', '\t'];

impl<'a> IssueValue<'a> {
    /// Reads a value; `None` when it does not follow the grammar, which RFC 8659 §4.2 has mean nobody.
    pub(super) fn parse(value: &'a [u8]) -> Option<Self> {
        let text = str::from_utf8(value).ok()?;
        let (issuer, parameters) = match text.split_once(';') {
            Some((issuer, parameters)) => (issuer, parameters.trim_matches(SPACES)),
            None => (text, ""),
        };
        let issuer = issuer.trim_matches(SPACES);
        if !issuer.is_empty() && !issuer.split('.').all(is_label) {
            return None;
        }
        let parameters = match parameters {
            "" => Vec::new(),
            several => several.split(';').map(parameter).collect::<Option<_>>()?,
        };
        Some(Self { issuer, parameters })
    }

    /// The value of a parameter; `Err` when it stands there twice, so that nobody knows which one counts.
    pub(super) fn parameter(&self, tag: &str) -> Result<Option<&'a str>, Repeated> {
        let mut values = self
            .parameters
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(tag))
            .map(|(_, value)| *value);
        let first = values.next();
        if values.next().is_some() { Err(Repeated) } else { Ok(first) }
    }
}

/// A parameter stands in a value more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repeated;

fn parameter(text: &str) -> Option<(&str, &str)> {
    let (tag, value) = text.split_once('=')?;
    let (tag, value) = (tag.trim_matches(SPACES), value.trim_matches(SPACES));
    let is_visible = |octet: u8| (0x21..=0x7e).contains(&octet) && octet != b';';
    (is_label(tag) && value.bytes().all(is_visible)).then_some((tag, value))
}

/// Letters, digits and inner hyphens.
fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Option<(&str, Vec<(&str, &str)>)> {
        IssueValue::parse(value.as_bytes()).map(|parsed| (parsed.issuer, parsed.parameters))
    }

    #[test]
    fn an_issuer_may_stand_alone_or_with_parameters() {
        assert_eq!(parse("ca.example"), Some(("ca.example", vec![])));
        assert_eq!(parse("\tca.example "), Some(("ca.example", vec![])));
        assert_eq!(parse("ca.example; "), Some(("ca.example", vec![])));
        let two = vec![("a", "1"), ("b-c", "x=y:/%")];
        assert_eq!(parse("ca.example ; a = 1 ;b-c=x=y:/%"), Some(("ca.example", two)));
        assert_eq!(parse("ca.example;a="), Some(("ca.example", vec![("a", "")])));
    }

    #[test]
    fn nobody_may_be_named() {
        assert_eq!(parse(""), Some(("", vec![])));
        assert_eq!(parse(";"), Some(("", vec![])));
        assert_eq!(parse(" ; policy=ev"), Some(("", vec![("policy", "ev")])));
    }

    #[test]
    fn what_does_not_follow_the_grammar_is_told_apart() {
        for value in [
            "ca_.example",
            "-ca.example",
            "ca..example",
            "ca.example.",
            "ca.example other.example",
            "ca.example; a",
            "ca.example; a=1;",
            "ca.example; ;a=1",
            "ca.example; =1",
            "ca.example; a=1 2",
            "ca.example; a b=1",
            "ca.example; a=\u{7f}",
            "ca.exämple",
            "%%%%",
        ] {
            assert_eq!(parse(value), None, "{value}");
        }
        assert_eq!(IssueValue::parse(b"ca.example; a=\xff"), None);
    }

    #[test]
    fn a_repeated_parameter_is_noticed_whatever_its_case() {
        let value = IssueValue::parse(b"ca.example; a=1; A=2; b=3").unwrap();
        assert_eq!(value.parameter("a"), Err(Repeated));
        assert_eq!(value.parameter("B"), Ok(Some("3")));
        assert_eq!(value.parameter("c"), Ok(None));
    }
}
