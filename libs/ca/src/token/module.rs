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
    /// How often it was restarted. Whoever calls the module holds the read lock, so that nobody does during a restart.
    restarts: RwLock<u64>,
    /// The labels of tokens that refused the PIN. Held while one is sent: several at once could lock a token.
    refused_pin: Mutex<BTreeSet<String>>,
}

/// A module that is kept from restarting, and may be called.
pub(super) struct Entered<'a> {
    module: &'a Module,
    restarts: RwLockReadGuard<'a, u64>,
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
            Arc::new(Self { pkcs11, restarts: RwLock::default(), refused_pin: Mutex::default() });
        loaded.insert(path.to_owned(), Arc::clone(&module));
        Ok(module)
    }

    /// Keeps the module from restarting until what is returned is dropped.
    pub(super) fn enter(&self) -> Entered<'_> {
        let restarts = self.restarts.read().unwrap_or_else(PoisonError::into_inner);
        Entered { module: self, restarts }
    }

    /// Restarts the module, which ends all sessions, unless others did since the caller saw this number of restarts. Some
    /// modules see a token that came back, or reach its server again, in no other way.
    pub(super) fn restart(&self, seen: u64) -> Result<(), Error> {
        let mut restarts = self.restarts.write().unwrap_or_else(PoisonError::into_inner);
        if *restarts != seen {
            return Ok(());
        }
        *restarts += 1;
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

    /// How often the module was restarted.
    pub(super) fn restarts(&self) -> u64 {
        *self.restarts
    }

    /// The labels of tokens that refused the PIN; while this is held nobody else sends one.
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
