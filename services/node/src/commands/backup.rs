//! `certmill backup`: a copy of the data directory that opens as one, made while the server runs.

mod directory;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use embedded::BackupError;
use runtime::{Config, config::EventLogKind};
use serde::Serialize;

use self::directory::copy_directory;
use crate::{
    ca_files,
    failure::{Explain as _, Failure},
    files,
    output::Output,
    ports, signer_settings,
};

/// What the name of a copy ends with until all of it is there.
const PARTIAL: &str = ".partial";

/// What a backup holds.
#[derive(Serialize)]
struct Copied<'a> {
    to: &'a Path,
    messages: u64,
    files: usize,
}

/// Copies everything a restored server needs.
pub(crate) async fn run(config: &Config, to: &Path, out: &mut Output) -> Result<(), Failure> {
    if config.event_log.kind == EventLogKind::Jetstream {
        return Err(Failure::new("the log is on NATS, not in data_dir")).advise(
            "Copy each stream with `nats stream backup`, the ledger's last, then the signer's data_dir with the tools of its disk.",
        );
    }
    let source = Source {
        data_dir: config.data_dir.clone(),
        ca: ca_files::path(config),
        signer: signer_settings::read(config)?,
    };
    let target = files::absolute(to);
    let copying = move || source.copy(&target);
    let (messages, files) = tokio::task::spawn_blocking(copying)
        .await?
        .while_doing(format_args!("cannot back up to {}", to.display()))?;
    let copied = Copied { to, messages, files };
    out.either(
        &copied,
        format_args!(
            "copied {messages} messages and {files} files of signer and CA to {}\n\
             It holds the CA's keys: keep it as safe as the server.",
            to.display()
        ),
    )
}

/// What is copied.
struct Source {
    data_dir: PathBuf,
    ca: PathBuf,
    signer: signer::Settings,
}

impl Source {
    /// Copies the log and then the directories beside it; returns how many messages and files. A copy gets its name
    /// when it is complete; until then it has another, and it is removed on failure unless the command is killed.
    fn copy(&self, to: &Path) -> Result<(u64, usize), Failure> {
        self.refuse_within_itself(to)?;
        let log = ports::open_to_read(&self.data_dir)?;
        if fs::symlink_metadata(to).is_ok() {
            return Err(BackupError::Exists(to.to_owned()))
                .advise("Name a directory that does not exist yet.");
        }
        // Before the log, so that the copy never remembers more than it holds.
        let position = match fs::read(self.signer.position_file()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            read => Some(read?),
        };
        let partial = partial(to);
        let verified = match log.backup(&partial) {
            Ok(verified) => verified,
            Err(error @ BackupError::Exists(_)) => {
                return Err(error).advise(
                    "Another backup of that name is running, or was cut short: make sure that none runs, then remove it, \
                     and try again.",
                );
            }
            Err(error) => return Err(error.into()),
        };
        let copied = self.copy_beside(&partial, position);
        let files = copied.and_then(|files| Ok(name(&partial, to).map(|()| files)?));
        let files = files.inspect_err(|_| {
            // What cannot be removed either is told by the failure that there is.
            let _ = fs::remove_dir_all(&partial);
        })?;
        Ok((verified.messages, files))
    }

    /// Copies what is beside the log; answers how many files.
    fn copy_beside(&self, to: &Path, position: Option<Vec<u8>>) -> Result<usize, Failure> {
        let mut files = 0;
        for directory in [self.signer.dir(), &self.ca] {
            match fs::symlink_metadata(directory) {
                // Where it cannot be entered, as a link to what is not mounted, that is told: a copy without it is no backup.
                Ok(_) => files += copy_directory(directory, &self.place(directory, to)?)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        let copied = self.place(&self.signer.position_file(), to)?;
        match position {
            Some(position) => {
                fs::write(&copied, position)?;
                File::open(&copied)?.sync_all()?;
            }
            // The signer may have begun to remember since the log was copied.
            None => match fs::remove_file(&copied) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                Err(_) | Ok(()) => {}
            },
        }
        if self.signer.dir().is_dir() {
            // The journal was copied last: a server that starts on the copy puts back what the log does not say yet.
            File::create(self.place(&self.signer.restored_mark(), to)?)?.sync_all()?;
        }
        Ok(files)
    }

    /// A copy in a directory that is copied would hold itself, without end.
    fn refuse_within_itself(&self, to: &Path) -> Result<(), Failure> {
        let above = to.parent().map(files::absolute).unwrap_or_default();
        let copied = [self.signer.dir(), &self.ca].map(files::absolute);
        match copied.iter().find(|copied| above.starts_with(copied)) {
            Some(copied) => {
                Err(Failure::new(format!("{} would be copied into itself", copied.display())))
                    .advise("Name a directory outside of data_dir.")
            }
            None => Ok(()),
        }
    }

    /// Where a path of the data directory is in the copy.
    fn place(&self, path: &Path, to: &Path) -> Result<PathBuf, Failure> {
        Ok(to.join(path.strip_prefix(&self.data_dir)?))
    }
}

/// What a copy is called until all of it is there.
fn partial(to: &Path) -> PathBuf {
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(PARTIAL);
    to.with_file_name(name)
}

/// Gives a copy its name, durably.
fn name(partial: &Path, to: &Path) -> io::Result<()> {
    fs::rename(partial, to)?;
    match to.parent() {
        Some(above) => File::open(above)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::Permissions,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use super::*;
    use crate::{clock, fixtures};

    /// A data directory with a CA, before its signer has run.
    fn source(data_dir: &Path) -> Source {
        let config = fixtures::config(data_dir, &[]);
        drop(fixtures::log(data_dir));
        ca_files::open_or_create(&config, clock::now()).unwrap();
        let signer = signer_settings::read(&config).unwrap();
        Source { data_dir: data_dir.to_owned(), ca: ca_files::path(&config), signer }
    }

    #[tokio::test]
    async fn what_kubernetes_mounts_is_in_the_copy_and_its_key_is_private_there() {
        let dir = tempfile::tempdir().unwrap();
        let source = source(&dir.path().join("from"));
        let mounted = source.ca.join("..2026_11_21");
        fs::create_dir(&mounted).unwrap();
        symlink("..2026_11_21", source.ca.join("..data")).unwrap();
        for name in ["intermediate.pem", "keys"] {
            fs::rename(source.ca.join(name), mounted.join(name)).unwrap();
            symlink(format!("..data/{name}"), source.ca.join(name)).unwrap();
        }
        let key = mounted.join("keys/intermediate.key");
        fs::set_permissions(&key, Permissions::from_mode(0o440)).unwrap();

        let to = dir.path().join("to");
        source.copy(&to).unwrap();
        ca_files::open_or_create(&fixtures::config(&to, &[]), clock::now()).unwrap();
        let copied = fs::read(to.join("ca/keys/intermediate.key")).unwrap();
        assert_eq!(copied, fs::read(key).unwrap());
        assert!(!to.join("ca/..data").exists());
    }

    #[tokio::test]
    async fn a_copy_that_would_never_end_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let source = source(&dir.path().join("from"));
        let within = source.ca.join("copy");
        let failure = source.copy(&within).unwrap_err().to_string();
        assert!(failure.contains("outside of data_dir"), "{failure}");
        assert!(!within.exists());

        symlink("..", source.ca.join("keys/back")).unwrap();
        let to = dir.path().join("to");
        let failure = source.copy(&to).unwrap_err().to_string();
        assert!(failure.contains("nested too deep"), "{failure}");
        assert!(!to.exists(), "half a copy looks like a backup");
        assert!(!partial(&to).exists(), "it is in the way of the next one");
    }

    #[tokio::test]
    async fn a_ca_that_is_not_mounted_is_not_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let source = source(&dir.path().join("from"));
        fs::remove_dir_all(&source.ca).unwrap();
        symlink("nowhere", &source.ca).unwrap();
        let to = dir.path().join("to");
        let failure = source.copy(&to).unwrap_err().to_string();
        assert!(failure.contains("from/ca"), "{failure}");
        assert!(!to.exists());
    }

    #[tokio::test]
    async fn a_copy_has_its_name_when_all_of_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let source = source(&dir.path().join("from"));
        fs::create_dir(source.signer.dir()).unwrap();
        let to = dir.path().join("to");
        std::thread::scope(|scope| {
            let copying = scope.spawn(|| source.copy(&to).unwrap());
            while !to.exists() {
                assert!(!copying.is_finished() || to.exists());
            }
            // This is what the command would leave if it was killed now.
            assert!(to.join("signer/log-restored").exists(), "its journal is not compared");
            assert!(to.join("ca/keys/intermediate.key").exists());
        });

        let next = dir.path().join("next");
        fs::create_dir(partial(&next)).unwrap();
        let failure = source.copy(&next).unwrap_err().to_string();
        assert!(failure.contains("make sure that none runs, then remove it"), "{failure}");
        assert!(!next.exists());
    }

    #[tokio::test]
    async fn a_copy_remembers_nothing_that_came_after_the_log_was_copied() {
        let dir = tempfile::tempdir().unwrap();
        let source = source(&dir.path().join("from"));
        fs::create_dir(source.signer.dir()).unwrap();
        fs::write(source.signer.position_file(), "later").unwrap();
        for remembered_before in [None, Some("before")] {
            let to = dir.path().join(remembered_before.unwrap_or("nothing"));
            fs::create_dir(&to).unwrap();
            source.copy_beside(&to, remembered_before.map(Into::into)).unwrap();
            assert!(to.join("signer/log-restored").exists());
            let copied = fs::read_to_string(to.join("signer/log-position.json")).ok();
            assert_eq!(copied.as_deref(), remembered_before);
        }
    }

    #[tokio::test]
    async fn a_backup_made_beside_a_running_server_opens_as_a_data_directory() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        let config = fixtures::config(&from, &[]);
        let log = fixtures::log(&from);
        fixtures::append(&log, &["AccountCreated", "OrderPlaced"]).await;
        ca_files::open_or_create(&config, clock::now()).unwrap();
        let signer = signer_settings::read(&config).unwrap();
        fs::create_dir_all(signer.journal_dir()).unwrap();
        fs::write(signer.position_file(), "{}").unwrap();
        fs::write(signer.journal_dir().join("lock"), "").unwrap();

        let source = Source { data_dir: from.clone(), ca: ca_files::path(&config), signer };
        let (messages, _) = source.copy(&to).unwrap();
        assert_eq!(messages, 2);
        assert!(to.join("signer/log-position.json").exists());
        assert!(to.join("signer/log-restored").exists());
        assert!(!to.join("signer/journal/lock").exists());
        let restored = fixtures::config(&to, &[]);
        drop(fixtures::log(&to));
        for file in ["intermediate.pem", "keys/intermediate.key"] {
            let read = |config| fs::read(ca_files::path(config).join(file)).unwrap();
            assert_eq!(read(&restored), read(&config), "{file}");
        }
        let mode = fs::metadata(&to).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let failure = source.copy(&to).unwrap_err().to_string();
        assert!(failure.contains("does not exist yet"), "{failure}");
    }
}
