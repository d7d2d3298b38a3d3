//! Files that are whole or absent after a crash, with the right permissions from their first moment.

use std::{
    ffi::OsString,
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
};

const ROOT: u32 = 0;

/// Who may read a file, or enter a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Only the owner: mode 0600, of a directory 0700.
    Owner,
    /// Everybody: mode 0644, of a directory 0755.
    Everybody,
}

impl Access {
    fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Everybody => 0o644,
        }
    }

    fn directory_mode(self) -> u32 {
        match self {
            Self::Owner => 0o700,
            Self::Everybody => 0o755,
        }
    }
}

/// Writes a file that does not exist yet; a crash leaves either all of it or nothing under its name.
///
/// # Errors
/// `AlreadyExists` when there is such a file, which is left alone; else what the file system says.
pub(crate) fn write_new(path: &Path, contents: &[u8], access: Access) -> io::Result<()> {
    let temporary = write_temporary(path, contents, access)?;
    // A hard link, unlike a rename, never replaces what is there.
    let linked = std::fs::hard_link(&temporary, path);
    std::fs::remove_file(&temporary)?;
    linked?;
    sync_parent(path)
}

/// Writes a file, in place of the one before if there is one; a crash leaves either the old or the new one.
///
/// # Errors
/// What the file system says.
pub(crate) fn replace(path: &Path, contents: &[u8], access: Access) -> io::Result<()> {
    let temporary = write_temporary(path, contents, access)?;
    std::fs::rename(&temporary, path)?;
    sync_parent(path)
}

/// Reads a file of at most `max_bytes`.
///
/// # Errors
/// `FileTooLarge` when it is larger; else what the file system says.
pub(crate) fn read_bounded(file: &File, max_bytes: u64) -> io::Result<Vec<u8>> {
    // With room from the start: a key is not copied about while it is read.
    let length = file.metadata()?.len().min(max_bytes).saturating_add(1);
    let mut contents = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut contents)?;
    if contents.len() as u64 > max_bytes {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(contents)
}

/// Creates a directory, and those above it; an existing one is left as it is.
///
/// # Errors
/// What the file system says.
pub(crate) fn create_directory(path: &Path, access: Access) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = parent(path);
    // They are the same where the current directory is gone.
    if above != path {
        create_directory(above, access)?;
    }
    match DirBuilder::new().mode(access.directory_mode()).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created.and_then(|()| give_to_directory_owner(&File::open(path)?, path)),
    }
}

/// Gives what root made to the owner of the directory it is in: that is the server's user, who has to read it.
///
/// # Errors
/// What the file system says.
pub fn give_to_directory_owner(made: &File, path: &Path) -> io::Result<()> {
    let directory = std::fs::metadata(parent(path))?;
    if made.metadata()?.uid() == ROOT && directory.uid() != ROOT {
        // In a container root may not be allowed to, and is then the server's user itself.
        drop(fchown(made, Some(directory.uid()), Some(directory.gid())));
    }
    Ok(())
}

/// Takes a lock that lasts until the returned file is dropped or the process ends; waits for it.
///
/// # Errors
/// What the file system says.
pub(crate) fn lock(path: &Path) -> io::Result<File> {
    let file = open_lock(path)?;
    file.lock()?;
    Ok(file)
}

/// Opens a lock file, without locking it.
///
/// # Errors
/// What the file system says.
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.create(true).append(true).mode(Access::Owner.mode()).open(path)?;
    give_to_directory_owner(&file, path)?;
    Ok(file)
}

/// Makes the entries of the directory that holds `path` durable.
///
/// # Errors
/// What the file system says.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(parent(path))?.sync_all()
}

/// The directory that holds `path`.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Callers hold a lock on the directory, so a temporary file that is there was left by a crash.
fn write_temporary(path: &Path, contents: &[u8], access: Access) -> io::Result<PathBuf> {
    let mut name = OsString::from(".");
    name.push(path.file_name().ok_or(io::ErrorKind::InvalidFilename)?);
    name.push(".new");
    let temporary = path.with_file_name(name);
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) | Ok(()) => {}
    }
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(access.mode()).open(&temporary)?;
    give_to_directory_owner(&file, &temporary)?;
    file.write_all(contents)?;
    file.sync_all()?;
    Ok(temporary)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;

    #[test]
    fn a_new_file_never_replaces_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write_new(&path, b"first", Access::Owner).unwrap();
        let error = write_new(&path, b"second", Access::Owner).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_root_makes_belongs_to_the_owner_of_the_directory() {
        const SERVER: u32 = 65_532;
        let dir = tempfile::tempdir().unwrap();
        if chown(dir.path(), Some(SERVER), Some(SERVER)).is_err() {
            return eprintln!("skipped: it needs root");
        }
        let path = dir.path().join("a/b/file");
        create_directory(parent(&path), Access::Owner).unwrap();
        write_new(&path, b"first", Access::Owner).unwrap();
        open_lock(&path.with_file_name("lock")).unwrap();
        for made in ["a", "a/b", "a/b/file", "a/b/lock"] {
            let metadata = std::fs::metadata(dir.path().join(made)).unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (SERVER, SERVER), "{made}");
        }
    }

    #[test]
    fn a_file_left_by_a_crash_is_in_nobodys_way() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(dir.path().join(".file.new"), b"half").unwrap();
        replace(&path, b"whole", Access::Everybody).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    }

    #[test]
    fn a_file_larger_than_its_bound_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        replace(&path, b"12345", Access::Owner).unwrap();
        assert_eq!(read_bounded(&File::open(&path).unwrap(), 5).unwrap(), b"12345");
        let error = read_bounded(&File::open(&path).unwrap(), 4).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
