//! The directory, nonces, and what is asked for in the wrong way (RFC 8555 §6.3, §7.1.1, §7.2).

use http::Method;

use super::Script;

impl Script<'_> {
    pub(super) async fn resources(&mut self) -> anyhow::Result<()> {
        let directory = self.directory.clone();
        let nonce = self.client.url("newNonce")?;
        let order = self.client.url("newOrder")?;
        let nowhere = format!("{order}/nothing-is-here");
        let by_get: [(&str, Method, &str); 8] = [
            ("directory by GET", Method::GET, &directory),
            ("directory by HEAD", Method::HEAD, &directory),
            ("directory by PUT", Method::PUT, &directory),
            ("newNonce by GET", Method::GET, &nonce),
            ("newNonce by HEAD", Method::HEAD, &nonce),
            ("newOrder by GET", Method::GET, &order),
            ("newOrder by OPTIONS", Method::OPTIONS, &order),
            ("a path of nothing", Method::GET, &nowhere),
        ];
        for (name, method, url) in by_get {
            let reply = self.client.request(method, url, None).await;
            self.note(name, reply)?;
        }
        let reply = self.client.post_as_get(&directory).await;
        self.note("directory by POST-as-GET", reply)?;
        let reply = self.client.post_as_get(&nonce).await;
        self.note("newNonce by POST-as-GET", reply)?;
        Ok(())
    }
}
