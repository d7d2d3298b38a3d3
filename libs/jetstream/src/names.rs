//! What streams and subjects of the log are called on the servers.

use eventstore::{InvalidSubject, Service, Stream, Subject};

/// The longest prefix.
const MAX_PREFIX_BYTES: usize = 32;

/// The prefix that one log's streams and subjects share.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    prefix: String,
}

impl Names {
    /// Takes a prefix; `None` when it could not be a token of a subject.
    pub(crate) fn new(prefix: &str) -> Option<Self> {
        let token = prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let valid = token && (1..=MAX_PREFIX_BYTES).contains(&prefix.len());
        valid.then(|| Self { prefix: prefix.to_owned() })
    }

    /// A stream's name on the servers: `certmill-orders-05`.
    pub(crate) fn stream(&self, stream: Stream) -> String {
        format!("{}-{stream}", self.prefix)
    }

    /// The subjects a stream holds: `certmill.order.05.>`.
    pub(crate) fn all_of(&self, stream: Stream) -> String {
        let prefix = &self.prefix;
        match stream {
            Stream::Accounts => format!("{prefix}.account.>"),
            Stream::Administration => format!("{prefix}.administration.>"),
            Stream::Orders(shard) => format!("{prefix}.order.{shard:02}.>"),
            Stream::Ledger => format!("{prefix}.ledger.>"),
            Stream::Revocations => format!("{prefix}.revocation.>"),
        }
    }

    /// A subject's name on the servers: `certmill.order.05.<id>`.
    pub(crate) fn subject(&self, subject: &Subject) -> String {
        format!("{}.{subject}", self.prefix)
    }

    /// The subject that has this name on the servers.
    pub(crate) fn parse(&self, name: &str) -> Result<Subject, InvalidSubject> {
        let rest = name.strip_prefix(&self.prefix).and_then(|rest| rest.strip_prefix('.'));
        rest.ok_or(InvalidSubject)?.parse()
    }

    /// The stream in which [`JetStream::connect`](crate::JetStream::connect) tests compare-and-set.
    pub(crate) fn self_test_stream(&self) -> String {
        format!("{}-self-test", self.prefix)
    }

    /// A subject of that stream, or all of them for `>`.
    pub(crate) fn self_test_subject(&self, token: &str) -> String {
        format!("{}.self-test.{token}", self.prefix)
    }

    /// The subject on which a service is asked; in no stream.
    pub(crate) fn service(&self, service: Service) -> String {
        format!("{}.call.{}", self.prefix, service.as_str())
    }

    /// The subject that wakes are published on; in no stream.
    pub(crate) fn wakes(&self) -> String {
        format!("{}.wake", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_survives_its_name_and_belongs_to_its_streams_subjects() {
        let names = Names::new("certmill").unwrap();
        let subject: Subject = "order.05.05AAAAAAAAAAAAAAAAAAAAAA".parse().unwrap();
        let name = names.subject(&subject);
        assert_eq!(names.parse(&name), Ok(subject.clone()));
        let all = names.all_of(subject.stream());
        assert!(name.starts_with(all.strip_suffix('>').unwrap()), "{name} is not in {all}");
        assert_eq!(names.stream(subject.stream()), "certmill-orders-05");
    }

    #[test]
    fn a_subject_of_another_log_is_not_ours() {
        let names = Names::new("certmill").unwrap();
        assert_eq!(names.parse("certmill2.account.a"), Err(InvalidSubject));
        assert_eq!(names.parse("account.a"), Err(InvalidSubject));
    }

    #[test]
    fn prefixes_that_are_no_token_are_refused() {
        for prefix in ["", "a.b", "a b", ">", "*", "ä", &"a".repeat(33)] {
            assert!(Names::new(prefix).is_none(), "{prefix}");
        }
    }
}
