//! CRLs, which everybody may fetch.

use std::time::Duration;

use acceptance::eventually;
use anyhow::Context as _;
use futures::future::{join, try_join_all};
use http::Method;

use crate::town::Town;

/// Far less than what the signer waits for between its own looks.
const SOON: Duration = Duration::from_secs(10);

/// As large as one with about 100,000 revocations.
const CRL_BYTES: usize = 4_000_000;
const FETCHES: usize = 64;

#[tokio::test]
async fn those_who_fetch_a_large_crl_keep_no_request_from_redis() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let client = &town.at[0];
    let url = client.issue(&["a.localhost"], &town.web).await?.chain.crl_url()?;
    let file = url.rsplit('/').next().and_then(|file| file.strip_suffix(".crl"));
    let name = file.with_context(|| format!("{url} names no CRL"))?;
    town.cluster.redis.lengthen(&format!("certmill:crl:{name}"), CRL_BYTES).await?;

    let fetching = try_join_all((0..FETCHES).map(|_| client.request(Method::GET, &url, None)));
    let asking = async {
        for _ in 0..FETCHES {
            client.post_as_get(client.account()?).await?.expect(200)?;
        }
        anyhow::Ok(())
    };
    let (fetched, asked) = join(fetching, asking).await;
    asked?;
    for reply in fetched? {
        assert!(reply.expect(200)?.body.len() > CRL_BYTES / 2);
    }
    Ok(())
}

#[tokio::test]
async fn a_crl_that_redis_lost_is_not_gone_and_soon_back() -> anyhow::Result<()> {
    let mut town = Town::configured(|setup| setup.set("ca.crl_shards", 2)).await?;
    let [client, other] = &town.at;
    let url = client.issue(&["a.localhost"], &town.web).await?.chain.crl_url()?;
    let (base, _) = url.split_once("-2-").with_context(|| format!("{url} names no shard"))?;
    let shards = [0, 1].map(|index| format!("{base}-2-{index}.crl"));
    for url in &shards {
        client.request(Method::GET, url, None).await?.expect(200)?;
    }
    client.request(Method::GET, &format!("{base}-4-0.crl"), None).await?.expect(404)?;

    // The other node keeps nothing of it.
    town.cluster.redis.flush().await?;
    let lost = other.request(Method::GET, &shards[0], None).await?.expect(503)?;
    assert!(lost.header("retry-after").is_some(), "{lost:?}");
    eventually("the CRL is back", SOON, async || {
        let reply = other.request(Method::GET, &shards[0], None).await?;
        if reply.status == 503 { Ok(None) } else { reply.expect(200).map(Some) }
    })
    .await?;

    // Without the signer nobody knows, and nobody says that it is not there.
    town.cluster.workers.stop().await?;
    town.cluster.redis.flush().await?;
    other.request(Method::GET, &shards[1], None).await?.expect(503)?;
    Ok(())
}
