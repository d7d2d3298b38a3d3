//! The `head` file: the last message and its hash, kept outside the database so that a log that lost its end is noticed.
//!
//! It is written after each commit and before the commit is acknowledged, and it is not fsynced then. A commit is on the
//! disk before its head is written, so the head is never ahead of the log, whatever survives a crash; a power failure may
//! leave it behind, which only means that the log must reach at least that far. What the file is there for, a database or
//! a write-ahead log that was cut or restored from an older copy, it notices without the second fsync per commit.
//!
//! Two slots, each within a sector of its own, are written in turn: a torn write spoils one and leaves the other.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

use eventstore::Sequence;

use crate::chain::{Hash, Tip};

const FILE: &str = "head";
const MAGIC: &[u8; 8] = b"cm-head1";
const SLOT_BYTES: usize = 64;
/// The slots' distance: a disk writes sectors of at least this size whole.
const SECTOR_BYTES: u64 = 512;

/// The head file, open for writing.
#[derive(Debug)]
pub(crate) struct Head {
    file: File,
    next_slot: u64,
}

/// What the head file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remembered {
    /// There is no head file, or none that was ever written: a first start may have been cut short there.
    Nothing,
    /// The log reaches at least to here.
    Tip(Tip),
    /// Neither slot can be read.
    Unreadable,
}

impl Head {
    /// Reads what the directory's head file says.
    pub(crate) fn read(dir: &Path) -> io::Result<Remembered> {
        let file = match File::open(dir.join(FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Remembered::Nothing);
            }
            Err(error) => return Err(error),
        };
        let (mut newest, mut is_written): (Option<Tip>, _) = (None, false);
        for slot in 0..2 {
            let mut bytes = [0; SLOT_BYTES];
            match file.read_exact_at(&mut bytes, slot * SECTOR_BYTES) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
                Err(error) => return Err(error),
            }
            is_written |= bytes != [0; SLOT_BYTES];
            let newer = |tip: &Tip| newest.is_none_or(|found| tip.sequence >= found.sequence);
            newest = decode(&bytes).filter(newer).or(newest);
        }
        Ok(match newest {
            Some(tip) => Remembered::Tip(tip),
            None if is_written => Remembered::Unreadable,
            None => Remembered::Nothing,
        })
    }

    /// Opens the head file and has both slots say where the log ends, durably.
    pub(crate) fn write_new(dir: &Path, tip: &Tip) -> io::Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(dir.join(FILE))?;
        file.set_len(2 * SECTOR_BYTES)?;
        let mut head = Self { file, next_slot: 0 };
        // A crash between the two leaves one that is good.
        head.write(tip)?;
        head.sync()?;
        head.write(tip)?;
        head.sync()?;
        File::open(dir)?.sync_all()?;
        Ok(head)
    }

    /// Says where the log ends, in the slot that is not the newest.
    pub(crate) fn write(&mut self, tip: &Tip) -> io::Result<()> {
        self.file.write_all_at(&encode(tip), self.next_slot * SECTOR_BYTES)?;
        self.next_slot = 1 - self.next_slot;
        Ok(())
    }

    /// Brings what was written to the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

fn encode(tip: &Tip) -> [u8; SLOT_BYTES] {
    let mut bytes = [0; SLOT_BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..16].copy_from_slice(&tip.sequence.0.to_be_bytes());
    bytes[16..48].copy_from_slice(&tip.hash.0);
    let checksum = Hash::of(&bytes[..48]);
    bytes[48..].copy_from_slice(&checksum.0[..16]);
    bytes
}

fn decode(bytes: &[u8; SLOT_BYTES]) -> Option<Tip> {
    let sequence = u64::from_be_bytes(bytes[8..16].try_into().ok()?);
    let tip = Tip { sequence: Sequence(sequence), hash: Hash(bytes[16..48].try_into().ok()?) };
    (encode(&tip) == *bytes).then_some(tip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tip(n: u8) -> Tip {
        Tip { sequence: Sequence(n.into()), hash: Hash([n; 32]) }
    }

    #[test]
    fn the_newest_slot_counts() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Head::read(dir.path()).unwrap(), Remembered::Nothing);
        let mut head = Head::write_new(dir.path(), &tip(1)).unwrap();
        for n in 2..7 {
            head.write(&tip(n)).unwrap();
            assert_eq!(Head::read(dir.path()).unwrap(), Remembered::Tip(tip(n)));
        }
    }

    #[test]
    fn a_flipped_bit_never_makes_another_head() {
        let dir = tempfile::tempdir().unwrap();
        let mut head = Head::write_new(dir.path(), &tip(1)).unwrap();
        head.write(&tip(2)).unwrap();
        for bit in 0..2 * SECTOR_BYTES * 8 {
            let mut byte = [0];
            let file = File::options().read(true).write(true).open(dir.path().join(FILE)).unwrap();
            file.read_exact_at(&mut byte, bit / 8).unwrap();
            file.write_all_at(&[byte[0] ^ 1 << (bit % 8)], bit / 8).unwrap();
            let read = Head::read(dir.path()).unwrap();
            assert!(matches!(read, Remembered::Tip(found) if found == tip(1) || found == tip(2)));
            file.write_all_at(&byte, bit / 8).unwrap();
        }
    }

    #[test]
    fn a_head_without_a_good_slot_is_unreadable() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), [1; 1024]).unwrap();
        assert_eq!(Head::read(dir.path()).unwrap(), Remembered::Unreadable);
    }
}
