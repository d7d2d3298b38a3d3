//! The lines of the journal and the chain of hashes through them.
//!
//! A line is `hash TAB number TAB json NEWLINE`; the hash, in hex, is the SHA-256 over the hash before it and all that
//! follows it in the line.

use ring::digest::{Context, SHA256};

use super::entry::{Content, SegmentStart};

const HASH_BYTES: usize = 32;

/// The end of the chain: the last line's hash and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) hash: [u8; HASH_BYTES],
    pub(super) number: u64,
}

impl Chain {
    /// The chain before its first line.
    pub(super) const EMPTY: Self = Self { hash: [0; HASH_BYTES], number: 0 };

    /// Adds a line with this content to `lines`.
    pub(super) fn seal(
        &mut self,
        content: &Content,
        lines: &mut Vec<u8>,
    ) -> Result<(), serde_json::Error> {
        let number = self.number + 1;
        let body = format!("{number}\t{}", serde_json::to_string(content)?);
        self.hash = self.hash_of(body.as_bytes());
        self.number = number;
        lines.extend_from_slice(hex(&self.hash).as_bytes());
        lines.push(b'\t');
        lines.extend_from_slice(body.as_bytes());
        lines.push(b'\n');
        Ok(())
    }

    /// Follows the chain over a line, newline included; nothing changes when it does not continue the chain.
    pub(super) fn follow(&mut self, line: &[u8]) -> Option<Content> {
        let (hash, body) = split(line)?;
        let (number, content) = parse(body)?;
        if hash != self.hash_of(body) || number != self.number + 1 {
            return None;
        }
        *self = Self { hash, number };
        Some(content)
    }

    /// Enters the chain at the first line of a segment, trusting what that says of the line before.
    pub(super) fn enter(line: &[u8]) -> Option<(Self, SegmentStart)> {
        let (_, body) = split(line)?;
        let (number, Content::Segment(start)) = parse(body)? else { return None };
        let mut chain = Self { hash: unhex(&start.previous)?, number: number.checked_sub(1)? };
        chain.follow(line)?;
        Some((chain, start))
    }

    fn hash_of(&self, body: &[u8]) -> [u8; HASH_BYTES] {
        let mut context = Context::new(&SHA256);
        context.update(&self.hash);
        context.update(body);
        let mut hash = [0; HASH_BYTES];
        hash.copy_from_slice(context.finish().as_ref());
        hash
    }
}

fn split(line: &[u8]) -> Option<([u8; HASH_BYTES], &[u8])> {
    let line = line.strip_suffix(b"\n")?;
    let (hash, rest) = line.split_at_checked(2 * HASH_BYTES)?;
    Some((unhex(std::str::from_utf8(hash).ok()?)?, rest.strip_prefix(b"\t")?))
}

fn parse(body: &[u8]) -> Option<(u64, Content)> {
    let (number, json) = std::str::from_utf8(body).ok()?.split_once('\t')?;
    Some((number.parse().ok()?, serde_json::from_str(json).ok()?))
}

/// The lower-case hex of a hash.
pub(super) fn hex(hash: &[u8; HASH_BYTES]) -> String {
    hash.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The hash that this lower-case hex says.
pub(super) fn unhex(text: &str) -> Option<[u8; HASH_BYTES]> {
    let mut hash = [0; HASH_BYTES];
    if text.len() != 2 * HASH_BYTES || !text.is_ascii() {
        return None;
    }
    for (octet, digits) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
        *octet = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    // Upper case or a sign would be a second form of the same hash.
    (hex(&hash) == text).then_some(hash)
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;

    use super::*;
    use crate::journal::Burning;

    fn content(reason: &str) -> Content {
        Content::Burned(Burning {
            serial: "01".parse().unwrap(),
            reason: reason.to_owned(),
            at: Timestamp::from_unix_seconds(0),
        })
    }

    #[test]
    fn a_chain_is_followed_line_by_line() {
        let (mut sealed, mut followed) = (Chain::EMPTY, Chain::EMPTY);
        for reason in ["one", "two", "line\nbreak"] {
            let mut line = Vec::new();
            sealed.seal(&content(reason), &mut line).unwrap();
            assert_eq!(followed.follow(&line), Some(content(reason)));
            assert_eq!(followed, sealed);
            assert_eq!(followed.follow(&line), None, "twice");
        }
    }

    #[test]
    fn no_changed_bit_is_followed() {
        let mut line = Vec::new();
        Chain::EMPTY.clone().seal(&content("reason"), &mut line).unwrap();
        for position in 0..line.len() * 8 {
            let mut changed = line.clone();
            changed[position / 8] ^= 1 << (position % 8);
            assert_eq!(Chain::EMPTY.clone().follow(&changed), None, "bit {position}");
        }
    }
}
