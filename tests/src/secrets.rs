//! What must be in no log line and in no span, in whatever form it might be written.

use std::path::Path;

use anyhow::ensure;
use base64::prelude::{
    BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD, Engine as _,
};

use crate::{ChallengeServer, RawClient};

/// What is shorter stands in a log by chance.
const LEAST_LENGTH: usize = 8;

/// Secrets, each with the word for its kind.
#[derive(Default)]
pub struct Secrets(Vec<(String, Vec<u8>)>);

impl Secrets {
    /// Adds one that is text.
    pub fn add(&mut self, kind: &str, secret: &str) {
        if secret.len() >= LEAST_LENGTH {
            self.0.push((kind.to_owned(), secret.as_bytes().to_vec()));
        }
    }

    /// Adds one that is octets, given in base64 of any kind.
    ///
    /// # Errors
    /// When it is none.
    pub fn add_base64(&mut self, kind: &str, encoded: &str) -> anyhow::Result<()> {
        let plain = encoded.trim().trim_end_matches('=').replace('-', "+").replace('_', "/");
        self.0.push((kind.to_owned(), BASE64_STANDARD_NO_PAD.decode(plain)?));
        Ok(())
    }

    /// Adds what passed between a client and its servers.
    pub fn add_client(&mut self, client: &RawClient) {
        for (kind, text) in client.confidential() {
            self.add(kind, &text);
        }
    }

    /// Adds tokens and key authorizations of all challenges that were answered.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn add_challenges(&mut self, web: &ChallengeServer) -> anyhow::Result<()> {
        for file in std::fs::read_dir(web.directory())? {
            let file = file?;
            self.add("token", &file.file_name().to_string_lossy());
            self.add("key authorization", &std::fs::read_to_string(file.path())?);
        }
        Ok(())
    }

    /// Adds the lines of a PEM file.
    ///
    /// # Errors
    /// When it cannot be read, or holds no key.
    pub fn add_key_file(&mut self, file: &Path) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(file)?;
        ensure!(text.contains("PRIVATE KEY"), "{} holds no key", file.display());
        self.add_pem(&text);
        Ok(())
    }

    /// Adds the lines of a key in PEM.
    pub fn add_pem(&mut self, pem: &str) {
        for line in pem.lines().filter(|line| !line.starts_with("-----")) {
            self.add("private key", line);
        }
    }

    /// Which of them a text holds, and in which form.
    pub fn found_in(&self, text: &str) -> Vec<String> {
        let holds = |secret: &[u8]| forms(secret).into_iter().find(|form| text.contains(form));
        let found = self.0.iter().filter_map(|(kind, secret)| Some((kind, holds(secret)?)));
        let mut found: Vec<_> = found.map(|(kind, form)| format!("{kind}: {form}")).collect();
        found.dedup();
        found
    }

    /// How many there are of a kind.
    pub fn count(&self, kind: &str) -> usize {
        self.0.iter().filter(|(known, _)| known == kind).count()
    }
}

/// How octets may be written: as they are, in base64, as hexadecimal digits, as a list of numbers.
fn forms(secret: &[u8]) -> Vec<String> {
    let list = format!("{secret:?}");
    let list = list.trim_matches(['[', ']']).to_owned();
    let hexadecimal = secret.iter().map(|octet| format!("{octet:02x}")).collect();
    let mut forms = vec![
        BASE64_STANDARD.encode(secret),
        BASE64_URL_SAFE_NO_PAD.encode(secret),
        hexadecimal,
        list,
    ];
    forms.extend(String::from_utf8(secret.to_vec()));
    forms
}
