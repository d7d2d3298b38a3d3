//! The hash chain: each message's hash covers the message and the hash before it.

use eventstore::{Sequence, Subject};
use ring::digest::{Context, SHA256, digest};
use rusqlite::{
    ToSql,
    types::{FromSql, FromSqlResult, ToSqlOutput, ValueRef},
};

use crate::schema::stream_code;

/// A SHA-256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hash(pub(crate) [u8; 32]);

/// The last message of a log: the place where it ends and the hash over all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tip {
    /// The last message; nothing in an empty log.
    pub(crate) sequence: Sequence,
    /// The hash it carries.
    pub(crate) hash: Hash,
}

/// What a message's hash covers beside its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link<'a> {
    /// Where the message belongs.
    pub(crate) subject: &'a Subject,
    /// Its place among the subject's messages, from 1.
    pub(crate) version: u64,
    /// The hash of its body; it stays when the body is pruned.
    pub(crate) body: Hash,
}

impl Hash {
    /// Hashes a body.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self::from_ring(&digest(&SHA256, bytes))
    }

    /// Hashes fields, each with its length before it, so that no two lists of fields look alike.
    pub(crate) fn of_fields(fields: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        for field in fields {
            context.update(&(field.len() as u64).to_be_bytes());
            context.update(field);
        }
        Self::from_ring(&context.finish())
    }

    fn from_ring(digest: &ring::digest::Digest) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }
}

impl Tip {
    /// The tip after one more message.
    pub(crate) fn extended(&self, link: &Link<'_>) -> Self {
        let sequence = Sequence(self.sequence.0 + 1);
        let hash = Hash::of_fields(&[
            &self.hash.0,
            &sequence.0.to_be_bytes(),
            &stream_code(link.subject.stream()).to_be_bytes(),
            link.subject.as_str().as_bytes(),
            &link.version.to_be_bytes(),
            &link.body.0,
        ]);
        Self { sequence, hash }
    }
}

impl ToSql for Hash {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(&self.0)))
    }
}

impl FromSql for Hash {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        <[u8; 32]>::column_result(value).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use domain::OrderId;

    use super::*;

    #[test]
    fn every_part_of_a_message_changes_its_hash() {
        let [first, second] = [1, 2].map(|n| Subject::order(&OrderId::new(n, &[n; 16])));
        let link = |subject, version, body: &[u8]| {
            Tip::default().extended(&Link { subject, version, body: Hash::of(body) }).hash
        };
        let original = link(&first, 1, b"body");
        assert_eq!(original, link(&first, 1, b"body"));
        assert_ne!(original, link(&second, 1, b"body"));
        assert_ne!(original, link(&first, 2, b"body"));
        assert_ne!(original, link(&first, 1, b"bodz"));
        let elsewhere = Tip { hash: original, ..Tip::default() };
        let moved = Link { subject: &first, version: 1, body: Hash::of(b"body") };
        assert_ne!(original, elsewhere.extended(&moved).hash);
    }
}
