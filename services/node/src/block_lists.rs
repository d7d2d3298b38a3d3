//! The operator's lists of keys that nobody may use.

use std::{fs::File, io::Read as _, path::Path};

use acme::key::BlockList;
use runtime::Config;

use crate::failure::{Explain as _, Failure};

/// The longest list: all of Debian's together fit several times.
const MAX_LIST_BYTES: u64 = 256 << 20;

/// Reads every list that the configuration names.
///
/// # Errors
/// When one cannot be read or has a line that is no entry.
pub(crate) fn read(config: &Config) -> Result<BlockList, Failure> {
    let mut list = BlockList::default();
    for path in &config.key_block_lists {
        read_one(path, &mut list)
            .while_doing(format_args!("cannot read {}, a list of key_block_lists", path.display()))
            .advise("Each line is a SHA-256 over a SubjectPublicKeyInfo in hex, or an entry of Debian's lists.")?;
    }
    Ok(list)
}

fn read_one(path: &Path, list: &mut BlockList) -> Result<(), Failure> {
    let mut text = String::new();
    File::open(path)?.take(MAX_LIST_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_LIST_BYTES {
        return Err(Failure::new("the file is too long"));
    }
    Ok(list.add(&text)?)
}
