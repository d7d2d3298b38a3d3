//! What precedes every value: `tag (16 hex digits) sequence (20 digits) schema (5 digits)`. The script that writes compares
//! stamps of one tag as text.

use std::fmt;

use crate::epoch::EpochId;

const TAG_BYTES: usize = 16;
const SEQUENCE_BYTES: usize = 20;
const SCHEMA_BYTES: usize = 5;
const STAMP_BYTES: usize = TAG_BYTES + SEQUENCE_BYTES + SCHEMA_BYTES;

/// Which other values a value is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    /// Those of one epoch: views, which may have been newer before memory was lost, and what a rebuild makes anew.
    Epoch(EpochId),
    /// All: CRLs and markers, which are true whatever was lost.
    Timeless,
}

/// What decides which of two values stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) sequence: u64,
    pub(crate) schema: u16,
}

/// A value as it stands in Redis.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stamped<'a> {
    pub(crate) tag: Tag,
    pub(crate) version: Version,
    pub(crate) body: &'a [u8],
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Epoch(epoch) => epoch.fmt(f),
            Self::Timeless => f.write_str("0000000000000000"),
        }
    }
}

impl<'a> Stamped<'a> {
    pub(crate) fn write(&self) -> Vec<u8> {
        let Version { sequence, schema } = self.version;
        let mut value = format!("{}{sequence:020}{schema:05}", self.tag).into_bytes();
        value.extend_from_slice(self.body);
        value
    }

    /// Takes a value apart; `None` when it was not written here.
    pub(crate) fn read(value: &'a [u8]) -> Option<Self> {
        let (stamp, body) = value.split_at_checked(STAMP_BYTES)?;
        let stamp = str::from_utf8(stamp).ok().filter(|stamp| stamp.is_ascii())?;
        let (tag, version) = stamp.split_at(TAG_BYTES);
        let (sequence, schema) = version.split_at(SEQUENCE_BYTES);
        let tag = match tag {
            _ if tag == Tag::Timeless.to_string() => Tag::Timeless,
            _ => Tag::Epoch(tag.parse().ok()?),
        };
        let version = Version { sequence: sequence.parse().ok()?, schema: schema.parse().ok()? };
        Some(Self { tag, version, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped(sequence: u64, schema: u16) -> Vec<u8> {
        let version = Version { sequence, schema };
        Stamped { tag: Tag::Epoch(EpochId(7)), version, body: b"body" }.write()
    }

    #[test]
    fn a_value_survives_its_stamp() {
        for tag in [Tag::Epoch(EpochId(u64::MAX)), Tag::Timeless] {
            let version = Version { sequence: u64::MAX, schema: u16::MAX };
            let value = Stamped { tag, version, body: b"\0body" };
            assert_eq!(Stamped::read(&value.write()), Some(value));
        }
    }

    #[test]
    fn stamps_compare_as_their_versions() {
        let versions = [(0, 0), (0, 1), (9, 0), (10, 0), (10, 1), (10, 10), (99, 9), (u64::MAX, 0)];
        let stamps = versions.map(|(sequence, schema)| stamped(sequence, schema));
        assert!(stamps.is_sorted());
    }

    #[test]
    fn what_was_not_written_here_is_not_read() {
        let value = stamped(1, 1);
        assert_eq!(Stamped::read(&value[..STAMP_BYTES - 1]), None);
        assert_eq!(Stamped::read(&[b'x'; 100]), None);
        assert_eq!(Stamped::read(&[0xff; 100]), None);
        assert_eq!(Stamped::read("ü".repeat(50).as_bytes()), None);
    }
}
