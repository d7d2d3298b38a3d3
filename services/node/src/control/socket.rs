//! Where the socket is.

use std::{
    fs::File,
    io,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
};

/// The socket's name in the data directory.
const NAME: &str = "control.sock";
/// The longest path a socket's address holds on Linux (unix(7)), without its final zero.
const MAX_PATH_BYTES: usize = 107;

/// The socket in a data directory.
pub(super) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(NAME)
}

/// A path of the socket that fits into an address.
pub(super) struct Address {
    path: PathBuf,
    /// Keeps the short path valid.
    _dir: Option<File>,
}

impl Address {
    /// Finds a path that is short enough: where the data directory's own is not, one through the open directory.
    pub(super) fn of(data_dir: &Path) -> io::Result<Self> {
        let path = path(data_dir);
        if path.as_os_str().len() <= MAX_PATH_BYTES {
            return Ok(Self { path, _dir: None });
        }
        let dir = File::open(data_dir)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", dir.as_raw_fd()));
        Ok(Self { path, _dir: Some(dir) })
    }

    /// The path, while this lives.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}
