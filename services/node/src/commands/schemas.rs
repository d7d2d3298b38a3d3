//! `certmill schemas`: writes the interface documents that are checked in.

use std::{fs, path::Path};

use crate::{
    event_schemas,
    failure::{Explain as _, Failure},
    output::Output,
};

/// Writes every file whose contents differ; others in the directory stay as they are.
pub(crate) fn write(dir: &Path, out: &mut Output) -> Result<(), Failure> {
    for file in event_schemas::files()? {
        let path = dir.join(&file.path);
        if fs::read_to_string(&path).is_ok_and(|contents| contents == file.contents) {
            continue;
        }
        let parent = path.parent().unwrap_or(dir);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, &file.contents))
            .while_doing(format_args!("cannot write {}", path.display()))?;
        out.either(&path, format_args!("wrote {}", path.display()))?;
    }
    Ok(())
}
