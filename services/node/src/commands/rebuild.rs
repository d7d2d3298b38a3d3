//! `certmill rebuild`: the read model anew from the log.

use runtime::Config;

use crate::{change::Change, control, failure::Failure, output::Output};

/// Rebuilds, through the running server if there is one.
pub(crate) async fn run(config: &Config, out: &mut Output) -> Result<(), Failure> {
    let done = control::apply(config, Change::Rebuild).await?;
    out.either(&done, &done)
}
