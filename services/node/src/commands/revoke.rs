//! `certmill revoke`: takes a certificate back.

use domain::{Serial, certificate::RevocationReason};
use runtime::Config;

use crate::{change::Change, control, failure::Failure, output::Output};

/// Revokes the certificate, through the running server if there is one.
pub(crate) async fn run(
    config: &Config,
    serial: Serial,
    reason: RevocationReason,
    out: &mut Output,
) -> Result<(), Failure> {
    let done = control::apply(config, Change::Revoke { serial, reason }).await?;
    out.either(&done, &done)
}
