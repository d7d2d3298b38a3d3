//! Waiting for what another process does: asked again and again, and at most for a time.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// How often is asked.
const INTERVAL: Duration = Duration::from_millis(20);

/// Waits until `probe` answers with something.
///
/// # Errors
/// When it has not within `limit`, or fails.
pub async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = probe().await.with_context(|| format!("while waiting: {what}"))? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("not within {limit:?}: {what}");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Waits until `probe` says yes.
///
/// # Errors
/// When it has not within `limit`.
pub async fn until(
    what: &str,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> bool,
) -> anyhow::Result<()> {
    eventually(what, limit, async || Ok(probe().await.then_some(()))).await
}
