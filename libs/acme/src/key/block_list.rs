//! Lists of keys that nobody may use, as operators keep them.

use std::collections::HashSet;

use domain::KeyHash;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::PublicKey;

/// How many hex digits of a SHA-1 Debian's lists keep: the last 80 bits.
const DEBIAN_DIGITS: usize = 20;

/// Keys that nobody may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockList {
    keys: HashSet<KeyHash>,
    moduli: HashSet<Box<str>>,
}

/// A line is no entry; lines are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {0} is neither 64 hex digits of a SHA-256 over a SubjectPublicKeyInfo nor 20 of Debian's lists"
)]
pub struct BadEntry(pub usize);

impl BlockList {
    /// Adds the entries of a list: one in a line, `#` begins a comment.
    ///
    /// An entry is the SHA-256 over a SubjectPublicKeyInfo, or what Debian's `openssl-blacklist` holds of an RSA key: the
    /// last 80 bits of the SHA-1 over the line `openssl rsa -modulus` prints.
    ///
    /// # Errors
    /// When a line is no entry.
    pub fn add(&mut self, text: &str) -> Result<(), BadEntry> {
        for (index, line) in text.lines().enumerate() {
            let entry = line.split('#').next().unwrap_or_default().trim().to_ascii_lowercase();
            let is_hex = entry.bytes().all(|digit| digit.is_ascii_hexdigit());
            match entry.len() {
                0 => {}
                DEBIAN_DIGITS if is_hex => drop(self.moduli.insert(entry.into())),
                _ => drop(self.keys.insert(entry.parse().map_err(|_| BadEntry(index + 1))?)),
            }
        }
        Ok(())
    }

    /// Whether the key is on a list.
    pub fn contains(&self, key: &PublicKey) -> bool {
        (!self.keys.is_empty() && self.keys.contains(&key.hash()))
            || (!self.moduli.is_empty()
                && key
                    .rsa_modulus()
                    .is_some_and(|n| self.moduli.contains(debian_entry(n).as_str())))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.keys.len() + self.moduli.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn debian_entry(modulus: &[u8]) -> String {
    let digits: String = modulus.iter().map(|octet| format!("{octet:02X}")).collect();
    let line = format!("Modulus={digits}\n");
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, line.as_bytes());
    hash.as_ref().iter().skip(10).map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rsa() -> PublicKey {
        PublicKey::rsa(&[0xff; 256], &[1, 0, 1]).unwrap()
    }

    #[test]
    fn keys_are_found_by_either_kind_of_entry() {
        let ed25519 = PublicKey::ed25519(&[1; 32]).unwrap();
        // What sha1sum prints for "Modulus=FF…FF" of 512 digits, from its 21st digit on.
        let debian = "9439134ac3f5d786f1f3";
        let text = format!("# known keys\n\n{}  # a test\n{}\n", ed25519.hash(), debian);
        let mut list = BlockList::default();
        list.add(&text.to_uppercase().replace("# KNOWN", "# known")).unwrap();
        assert_eq!(list.len(), 2);
        assert!(list.contains(&ed25519));
        assert!(list.contains(&rsa()));
        assert!(!list.contains(&PublicKey::ed25519(&[2; 32]).unwrap()));
        assert!(!list.contains(&PublicKey::rsa(&[0xfd; 256], &[1, 0, 1]).unwrap()));
    }

    #[test]
    fn what_is_no_entry_is_refused_with_its_line() {
        for entry in
            ["abc", "x".repeat(64).as_str(), "z".repeat(20).as_str(), "0".repeat(40).as_str()]
        {
            let text = format!("# comment\n{entry}\n");
            assert_eq!(BlockList::default().add(&text), Err(BadEntry(2)), "{entry}");
        }
    }
}
