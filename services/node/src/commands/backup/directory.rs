//! Copies one directory, beside a server that replaces files in it.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::Path,
};

use crate::failure::{Explain as _, Failure};

/// Says how far the journal came, and is therefore copied before it.
const JOURNAL_HEAD: &str = "head";
/// Files that only mean something in the directory where they are.
const LOCKS: [&str; 2] = ["lock", ".lock"];
/// How Kubernetes names what it keeps beside the links to the files of a mounted secret.
const MOUNTED_PREFIX: &str = "..";
/// How deep directories are nested; links that lead back would never end.
const MAX_DEPTH: usize = 8;

/// Copies what is there, and what links lead to: keys may be mounted from elsewhere. Answers how many files.
pub(super) fn copy_directory(from: &Path, to: &Path) -> Result<usize, Failure> {
    copy_nested(from, to, MAX_DEPTH)
}

fn copy_nested(from: &Path, to: &Path, depth: usize) -> Result<usize, Failure> {
    if depth == 0 {
        return Err(Failure::new(format!("{} is nested too deep", from.display())));
    }
    DirBuilder::new().mode(0o700).create(to)?;
    let read = fs::read_dir(from).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut entries = read.while_doing(format_args!("cannot copy {}", from.display()))?;
    entries.sort_by_key(|entry| entry.file_name() != JOURNAL_HEAD);
    let mut files = 0;
    for entry in entries {
        let (name, source) = (entry.file_name(), entry.path());
        if is_lock(&name) || name.as_encoded_bytes().starts_with(MOUNTED_PREFIX.as_bytes()) {
            continue;
        }
        let target = to.join(&name);
        let is_dir = match fs::metadata(&source) {
            Ok(kind) if kind.is_dir() => Ok(true),
            Ok(kind) if kind.is_file() => copy_file(&source, &target).map(|()| false),
            Ok(_) => continue,
            Err(error) => Err(error),
        };
        match is_dir {
            Ok(true) => files += copy_nested(&source, &target, depth - 1)?,
            Ok(false) => files += 1,
            Err(error) if has_gone(&source, &error) => {}
            Err(error) => {
                return Err(error).while_doing(format!("cannot copy {}", source.display()));
            }
        }
    }
    File::open(to)?.sync_all()?;
    Ok(files)
}

/// Whether a file that was listed has been renamed since. The signer writes each file under a temporary name and then
/// renames it, so nothing is missing from the copy, even if that name is in use again by now. A link that leads nowhere
/// was not renamed.
fn has_gone(path: &Path, error: &io::Error) -> bool {
    let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    error.kind() == io::ErrorKind::NotFound && !is_link
}

/// Copies a file with its permissions, but a key that a group may read is its owner's alone in the copy.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    let copy = File::open(to)?;
    let mode = copy.metadata()?.permissions().mode();
    if mode & 0o004 == 0 {
        copy.set_permissions(Permissions::from_mode(mode & 0o700))?;
    }
    copy.sync_all()
}

fn is_lock(name: &OsStr) -> bool {
    LOCKS.iter().any(|lock| name == *lock)
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::symlink,
        sync::atomic::{AtomicBool, Ordering},
    };

    use super::*;

    #[test]
    fn the_head_of_the_journal_is_copied_before_what_is_appended_to() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir(&from).unwrap();
        for name in 0..20 {
            // The copy ends at the first of them.
            symlink("nowhere", from.join(name.to_string())).unwrap();
        }
        fs::write(from.join(JOURNAL_HEAD), "7").unwrap();
        copy_directory(&from, &to).unwrap_err();
        assert!(to.join(JOURNAL_HEAD).exists());
    }

    #[test]
    fn a_file_that_is_replaced_meanwhile_is_copied_and_one_that_is_missing_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (from, writing) = (dir.path().join("from"), AtomicBool::new(true));
        fs::create_dir(&from).unwrap();
        fs::write(from.join("last.crl"), "first").unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while writing.load(Ordering::Relaxed) {
                    fs::write(from.join("last.next"), "newer").unwrap();
                    fs::rename(from.join("last.next"), from.join("last.crl")).unwrap();
                }
            });
            let copied: Result<Vec<usize>, _> =
                (0..200).map(|n| copy_directory(&from, &dir.path().join(n.to_string()))).collect();
            writing.store(false, Ordering::Relaxed);
            copied.unwrap();
        });

        symlink("nowhere", from.join("key")).unwrap();
        let failure = copy_directory(&from, &dir.path().join("last")).unwrap_err();
        assert!(failure.to_string().contains("from/key"), "{failure}");
    }
}
