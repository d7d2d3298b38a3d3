//! PKCS#11 modules: each is loaded and initialized once in a process, whoever uses it.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
};

static LOADED: LazyLock<Mutex<HashMap<PathBuf, Arc<Module>>>> = LazyLock::new(Mutex::default);

/// A module that is loaded, until the process ends.
#[derive(Debug)]
pub(super) struct Module {
    pkcs11: Pkcs11,
    /// How often it was started anew. Whoever calls the module holds a read lock: nobody may while it starts anew.
    starts: RwLock<u64>,
    /// The labels of tokens that refused the PIN. Held while one is sent: several at once could lock a token.
    refused_pin: Mutex<BTreeSet<String>>,
}

/// A module while it does not start anew.
pub(super) struct Entered<'a> {
    module: &'a Module,
    starts: RwLockReadGuard<'a, u64>,
}

impl Module {
    /// Loads and initializes the module, unless it is there already.
    pub(super) fn load(path: &Path) -> Result<Arc<Self>, Error> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = loaded.get(path) {
            return Ok(Arc::clone(module));
        }
        let pkcs11 = Pkcs11::new(path)?;
        initialize(&pkcs11)?;
        let module =
            Arc::new(Self { pkcs11, starts: RwLock::default(), refused_pin: Mutex::default() });
        loaded.insert(path.to_owned(), Arc::clone(&module));
        Ok(module)
    }

    /// Keeps it from starting anew meanwhile.
    pub(super) fn enter(&self) -> Entered<'_> {
        let starts = self.starts.read().unwrap_or_else(PoisonError::into_inner);
        Entered { module: self, starts }
    }

    /// Starts it anew, which ends all sessions, unless that was done since it had started so often. Some modules see a
    /// token that came back, or reach its server again, in no other way.
    pub(super) fn restart(&self, seen: u64) -> Result<(), Error> {
        let mut starts = self.starts.write().unwrap_or_else(PoisonError::into_inner);
        if *starts != seen {
            return Ok(());
        }
        *starts += 1;
        match self.pkcs11.clone().finalize() {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiNotInitialized, _)) => {}
            Err(error) => return Err(error),
        }
        initialize(&self.pkcs11)
    }
}

impl Entered<'_> {
    pub(super) fn pkcs11(&self) -> &Pkcs11 {
        &self.module.pkcs11
    }

    /// How often the module was started anew.
    pub(super) fn starts(&self) -> u64 {
        *self.starts
    }

    /// The labels of tokens that refused the PIN; nobody else sends one meanwhile.
    pub(super) fn tokens_that_refused_the_pin(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.module.refused_pin.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn initialize(pkcs11: &Pkcs11) -> Result<(), Error> {
    match pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        // The same library by another path.
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
        initialized => initialized,
    }
}
