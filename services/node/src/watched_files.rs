//! Files that others write while the server runs.

use std::{
    convert::Infallible,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use runtime::Stop;
use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use tracing::warn;

use crate::failure::Failure;

/// How often files are looked at.
const INTERVAL: Duration = Duration::from_secs(5);

/// Files, and what they looked like when they were last taken.
pub(crate) struct WatchedFiles {
    paths: Vec<PathBuf>,
    taken: Option<Vec<Look>>,
}

/// When a file was last written, and how long it is.
type Look = (SystemTime, u64);

impl WatchedFiles {
    /// Takes files as they are now, before they are read for the first time.
    pub(crate) fn new(paths: Vec<PathBuf>) -> Self {
        let taken = look_at(&paths);
        Self { paths, taken }
    }

    /// Has files taken again whenever one was written, until the stage stops.
    pub(crate) fn watch(
        mut self,
        name: &'static str,
        stop: &Stop,
        take: impl Fn() -> Result<(), Failure> + Send + Sync + 'static,
    ) {
        let (stage, take) = (stop.clone(), Arc::new(take));
        stop.spawn(name, async move {
            let mut ticks = interval(INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = stage.requested() => return Ok::<_, Infallible>(()),
                }
                let take = Arc::clone(&take);
                let looked = spawn_blocking(move || {
                    self.offer(name, take.as_ref());
                    self
                });
                self = match looked.await {
                    Ok(files) => files,
                    // It panicked, which is told already: what was taken before stays.
                    Err(_) => return Ok(()),
                };
            }
        });
    }

    /// Offers files of which one was written. If they cannot be used, perhaps not all are written yet: they are offered
    /// again.
    fn offer(&mut self, name: &str, take: &dyn Fn() -> Result<(), Failure>) {
        let now = look_at(&self.paths);
        if now == self.taken {
            return;
        }
        match take() {
            Ok(()) => self.taken = now,
            Err(failure) => warn!(files = name, %failure, "changed files are not used"),
        }
    }
}

/// Nothing when one of them cannot be looked at.
fn look_at(paths: &[PathBuf]) -> Option<Vec<Look>> {
    let look = |path: &Path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    paths.iter().map(|path| look(path)).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn files_are_offered_once_they_are_written_and_until_they_are_taken() {
        let dir = tempfile::tempdir().unwrap();
        let [first, second] = ["a", "b"].map(|name| dir.path().join(name));
        fs::write(&first, "1").unwrap();
        fs::write(&second, "1").unwrap();
        let mut files = WatchedFiles::new(vec![first.clone(), second.clone()]);
        let offers = Cell::new(0);
        let mut check = |usable: bool, expected: u32| {
            offers.set(0);
            files.offer("two", &|| {
                offers.set(offers.get() + 1);
                if usable { Ok(()) } else { Err(Failure::new("half of it")) }
            });
            assert_eq!(offers.get(), expected);
        };
        check(true, 0);
        fs::write(&second, "22").unwrap();
        check(false, 1);
        check(false, 1);
        check(true, 1);
        check(true, 0);
        fs::remove_file(&first).unwrap();
        check(false, 1);
        fs::write(&first, "333").unwrap();
        check(true, 1);
        check(true, 0);
    }
}
