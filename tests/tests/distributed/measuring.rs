//! What the processes of a cluster measure.

use std::time::Duration;

use acceptance::eventually;

use crate::town::Town;

const COMMAND: &str = "certmill_redis_command_seconds_count";
const UNREPLACED: &str = "certmill_certificates_unreplaced";
/// The projector looks every 15 s.
const LOOK_LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn each_command_to_redis_is_measured_and_so_are_its_failures() -> anyhow::Result<()> {
    let mut town = Town::start().await?;
    town.at[0].issue(&["a.localhost"], &town.web).await?;
    let node = &town.cluster.api[0];
    for command in ["admit", "read", "write"] {
        let label = format!("command=\"{command}\",outcome=\"answered\"");
        assert!(node.metric_where(COMMAND, &label).await? > 0.0, "{command} is not measured");
    }
    assert_eq!(node.metric_where(COMMAND, "outcome=\"failed\"").await?, 0.0);
    let hits = "view=\"order\",outcome=\"hit\"";
    assert!(node.metric_where("certmill_view_reads_total", hits).await? > 0.0);

    town.cluster.redis.kill().await?;
    let account = town.at[0].account()?;
    town.at[0].post_as_get(account).await?.expect(503)?;
    let failed = "command=\"admit\",outcome=\"failed\"";
    assert!(town.cluster.api[0].metric_where(COMMAND, failed).await? > 0.0);
    let failed = "view=\"account\",outcome=\"failed\"";
    assert!(town.cluster.api[0].metric_where("certmill_view_reads_total", failed).await? > 0.0);
    let failed = "outcome=\"failed\"";
    assert!(town.cluster.api[0].metric_where("certmill_nonces_total", failed).await? > 0.0);

    // All that it knew is gone.
    town.cluster.redis.restart().await?;
    town.at[0].post_as_get(account).await?.refused((400, "badNonce"))?;
    town.at[0].post_as_get(account).await?.expect(200)?;
    let asked = "command=\"epoch\",outcome=\"answered\"";
    assert!(town.cluster.api[0].metric_where(COMMAND, asked).await? > 0.0);
    let missed = "view=\"account\",outcome=\"miss\"";
    assert!(town.cluster.api[0].metric_where("certmill_view_reads_total", missed).await? > 0.0);
    Ok(())
}

#[tokio::test]
async fn the_projector_counts_certificates_that_end_soon_also_after_a_restart() -> anyhow::Result<()>
{
    // In the last quarter of their validity when they are issued.
    let brief = r#"[{name="default", certificate_validity="20m", backdate="16m"}]"#;
    let mut town = Town::configured(|setup| setup.set("profile", brief)).await?;
    town.at[0].issue(&["a.localhost"], &town.web).await?;
    for _ in 0..2 {
        let projector = &town.cluster.projector;
        eventually("one certificate is unreplaced", LOOK_LIMIT, async || {
            Ok((projector.metric(UNREPLACED).await? == 1.0).then_some(()))
        })
        .await?;
        town.cluster.projector.stop().await?;
        town.cluster.projector.start().await?;
    }
    Ok(())
}
