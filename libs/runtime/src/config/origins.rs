//! Where values come from, for whoever finds out later that one does not fit.

use std::{fmt, sync::Arc};

use super::{ConfigError, layers::Layers};

/// All that was said about a configuration. What a configuration means does not depend on it.
#[derive(Clone, Default)]
pub(super) struct Origins(Option<Arc<Layers>>);

impl Origins {
    /// Adds the places of the values that do not fit.
    pub(super) fn locate(&self, error: ConfigError) -> ConfigError {
        match &self.0 {
            Some(layers) => error.located(|key| layers.origin(key)),
            None => error,
        }
    }
}

impl From<Layers> for Origins {
    fn from(layers: Layers) -> Self {
        Self(Some(Arc::new(layers)))
    }
}

impl PartialEq for Origins {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Shows nothing: there may be secrets in it.
impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Origins(..)")
    }
}
