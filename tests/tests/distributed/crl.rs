//! CRLs, which everybody may fetch.

use anyhow::Context as _;
use futures::future::{join, try_join_all};
use http::Method;

use crate::town::Town;

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
