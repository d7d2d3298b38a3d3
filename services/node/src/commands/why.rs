//! `certmill why`: the story of one certificate.

use domain::Serial;
use runtime::Config;

use crate::{
    failure::{Explain as _, Failure},
    log::Log,
    output::{Format, Output},
    story,
};

/// Tells the story from the log.
pub(crate) async fn run(config: &Config, serial: &Serial, out: &mut Output) -> Result<(), Failure> {
    let log = Log::open(config).await?;
    let story = story::gather(&log, serial)
        .await?
        .ok_or_else(|| Failure::new(format!("the log knows no certificate with serial {serial}")))
        .advise(
            "The serial is what `openssl x509 -noout -serial` prints of a certificate issued here.",
        )?;
    match out.format() {
        Format::Json => out.json(&story),
        Format::Text => out.line(&story),
    }
}
