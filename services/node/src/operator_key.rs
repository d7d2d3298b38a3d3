//! The operator's key, under which the keys for external accounts are kept.

use std::{fs::File, io::Read as _, path::Path};

use acme::external_account::OperatorKey;
use runtime::Config;

use crate::failure::{Explain as _, Failure};

/// The longest key file.
const MAX_KEY_FILE_BYTES: u64 = 4096;

/// Reads the key and the former ones from the files that the configuration names; `None` where it names none.
///
/// # Errors
/// When a file cannot be read or holds no key.
pub(crate) fn read(config: &Config) -> Result<Option<OperatorKey>, Failure> {
    let files = &config.external_accounts;
    let Some(path) = &files.key_file else { return Ok(None) };
    let former = files.former_key_files.iter().map(|path| read_key(path));
    former.fold(read_key(path), |key, former| Ok(key?.with_former(former?))).map(Some)
}

fn read_key(path: &Path) -> Result<OperatorKey, Failure> {
    let key =
        read_text(path).map_err(Failure::from).and_then(|text| Ok(OperatorKey::from_text(&text)?));
    key.while_doing(format_args!("external_accounts: cannot use {}", path.display())).advise(
        "external_accounts.key_file and former_key_files must be files made by `openssl rand -base64 32`.",
    )
}

fn read_text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_KEY_FILE_BYTES).read_to_string(&mut text)?;
    Ok(text)
}
